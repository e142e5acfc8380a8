/**
 * Who acts for a patient, over HTTP: proxies by the patient's word, guardians, representatives and executors by two roles of the institution; what they
 * sign, withdraw and read, when it ends, and what everybody else can try. consent.md §6
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Key, partOf, prepare, type Session, submit } from '../../server/commands/demo/session.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { fsck } from '../../server/commands/fsck.ts';
import { readConfig } from '../../server/config.ts';
import { authorityOf, end, grant, type Relative, relative, YEAR } from '../support/authorities.ts';
import { freshKey, keyStatement, sendSigned } from '../support/key-ceremony.ts';
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
  settled,
  startRealServer,
  termsOf,
  withdrawNow,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const SECOND = 1000;
const DAY = 86_400_000;

let server: RealServer;
let custodian: Key;
let insurer: Session;
let admin: Session;
let counter = 0;

beforeAll(async () => {
  server = await startRealServer();
  admin = server.admin;
  // Tokens are of today: time passes up to it.
  server.advance(-30 * DAY);
  for (const reference of [HOSPITAL, INSURER, 'Organization/other']) await put(server, organization(reference));
  custodian = await enrolKey(admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER })).session;
});
afterAll(() => server.stop());

type Person = { readonly id: string; readonly reference: string; readonly key: Key; readonly relative: Relative };

/** With a record, a key and a relative. */
async function person(more: Json = {}): Promise<Person> {
  const id = `p${++counter}`;
  const reference = `Patient/${id}`;
  await put(server, { ...patient(id), ...more });
  await put(server, observation(`o-${id}`, reference));
  return { id, reference, key: await enrolKey(admin, reference), relative: await relative(server, `r${counter}`, reference) };
}

/** Born so many years ago, and some days. */
const born = (years: number, days = 10): Json => ({
  birthDate: new Date(server.now() - years * YEAR - days * DAY).toISOString().slice(0, 10),
});
const iso = (at: number) => new Date(at).toISOString();
const terms = ({ reference }: Person, more: Json = {}) => termsOf(server, { patient: reference, grantee: INSURER, ...more });
const seen = async ({ id }: Person, session = insurer) => (await session.call('GET', `Observation/o-${id}`)).status;

async function granted(one: Person, said: Json = {}, by = one.key): Promise<string> {
  const answer = await grant(server, { patient: one.reference, delegate: one.relative.reference, by, said });
  expect([answer.status, answer.text]).toEqual([200, expect.stringContaining('granted')]);
  return authorityOf(answer);
}

const guardian = (one: Person, said: Json = {}) => granted(one, { basis: 'guardian', until: iso(server.now() + 30 * DAY), ...said }, custodian);

async function signs(one: Person, by: Key = one.relative.key, more: Json = {}): Promise<number> {
  return (await submit(admin, partOf(await prepare(admin, terms(one, more)), 'statement'), [by, custodian])).status;
}

const signed = (one: Person, by: Key = one.relative.key, more: Json = {}): Promise<InForce> => agree(server, terms(one, more), [by, custodian]);

/** 422 unless said otherwise, and still nobody acts. */
async function refused(one: Person, act: () => Promise<Answer>, status = 422): Promise<void> {
  const answer = await act();
  expect([answer.status, answer.json['resourceType']]).toEqual([status, 'OperationOutcome']);
  expect([await signs(one), await seen(one, one.relative.session)]).toEqual([422, 404]);
}

