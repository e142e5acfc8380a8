/**
 * Keys by signature over HTTP: another key, a new one for an old one, and the recovery of a patient who has lost theirs; and what a thief can try.
 * consent.md §6
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, jws, type Key, partOf, prepare, type Session, submit } from '../../server/commands/demo/session.ts';
import { type FreshKey, freshKey, keyStatement, rotate, sendSignatures, sendSigned } from '../support/key-ceremony.ts';
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
  withdrawNow,
} from '../support/real-server.ts';
import { eventsOf } from '../support/trail.ts';

const INSURER = 'Organization/insurer';
const HOUR = 3_600_000;

let server: RealServer;
let custodian: Key;
let insurer: Session;
let admin: Session;
let counter = 0;

beforeAll(async () => {
  server = await startRealServer({ ASSENT_KEY_RECOVERY_HOURS: '48' });
  admin = server.admin;
  // Tokens are of today: time passes up to it.
  server.advance(-30 * 24 * HOUR);
  for (const reference of [HOSPITAL, INSURER, 'Organization/other']) await put(server, organization(reference));
  custodian = await enrolKey(server.admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER })).session;
});
afterAll(() => server.stop());

async function person(): Promise<{ readonly reference: string; readonly key: Key }> {
  const id = `p${++counter}`;
  await put({ admin }, patient(id));
  await put({ admin }, observation(`o-${id}`, `Patient/${id}`));
  return { reference: `Patient/${id}`, key: await enrolKey(admin, `Patient/${id}`) };
}

function valueOf(parameters: Json, name: string): string {
  const { name: _name, ...value } = (parameters['parameter'] as Json[]).find((each) => each['name'] === name) ?? {};
  return String(Object.values(value)[0]);
}

const signs = async (key: Key): Promise<number> => {
  const statement = partOf(await prepare(admin, termsOf(server, { patient: key.owner, grantee: INSURER })), 'statement');
  return (await submit(admin, statement, [key, custodian])).status;
};
const keysOf = async (owner: string) => JSON.stringify((await admin.call('GET', `/admin/keys?owner=${owner}`)).json['keys']);
const notices = async (reference: string, session = admin): Promise<Json[]> => {
  const found = (await session.call('GET', `Task?patient=${reference}&_count=50`)).json['entry'] as { resource: Json }[] | undefined;
  return (found ?? []).map(({ resource }) => resource);
};
const codesOf = (tasks: readonly Json[]) => tasks.map(({ code }) => (code as { coding: [{ code: string }] }).coding[0].code).sort();

/** What the trail of the patient says of keys and clients, as this session reads it. */
async function actsOn(session: Session, reference: string): Promise<string[]> {
  const found = (await session.call('GET', `AuditEvent?patient=${reference}&_count=200`)).json['entry'] as { resource: Json }[] | undefined;
  const queries = (found ?? []).flatMap(({ resource }) => (resource['entity'] as { query?: string }[]).flatMap(({ query }) => query ?? []));
  return queries.map((query) => Buffer.from(query, 'base64').toString()).filter((said) => /^(?:key|client) /.test(said));
}

/** 422, nothing told and nothing changed. */
async function refused(owner: string, act: () => Promise<Answer>, status = 422): Promise<void> {
  const before = [await keysOf(owner), await notices(owner)];
  const answer = await act();
  expect([answer.status, answer.json['resourceType']]).toEqual([status, 'OperationOutcome']);
  expect([await keysOf(owner), await notices(owner)]).toEqual(before);
}

