/** A Provenance about what is stored already is its patient's, like one written beside it. consent.md §2 rule 17 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Json, Session } from '../../server/commands/demo/session.ts';
import { HOSPITAL, normalised, observation, organization, patient, put, type RealServer, register, startRealServer } from '../support/real-server.ts';

let server: RealServer;
let alice: Session;
let bob: Session;

beforeAll(async () => {
  server = await startRealServer();
  await put(server, organization(HOSPITAL));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  await put(server, { resourceType: 'Practitioner', id: 'doctor', name: [{ family: 'Who' }] });
  await put(server, observation('of-alice', 'Patient/alice'));
  await put(server, observation('of-bob', 'Patient/bob'));
  alice = (await register(server, { actor: 'Patient/alice' })).session;
  bob = (await register(server, { actor: 'Patient/bob' })).session;
});
afterAll(() => server.stop());

async function about(writer: Session, ...targets: readonly string[]): Promise<string> {
  const provenance: Json = {
    resourceType: 'Provenance',
    target: targets.map((reference) => ({ reference })),
    recorded: '2024-05-01T08:00:00Z',
    agent: [{ who: { reference: HOSPITAL } }],
  };
  const made = await writer.call('POST', 'Provenance', provenance);
  expect(made.status, made.text).toBe(201);
  return (/Provenance\/[^/]+/.exec(made.headers.get('location') ?? '') ?? [''])[0];
}

const seenBy = async (url: string): Promise<number[]> => Promise.all([alice, bob].map(async (session) => (await session.call('GET', url)).status));

it('is shown to the patient of its targets', async () => {
  const { admin, bootstrap } = server;
  for (const target of ['Observation/of-alice', 'Observation/of-alice/_history/1', `${bootstrap.fhirBaseUrl}/Observation/of-alice`, 'Patient/alice'])
    expect([target, await seenBy(await about(admin, target))]).toEqual([target, [200, 404]]);
  expect(await seenBy(await about(admin, 'Observation/of-alice', 'Practitioner/doctor'))).toEqual([200, 404]);
  const made = await about(admin, 'Observation/of-alice');
  expect((await alice.call('GET', 'Provenance?target=Observation/of-alice')).text).toContain(made);
  expect((await bob.call('GET', 'Provenance?target=Observation/of-alice')).text).not.toContain(made);
});

it('is shown to nobody where a target is of someone else, is not there, or is gone', async () => {
  const { admin } = server;
  expect(await seenBy(await about(admin, 'Observation/of-alice', 'Observation/of-bob'))).toEqual([404, 404]);
  expect(await seenBy(await about(admin, 'Observation/of-alice', 'Observation/absent'))).toEqual([404, 404]);
  await put(server, observation('short', 'Patient/alice'));
  await admin.call('DELETE', 'Observation/short');
  expect(await seenBy(await about(admin, 'Observation/short'))).toEqual([404, 404]);
});

it('tells its writer as little of a hidden target as of an absent one', async () => {
  const [hidden, absent] = [await about(alice, 'Observation/of-bob'), await about(alice, 'Observation/absent')];
  const answers = await Promise.all([hidden, absent].map(async (url) => normalised(await alice.call('GET', url), url.slice('Provenance/'.length))));
  expect(answers[0]).toEqual(answers[1]);
  expect(answers[0]?.status).toBe(404);
});

it('is recorded for its writer alike whosever a hidden target is, and for the patient', async () => {
  const { session: writer } = await register(server, { actor: 'Organization/writer' });
  const trailOf = async (session: Session, made: string) => {
    const entries = ((await session.call('GET', 'AuditEvent?_count=1000')).json['entry'] ?? []) as { resource: Json }[];
    return entries
      .map(({ resource }) => resource)
      .filter((event) => JSON.stringify(event).includes(made) && JSON.stringify(event).includes('"create"'));
  };
  const told = async (...targets: readonly string[]) => {
    const made = await about(writer, ...targets);
    return (await trailOf(writer, made)).map((event) =>
      JSON.stringify({ ...event, id: '', recorded: '', meta: {} }).replace(/Provenance\/[\w/]+/g, '…'),
    );
  };
  const absent = await told('Observation/absent');
  expect(absent.length).toBe(1);
  for (const targets of [['Observation/of-bob'], ['Observation/of-alice', 'Observation/of-bob']]) expect(await told(...targets)).toEqual(absent);
  const made = await about(writer, 'Observation/of-bob');
  expect((await trailOf(bob, made)).length).toBe(1);
  expect((await trailOf(alice, made)).length).toBe(0);
});

it('is shown to neither of two patients that one target names', async () => {
  const both = observation('both', 'Patient/alice', { performer: [{ reference: 'Patient/bob' }] });
  await put(server, both);
  expect(await seenBy(await about(server.admin, 'Observation/both'))).toEqual([404, 404]);
});
