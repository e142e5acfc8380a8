/** Several records of one person: what is denied of one is denied of all, what is permitted of one is permitted of that one. docs/adr/0040-records-of-one-person.md */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
import { labelled } from '../support/consents.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
  withdrawNow,
} from '../support/real-server.ts';

const [INSURER, CLINIC] = ['Organization/insurer', 'Organization/clinic'];
const meta = (label: string) => ({ meta: { security: labelled(label).securityLabel } });
const linked = (id: string, to: string, type = 'replaced-by'): Json => ({
  ...patient(id),
  ...meta('N'),
  link: [{ other: { reference: `Patient/${to}` }, type }],
});
const plain = (id: string): Json => ({ ...patient(id), ...meta('N') });

let server: RealServer;
let insurer: Session;
let clinic: Session;
let key: Key;
let custodian: Key;
let denial: InForce;

beforeAll(async () => {
  server = await startRealServer({ ASSENT_IMPLICIT_POLICY: 'permit-except', ASSENT_IMPLICIT_EXCEPT: 'V' });
  for (const reference of [HOSPITAL, INSURER, CLINIC]) await put(server, organization(reference));
  for (const id of ['old', 'older', 'new', 'carol']) {
    await put(server, plain(id));
    await put(server, observation(`of-${id}`, `Patient/${id}`, meta('N')));
    await put(server, observation(`v-of-${id}`, `Patient/${id}`, meta('V')));
  }
  insurer = (await register(server, { actor: INSURER })).session;
  clinic = (await register(server, { actor: CLINIC })).session;
  [key, custodian] = [await enrolKey(server.admin, 'Patient/new'), await enrolKey(server.admin, HOSPITAL)];
  denial = await agree(server, termsOf(server, { patient: 'Patient/new', grantee: INSURER, provision: { type: 'deny' } }), [key, custodian]);
  await agree(server, termsOf(server, { patient: 'Patient/new', grantee: CLINIC, provision: { type: 'permit' } }), [key, custodian]);
});
afterAll(() => server?.stop());

const sees = async (session: Session, ...ids: readonly string[]) =>
  Promise.all(ids.map(async (id) => (await session.call('GET', `Observation/${id}`)).status === 200));

it.each(['replaced-by', 'replaces', 'seealso', 'refer'])(
  '%s: a denial holds for the linked record, from the next read on and in both directions',
  async (type) => {
    expect(await sees(insurer, 'of-new', 'of-old', 'of-older', 'of-carol')).toEqual([false, true, true, true]);
    await put(server, linked('old', 'new', type));
    expect(await sees(insurer, 'of-new', 'of-old', 'of-older', 'of-carol')).toEqual([false, false, true, true]);
    expect((await insurer.call('GET', 'Observation?subject=Patient/old&_summary=count')).json['total']).toBe(0);
    // Through a record between.
    await put(server, linked('old', 'older', type));
    await put(server, linked('new', 'old', type));
    expect(await sees(insurer, 'of-new', 'of-old', 'of-older', 'of-carol')).toEqual([false, false, false, true]);
    for (const id of ['old', 'new']) await put(server, plain(id));
    expect(await sees(insurer, 'of-new', 'of-old', 'of-older', 'of-carol')).toEqual([false, true, true, true]);
  },
);

it('a permit holds for its own record only, and closes nothing of the other', async () => {
  await put(server, linked('old', 'new'));
  expect(await sees(clinic, 'v-of-new', 'v-of-old', 'of-new', 'of-old')).toEqual([true, false, true, true]);
  await put(server, plain('old'));
});

it('the patient and the auditor are told why', async () => {
  await put(server, linked('old', 'new'));
  const { status, text } = await server.admin.call('GET', `Observation/of-old/$explain-access?actor=${INSURER}`);
  expect(status, text).toBe(200);
  expect(text).toContain('It is about another record of the same person');
  await put(server, plain('old'));
});

it('only who keeps the records links them, and nobody else unlinks or deletes one', async () => {
  const carol = await clinic.call('GET', 'Patient/carol');
  const claimed = await clinic.call('PUT', 'Patient/carol', { ...carol.json, link: [{ other: { reference: 'Patient/new' }, type: 'seealso' }] });
  expect(claimed.status, claimed.text).toBe(200);
  expect(await sees(insurer, 'of-carol')).toEqual([true]);
  await put(server, linked('old', 'new'));
  expect(await sees(insurer, 'of-old')).toEqual([false]);
  const old = await clinic.call('GET', 'Patient/old');
  const { link: _, ...unlinked } = old.json;
  expect((await clinic.call('PUT', 'Patient/old', unlinked)).status).toBe(200);
  expect(await sees(insurer, 'of-old')).toEqual([false]);
  const deleted = await clinic.call('DELETE', 'Patient/old');
  expect([deleted.status, await sees(insurer, 'of-old')]).toEqual([422, [false]]);
  expect((await server.admin.call('DELETE', 'Patient/old')).status).toBe(204);
  expect(await sees(insurer, 'of-old')).toEqual([true]);
});

it('a process that starts knows the links, and a denial that is withdrawn holds for neither record', async () => {
  await put(server, linked('old', 'new'));
  await server.restart();
  insurer = (await register(server, { actor: INSURER })).session;
  expect(await sees(insurer, 'of-old')).toEqual([false]);
  expect((await withdrawNow(server, denial, key)).status).toBe(200);
  expect(await sees(insurer, 'of-old', 'of-new')).toEqual([true, true]);
});