describe('a further key of a patient', () => {
  it('is not the administrator’s to register, not even after a revocation', async () => {
    const { reference, key } = await person();
    const next = freshKey(reference);
    const enrol = () => admin.call('POST', '/admin/keys', { owner: reference, jwk: next.jwk, proofing: 'said so' });
    await refused(reference, enrol, 409);
    await admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'lost' });
    await refused(reference, enrol, 409);
    expect(await signs(next)).toBe(422);
  });

  it('is in the trail of the patient, as is who revoked it; of another’s key they see nothing', async () => {
    const [{ reference, key }, other] = [await person(), await person()];
    await admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'lost' });
    const { session: owner } = await register(server, { actor: reference });
    const told = [`key registered: ${key.kid}`, `key revoked: ${key.kid}`];
    const keysIn = async (session: Session) => (await actsOn(session, reference)).filter((said) => said.startsWith('key ')).sort();
    expect(await keysIn(owner)).toEqual(told);
    expect(await keysIn(admin)).toEqual(told);
    expect(await actsOn(owner, other.reference)).toEqual([]);
    expect(await actsOn(insurer, reference)).toEqual([]);
  });

  it('joins the first by its signature, or replaces it; Consents stay, and the patient is told', async () => {
    const { reference, key } = await person();
    const agreed = await agree({ admin }, termsOf(server, { patient: reference, grantee: INSURER }), [key, custodian]);
    const [second, third] = [freshKey(reference), freshKey(reference)];
    const joined = await rotate(server, { present: key, next: second, retires: false }, insurer);
    expect([joined.status, valueOf(joined.json, 'kid')]).toEqual([201, second.kid]);
    expect([await signs(key), await signs(second)]).toEqual([201, 201]);
    expect((await rotate(server, { present: key, next: third }, admin)).status).toBe(201);
    expect([await signs(key), await signs(second), await signs(third)]).toEqual([422, 201, 201]);
    expect((await insurer.call('GET', `Observation/o-${reference.slice('Patient/'.length)}`)).status).toBe(200);
    expect((await withdrawNow({ admin, now: server.now }, agreed, key)).status).toBe(422);
    expect((await withdrawNow({ admin, now: server.now }, agreed, third)).status).toBe(200);
    const { session: owner } = await register(server, { actor: reference });
    expect(codesOf(await notices(reference, owner))).toEqual(['key-registered', 'key-registered']);
    expect(await notices(reference, insurer)).toEqual([]);
  });

  it('takes both keys, this server, this owner, and this moment', async () => {
    const [{ reference, key }, stranger] = [await person(), await person()];
    const next = freshKey(reference);
    const said = { owner: reference, jwk: next.jwk, retires: true };
    const statement = keyStatement(server, 'key-rotation', said);
    const send = (text: string, keys: readonly Key[]) => sendSigned(admin, '$rotate-key', text, keys);
    const other = (more: Json) => keyStatement(server, 'key-rotation', { ...said, ...more });
    const bad: (() => Promise<Answer>)[] = [
      () => send(statement, [key]),
      () => send(statement, [next]),
      () => send(statement, [key, key]),
      () => send(statement, [key, next, custodian]),
      () => send(statement, [stranger.key, next]),
      () => send(statement, [custodian, next]),
      () => send(statement, [{ ...key, privateKey: stranger.key.privateKey }, next]),
      () => send(statement, [key, { ...next, privateKey: stranger.key.privateKey }]),
      () => send(other({ owner: stranger.reference }), [key, next]),
      () => send(other({ audience: 'https://other.example.org/fhir' }), [key, next]),
      () => send(other({ type: 'urn:assent:key-recovery:1' }), [key, next]),
      () => send(other({ created: new Date(server.now() - HOUR).toISOString() }), [key, next]),
      () => send(other({ created: new Date(server.now() + HOUR).toISOString() }), [key, next]),
      () => send(other({ created: 'now' }), [key, next]),
      () => send(other({ note: 'and more' }), [key, next]),
      () => send(other({ retires: 'yes' }), [key, next]),
      () => send('no JSON', [key, next]),
      () => sendSignatures(admin, '$rotate-key', statement, [jws(key, other({ retires: false }), true), jws(next, statement, true)]),
      () => sendSignatures(admin, '$rotate-key', statement, [jws(key, statement, false), jws(next, statement, true)]),
    ];
    for (const act of bad) await refused(reference, act);
    expect((await send(statement, [key, next])).status).toBe(201);
    // The same once more, or by what is retired now.
    await refused(reference, () => send(statement, [key, next]));
    await refused(reference, () => rotate(server, { present: key, next: freshKey(reference) }, admin));
  });

  it('is no other one’s key already, of anybody', async () => {
    const [{ reference, key }, stranger] = [await person(), await person()];
    const taken: FreshKey = { ...stranger.key, jwk: (await admin.call('GET', `/admin/keys/${stranger.key.kid}`)).json['jwk'] as Json };
    await refused(reference, () => rotate(server, { present: key, next: taken }, admin), 409);
    expect(await signs(stranger.key)).toBe(201);
  });

  it('of two rotations at once, one is made', async () => {
    const { reference, key } = await person();
    const answers = await Promise.all([1, 2].map(() => rotate(server, { present: key, next: freshKey(reference) }, admin)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  });

  it('a custodian’s key is replaced the same way and stays a custodian’s', async () => {
    const { reference, key } = await person();
    const old = await enrolKey(admin, 'Organization/other');
    const next = freshKey('Organization/other');
    expect((await rotate(server, { present: old, next }, admin)).status).toBe(201);
    expect((await admin.call('GET', `/admin/keys/${next.kid}`)).json).toMatchObject({ role: 'custodian', owner: 'Organization/other' });
    // Of another hospital, it still has no say about this patient.
    const statement = partOf(await prepare(admin, termsOf(server, { patient: reference, grantee: INSURER })), 'statement');
    expect((await submit(admin, statement, [key, next])).status).toBe(422);
  });
});

