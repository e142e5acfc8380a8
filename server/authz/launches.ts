/**
 * In which context an app is opened: told by an EHR before it opens one (EHR launch), and kept for as long as what the person allowed.
 * https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
 *
 * Invariants: a `launch` value is random, for one app, once, and for five minutes; nobody but a client with scope `launch` makes one.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Caller } from '../consent/model.ts';
import { AssentError } from '../errors.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import type { RecordStore, RecordValue } from '../store/port.ts';
import type { Clients } from './clients.ts';
import { isObject, issue, readObject, referenceTo, refuse, text } from './input.ts';

/** What the token response says beside the token. `patient` and `encounter`: logical ids. */
export type Context = {
  readonly patient?: string;
  readonly encounter?: string;
  readonly fhirContext?: readonly unknown[];
  readonly need_patient_banner?: boolean;
  readonly intent?: string;
  readonly smart_style_url?: string;
  readonly tenant?: string;
};

/** `user`: who the EHR says is working; nobody else may go on with it. */
export type OpenedApp = { readonly client: string; readonly user?: string; readonly context: Context };

export type Launches = {
  /** Throws AssentError: forbidden, invalid-request. */
  open(input: unknown, by: Caller): Promise<{ readonly launch: string; readonly expires_in: number }>;
  find(launch: string, client: string): Promise<OpenedApp | undefined>;
  /** False: somebody else used it first. */
  use(launch: string): Promise<boolean>;
};

const KIND = 'launch';
const SECONDS = 300;
const id = /^[A-Za-z0-9.-]{1,64}$/;
const idOf = (type: string) => text(new RegExp(`^(${type}/)?${id.source.slice(1)}`), `must be the id of a ${type}`);

const members = {
  client_id: text(/^[A-Za-z0-9._~-]{1,64}$/, 'must be the client_id of the app'),
  user: referenceTo(['Practitioner', 'PractitionerRole', 'Patient']),
  patient: idOf('Patient'),
  encounter: idOf('Encounter'),
  fhirContext: (value: unknown) =>
    Array.isArray(value) && value.length <= 50 && value.every(isContextItem)
      ? undefined
      : 'must be an array of at most 50 objects, each with a relative reference, a canonical or an identifier',
  need_patient_banner: (value: unknown) => (typeof value === 'boolean' ? undefined : 'must be true or false'),
  intent: text(/^[\x20-\x7e]{1,200}$/, 'must be a line of at most 200 characters'),
  smart_style_url: (value: unknown) =>
    typeof value === 'string' && URL.parse(value)?.protocol === 'https:' ? undefined : 'must be an absolute https URL',
  tenant: text(/^[\x20-\x7e]{1,200}$/, 'must be a line of at most 200 characters'),
};

export function createLaunches(deps: { readonly records: RecordStore; readonly clients: Pick<Clients, 'find'>; readonly clock: Clock }): Launches {
  const { records, clients, clock } = deps;
  return {
    async open(input, by) {
      if (!by.opensApps || by.launch) throw new AssentError('forbidden', 'The token does not hold the scope "launch".');
      const { client_id: client, user, patient, encounter, ...context } = readObject(input, members, ['client_id']);
      const app = await clients.find(client as string);
      if (!app?.grant_types.includes('authorization_code')) refuse([issue('client_id', 'is of no app that can be opened')]);
      const opened = {
        client,
        ...(user === undefined ? {} : { user }),
        context: {
          ...context,
          ...(patient === undefined ? {} : { patient: logicalId(patient) }),
          ...(encounter === undefined ? {} : { encounter: logicalId(encounter) }),
        },
      };
      const launch = randomBytes(32).toString('base64url');
      await records.put(KIND, launch, opened as RecordValue, { revision: null, expires: clock() + SECONDS * 1000 });
      return { launch, expires_in: SECONDS };
    },
    async find(launch, client) {
      const opened = (await records.get(KIND, launch))?.value as OpenedApp | undefined;
      return opened?.client === client ? opened : undefined;
    },
    use: (launch) => records.delete(KIND, launch),
  };
}

/** https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#fhir-context */
function isContextItem(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { reference, canonical, identifier, type } = value;
  if (reference !== undefined && !isReference(reference)) return false;
  if (canonical !== undefined && !(typeof canonical === 'string' && URL.canParse(canonical))) return false;
  if (identifier !== undefined && !isObject(identifier)) return false;
  if (type !== undefined && !(typeof type === 'string' && isResourceType(type))) return false;
  return (reference ?? canonical ?? identifier) !== undefined;
}

function isReference(value: unknown): boolean {
  const [, type = ''] = (typeof value === 'string' && /^([A-Za-z]+)\/[A-Za-z0-9.-]{1,64}(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/.exec(value)) || [];
  return isResourceType(type);
}

function logicalId(reference: unknown): string {
  return String(reference).replace(/^\w+\//, '');
}
