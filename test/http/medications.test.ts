/** A prescription is coded as its Medication is, where nobody could learn the code of a hidden one from that. consent.md §2 rule 9 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import { agree, HOSPITAL, organization, patient, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const denied = { coding: [{ system: 'http://loinc.org', code: 'A' }] };
const other = { coding: [{ system: 'http://loinc.org', code: 'B' }] };
let server: RealServer;
let insurer: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  const forBob = { extension: [{ url: 'urn:made-for', valueReference: { reference: 'Patient/bob' } }] };
  for (const [id, code, more] of [
    ['open-a', denied, {}],
    ['open-b', other, {}],
    ['hidden-a', denied, forBob],
    ['hidden-b', other, forBob],
  ] as const)
    await put(server, { resourceType: 'Medication', id, code, ...more });
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  await agree(
    server,
    termsOf(server, { patient: 'Patient/alice', grantee: INSURER, provision: { provision: [{ type: 'deny', code: [denied] }] } }),
    keys,
  );
}, 60_000);
afterAll(() => server.stop());

/** What becomes of a prescription the insurer writes. */
async function readBack(medication: string): Promise<number> {
  const made = await insurer.call('POST', 'MedicationRequest', {
    resourceType: 'MedicationRequest',
    status: 'active',
    intent: 'order',
    subject: { reference: 'Patient/alice' },
    medicationReference: { reference: `Medication/${medication}` },
  } satisfies Json);
  expect(made.status).toBe(201);
  return (await insurer.call('GET', `MedicationRequest/${String(made.json['id'])}`)).status;
}

it('is denied by the code of its Medication, and by any code where that is not known', async () => {
  expect([await readBack('open-a'), await readBack('open-b'), await readBack('absent')]).toEqual([404, 200, 404]);
});

it('tells nothing of a hidden Medication: it is as one that is not there', async () => {
  expect((await insurer.call('GET', 'Medication/hidden-b')).status).toBe(404);
  expect([await readBack('hidden-a'), await readBack('hidden-b')]).toEqual([404, 404]);
});