describe('a recovery', () => {
  const recovery = (reference: string, next: FreshKey, more: Json = {}) =>
    keyStatement(server, 'key-recovery', { owner: reference, jwk: next.jwk, reason: 'phone lost', ...more });
  const recover = (statement: string, keys: readonly Key[], session = admin) => sendSigned(session, '$recover-key', statement, keys);
  const stop = (reference: string, kid: string, key: Key, session = insurer) =>
    sendSigned(session, '$stop-recovery', keyStatement(server, 'key-recovery-stop', { owner: reference, kid }), [key]);

  it('waits, is told, and takes effect after its delay: old Consents stay, old keys end', async () => {
    const { reference, key } = await person();
    const agreed = await agree({ admin }, termsOf(server, { patient: reference, grantee: INSURER }), [key, custodian]);
    const next = freshKey(reference);
    const statement = recovery(reference, next);
    const opened = await recover(statement, [custodian, next]);
    expect([opened.status, valueOf(opened.json, 'state')]).toEqual([202, 'pending']);
    const { session: owner } = await register(server, { actor: reference });
    const [notice] = await notices(reference, owner);
    expect(notice).toMatchObject({ status: 'requested', description: expect.stringContaining('phone lost') as string });
    const { period } = (notice?.['restriction'] ?? { period: { end: '' } }) as { period: { end: string } };
    expect(Date.parse(period.end) - server.now()).toBeGreaterThan(47.9 * HOUR);
    // Until then the new key is none, whatever is tried.
    expect([await signs(next), await signs(key)]).toEqual([422, 201]);
    expect((await recover(statement, [custodian, next])).status).toBe(202);
    expect((await admin.call('POST', '/admin/keys', { owner: reference, jwk: next.jwk, proofing: 'now' })).status).toBe(409);
    await refused(reference, () => rotate(server, { present: key, next }, admin), 409);
    server.advance(48 * HOUR - 60_000);
    expect((await recover(statement, [custodian, next])).status).toBe(202);
    server.advance(60_000);
    expect((await recover(statement, [custodian, next])).status).toBe(201);
    expect((await recover(statement, [custodian, next])).status).toBe(201);
    expect([await signs(next), await signs(key)]).toEqual([201, 422]);
    expect((await insurer.call('GET', `Observation/o-${reference.slice('Patient/'.length)}`)).status).toBe(200);
    expect((await withdrawNow({ admin, now: server.now }, agreed, next)).status).toBe(200);
    expect(codesOf(await notices(reference))).toEqual(['key-recovered', 'key-recovery-opened']);
  });

  it('by a thief is stopped by a key of the patient, also by one reported lost, and stays stopped', async () => {
    for (const reported of [false, true]) {
      const { reference, key } = await person();
      const next = freshKey(reference);
      const statement = recovery(reference, next);
      if (reported) await admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'lost' });
      expect((await recover(statement, [custodian, next])).status).toBe(202);
      expect((await stop(reference, next.kid, key)).status).toBe(200);
      expect((await stop(reference, next.kid, key)).status).toBe(200);
      server.advance(49 * HOUR);
      const answer = await recover(statement, [custodian, next]);
      expect([answer.status, valueOf(answer.json, 'state')]).toEqual([200, 'stopped']);
      expect([await signs(next), await signs(key)]).toEqual([422, reported ? 422 : 201]);
      expect(codesOf(await notices(reference))).toEqual(['key-recovery-opened', 'key-recovery-stopped']);
      // A second try starts from the beginning, with another key.
      const again = freshKey(reference);
      expect((await recover(recovery(reference, again), [custodian, again])).status).toBe(202);
      expect((await stop(reference, again.kid, custodian)).status).toBe(200);
    }
  });

  it('is not stopped by a stolen key, a stranger’s, the new one, or an old request to stop', async () => {
    const [{ reference, key }, stranger] = [await person(), await person()];
    const next = freshKey(reference);
    const other = await enrolKey(admin, 'Organization/other');
    await recover(recovery(reference, next), [custodian, next]);
    const old = keyStatement(server, 'key-recovery-stop', { owner: reference, kid: next.kid, created: new Date(server.now() - HOUR).toISOString() });
    await refused(reference, () => sendSigned(admin, '$stop-recovery', old, [key]));
    for (const wrong of [stranger.key, next, other]) await refused(reference, () => stop(reference, next.kid, wrong, admin));
    await refused(reference, () => stop(reference, freshKey(reference).kid, key, admin));
    await refused(stranger.reference, () => stop(stranger.reference, next.kid, stranger.key, admin));
    await admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'stolen', compromisedSince: new Date(server.now()).toISOString() });
    await refused(reference, () => stop(reference, next.kid, key, admin));
  });

  it('takes two roles: an administrator, and the key of the custodian that manages the patient', async () => {
    const [{ reference, key }, stranger] = [await person(), await person()];
    const next = freshKey(reference);
    const statement = recovery(reference, next);
    const other = await enrolKey(admin, 'Organization/other');
    const { session: notAdmin } = await register(server, { actor: HOSPITAL });
    await refused(reference, () => recover(statement, [custodian, next], notAdmin), 403);
    for (const keys of [[next], [custodian], [other, next], [key, next], [stranger.key, next], [custodian, stranger.key], [custodian, custodian]])
      await refused(reference, () => recover(statement, keys));
    await refused(reference, () => recover(recovery(reference, next, { created: new Date(server.now() - HOUR).toISOString() }), [custodian, next]));
    await refused(reference, () => recover(recovery(reference, next, { owner: HOSPITAL }), [custodian, next]));
    await refused(reference, () => recover(recovery(reference, next, { owner: stranger.reference }), [key, next]));
    // Whoever has no key yet is enrolled, not recovered.
    await put({ admin }, patient('keyless'));
    const first = freshKey('Patient/keyless');
    await refused('Patient/keyless', () => recover(recovery('Patient/keyless', first), [custodian, first]));
    // One at a time.
    expect((await recover(statement, [custodian, next])).status).toBe(202);
    const second = freshKey(reference);
    await refused(reference, () => recover(recovery(reference, second), [custodian, second]), 409);
  });

  it('signed by a custodian’s key that turns out to have been stolen then comes to nothing', async () => {
    const { reference } = await person();
    const second = await enrolKey(admin, HOSPITAL);
    const theft = server.now();
    server.advance(1000);
    const next = freshKey(reference);
    const statement = recovery(reference, next);
    expect((await recover(statement, [second, next])).status).toBe(202);
    await admin.call('POST', `/admin/keys/${second.kid}/revoke`, { reason: 'stolen', compromisedSince: new Date(theft).toISOString() });
    server.advance(49 * HOUR);
    await refused(reference, () => recover(statement, [second, next]));
    expect(await signs(next)).toBe(422);
  });

  it('written into the database as due, opened or completed by hand is none', async () => {
    const { reference } = await person();
    const next = freshKey(reference);
    const statement = recovery(reference, next);
    const opened = await recover(statement, [custodian, next]);
    const due = valueOf(opened.json, 'due');
    const now = new Date(server.now()).toISOString();
    expect(await server.hand.editRecords('key-event', `${next.kid}.000000`, (event) => event.replaceAll(due, now))).toBe(1);
    const answer = await recover(statement, [custodian, next]);
    expect(answer.status).not.toBe(201);
    expect(await signs(next)).toBe(422);
  });
});