describe('a proxy by the patient’s own word', () => {
  it('signs in their place: the Consent acts, and its Provenance says who signed on behalf of whom', async () => {
    const one = await person();
    expect([await signs(one), await seen(one)]).toEqual([422, 404]);
    await granted(one);
    const { consent } = await signed(one);
    expect(await seen(one)).toBe(200);
    const found = (await admin.call('GET', `Provenance?target=${consent}`)).json['entry'] as { resource: Json }[];
    const signatures = found[0]?.resource['signature'] as Json[];
    expect(signatures).toContainEqual(
      expect.objectContaining({ who: { reference: one.relative.reference }, onBehalfOf: { reference: one.reference } }),
    );
    await server.restart();
    expect(await seen(one)).toBe(200);
    expect(server.logs.filter((line) => line.includes('"level":60'))).toEqual([]);
  });

  it('withdraws; and what they signed the patient withdraws', async () => {
    const one = await person();
    await granted(one);
    for (const [signer, withdraws] of [
      [one.relative.key, one.key],
      [one.key, one.relative.key],
    ] as const) {
      const agreed = await signed(one, signer);
      expect(await seen(one)).toBe(200);
      expect((await withdrawNow(server, agreed, withdraws)).status).toBe(200);
      expect(await seen(one)).toBe(404);
    }
  });

  it('does only what was granted: these acts, these purposes, this time, this patient', async () => {
    const [one, other] = [await person(), await person()];
    await granted(one, { acts: ['read'] });
    expect([await signs(one), await seen(one, one.relative.session)]).toEqual([422, 200]);
    await granted(one, { acts: ['sign'], purposes: ['HPAYMT'] });
    expect([await signs(one), await signs(one, one.relative.key, { purposes: ['HPAYMT', 'TREAT'] })]).toEqual([422, 422]);
    expect(await signs(one, one.relative.key, { purposes: ['HPAYMT'] })).toBe(201);
    const everything = { purpose: undefined };
    expect(await signs(one, one.relative.key, { provision: everything })).toBe(422);
    expect([await signs(other, one.relative.key), await seen(other, one.relative.session)]).toEqual([422, 404]);
    const agreed = await signed(one, one.key);
    expect((await withdrawNow(server, agreed, one.relative.key)).status).toBe(422);
    const later = await person();
    await granted(later, { from: iso(server.now() + 60 * SECOND), until: iso(server.now() + 120 * SECOND) });
    expect([await signs(later), await seen(later, later.relative.session)]).toEqual([422, 404]);
    server.advance(61 * SECOND);
    expect([await signs(later), await seen(later, later.relative.session)]).toEqual([201, 200]);
    server.advance(60 * SECOND);
    expect([await signs(later), await seen(later, later.relative.session), await seen(later)]).toEqual([422, 404, 200]);
  });

  it('is ended by one signature, the patient’s, the custodian’s or their own: what was signed stays', async () => {
    for (const who of ['key', 'custodian', 'relative'] as const) {
      const one = await person();
      const authority = await granted(one);
      await signed(one);
      const by = who === 'key' ? one.key : who === 'custodian' ? custodian : one.relative.key;
      expect((await end(server, { authority, by })).status).toBe(200);
      expect([await signs(one), await seen(one, one.relative.session), await seen(one)]).toEqual([422, 404, 200]);
    }
  });

  it('in other hands since some time: what was signed since permits nothing, and what was signed before stays', async () => {
    const [one, lab] = [await person(), (await register(server, { actor: 'Organization/other' })).session];
    const authority = await granted(one);
    await signed(one);
    server.advance(2 * SECOND);
    const theft = server.now();
    server.advance(2 * SECOND);
    await signed(one, one.relative.key, { grantee: 'Organization/other' });
    expect([await seen(one), await seen(one, lab)]).toEqual([200, 200]);
    // Whoever holds the delegate's key does not undo what was signed.
    expect((await end(server, { authority, by: one.relative.key, said: { compromisedSince: iso(theft) } })).status).toBe(422);
    expect((await end(server, { authority, by: one.key, said: { compromisedSince: iso(theft) } })).status).toBe(200);
    expect([await seen(one), await seen(one, lab)]).toEqual([200, 404]);
  });

  it('granted by a key that turns out to have been stolen was never one', async () => {
    const one = await person();
    server.advance(2 * SECOND);
    const theft = server.now();
    server.advance(2 * SECOND);
    await granted(one);
    await signed(one);
    expect([await seen(one), await seen(one, one.relative.session)]).toEqual([200, 200]);
    await admin.call('POST', `/admin/keys/${one.key.kid}/revoke`, { reason: 'stolen', compromisedSince: iso(theft) });
    expect([await seen(one), await seen(one, one.relative.session), await signs(one)]).toEqual([404, 404, 422]);
  });

  it('is not made by the proxy, a stranger, an old statement, another server’s, or a resource', async () => {
    const [one, stranger] = [await person(), await person()];
    const { relative: mine } = one;
    const asked = { patient: one.reference, delegate: mine.reference };
    for (const by of [mine.key, stranger.key, custodian]) await refused(one, () => grant(server, { ...asked, by, session: mine.session }));
    const wrong: Json[] = [
      { created: iso(server.now() - 3_600_000) },
      { audience: 'https://elsewhere.example/fhir' },
      { delegate: stranger.relative.reference },
      { delegate: 'RelatedPerson/unknown' },
      { patient: stranger.reference },
      { more: true },
    ];
    for (const said of wrong) await refused(one, () => grant(server, { ...asked, by: one.key, said }));
    for (const said of [
      { acts: [] },
      { acts: ['own'] },
      { basis: 'friend' },
      { purposes: ['ALL'] },
      { until: 'later' },
      { until: iso(server.now() - 1) },
    ])
      await refused(one, () => grant(server, { ...asked, by: one.key, said }), 400);
    // A relative who writes themselves into the directory has gained nothing.
    await mine.session.call('PUT', mine.reference, {
      resourceType: 'RelatedPerson',
      id: mine.reference.split('/')[1],
      patient: { reference: one.reference },
    });
    expect([await signs(one), await seen(one, mine.session)]).toEqual([422, 404]);
  });

  it('an old grant, sent again after its end, brings nothing back', async () => {
    const one = await person();
    const [from, until] = [iso(server.now()), iso(server.now() + YEAR)];
    const said = { patient: one.reference, delegate: one.relative.reference, basis: 'patient', acts: ['sign', 'read'], from, until };
    const statement = keyStatement(server, 'authority', said);
    const send = () => sendSigned(admin, '$grant-authority', statement, [one.key]);
    const answer = await send();
    expect((await send()).text).toContain('granted');
    await end(server, { authority: authorityOf(answer), by: one.key });
    expect([(await send()).status, (await send()).text]).toEqual([200, expect.stringContaining('ended')]);
    expect([await signs(one), await seen(one, one.relative.session)]).toEqual([422, 404]);
  });

  it('a key enrolled after it signed is none', async () => {
    const one = await person();
    await granted(one);
    const statement = partOf(await prepare(admin, terms(one)), 'statement');
    const late = freshKey(one.relative.reference);
    expect((await submit(admin, statement, [late, custodian])).status).toBe(422);
  });

  it('written into the database by hand, or its end taken out, nobody acts', async () => {
    const one = await person();
    const authority = await granted(one, { purposes: ['HPAYMT'] });
    const widened = (event: string) => event.replaceAll('HPAYMT', 'TREAT');
    expect(await server.hand.editRecords('authority-event', `${authority}.000000`, widened)).toBe(1);
    expect([await signs(one), await seen(one, one.relative.session)]).toEqual([422, 404]);
    expect(server.logs.some((line) => line.includes('a stored authority is not the one in the log'))).toBe(true);
    await server.hand.editRecords('authority-event', `${authority}.000000`, (event) => event.replaceAll('TREAT', 'HPAYMT'));
    expect(await signs(one, one.relative.key, { purposes: ['HPAYMT'] })).toBe(201);
    server.logs.length = 0;
  });

  it('gives nothing to themselves or another relative by what they sign', async () => {
    const one = await person();
    const second = await relative(server, `second-${one.id}`, one.reference);
    await granted(one, { acts: ['sign'] });
    for (const grantee of [one.relative.reference, second.reference]) await signed(one, one.relative.key, { grantee });
    expect([await seen(one, one.relative.session), await seen(one, second.session)]).toEqual([404, 404]);
    await signed(one, one.key, { grantee: second.reference, purposes: ['PATRQT'] });
    expect(await seen(one, second.session)).toBe(200);
  });

  it('reads nothing that a Consent of the patient denies them, nor what names somebody else as well', async () => {
    const [one, other] = [await person(), await person()];
    await granted(one);
    await put(server, observation(`both-${one.id}`, one.reference, { performer: [{ reference: other.reference }] }));
    expect([await seen(one, one.relative.session), (await one.relative.session.call('GET', `Observation/both-${one.id}`)).status]).toEqual([
      200, 404,
    ]);
    const total = async () => (await one.relative.session.call('GET', 'Observation?_total=accurate')).json['total'];
    expect(await total()).toBe(1);
    await signed(one, one.key, { grantee: one.relative.reference, provision: { type: 'deny' }, purposes: ['PATRQT'] });
    expect([await seen(one, one.relative.session), await total()]).toEqual([404, 0]);
  });
});

