/**
 * The whole server with callers by name: a token `name` or `name:system/Patient.r` is that of a client of Organization/name. What an organization
 * wrote it reads for treatment, as nobody has signed anything; Organization/alice is a custodian as well, who may write the directory. `admin` is
 * the first administrator.
 */
import { createSession, enrolKey } from '../../server/commands/demo/session.ts';
import { ADMIN_SCOPE, type RealServer, register, startRealServer } from './real-server.ts';

/** Tokens last ten minutes, and a walk of all types longer on a slow machine. */
const FRESH_MS = 240_000;

export type ServedApp = {
  readonly server: RealServer;
  /** Of the FHIR interface. */
  readonly base: string;
  readonly port: number;
  /** The Bearer token that a name stands for. */
  tokenOf(name: string): Promise<string>;
  stop(): Promise<void>;
};

export async function createServedApp(settings: Readonly<Record<string, string>> = {}): Promise<ServedApp> {
  const limits = { ASSENT_MAX_BODY_BYTES: '100000', ASSENT_MAX_JSON_DEPTH: '20', ASSENT_MAX_BUNDLE_ENTRIES: '50' };
  const server = await startRealServer({ ASSENT_IMPLICIT_POLICY: 'author-treatment', ...limits, ...settings });
  await enrolKey(server.admin, 'Organization/alice');
  const tokens = new Map<string, { readonly token: Promise<string>; readonly until: number }>();
  const tokenFor = async (caller: string): Promise<string> => {
    const [, name = '', scope = 'system/*.cruds'] = /^([a-z]+)(?::(.+))?$/.exec(caller) ?? [];
    // What is no name is sent as it is.
    if (name === '') return caller;
    const admin = await createSession(server.bootstrap, server.bootstrap.admin, ADMIN_SCOPE);
    if (name === 'admin') return admin.token;
    return (await register({ ...server, admin }, { actor: `Organization/${name}`, scope, choosesIds: true })).session.token;
  };
  return {
    server,
    base: server.bootstrap.fhirBaseUrl,
    port: Number(new URL(server.bootstrap.fhirBaseUrl).port),
    tokenOf: (caller) => {
      const now = performance.now();
      const kept = tokens.get(caller);
      const { token, until } = kept && kept.until > now ? kept : { token: tokenFor(caller), until: now + FRESH_MS };
      tokens.set(caller, { token, until });
      return token;
    },
    stop: () => server.stop(),
  };
}

export type Call = { readonly token?: string | undefined; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> };
export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';

/** One request; the answer with its JSON, if it is JSON. A url that starts with a slash is one of the server, any other one of its FHIR base. */
export async function call(
  app: Pick<ServedApp, 'base' | 'tokenOf'>,
  method: Method,
  url: string,
  { token = 'alice', body, headers = {} }: Call = {},
) {
  const answer = await fetch(url.startsWith('/') ? new URL(app.base).origin + url : `${app.base}/${url}`, {
    method,
    headers: {
      ...(token === '' ? {} : { authorization: `Bearer ${await app.tokenOf(token)}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/fhir+json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    headers: Object.fromEntries(answer.headers) as Readonly<Record<string, string | undefined>>,
    text,
    json: parse(text),
  };
}

// oxlint-disable-next-line typescript/no-explicit-any -- answers are looked at, not trusted
function parse(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