describe.each([
  ['on a day', { deceasedDateTime: '2026-01-02' }],
  ['at some time', { deceasedBoolean: true }],
])('a patient who died %s', (_when, died) => {
  it('signs, withdraws and rotates nothing and is not recovered; what was signed in life stays until the custodian suspends it', async () => {
    const { reference, key } = await person();
    const id = reference.slice('Patient/'.length);
    const agreed = await agree({ admin }, termsOf(server, { patient: reference, grantee: INSURER }), [key, custodian]);
    await put({ admin }, { ...patient(id), ...died });
    expect(await signs(key)).toBe(422);
    const next = freshKey(reference);
    await refused(reference, () => rotate(server, { present: key, next }, admin));
    const statement = keyStatement(server, 'key-recovery', { owner: reference, jwk: next.jwk, reason: 'estate' });
    await refused(reference, () => sendSigned(admin, '$recover-key', statement, [custodian, next]));
    expect((await withdrawNow({ admin, now: server.now }, agreed, key)).status).toBe(422);
    const seen = async () => (await insurer.call('GET', `Observation/o-${id}`)).status;
    expect(await seen()).toBe(200);
    expect((await withdrawNow({ admin, now: server.now }, agreed, custodian)).status).toBe(200);
    expect(await seen()).toBe(404);
  });

  it('is a patient again where that was an error', async () => {
    const { reference, key } = await person();
    const id = reference.slice('Patient/'.length);
    await put({ admin }, { ...patient(id), ...died });
    await put({ admin }, { ...patient(id), deceasedBoolean: false });
    expect(await signs(key)).toBe(201);
  });
});

