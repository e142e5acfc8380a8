/**
 * What a thief did with a patient's key before the theft was reported opens nothing afterwards: Consents ended, replaced, and keys registered with it;
 * nor does the report itself open anything. consent.md §6, ADR 35
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Key, partOf, prepare, submit } from '../../server/commands/demo/session.ts';
import { freshKey, keyStatement, rotate, sendSigned } from '../support/key-ceremony.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  type Registered,
  register,
  startRealServer,
  termsOf,
  withdrawNow,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const OBSERVATION = { class: [{ system: 'http://hl7.org/fhir/resource-types', code: 'Observation' }] };

let server: RealServer;
let custodian: Key;
let insurer: Registered['session'];
let counter = 0;

beforeAll(async () => {
  server = await startRealServer();
  // Tokens are of today: time passes up to it.
  server.advance(-30 * 86_400_000);
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  custodian = await enrolKey(server.admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER })).session;
});
afterAll(() => server.stop());

/** Of two keys: the first is going to be stolen. What their Consents make of it: the insurer sees them, but not the Observation. */
async function person() {
  const id = `p${++counter}`;
  const reference = `Patient/${id}`;
  await put(server, patient(id));
  await put(server, observation(`o-${id}`, reference));
  const key = await enrolKey(server.admin, reference);
  const second = freshKey(reference);
  expect((await rotate(server, { present: key, next: second, retires: false })).status).toBe(201);
  const terms = (provision: Json = {}) => termsOf(server, { patient: reference, grantee: INSURER, provision });
  const permission = await agree(server, terms(), [key, custodian]);
  const denial = await agree(server, terms({ type: 'deny', ...OBSERVATION }), [key, custodian]);
  const sees = async () => (await insurer.call('GET', `Observation/o-${id}`)).status;
  expect([await sees(), (await insurer.call('GET', reference)).status]).toEqual([404, 200]);
  return { reference, key, second, permission, denial, terms, sees };
}

const signs = async (statement: string, keys: readonly Key[]) => (await submit(server.admin, statement, keys)).status;
const ends = async (consent: InForce, key: Key) => (await withdrawNow(server, consent, key)).status;
/** A second passes, so that what comes next is later also in whole seconds. */
function later(): number {
  server.advance(2000);
  return server.now() - 1000;
}
const reportStolen = (key: Key, since: number): Promise<Answer> =>
  server.admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'stolen', compromisedSince: new Date(since).toISOString() });

async function replacing(old: InForce, terms: Json): Promise<string> {
  const prepared = await server.admin.call('POST', 'Consent/$prepare', {
    resourceType: 'Parameters',
    parameter: [
      { name: 'consent', resource: terms },
      { name: 'language', valueCode: 'en' },
      { name: 'supersedes', valueReference: { reference: old.consent } },
    ],
  });
  return partOf(prepared.json, 'statement');
}

describe('a denial that a thief removed', () => {
  it('by withdrawing it holds again once the theft is reported, until the patient ends it with another key', async () => {
    const { key, second, denial, sees } = await person();
    const theft = later();
    expect([await ends(denial, key), await sees()]).toEqual([200, 200]);
    await reportStolen(key, theft);
    expect(await sees()).toBe(404);
    await server.restart();
    expect(await sees()).toBe(404);
    expect([await ends(denial, second), await sees()]).toEqual([200, 200]);
    await server.restart();
    expect(await sees()).toBe(200);
    expect(server.logs.filter((line) => line.includes('"level":60'))).toEqual([]);
  });

  it('by replacing it by a permission holds again, and the permission is none', async () => {
    const { key, denial, terms, sees } = await person();
    const theft = later();
    expect([await signs(await replacing(denial, terms()), [key, custodian]), await sees()]).toEqual([201, 200]);
    await reportStolen(key, theft);
    expect(await sees()).toBe(404);
    await server.restart();
    expect(await sees()).toBe(404);
  });

  it('stays removed where the patient did it before the theft: also where the custodian signed the replacement later', async () => {
    const [withdrawn, replaced] = [await person(), await person()];
    expect(await ends(withdrawn.denial, withdrawn.key)).toBe(200);
    const replacement = await replacing(replaced.denial, replaced.terms());
    expect(await signs(replacement, [replaced.key])).toBe(202);
    const theft = later();
    expect(await signs(replacement, [custodian])).toBe(201);
    for (const { key, sees } of [withdrawn, replaced]) {
      await reportStolen(key, theft);
      expect(await sees()).toBe(200);
    }
  });

  it('by whoever else held a key of the patient: the report of one says nothing about the other', async () => {
    const { key, second, denial, sees } = await person();
    const theft = later();
    expect(await ends(denial, second)).toBe(200);
    await reportStolen(key, theft);
    expect(await sees()).toBe(200);
  });
});