describe('the receipt of a Consent signed on behalf of a patient', () => {
  const parsed = (text: string) => JSON.parse(text) as { keys: unknown[]; authorities: { authority: string }[] };

  it('proves the signature, the key and the authority, each at its place in the log; without one of them it is refuted', async () => {
    for (const one of [await person(), await person(born(5))]) {
      if (one.id === `p${counter}`) await guardian(one);
      else await granted(one);
      const { consent } = await signed(one);
      const receipt = (await settled(admin, `${consent}/$receipt`)).text;
      const verdict = verifyReceipt(receipt);
      expect(verdict).toMatchObject({ kind: 'proven' });
      expect(JSON.stringify(verdict)).toContain(`${one.relative.reference} signed on behalf of ${one.reference}`);
      const { authorities, keys, ...rest } = parsed(receipt);
      expect([authorities.length, keys.length]).toEqual([1, one.id === `p${counter}` ? 2 : 3]);
      const widened = authorities.map((piece) => ({ ...piece, authority: piece.authority.replace('withdraw', 'withdrew') }));
      const changed = [{ authorities: [] }, { authorities: widened }, { authorities: [...authorities, ...authorities] }];
      for (const each of changed) {
        const { proof, ...head } = { ...rest, keys, ...each } as { proof?: unknown };
        const { kind } = verifyReceipt(JSON.stringify({ ...head, ...(each.authorities.length === 0 ? { authorities: undefined } : {}), proof }));
        expect(['refuted', 'unreadable']).toContain(kind);
      }
    }
  });

  it('once withdrawn stands alone', async () => {
    const one = await person();
    await granted(one);
    const agreed = await signed(one);
    await withdrawNow(server, agreed, one.key);
    expect(verifyReceipt((await settled(admin, `${agreed.consent}/$receipt`)).text)).toMatchObject({ kind: 'proven' });
  });

  it('and fsck finds the log whole, and finds out an authority that was changed', async () => {
    const one = await person();
    const authority = await granted(one);
    await settled(admin, `${(await signed(one)).consent}/$receipt`);
    const checked = async () => fsck(readConfig(server.environment));
    expect(await checked()).toBe(0);
    await server.hand.editRecords('authority-event', `${authority}.000000`, (event) => event.replace('withdraw', 'withdrew'));
    expect(await checked()).toBe(1);
    await server.hand.editRecords('authority-event', `${authority}.000000`, (event) => event.replace('withdrew', 'withdraw'));
  });
});

