/** A prescription is coded as its Medication is, where nobody could learn the code of a hidden one from that. consent.md §2 rule 9 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
import { agree, HOSPITAL, organization, patient, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const denied = { coding: [{ system: 'http://loinc.org', code: 'A' }] };
const other = { coding: [{ system: 'http://loinc.org', code: 'B' }] };
const forBob = { extension: [{ url: 'urn:made-for', valueReference: { reference: 'Patient/bob' } }] };
/** Whoever that is: no identifier here leads to them. */
const forUnknown = { extension: [{ url: 'urn:made-for', valueReference: { type: 'Patient', identifier: { system: 'urn:test', value: 'nobody' } } }] };
let server: RealServer;
let custodian: Key;
let insurer: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  for (const [id, code, more] of [
    ['open-a', denied, {}],
    ['open-b', other, {}],
    ['hidden-a', denied, forBob],
    ['hidden-b', other, forBob],
    ['unknown-a', denied, forUnknown],
    ['unknown-b', other, forUnknown],
  ] as const)
    await put(server, { resourceType: 'Medication', id, code, ...more });
  insurer = (await register(server, { actor: INSURER })).session;
  custodian = await enrolKey(server.admin, HOSPITAL);
  const keys = [await enrolKey(server.admin, 'Patient/alice'), custodian];
  await agree(
    server,
    termsOf(server, {
      patient: 'Patient/alice',
      grantee: INSURER,
      provision: {
        provision: [{ type: 'deny', code: [denied] }],
      },
    }),
    keys,
  );
});
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
  for (const whose of ['hidden', 'unknown']) {
    expect((await insurer.call('GET', `Medication/${whose}-b`)).status).toBe(404);
    expect([await readBack(`${whose}-a`), await readBack(`${whose}-b`)], whose).toEqual([404, 404]);
  }
});

it('follows its Medication when that is coded otherwise, made for somebody, or only then stored, from the next read on', async () => {
  const drug = (more: Json): Json => ({ resourceType: 'Medication', id: 'changing', ...more });
  const request = {
    resourceType: 'MedicationRequest',
    id: 'of-changing',
    status: 'active',
    intent: 'order',
    subject: { reference: 'Patient/alice' },
  };
  const sees = async () => {
    const search = (await insurer.call('GET', 'MedicationRequest?_id=of-changing')).json['total'];
    return [(await insurer.call('GET', 'MedicationRequest/of-changing')).status, search];
  };
  await put(server, { ...request, medicationReference: { reference: 'Medication/changing' } });
  expect(await sees()).toEqual([404, 0]);
  for (const closing of [{ code: denied }, { code: other, ingredient: [{ itemCodeableConcept: denied }] }, { code: other, ...forBob }]) {
    await put(server, drug({ code: other }));
    expect(await sees()).toEqual([200, 1]);
    await put(server, drug(closing));
    expect(await sees(), JSON.stringify(closing)).toEqual([404, 0]);
  }
  // Its own text stays as it was.
  expect(JSON.stringify((await server.admin.call('GET', 'MedicationRequest/of-changing/_history')).json)).not.toContain('"code":"A"');
  await put(server, drug({ code: denied }));
  expect((await server.admin.call('DELETE', 'Medication/changing')).status).toBe(204);
  expect(await sees()).toEqual([404, 0]);
});

it('a permit by code follows as well: what is coded otherwise now is not reached any more', async () => {
  const drug = (code: Json): Json => ({ resourceType: 'Medication', id: 'permitted', code });
  await put(server, drug(denied));
  const request = { resourceType: 'MedicationRequest', id: 'of-bob', status: 'active', intent: 'order', subject: { reference: 'Patient/bob' } };
  await put(server, { ...request, medicationReference: { reference: 'Medication/permitted' } });
  const keys = [await enrolKey(server.admin, 'Patient/bob'), custodian];
  await agree(server, termsOf(server, { patient: 'Patient/bob', grantee: INSURER, provision: { code: [denied] } }), keys);
  const seen: number[] = [];
  for (const code of [denied, other, denied]) {
    await put(server, drug(code));
    seen.push((await insurer.call('GET', 'MedicationRequest/of-bob')).status);
  }
  expect(seen).toEqual([200, 404, 200]);
});

it('prescribed and recoded at once, it is never left with the old code', async () => {
  for (let i = 0; i < 6; i++) {
    const id = `raced-${i}`;
    await put(server, { resourceType: 'Medication', id, code: other });
    const [status] = await Promise.all([readBack(id), put(server, { resourceType: 'Medication', id, code: denied })]);
    expect([200, 404]).toContain(status);
    const { json } = await insurer.call('GET', `MedicationRequest?medication=Medication/${id}`);
    expect(json['total'], id).toBe(0);
  }
});

it('who is no custodian makes nothing visible by coding a Medication otherwise, nor by storing one (rule 21)', async () => {
  const request = { resourceType: 'MedicationRequest', status: 'active', intent: 'order', subject: { reference: 'Patient/alice' } };
  const chooser = (await register(server, { actor: INSURER, choosesIds: true })).session;
  for (const [id, code] of [
    ['kept', denied],
    ['yet-absent', undefined],
  ] as const) {
    if (code) await put(server, { resourceType: 'Medication', id, code });
    await put(server, { ...request, id: `of-${id}`, medicationReference: { reference: `Medication/${id}` } });
    const sees = async () => (await insurer.call('GET', `MedicationRequest/of-${id}`)).status;
    expect(await sees()).toBe(404);
    // Twice: what is forgotten at once may be forgotten in two steps.
    for (const each of [other, { text: 'harmless' }]) {
      const written = await chooser.call('PUT', `Medication/${id}`, { resourceType: 'Medication', id, code: each });
      expect([200, 201]).toContain(written.status);
      expect(await sees(), id).toBe(404);
    }
    await put(server, { resourceType: 'Medication', id, code: other });
    expect(await sees(), 'as the custodian says').toBe(200);
  }
});
