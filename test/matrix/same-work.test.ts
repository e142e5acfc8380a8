/**
 * What is hidden takes the same work as what is absent: the same questions to the store in the same order, and as many rows written. What a
 * stopwatch could tell apart begins here; test/timing/run.ts holds the stopwatch. consent.md §3 (timing)
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Session } from '../../server/commands/demo/session.ts';
import type { Engine, ResourceStore } from '../../server/store/port.ts';
import { HOSPITAL, observation, organization, patient, put, type RealServer, register, startRealServer } from '../support/real-server.ts';

let work: string[] = [];

function through(engine: Engine): Engine {
  const { resources } = engine;
  const store: ResourceStore = {
    ...resources,
    find(query) {
      work.push(`find ${query.type}`);
      return resources.find(query);
    },
    count(query, cap) {
      work.push(`count ${query.type}`);
      return resources.count(query, cap);
    },
    history(query) {
      work.push(`history ${query.type ?? ''}`);
      return resources.history(query);
    },
    commit(writes) {
      if (writes.resources.length > 0) work.push(`commit ${writes.resources.length} resources, ${writes.log.length} log rows`);
      return resources.commit(writes);
    },
  };
  return { ...engine, resources: store };
}

let server: RealServer;
let stranger: Session;
beforeAll(async () => {
  server = await startRealServer({}, { through });
  await put(server, organization(HOSPITAL));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  await put(server, observation('of-one', 'Patient/alice'));
  await put(server, observation('of-two', 'Patient/alice', { performer: [{ reference: 'Patient/bob' }] }));
  await put(server, observation('of-nobody', 'Group/none'));
  await put(server, observation('deleted', 'Patient/alice'));
  await server.admin.call('DELETE', 'Observation/deleted');
  stranger = (await register(server, { actor: 'Organization/stranger' })).session;
});
afterAll(() => server.stop());

const patch = { resourceType: 'Parameters', parameter: [] };
const graphql = (query: string) => `$graphql?query=${encodeURIComponent(query)}`;
type Ask = readonly [method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>];
const asks: readonly { readonly name: string; readonly ask: (id: string) => Ask }[] = [
  { name: 'read', ask: (id) => ['GET', `Observation/${id}`] },
  { name: 'HEAD', ask: (id) => ['HEAD', `Observation/${id}`] },
  { name: 'vread', ask: (id) => ['GET', `Observation/${id}/_history/none`] },
  { name: 'history', ask: (id) => ['GET', `Observation/${id}/_history`] },
  { name: 'If-None-Match', ask: (id) => ['GET', `Observation/${id}`, undefined, { 'if-none-match': '*' }] },
  { name: 'PUT', ask: (id) => ['PUT', `Observation/${id}`, observation(id, 'Patient/alice')] },
  { name: 'PUT with If-Match', ask: (id) => ['PUT', `Observation/${id}`, observation(id, 'Patient/alice'), { 'if-match': 'W/"x"' }] },
  { name: 'PATCH', ask: (id) => ['PATCH', `Observation/${id}`, patch] },
  { name: 'DELETE', ask: (id) => ['DELETE', `Observation/${id}`] },
  { name: 'search by id', ask: (id) => ['GET', `Observation?_id=${id}`] },
  { name: 'search by identifier', ask: (id) => ['GET', `Observation?identifier=urn:test|${id}`] },
  { name: 'count', ask: (id) => ['GET', `Observation?_summary=count&identifier=urn:test|${id}`] },
  {
    name: 'conditional create',
    ask: (id) => ['POST', 'Observation', observation('new', 'Patient/carol', { id: undefined }), { 'if-none-exist': `identifier=urn:test|${id}` }],
  },
  { name: '$meta', ask: (id) => ['GET', `Observation/${id}/$meta`] },
  { name: '$graphql', ask: (id) => ['GET', graphql(`{ Observation(id: "${id}") { id } }`)] },
  { name: '$graphql of one', ask: (id) => ['GET', `Observation/${id}/${graphql('{ id }')}`] },
  { name: '$validate', ask: (id) => ['GET', `Observation/${id}/$validate`] },
  {
    name: 'an entry of a batch',
    ask: (id) => ['POST', '', { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: `Observation/${id}` } }] }],
  },
  {
    name: 'an entry of a transaction',
    ask: (id) => ['POST', '', { resourceType: 'Bundle', type: 'transaction', entry: [{ request: { method: 'GET', url: `Observation/${id}` } }] }],
  },
];

async function workOf([method, path, body, headers]: Ask): Promise<readonly string[]> {
  work = [];
  await stranger.call(method, path, body, headers);
  return work;
}

describe('a hidden resource', () => {
  it.each(asks)('$name: as many reads and writes whether it is hidden or absent', async ({ ask }) => {
    // What is looked up once and kept is looked up.
    await workOf(ask('absent'));
    const absent = await workOf(ask('absent'));
    expect(absent.length).toBeGreaterThan(0);
    for (const id of ['of-one', 'of-two', 'of-nobody', 'deleted']) expect([id, await workOf(ask(id))]).toEqual([id, absent]);
  });

  it('$everything, and what is of its patient', async () => {
    for (const path of [
      'Patient/?/$everything',
      'Patient/?/Observation',
      'Patient/?/*',
      'Observation/$lastn?patient=?',
      'Observation?patient=?',
      'Observation?patient.gender=male&patient=?',
    ]) {
      const asked = (id: string) => workOf(['GET', path.replace('?', id).replace('=?', `=${id}`)]);
      await asked('absent');
      expect([path, await asked('alice')]).toEqual([path, await asked('absent')]);
    }
  });
});
