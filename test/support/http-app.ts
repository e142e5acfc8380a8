/** The HTTP room alone on Fastify, over a fake Gate, with a token that is the caller's name. */
import Fastify, { type FastifyInstance } from 'fastify';
import type { Caller } from '../../server/consent/model.ts';
import { AssentError } from '../../server/errors.ts';
import { installErrorHandling } from '../../server/http/error-handler.ts';
import { createHeld, systemWaiting } from '../../server/http/held.ts';
import { createFhirPlugin, type FhirOptions } from '../../server/http/fhir-plugin.ts';
import { createHealthPlugin } from '../../server/http/health.ts';
import { createJobs } from '../../server/jobs/jobs.ts';
import { createMetrics } from '../../server/http/metrics.ts';
import { installObservation } from '../../server/http/observation.ts';
import { createServerOptions } from '../../server/http/server-options.ts';
import { createSearch } from '../../server/search/create-search.ts';
import { createCursors } from '../../server/search/page.ts';
import { createMemoryRecords } from './memory-records.ts';
import { createFakeRecord, type FakeRecord } from './fake-gate.ts';

export const BASE = 'http://assent.test/fhir';

export function callerNamed(name: string, scopes = 'system/*.cruds'): Caller {
  const parsed = scopes.split(' ').flatMap((scope) => {
    const [, type, letters] = /^system\/(\*|\w+)\.(\w+)$/.exec(scope) ?? [];
    return type && letters ? [{ context: 'system' as const, type, letters }] : [];
  });
  return { client: name, actor: `Organization/${name}`, purpose: 'TREAT', scopes: parsed, admin: false, choosesIds: true, tokenId: name };
}

export type HttpApp = { readonly app: FastifyInstance; readonly record: FakeRecord; readonly logs: string[] };

/** A Bearer token `name` or `name:system/Patient.r` is that caller. */
export async function createHttpApp({
  record = createFakeRecord(),
  ...changes
}: Partial<FhirOptions> & { readonly record?: FakeRecord } = {}): Promise<HttpApp> {
  const logs: string[] = [];
  const options = createServerOptions({ logLevel: 'info', bodyBytes: 100_000 });
  const app = Fastify({ ...options, logger: { ...options.logger, stream: { write: (line: string) => void logs.push(line) } } });
  const metrics = createMetrics();
  installErrorHandling(app);
  installObservation(app, { metrics });
  await app.register(createHealthPlugin({ checks: [{ name: 'store', check: async () => undefined }], metrics }));
  await app.register(createFhirPlugin({ ...defaults, gateFor: record.gateFor, ...changes }), { prefix: '/fhir' });
  await app.ready();
  return { app, record, logs };
}

const defaults: Omit<FhirOptions, 'gateFor'> = {
  base: BASE,
  oauth: {
    token: 'http://assent.test/auth/token',
    authorize: 'http://assent.test/auth/authorize',
    introspect: 'http://assent.test/auth/introspect',
    revoke: 'http://assent.test/auth/revoke',
  },
  limits: { bodyBytes: 100_000, jsonDepth: 20, bundleEntries: 50, conditionalDeletes: 100, bytesInFlight: 1_000_000 },
  integrity: false,
  profiles: new Map(),
  clock: () => Date.UTC(2024, 0, 2),
  validate: async (documents) =>
    documents.map(({ value }) =>
      'wrong' in value ? [{ diagnostics: 'wrong is not an element.', expression: [`${value.resourceType}.wrong`] }] : [],
    ),
  allows: (caller, letter, type) => caller.scopes.some((scope) => (scope.type === '*' || scope.type === type) && scope.letters.includes(letter)),
  held: createHeld(0, systemWaiting),
  authenticate: async ({ headers: { authorization } }) => {
    const [, name, scopes] = /^Bearer ([a-z]+)(?::(.+))?$/.exec(authorization ?? '') ?? [];
    if (name === undefined) throw new AssentError('unauthenticated');
    return callerNamed(name, scopes);
  },
  search: createSearch({ base: BASE, clock: () => Date.UTC(2024, 0, 2) }),
  cursors: createCursors({ secret: new Uint8Array(32) }),
  jobs: createJobs({
    records: createMemoryRecords(() => Date.UTC(2024, 0, 2)).records,
    clock: () => Date.UTC(2024, 0, 2),
    schedule: () => () => undefined,
    alone: true,
    limits: { atOnce: 1, keepMs: 60_000, resultBytes: 1_000_000, perOwner: 5 },
    report: () => undefined,
  }),
  registrationOf: async () => 'registered',
  breakGlassToken: async () => 'token',
};

type Call = { readonly token?: string | undefined; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> };

/** One request; the answer with its JSON, if it is JSON. */
export async function call(
  { app }: HttpApp,
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS',
  url: string,
  { token = 'alice', body, headers = {} }: Call = {},
) {
  const answer = await app.inject({
    method,
    url: url.startsWith('/') ? url : `/fhir/${url}`,
    headers: {
      ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/fhir+json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
  });
  return { status: answer.statusCode, headers: answer.headers, text: answer.body, json: parse(answer.body) };
}

// oxlint-disable-next-line typescript/no-explicit-any -- answers are looked at, not trusted
function parse(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
