/**
 * A resource that names a patient otherwise than by a reference to one of ours, beside one who permits: nobody can ask the other, so it stays
 * closed. consent.md §2 rule 4, docs/adr/0039-who-is-named.md
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const BOB = 'Patient/bob';
const ALICE = { system: 'urn:mrn', value: 'alice-1' };

/** What is said of Alice in an Observation of Bob's, and whether it may be read with Bob's Consent alone. */
const cases: readonly (readonly [id: string, more: Json, open: boolean])[] = [
  ['plain', {}, true],
  ['beside', { subject: { reference: BOB, identifier: { system: 'urn:mrn', value: 'bob-1' } } }, true],
  ['laboratory', { performer: [{ identifier: { system: 'urn:npi', value: '1' } }, { type: 'Organization', identifier: { value: '2' } }] }, true],
  ['by-url', { focus: [{ type: 'http://hl7.org/fhir/StructureDefinition/Patient', identifier: ALICE }] }, false],
  ['focus', { focus: [{ type: 'Patient', identifier: ALICE }] }, false],
  ['contained', { contained: [{ resourceType: 'Patient', id: 'a', identifier: [ALICE] }], focus: [{ reference: '#a' }] }, false],
  ['performer', { performer: [{ reference: BOB }, { type: 'Patient', identifier: ALICE }] }, false],
  ['elsewhere', { performer: [{ reference: 'https://there.example/fhir/Patient/alice' }] }, false],
  ['elsewhere-not-hers', { device: { reference: 'https://there.example/fhir/Device/1' } }, true],
  ['nowhere', { focus: [{ reference: 'urn:uuid:4bf7b1f2-7a2a-4d3c-9c42-0d1f2e3a4b5c' }] }, false],
  ['by-name', { focus: [{ display: 'Alice' }] }, false],
  ['by-name-elsewhere', { note: [{ text: 'Ask her.', authorReference: { type: 'Patient', display: 'Alice' } }] }, false],
  ['family', { focus: [{ reference: 'Group/family' }] }, false],
  ['mother', { performer: [{ reference: 'RelatedPerson/mother', display: 'Alice' }] }, true],
  ['mother-logical', { performer: [{ type: 'RelatedPerson', identifier: ALICE }] }, true],
  ['extension', { extension: [{ url: 'urn:x', valueReference: { type: 'Patient', identifier: ALICE } }] }, false],
  ['extension-untyped', { extension: [{ url: 'urn:x', valueReference: { identifier: { value: '1' } } }] }, true],
];

let server: RealServer;
let insurer: Session;
let bob: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  await put(server, patient('bob'));
  await put(server, { ...patient('alice'), identifier: [ALICE] });
  for (const [id, more] of cases) await put(server, { ...observation(id, BOB), ...more });
  const { subject: _, ...nobodyElse } = observation('logical', BOB) as { subject: Json };
  await put(server, { ...nobodyElse, id: 'logical', resourceType: 'Observation', subject: { identifier: ALICE } });
  insurer = (await register(server, { actor: INSURER })).session;
  bob = (await register(server, { actor: BOB, purposes: ['PATRQT'] })).session;
  const keys = [await enrolKey(server.admin, BOB), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: BOB, grantee: INSURER }), keys);
});
afterAll(() => server?.stop());

it.each(cases)('%s', async (id, _more, open) => {
  for (const session of [insurer, bob]) {
    expect((await session.call('GET', `Observation/${id}`)).status).toBe(open ? 200 : 404);
    expect((await session.call('GET', `Observation?_id=${id}`)).json['total']).toBe(open ? 1 : 0);
  }
});

it('a document whose source is a patient by identifier', async () => {
  const context = { sourcePatientInfo: { identifier: ALICE } };
  const content = [{ attachment: { title: 'Letter' } }];
  await put(server, { resourceType: 'DocumentReference', id: 'of-bob', status: 'current', subject: { reference: BOB }, content });
  await put(server, { resourceType: 'DocumentReference', id: 'of-both', status: 'current', subject: { reference: BOB }, content, context });
  expect((await insurer.call('GET', 'DocumentReference/of-bob')).status).toBe(200);
  expect((await insurer.call('GET', 'DocumentReference/of-both')).status).toBe(404);
});

it('whoever took part in a visit is known by their number', async () => {
  const visit = {
    resourceType: 'Encounter',
    id: 'visit',
    status: 'finished',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
    subject: { reference: BOB },
    participant: [{ individual: { identifier: { system: 'urn:npi', value: '1' } } }],
  };
  await put(server, visit);
  expect((await insurer.call('GET', 'Encounter/visit')).status).toBe(200);
});

it('is told with its reason', async () => {
  const { json, status } = await server.admin.call('GET', `Observation/focus/$explain-access?actor=${INSURER}`);
  expect([status, JSON.stringify(json).includes('"valueBoolean":true')]).toEqual([200, false]);
});

it('of which nobody else is named is opened by no Consent, and is clinical to an administrator', async () => {
  expect((await insurer.call('GET', 'Observation/logical')).status).toBe(404);
  expect((await server.admin.call('GET', 'Observation/logical')).status).toBe(404);
});

it('of what was stored before it is known after $reindex', async () => {
  await server.offline(async ({ resources }) => {
    await resources.reindex({ type: 'Observation' }, ({ keys, instant }) => ({
      keys: keys.filter((key) => !/^(?:~patient\?|~nobody|~named|~found|@subject|@patient\/alice)/.test(key)),
      instant,
    }));
  });
  const read = async () => (await insurer.call('GET', 'Observation/focus')).status;
  insurer = (await register(server, { actor: INSURER })).session;
  expect(await read()).toBe(200);
  expect((await server.admin.call('POST', 'Observation/$reindex', undefined, { prefer: 'respond-async' })).status).toBe(202);
  await expect.poll(read).toBe(404);
});
