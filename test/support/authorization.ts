/** The authorization server and the admin API on a Fastify of their own, with a clock the test moves and an administrator. */
import { generateKeyPairSync } from 'node:crypto';
import Fastify, { type FastifyInstance } from 'fastify';
import { installAuthorization } from '../../server/authz/authorization.ts';
import { type Clients, createClients } from '../../server/authz/clients.ts';
import { type Endpoints, endpointsOf } from '../../server/authz/endpoints.ts';
import { createEnrolments } from '../../server/authz/enrolments.ts';
import { createRecoveryProposals } from '../../server/authz/recovery-proposals.ts';
import { createKeyLog, type KeyLog } from '../../server/authz/key-log.ts';
import type { Authenticator } from '../../server/authz/token.ts';
import { systemClock } from '../../server/clock.ts';
import { adminPlugin } from '../../server/http/admin.ts';
import { AssentError } from '../../server/errors.ts';
import { installErrorHandling } from '../../server/http/error-handler.ts';
import { createMemoryRecords, type MemoryRecords } from './memory-records.ts';

export const SECRET = 'a secret of some length';

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly json: { readonly [member: string]: unknown };
};

type Store = Omit<MemoryRecords, 'log'>;

export type AuthorizationBench = {
  readonly app: FastifyInstance;
  readonly store: Store;
  readonly clients: Clients;
  readonly keyLog: KeyLog;
  readonly endpoints: Endpoints;
  readonly authenticator: Authenticator;
  readonly clock: { now: () => number; advance(ms: number): void };
  call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS',
    url: string,
    options?: { token?: string; body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>;
  requestToken(form: Readonly<Record<string, string>>, headers?: Record<string, string>): Promise<Answer>;
  /** By client_secret_basic; fails the test when there is none. */
  token(client: string, scope: string, more?: Readonly<Record<string, string>>): Promise<string>;
  register(more?: Readonly<Record<string, unknown>>): Promise<string>;
};

/** One key for all benches: making an RSA key takes longer than most tests. */
const tokenKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });

export const basic = (client: string, secret = SECRET): { authorization: string } => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(client)}:${encodeURIComponent(secret)}`).toString('base64')}`,
});

/** `shared`: the records of another bench, as if this one were a second process on the same database. `store`: those of an engine. */
export async function createAuthorizationBench({
  shared,
  store: own,
  privateHosts = [],
}: {
  shared?: Store;
  store?: Store;
  privateHosts?: readonly string[];
} = {}): Promise<AuthorizationBench> {
  let offset = 0;
  const now = () => systemClock() + offset;
  const store = shared ?? own ?? createMemoryRecords(now);
  if (!shared) await store.records.put('token-signing-key', '1', tokenKey as { [member: string]: unknown });
  const endpoints = endpointsOf('https://fhir.example.org');
  const clients = createClients({ ...store, clock: now, privateHosts });
  const logRow = (entry: { reference: string; digest: string }) => ({ key: `${entry.reference}#${entry.digest}`, entry: JSON.stringify(entry) });
  const keyLog = createKeyLog({ ...store, clock: now, logRow, indexAt: async () => 0 });
  const app = Fastify();
  installErrorHandling(app);
  const authenticator = await installAuthorization(app, {
    ...store,
    clients,
    clock: now,
    endpoints,
    privateHosts,
    cookieKey: 'a key for cookies of the bench',
    consentStands: async () => true,
    problemPage: ({ error: title, text }) => ({ headers: { 'content-type': 'text/html; charset=utf-8' }, body: `${title}: ${text}` }),
  });
  const enrolments = createEnrolments({ ...store, clock: now, kids: keyLog.kids });
  await app.register(adminPlugin, {
    callerOf: authenticator.authenticate,
    clients,
    keys: keyLog,
    enrolments,
    recoveries: createRecoveryProposals({ ...store, clock: now, enrolments, origin: 'http://localhost' }),
    explain: () => Promise.reject(new AssentError('not-supported')),
    launches: authenticator.launches,
  });
  app.get('/whoami', (request) => authenticator.authenticate(request));

  const call: AuthorizationBench['call'] = async (method, url, { token, body, headers = {} } = {}) => {
    const response = await app.inject({
      method,
      url,
      headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers },
      ...(body === undefined ? {} : { payload: body as string | object }),
    });
    const json = response.body.startsWith('{') ? (JSON.parse(response.body) as Answer['json']) : {};
    return { status: response.statusCode, headers: response.headers, text: response.body, json };
  };
  const requestToken: AuthorizationBench['requestToken'] = (form, headers = {}) =>
    call('POST', '/auth/token', {
      body: new URLSearchParams({ grant_type: 'client_credentials', ...form }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    });
  return {
    app,
    store,
    clients,
    keyLog,
    endpoints,
    authenticator,
    clock: { now, advance: (ms) => void (offset += ms) },
    call,
    requestToken,
    async token(client, scope, more = {}) {
      const answer = await requestToken({ scope, ...more }, basic(client));
      if (answer.status !== 200) throw new Error(`No token: ${answer.status} ${answer.text}`);
      return String(answer.json['access_token']);
    },
    async register(more = {}) {
      const registration = { client_name: 'A client', scope: 'system/*.rs', actor: 'Organization/insurer', purposes: ['HPAYMT', 'TREAT'] };
      const client = await clients.add(
        { ...registration, ...('jwks' in more || 'jwks_uri' in more ? {} : { client_secret: SECRET }), ...more },
        'first-start',
      );
      return String(client['client_id']);
    },
  };
}
