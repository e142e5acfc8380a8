/** The search parameters of fhir-profiles/, over HTTP: on board at every start, in the caller's view. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Json } from '../../server/commands/demo/session.ts';
import { agree, HOSPITAL, organization, patient, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const DAY = 86_400_000;

let server: RealServer;
beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  await put(server, patient('alice'));
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER }), keys);
  await put(server, {
    resourceType: 'Task',
    id: 'waiting',
    status: 'requested',
    intent: 'order',
    restriction: { period: { end: new Date(server.now() + DAY).toISOString() } },
  });
});
afterAll(() => server.stop());

const total = async (query: string) => {
  const { status, json, text } = await server.admin.call('GET', query, undefined, { prefer: 'handling=strict' });
  expect(status, text).toBe(200);
  return json['total'];
};

it.each([
  ['Consent?reading=urn:assent:consent-semantics:1', 1],
  ['Consent?reading=urn:other', 0],
  ['Provenance?signer=Patient/alice', 1],
  [`Provenance?signer=${HOSPITAL}`, 1],
  ['Provenance?signer=Patient/bob', 0],
  ['Task?deadline:missing=false', 1],
])('%s finds %i', async (query, expected) => expect(await total(query)).toBe(expected));

it('a request waits until its deadline', async () => {
  const at = (ms: number) => new Date(server.now() + ms).toISOString();
  expect([await total(`Task?deadline=eb${at(2 * DAY)}`), await total(`Task?deadline=eb${at(0)}`)]).toEqual([1, 0]);
});

it('shows a stranger nothing, and stands in the CapabilityStatement', async () => {
  const { session } = await register(server, { actor: 'Organization/stranger' });
  expect((await session.call('GET', 'Provenance?signer=Patient/alice')).json['total']).toBe(0);
  const { json } = await server.admin.call('GET', 'metadata');
  const [{ resource }] = json['rest'] as [{ resource: { type: string; searchParam: Json[] }[] }];
  const claimed = (type: string) => resource.find((one) => one.type === type)?.searchParam.map(({ name }) => name);
  expect([claimed('Consent'), claimed('Provenance'), claimed('Task')]).toEqual(
    ['reading', 'signer', 'deadline'].map((name) => expect.arrayContaining([name])),
  );
});