describe('a guardian', () => {
  it('is attested by two roles: an administrator, and the custodian that manages the record', async () => {
    const one = await person(born(5));
    const said = { basis: 'guardian', until: iso(server.now() + YEAR) };
    const asked = { patient: one.reference, delegate: one.relative.reference, said };
    const { session: notAdmin } = await register(server, { actor: HOSPITAL });
    await refused(one, () => grant(server, { ...asked, by: custodian, session: notAdmin }), 403);
    for (const by of [one.key, one.relative.key, await enrolKey(admin, 'Organization/other')])
      await refused(one, () => grant(server, { ...asked, by }));
    await refused(one, () => grant(server, { ...asked, by: custodian, said: { ...said, until: iso(server.now() + 14 * YEAR) } }));
    const undated = await person();
    await refused(undated, () => grant(server, { ...asked, patient: undated.reference, delegate: undated.relative.reference, by: custodian }));
    await guardian(one);
    expect([await signs(one), await seen(one, one.relative.session)]).toEqual([201, 200]);
    // The child does not end it alone; the custodian does.
    const authority = await guardian(one, { acts: ['sign'] });
    expect((await end(server, { authority, by: one.key })).status).toBe(422);
    expect((await end(server, { authority, by: custodian })).status).toBe(200);
  });

  it('is one no longer when the patient comes of age, and neither is what they permitted', async () => {
    const one = await person(born(18, -2));
    await guardian(one, { until: iso(server.now() + DAY / 4) });
    await signed(one);
    expect([await seen(one), await seen(one, one.relative.session)]).toEqual([200, 200]);
    server.advance(4 * DAY);
    expect([await seen(one), await seen(one, one.relative.session), await signs(one)]).toEqual([404, 404, 422]);
    expect(server.logs.filter((line) => line.includes('"level":60'))).toEqual([]);
  });

  it('does not see what is an adolescent’s own, and sees it of a small child', async () => {
    for (const [years, status] of [
      [14, 404],
      [3, 200],
    ] as const) {
      const one = await person(born(years));
      const label = { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'SEX' };
      await put(server, observation(`own-${one.id}`, one.reference, { meta: { security: [label] } }));
      await guardian(one);
      const own = async (session: Session) => (await session.call('GET', `Observation/own-${one.id}`)).status;
      expect([await seen(one, one.relative.session), await own(one.relative.session)]).toEqual([200, status]);
      const self = (await register(server, { actor: one.reference })).session;
      expect(await own(self)).toBe(200);
      // Hidden is absent also in totals, and no Consent of the guardian's own opens it.
      const total = (await one.relative.session.call('GET', 'Observation?_total=accurate')).json['total'];
      expect(total).toBe(status === 200 ? 2 : 1);
      await signed(one, one.relative.key, { grantee: one.relative.reference, purposes: ['PATRQT'] });
      expect(await own(one.relative.session)).toBe(status);
    }
  });

  it('neither withdraws nor replaces what the patient signed themselves', async () => {
    const one = await person(born(15));
    await guardian(one);
    const own = await signed(one, one.key, { provision: { type: 'deny' } });
    expect((await withdrawNow(server, own, one.relative.key)).status).toBe(422);
    const replacing = await admin.call('POST', 'Consent/$prepare', {
      resourceType: 'Parameters',
      parameter: [
        { name: 'consent', resource: terms(one) },
        { name: 'language', valueCode: 'en' },
        { name: 'supersedes', valueReference: { reference: own.consent } },
      ],
    });
    const statement = partOf(replacing.json, 'statement');
    expect((await submit(admin, statement, [one.relative.key, custodian])).status).toBe(422);
    expect((await submit(admin, statement, [one.key, custodian])).status).toBe(201);
  });
});

