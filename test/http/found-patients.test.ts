/**
 * Whom an identifier leads to: the one Patient who has it counts as named, from the next read on, whichever was stored first; what anybody but a
 * custodian writes is looked up once, among the Patients they see, and tells them nothing of others. docs/adr/0043-whom-an-identifier-leads-to.md
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import { ofClass } from '../support/consents.ts';
import {
  agree,
  HOSPITAL,
  normalised,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const [INSURER, CLINIC] = ['Organization/insurer', 'Organization/clinic'];
const mrn = (value: string) => ({ system: 'urn:mrn', value });
const known = (id: string, ...values: readonly string[]): Json => ({ ...patient(id), identifier: values.map(mrn) });
const about = (id: string, more: Json): Json => {
  const { subject: _, ...rest } = observation(id, '') as { subject: Json };
  return { ...rest, resourceType: 'Observation', ...more };
};
const by = (value: string): Json => ({ subject: { identifier: mrn(value) } });

let server: RealServer;
let insurer: Session;
let clinic: Session;
let bob: Session;

/** Bob permits the insurer everything, and the clinic Observations but not his Patient; of Alice nobody is permitted anything. */
beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER, CLINIC]) await put(server, organization(reference));
  await put(server, known('bob', 'b1', 'b2'));
  await put(server, known('alice', 'a1'));
  insurer = (await register(server, { actor: INSURER })).session;
  clinic = (await register(server, { actor: CLINIC })).session;
  bob = (await register(server, { actor: 'Patient/bob', purposes: ['PATRQT'] })).session;
  const keys = [await enrolKey(server.admin, 'Patient/bob'), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: 'Patient/bob', grantee: INSURER }), keys);
  await agree(server, termsOf(server, { patient: 'Patient/bob', grantee: CLINIC, provision: ofClass('Observation') }), keys);
});
afterAll(() => server?.stop());

const sees = async (session: Session, id: string) => {
  const read = (await session.call('GET', `Observation/${id}`)).status;
  expect((await session.call('GET', `Observation?_id=${id}&_summary=count`)).json['total']).toBe(read === 200 ? 1 : 0);
  return read === 200;
};

it.each<[id: string, more: Json, open: boolean]>([
  ['subject', by('b1'), true],
  ['other-number', by('b2'), true],
  ['contained', { contained: [{ resourceType: 'Patient', id: 'p', identifier: [mrn('b1')] }], subject: { reference: '#p' } }, true],
  ['elsewhere', { subject: { reference: 'https://there.example/Patient/9', identifier: mrn('b1') } }, true],
  ['beside', { subject: { reference: 'Patient/bob' }, focus: [{ identifier: mrn('b2') }] }, true],
  ['alices', by('a1'), false],
  ['both', { ...by('b1'), focus: [{ identifier: mrn('a1') }] }, false],
  ['nobodys', by('n1'), false],
  ['both-and-nobody', { ...by('b1'), focus: [{ display: 'Alice' }] }, false],
  ['no-system', { subject: { identifier: { value: 'b1' } } }, false],
  ['a-family', { subject: { type: 'Group', identifier: mrn('b1') } }, false],
])('%s', async (id, more, open) => {
  await put(server, about(id, more));
  expect([await sees(insurer, id), await sees(bob, id)]).toEqual([open, open]);
});

it('a Patient who comes later is found, one who loses the identifier no more, and of two nobody', async () => {
  await put(server, about('early', by('late')));
  expect(await sees(insurer, 'early')).toBe(false);
  await put(server, known('bob', 'b1', 'b2', 'late'));
  expect(await sees(insurer, 'early')).toBe(true);
  await put(server, known('double', 'late'));
  expect(await sees(insurer, 'early')).toBe(false);
  expect((await server.admin.call('DELETE', 'Patient/double')).status).toBe(204);
  expect(await sees(insurer, 'early')).toBe(true);
  await put(server, known('bob', 'b1', 'b2'));
  expect(await sees(insurer, 'early')).toBe(false);
});

