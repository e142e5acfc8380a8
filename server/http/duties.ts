/**
 * Who may do what of administration: every endpoint of the admin API and every page of the console, as one table. Scope `admin` may all of it but sign
 * for a custodian; an account with duties (`admin/auditor`) what is theirs.
 *
 * Invariant: an endpoint that is not in the table cannot be served: it has no name to be registered under.
 */
import { type Caller, holdsRole, type Role } from '../consent/model.ts';
import { AssentError } from '../errors.ts';

/** `anyone`: also who is not signed in. `launch`: whose token holds that scope. None: scope `admin` alone. */
type Duty = 'anyone' | 'launch' | readonly Role[];

const REGISTRAR = ['registrar'] as const;
const AUDITOR = ['auditor'] as const;
const OPERATOR = ['operator'] as const;
const SIGNER = ['signer'] as const;
const EVERYBODY = ['registrar', 'auditor', 'operator', 'signer'] as const;
const ADMIN_ALONE = [] as const;

// biome-ignore format: one row, one line
export const duties = {
  'POST /admin/clients':           REGISTRAR,
  'GET /admin/clients':            REGISTRAR,
  'GET /admin/clients/:id':        REGISTRAR,
  'PUT /admin/clients/:id':        REGISTRAR,
  'DELETE /admin/clients/:id':     REGISTRAR,
  'POST /admin/keys':              REGISTRAR,
  'GET /admin/keys':               REGISTRAR,
  'GET /admin/keys/:id':           REGISTRAR,
  'POST /admin/keys/:id/revoke':   REGISTRAR,
  'POST /admin/enrolments':        REGISTRAR,
  'GET /admin/recoveries':         REGISTRAR,
  'POST /admin/launches':          'launch',
  'POST /admin/explain':           OPERATOR,

  'GET /':                         'anyone',
  'GET /admin':                    'anyone',
  'POST /console/sign-in':         'anyone',
  'POST /console/sign-out':        EVERYBODY,
  'GET /console/trail':           AUDITOR,
  'POST /console/trail':          AUDITOR,
  'POST /console/trail/file':     AUDITOR,
  'POST /console/proof':          AUDITOR,
  'POST /console/proof/file':     AUDITOR,
  // They tell what Consents say of labels and codes.
  'GET /console/access':          ADMIN_ALONE,
  'POST /console/access':          ADMIN_ALONE,
  'GET /console/explain':         OPERATOR,
  'POST /console/explain':         OPERATOR,

  'GET /console/log':              OPERATOR,
  'POST /console/log':             OPERATOR,
  'GET /console/jobs':             OPERATOR,

  'GET /console/clients':          REGISTRAR,
  'POST /console/clients':         REGISTRAR,
  'GET /console/organizations':    REGISTRAR,
  'POST /console/organizations':   REGISTRAR,
  'GET /console/keys':             REGISTRAR,
  'POST /console/keys':            REGISTRAR,
  'GET /console/policies':         EVERYBODY,

  'GET /console/queue':            SIGNER,
  'POST /console/queue/review':    SIGNER,
  'POST /console/queue/statement': SIGNER,
  'POST /console/queue/approve':   SIGNER,
  'POST /console/queue/refuse':    SIGNER,
  'GET /console/passkey':          SIGNER,
  'POST /console/passkey/options': SIGNER,
  'POST /console/passkey':         SIGNER,
} as const satisfies Readonly<Record<string, Duty>>;

export type Endpoint = keyof typeof duties;

/** Throws AssentError('forbidden') where the caller has no such duty. */
export function requireDuty(endpoint: Endpoint, caller: Caller): void {
  const duty: Duty = duties[endpoint];
  if (duty === 'anyone' || mayDo(endpoint, caller)) return;
  if (duty === 'launch') throw new AssentError('forbidden', 'The token does not hold the scope "launch".');
  const scopes = ['admin', ...duty.map((role) => `admin/${role}`)].map((scope) => `"${scope}"`);
  throw new AssentError('forbidden', `The token does not hold the scope ${scopes.join(' or ')}.`);
}

export function mayDo(endpoint: Endpoint, caller: Caller): boolean {
  const duty: Duty = duties[endpoint];
  if (duty === 'anyone') return true;
  if (duty === 'launch') return caller.opensApps === true;
  return duty.length === 0 ? caller.admin : duty.some((role) => holdsRole(caller, role));
}
