/**
 * What a key signed is judged by where it stands in the log: a theft reported later ends what was signed since and leaves what was signed before,
 * whatever times anybody writes down. consent.md §6
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Key, partOf, prepare, type Session, submit } from '../../server/commands/demo/session.ts';
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

const [INSURER, LAB] = ['Organization/insurer', 'Organization/lab'];
const SECOND = 1000;

let server: RealServer;
let custodian: Key;
let [insurer, lab]: Session[] = [];
let counter = 0;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER, LAB]) await put(server, organization(reference));
  custodian = await enrolKey(server.admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER })).session;
  lab = (await register(server, { actor: LAB })).session;
});
afterAll(() => server.stop());

type Person = {
  readonly reference: string;
  readonly key: Key;
  terms(grantee: string, provision?: Json): Json;
  seenBy(session?: Session): Promise<number>;
};

async function person(): Promise<Person> {
  const id = `p${++counter}`;
  const reference = `Patient/${id}`;
  await put(server, patient(id));
  await put(server, observation(`o-${id}`, reference));
  return {
    reference,
    key: await enrolKey(server.admin, reference),
    terms: (grantee, provision = {}) => termsOf(server, { patient: reference, grantee, provision }),
    seenBy: async (session = insurer) => (await (session as Session).call('GET', `Observation/o-${id}`)).status,
  };
}

const stolen = (kid: string, since: number) =>
  server.admin.call('POST', `/admin/keys/${kid}/revoke`, { reason: 'stolen', compromisedSince: new Date(since).toISOString() });
/** Time passes, so that what comes next is later also in seconds. */
const later = (ms = SECOND): number => {
  server.advance(ms);
  return server.now();
};

describe('a key stolen at some time', () => {
  it('ends what it permitted since; what it permitted before, and what it denied since, stays', async () => {
    const { key, terms, seenBy } = await person();
    await agree(server, terms(INSURER), [key, custodian]);
    const theft = later();
    later();
    await agree(server, terms(LAB), [key, custodian]);
    expect([await seenBy(insurer), await seenBy(lab)]).toEqual([200, 200]);
    const answer = await stolen(key.kid, theft);
    expect(answer.json['revoked']).toMatchObject({ compromisedFromIndex: expect.any(Number) as number });
    expect([await seenBy(insurer), await seenBy(lab)]).toEqual([200, 404]);
    await server.restart();
    expect([await seenBy(insurer), await seenBy(lab)]).toEqual([200, 404]);
    expect(server.logs.filter((line) => line.includes('"level":60'))).toEqual([]);
  });

  it('a denial signed since is kept: it may be the patient’s own', async () => {
    const { key, terms, seenBy } = await person();
    await agree(server, terms(INSURER), [key, custodian]);
    const theft = later();
    later();
    await agree(server, terms(INSURER, { type: 'deny' }), [key, custodian]);
    expect(await seenBy(insurer)).toBe(404);
    await stolen(key.kid, theft);
    expect(await seenBy(insurer)).toBe(404);
  });

  it('reported twice: the earlier time counts, and only it', async () => {
    const { key, terms, seenBy } = await person();
    const early = later();
    later();
    await agree(server, terms(INSURER), [key, custodian]);
    await stolen(key.kid, later());
    expect(await seenBy()).toBe(200);
    await stolen(key.kid, early);
    expect(await seenBy()).toBe(404);
  });

  it('a custodian’s as well', async () => {
    const { key, terms, seenBy } = await person();
    const second = await enrolKey(server.admin, HOSPITAL);
    const theft = later();
    later();
    await agree(server, terms(INSURER), [key, second]);
    expect(await seenBy()).toBe(200);
    await stolen(second.kid, theft);
    expect(await seenBy()).toBe(404);
  });

  it('is where each signature stands that counts, not where the Consent became active', async () => {
    const [before, after] = [await person(), await person()];
    const statements = new Map<Person, string>();
    for (const one of [before, after]) statements.set(one, partOf(await prepare(server.admin, one.terms(INSURER)), 'statement'));
    expect((await submit(server.admin, statements.get(before) ?? '', [before.key])).status).toBe(202);
    const theft = later();
    later();
    expect((await submit(server.admin, statements.get(after) ?? '', [after.key])).status).toBe(202);
    for (const { key } of [before, after]) await stolen(key.kid, theft);
    // The patient signed before the theft: the custodian may still countersign. What the thief signed stays a proposal.
    expect((await submit(server.admin, statements.get(before) ?? '', [custodian])).status).toBe(201);
    expect((await submit(server.admin, statements.get(after) ?? '', [custodian])).status).toBe(202);
    expect([await before.seenBy(), await after.seenBy()]).toEqual([200, 404]);
  });
});

it('a signature and a revocation at once: either the Consent stands before the revocation in the log, or there is none', async () => {
  let signedFirst = 0;
  const races = 12;
  for (let i = 0; i < races; i++) {
    const { key, terms, seenBy } = await person();
    const statement = partOf(await prepare(server.admin, terms(INSURER)), 'statement');
    const revoke = () => server.admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'lost' });
    const sign = () => submit(server.admin, statement, [key, custodian]);
    const [signed, revoked] = i % 2 === 0 ? await Promise.all([sign(), revoke()]) : await Promise.all([revoke(), sign()]).then(([r, s]) => [s, r]);
    expect([revoked?.status, [201, 422].includes(signed?.status ?? 0)]).toEqual([200, true]);
    expect(await seenBy()).toBe(signed?.status === 201 ? 200 : 404);
    if (signed?.status !== 201) continue;
    signedFirst++;
    const place = async (text: string) => (await server.hand.newestRow(text)).index;
    expect(await place(`"Consent/${String(signed.json['id'])}"`)).toBeLessThan(await place(`"Key/${key.kid}"`));
  }
  expect(signedFirst).toBeLessThanOrEqual(races);
  expect(server.logs.filter((line) => line.includes('"level":60'))).toEqual([]);
});

describe('written into the database by hand', () => {
  it('an earlier time of signing does not outlive the theft', async () => {
    const { key, terms, seenBy } = await person();
    const theft = later();
    later();
    const { consent } = await agree(server, terms(INSURER), [key, custodian]);
    const backdated = (record: string) => record.replaceAll(/"at":"[^"]+"/g, `"at":"${new Date(theft - SECOND).toISOString()}"`);
    expect(await server.hand.editRecords('signed-consent', consent.slice('Consent/'.length), backdated)).toBe(1);
    await stolen(key.kid, theft);
    expect(await seenBy()).toBe(404);
  });

  it('a key’s registration under its revocation is found out as well', async () => {
    const { key, terms, seenBy } = await person();
    await agree(server, terms(INSURER), [key, custodian]);
    await server.admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'lost' });
    expect(await seenBy()).toBe(200);
    const edited = (text: string) => text.replace('in-person', 'in person');
    expect(await server.hand.editRecords('key-event', `${key.kid}.000000`, edited)).toBe(1);
    await server.restart();
    expect(await seenBy()).toBe(404);
  });
});
