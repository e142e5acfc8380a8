/**
 * A caller that hangs up in the middle of a long read, over a real socket: what is being read ends, and nothing more is begun. The store is
 * watched on its way: the socket is destroyed while a read of the request is about to begin, and the read begins when the server has noticed.
 */
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Session } from '../../server/commands/demo/session.ts';
import type { Engine, ResourceStore } from '../../server/store/port.ts';
import { HOSPITAL, observation, organization, patient, put, type RealServer, register, startRealServer } from '../support/real-server.ts';

type Watched = { readonly signal: AbortSignal; readonly kind: string; outcome: string | undefined };

/** Reads made for a caller who may leave, in order; `before`: told of each before it begins. */
const watch: { reads: Watched[]; before: (read: Watched, nth: number) => Promise<void> } = { reads: [], before: async () => undefined };

function through(engine: Engine): Engine {
  const { resources } = engine;
  const watched = <Q extends { readonly signal?: AbortSignal }, R>(kind: string, run: (query: Q) => Promise<R>) => {
    return async (query: Q): Promise<R> => {
      if (!query.signal) return run(query);
      const read: Watched = { signal: query.signal, kind, outcome: undefined };
      watch.reads.push(read);
      await watch.before(read, watch.reads.length);
      try {
        const result = await run(query);
        read.outcome = 'read';
        return result;
      } catch (error) {
        read.outcome = (error as { code?: string }).code ?? 'failed';
        throw error;
      }
    };
  };
  const store: ResourceStore = {
    ...resources,
    find: watched('find', (query) => resources.find(query)),
    findSeveral: watched('findSeveral', (query) => resources.findSeveral(query)),
    count: (query, cap) => watched<typeof query, Awaited<ReturnType<ResourceStore['count']>>>('count', (asked) => resources.count(asked, cap))(query),
    history: watched('history', (query) => resources.history(query)),
  };
  return { ...engine, resources: store };
}

let server: RealServer;
/** Reads what it wrote. */
let clinic: Session;
const MANY = 60;

beforeAll(async () => {
  server = await startRealServer({ ASSENT_IMPLICIT_POLICY: 'author-treatment' }, { through });
  await put(server, organization(HOSPITAL));
  await enrolKey(server.admin, HOSPITAL);
  clinic = (await register(server, { actor: HOSPITAL, choosesIds: true })).session;
  await clinic.call('PUT', 'Patient/alice', patient('alice'));
  const entry = Array.from({ length: MANY }, (_, i) => {
    const { id: _id, ...resource } = observation(`o${i}`, 'Patient/alice', { performer: [{ reference: HOSPITAL }] });
    return { resource: { ...resource, code: { text: `c${i}` } }, request: { method: 'POST', url: 'Observation' } };
  });
  for (let i = 0; i < 5; i++) await clinic.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });
});
afterAll(() => server.stop());

type Asked = { readonly method: string; readonly path: string; readonly body?: string; readonly type?: string };

/** Resolves when the connection has ended, with the answer's status or none. `opened`: is given what hangs up. */
function send({ method, path, body, type = 'application/json' }: Asked, opened: (hangUp: () => void) => void): Promise<number | undefined> {
  return new Promise((resolve) => {
    const url = `${server.bootstrap.fhirBaseUrl}/${path}`;
    const headers = { authorization: `Bearer ${clinic.token}`, ...(body === undefined ? {} : { 'content-type': type }) };
    const sent = httpRequest(url, { method, headers, agent: false }, (answer) => {
      answer.resume().on('close', () => resolve(answer.statusCode));
    });
    sent.on('error', () => resolve(undefined));
    opened(() => sent.destroy());
    sent.end(body);
  });
}

/** All reads of the request when nobody leaves. */
async function undisturbed(asked: Asked): Promise<readonly Watched[]> {
  watch.reads = [];
  watch.before = async () => undefined;
  const status = await send(asked, () => undefined);
  expect(status).toBe(200);
  return watch.reads;
}

/** Hangs up when the nth read is about to begin; resolves with the reads made for that caller once it has ended. */
async function leftAt(asked: Asked, nth: number): Promise<readonly Watched[]> {
  watch.reads = [];
  let hangUp = (): void => undefined;
  let own: AbortSignal | undefined;
  watch.before = async ({ signal }, count) => {
    own ??= signal;
    if (signal !== own || count !== nth || signal.aborted) return;
    const noticed = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    hangUp();
    await noticed;
  };
  const status = await send(asked, (end) => void (hangUp = end));
  expect(status).toBeUndefined();
  // Whatever was still to come would have its turns while this one is answered whole.
  const left = watch.reads;
  await undisturbed(asked);
  return left.filter(({ signal }) => signal === own);
}

const graphql = JSON.stringify({
  query: '{ a: PatientList { id } b: ObservationList(_count: 5) { id subject { resource { ... on Patient { id } } } } c: PatientList { id } }',
});

describe('whoever hangs up ends', () => {
  it.each<[string, Asked, number]>([
    ['a search', { method: 'GET', path: 'Observation?_count=5&_total=accurate' }, 1],
    ['a count', { method: 'GET', path: 'Observation?_summary=count' }, 1],
    ['a search with includes', { method: 'GET', path: 'Observation?_count=5&_include=Observation:subject&_include=Observation:performer' }, 2],
    ['a chain', { method: 'GET', path: 'Observation?subject:Patient.organization.name=Organization' }, 2],
    ['a _has', { method: 'GET', path: 'Patient?_has:Observation:subject:code:text=c1' }, 1],
    ['a search of the system', { method: 'GET', path: '?_type=Patient,Observation' }, 1],
    ['a compartment', { method: 'GET', path: 'Patient/alice/*?_count=5' }, 1],
    ['a history of everything', { method: 'GET', path: '_history?_count=100' }, 2],
    ['a history of a type', { method: 'GET', path: 'Observation/_history?_count=100' }, 2],
    ['$everything', { method: 'GET', path: 'Patient/alice/$everything?_count=20' }, 2],
    ['$lastn', { method: 'GET', path: 'Observation/$lastn?patient=alice' }, 2],
    ['a GraphQL query', { method: 'POST', path: '$graphql', body: graphql }, 2],
  ])('%s', async (_, asked, nth) => {
    const all = await undisturbed(asked);
    expect(all.length, 'reads of the whole request').toBeGreaterThanOrEqual(nth);
    expect(all.every(({ outcome }) => outcome === 'read')).toBe(true);
    const left = await leftAt(asked, nth);
    const outcomes = left.map(({ outcome }) => outcome);
    // By id both engines read at once what takes less than noticing would; then the next is not begun.
    expect(outcomes.slice(0, nth - 1).every((outcome) => outcome === 'read')).toBe(true);
    expect(['abandoned', 'read']).toContain(outcomes[nth - 1]);
    expect(left).toHaveLength(nth);
  });

  it('and leaves no record of a disclosure that was none', async () => {
    const total = async () =>
      (await server.admin.call('GET', 'AuditEvent?_summary=count&subtype=search-type&_total=accurate')).json['total'] as number;
    const asked = { method: 'GET', path: 'Observation?_count=7&_total=accurate' };
    const added = async (ask: () => Promise<unknown>): Promise<number> => {
      const before = await total();
      await ask();
      return (await total()) - before;
    };
    const whole = await added(() => undisturbed(asked));
    expect(whole).toBeGreaterThan(1);
    // leftAt ends with one that is answered whole.
    expect(await added(() => leftAt(asked, 1))).toBe(whole);
  });
});