describe('a client that acts for a patient', () => {
  it('is in their trail when it is registered, changed and removed, each with its entry in the log; of another’s client they see nothing', async () => {
    const [{ reference }, other] = [await person(), await person()];
    const { session: owner } = await register(server, { actor: reference });
    const registration = { client_name: 'App', client_secret: 'x'.repeat(32), scope: 'system/*.rs', actor: reference, purposes: ['PATRQT'] };
    const acts = async (): Promise<string[]> => (await actsOn(owner, reference)).filter((said) => said.startsWith('client '));
    const before = await acts();
    const app = String((await admin.call('POST', '/admin/clients', registration)).json['client_id']);
    expect((await admin.call('PUT', `/admin/clients/${app}`, { ...registration, client_name: 'Other name' })).status).toBe(200);
    expect((await admin.call('DELETE', `/admin/clients/${app}`)).status).toBe(204);
    expect((await admin.call('DELETE', `/admin/clients/${app}`)).status).toBe(404);
    const told = ['registered', 'changed', 'removed'].map((how) => `client ${how}: ${app}`);
    expect((await acts()).filter((said) => !before.includes(said)).sort()).toEqual(told.sort());
    expect((await actsOn(owner, other.reference)).concat(await actsOn(insurer, reference))).toEqual([]);
    const found = (await admin.call('GET', `AuditEvent?patient=${reference}&_count=200`)).json['entry'] as { resource: Json }[];
    for (const said of told) {
      const query = Buffer.from(said).toString('base64');
      const event = found.find(({ resource }) => JSON.stringify(resource).includes(query));
      const { index } = await server.hand.newestRow(`"AuditEvent/${String(event?.resource['id'])}"`);
      expect(index).toBeGreaterThan(0);
    }
  });

  it('that acts for no patient is in the trail of who did it', async () => {
    let query = '';
    const events = await eventsOf(admin, async () => {
      const { client } = await register(server, { actor: 'Organization/other' });
      query = Buffer.from(`client registered: ${client.client_id}`).toString('base64');
    });
    expect(JSON.stringify(events)).toContain(query);
    expect((await insurer.call('GET', 'AuditEvent?_sort=-date&_count=200')).text).not.toContain(query);
  });
});