it('beside it in one transaction', async () => {
  const entry = [about('in-one', by('t1')), known('tom', 't1')].map((resource) => ({
    resource,
    request: { method: 'PUT', url: `${String(resource['resourceType'])}/${String(resource['id'])}` },
  }));
  const done = await server.admin.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });
  expect(done.status, done.text).toBe(200);
  const tom = (await register(server, { actor: 'Patient/tom', purposes: ['PATRQT'] })).session;
  expect([await sees(tom, 'in-one'), await sees(insurer, 'in-one')]).toEqual([true, false]);
});

it('the trail of whoever is found has what was read', async () => {
  await put(server, about('read', by('b1')));
  expect(await sees(insurer, 'read')).toBe(true);
  const { text } = await bob.call('GET', 'AuditEvent?entity=Observation/read');
  expect(text).toContain(INSURER);
});

it('who writes by an identifier learns nothing of Patients they do not see', async () => {
  const { subject: _, ...plain } = observation('own', '') as { subject: Json };
  const write = (session: Session, value: string) => session.call('POST', 'Observation', { ...plain, id: undefined, ...by(value) });
  const told = async (session: Session, value: string) => {
    const written = await write(session, value);
    expect(written.status, written.text).toBe(201);
    const id = String(written.json['id']);
    return normalised(await session.call('GET', `Observation/${id}`), id);
  };
  // Of the clinic Bob's Patient is hidden, as Alice's is: their numbers are nobody's.
  expect(await told(clinic, 'b1')).toEqual(await told(clinic, 'x1'));
  expect(await told(clinic, 'a1')).toEqual(await told(clinic, 'x1'));
  expect(await told(insurer, 'a1')).toEqual(await told(insurer, 'x1'));
  // Whom the insurer sees it may name so.
  const own = await write(insurer, 'b1');
  expect([await sees(insurer, String(own.json['id'])), await sees(bob, String(own.json['id']))]).toEqual([true, true]);
  // And what it wrote about somebody who comes later stays with nobody.
  const early = String((await write(insurer, 'later')).json['id']);
  await put(server, known('bob', 'b1', 'b2', 'later'));
  expect(await sees(insurer, early)).toBe(false);
});

it('a Patient by anybody else has no say in whose an identifier is', async () => {
  await put(server, about('theirs', by('b1')));
  const { json } = await insurer.call('GET', 'Patient/bob');
  const claimed = await insurer.call('PUT', 'Patient/bob', { ...json, identifier: [mrn('a1')] });
  expect(claimed.status, claimed.text).toBe(200);
  await put(server, about('still-alices', by('a1')));
  expect([await sees(insurer, 'theirs'), await sees(insurer, 'still-alices')]).toEqual([true, false]);
});

it('of two who have an identifier nobody but who keeps the records takes one away', async () => {
  for (const id of ['bob', 'twin']) await put(server, known(id, 'b1', 'b2', 'shared'));
  const keys = [await enrolKey(server.admin, 'Patient/twin'), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: 'Patient/twin', grantee: INSURER }), keys);
  await put(server, about('of-either', by('shared')));
  expect([(await insurer.call('GET', 'Patient/twin')).status, await sees(insurer, 'of-either')]).toEqual([200, false]);
  const request = { method: 'DELETE', url: 'Patient/twin' };
  const inBatch = await insurer.call('POST', '', { resourceType: 'Bundle', type: 'batch', entry: [{ request }] });
  expect(inBatch.text).toContain('"status":"422');
  for (const url of ['Patient/twin', 'Patient?_id=twin']) expect((await insurer.call('DELETE', url)).status).toBe(422);
  expect([(await insurer.call('GET', 'Patient/twin')).status, await sees(insurer, 'of-either')]).toEqual([200, false]);
  // One that nothing is found by may go.
  await put(server, patient('twin'));
  expect([await sees(insurer, 'of-either'), (await insurer.call('DELETE', 'Patient/twin')).status]).toEqual([true, 204]);
});
