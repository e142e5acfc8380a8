/** A document that is denied by a code of what its section speaks of is opened by nobody who merely may write that. consent.md §2 rules 8, 21 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enrolKey, type Session } from '../../server/commands/demo/session.ts';
import { agree, HOSPITAL, organization, patient, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const DENIED = { coding: [{ system: 'http://loinc.org', code: '8867-4' }] };
const OTHER = { coding: [{ system: 'http://loinc.org', code: '8480-6' }] };

let server: RealServer;
let insurer: Session;
beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'carol']) await put(server, patient(id));
  insurer = (await register(server, { actor: INSURER })).session;
  await put(server, encounter(DENIED));
  await put(server, {
    resourceType: 'Composition',
    id: 'note',
    status: 'final',
    type: { coding: [{ system: 'http://loinc.org', code: '11503-0' }] },
    subject: { reference: 'Patient/carol' },
    date: '2024-03-01',
    author: [{ display: 'Weiss' }],
    title: 'Note',
    section: [{ entry: [{ reference: 'Encounter/visit' }] }],
  });
  const custodian = await enrolKey(server.admin, HOSPITAL);
  for (const id of ['alice', 'carol']) {
    const keys = [await enrolKey(server.admin, `Patient/${id}`), custodian];
    const terms = termsOf(server, { patient: `Patient/${id}`, grantee: INSURER });
    const provision = terms['provision'] as object;
    const more = id === 'carol' ? { provision: [{ type: 'deny', code: [DENIED] }] } : {};
    await agree(server, { ...terms, provision: { ...provision, ...more } }, keys);
  }
});
afterAll(() => server.stop());

const encounter = (type: object) => ({
  resourceType: 'Encounter',
  id: 'visit',
  status: 'finished',
  class: { code: 'AMB' },
  type: [type],
  subject: { reference: 'Patient/alice' },
});
const status = async (path: string) => (await insurer.call('GET', path)).status;

test('not by whom its patient denies it, whatever they write', async () => {
  expect([await status('Encounter/visit'), await status('Composition/note')]).toEqual([200, 404]);
  expect((await insurer.call('PUT', 'Encounter/visit', encounter(OTHER))).status).toBe(200);
  expect([await status('Encounter/visit'), await status('Composition/note')]).toEqual([200, 404]);
  expect((await insurer.call('GET', 'Encounter?type=8867-4&_summary=count')).json['total']).toBe(0);
});

test('by whoever keeps the records', async () => {
  await put(server, encounter(OTHER));
  expect(await status('Composition/note')).toBe(200);
});