it('a permission that was withdrawn with the stolen key stays withdrawn: the patient may have done it', async () => {
  const { key, reference, permission } = await person();
  const theft = later();
  expect(await ends(permission, key)).toBe(200);
  await reportStolen(key, theft);
  expect((await insurer.call('GET', reference)).status).toBe(404);
});

describe('a key that a thief registered with the stolen one', () => {
  it('is worth nothing either, nor is what it signed and ended; a key from before is', async () => {
    const { reference, key, second, denial, terms, sees } = await person();
    const theft = later();
    const [thiefs, next] = [freshKey(reference), freshKey(reference)];
    expect((await rotate(server, { present: key, next: thiefs })).status).toBe(201);
    expect((await rotate(server, { present: thiefs, next, retires: false })).status).toBe(201);
    const prepared = async (terms: Json) => partOf(await prepare(server.admin, terms), 'statement');
    expect(await signs(await prepared(terms(OBSERVATION)), [next, custodian])).toBe(201);
    expect([await ends(denial, thiefs), await sees()]).toEqual([200, 200]);
    await reportStolen(key, theft);
    expect(await sees()).toBe(404);
    for (const each of [thiefs, next]) {
      expect(await signs(await prepared(terms()), [each, custodian])).toBe(422);
      expect((await rotate(server, { present: each, next: freshKey(reference) })).status).toBe(422);
      const stop = keyStatement(server, 'key-recovery-stop', { owner: reference, kid: each.kid });
      expect((await sendSigned(server.admin, '$stop-recovery', stop, [each])).status).toBe(422);
    }
    expect([await ends(denial, second), await sees()]).toEqual([200, 200]);
  });
});

it('a custodian who suspends a denial opens nothing; the patient ends it', async () => {
  const { second, denial, permission, reference, sees } = await person();
  expect([await ends(denial, custodian), await sees()]).toEqual([200, 404]);
  await server.restart();
  expect(await sees()).toBe(404);
  expect([await ends(denial, second), await sees()]).toEqual([200, 200]);
  // What was suspended permits nothing.
  expect([await ends(permission, custodian), (await insurer.call('GET', reference)).status]).toEqual([200, 404]);
});

it('a custodian who suspends a permit lets no implicit policy open what it left closed', async () => {
  const { denial, permission, second, reference } = await person();
  for (const consent of [denial, permission]) expect(await ends(consent, custodian)).toBe(200);
  const others = await person();
  await server.restart(undefined, { ASSENT_IMPLICIT_POLICY: 'permit-except', ASSENT_IMPLICIT_EXCEPT: 'V' });
  const sees = async () => (await insurer.call('GET', reference)).status;
  expect(await sees()).toBe(404);
  expect([await ends(permission, second), await sees()]).toEqual([200, 200]);
  expect((await insurer.call('GET', others.reference)).status).toBe(200);
  await server.restart();
});

it('who ended it cannot be taken out in the database: the patient’s record closes, and somebody is told', async () => {
  const { key, denial, reference, sees } = await person();
  const theft = later();
  expect(await ends(denial, key)).toBe(200);
  const edited = (record: string) => record.replace('"end":', '"was":');
  expect(await server.hand.editRecords('signed-consent', denial.consent.slice('Consent/'.length), edited)).toBe(1);
  await reportStolen(key, theft);
  expect([await sees(), (await insurer.call('GET', reference)).status]).toEqual([404, 404]);
  expect(server.logs.filter((line) => line.includes('"level":60')).length).toBeGreaterThan(0);
});