describe('death', () => {
  it('ends what the patient granted; an executor, attested after it, acts in their place', async () => {
    const one = await person();
    await granted(one);
    await signed(one);
    const executor = { patient: one.reference, delegate: one.relative.reference, by: custodian, said: { basis: 'executor' } };
    expect((await grant(server, executor)).status).toBe(422);
    await put(server, { ...patient(one.id), deceasedBoolean: true });
    expect([await signs(one), await seen(one, one.relative.session), await seen(one)]).toEqual([422, 404, 200]);
    expect((await grant(server, executor)).status).toBe(200);
    expect([await signs(one), await seen(one, one.relative.session)]).toEqual([201, 200]);
    await put(server, patient(one.id));
    expect(await seen(one, one.relative.session)).toBe(200);
    expect((await grant(server, { ...executor, said: { basis: 'representative' } })).status).toBe(200);
  });
});

it('$explain-access tells the patient what who acts for them may see, and why; nobody else is told, nor of anybody else', async () => {
  const [one, other] = [await person(born(14)), await person()];
  await put(
    server,
    observation(`own-${one.id}`, one.reference, {
      meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'SEX' }] },
    }),
  );
  const self = (await register(server, { actor: one.reference })).session;
  const ask = async (session: Session, more: string, name = 'o') =>
    session.call('GET', `Observation/${name}-${one.id}/$explain-access?${more}&purpose=TREAT`);
  const about = `actor=${one.relative.reference}`;
  expect((await ask(self, about)).status).toBe(400);
  const authority = await guardian(one);
  const [plain, own, everybody] = [await ask(self, about), await ask(self, about, 'own'), await ask(self, '')];
  expect([plain.text, plain.text.includes('"on-behalf"')]).toEqual([expect.stringContaining(`${one.relative.reference} may see this record`), true]);
  expect(own.text).toContain(`${one.relative.reference} may not see this record`);
  expect(everybody.text).toContain(`${one.relative.reference} may see`);
  expect((await ask(self, `actor=${other.relative.reference}`)).status).toBe(400);
  expect((await ask(admin, about)).status).toBe(400);
  expect((await ask(one.relative.session, about)).status).toBe(403);
  expect((await end(server, { authority, by: custodian })).status).toBe(200);
  expect((await ask(self, about)).status).toBe(400);
});

it('the patient is told of every authority, and of its end', async () => {
  const one = await person();
  const authority = await granted(one);
  await end(server, { authority, by: one.key });
  const self = (await register(server, { actor: one.reference })).session;
  const tasks = (await self.call('GET', `Task?patient=${one.reference}`)).json['entry'] as { resource: { code: { coding: [{ code: string }] } } }[];
  expect(tasks.map(({ resource }) => resource.code.coding[0].code).sort()).toEqual(['authority-ended', 'authority-granted']);
  expect((await one.relative.session.call('GET', `Task?patient=${one.reference}`)).json['total']).toBe(0);
});
