/** Consents signed and withdrawn with a passkey, over HTTP; what a forged assertion gets; and that the receipt proves it without the server. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { type Answer, enrolKey, type Json, jws, type Key, partOf, prepare, type Session, withdrawalOf } from '../../server/commands/demo/session.ts';
import type { Forged, SoftPasskey } from '../support/authenticator.ts';
import { enrolPasskey, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put, register, settled, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';

let server: Awaited<ReturnType<typeof startNamedServer>>;
let custodian: Key;
let insurer: Session;
let counter = 0;

beforeAll(async () => {
  server = await startNamedServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  custodian = await enrolKey(server.admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER })).session;
});
afterAll(() => server.stop());

type Person = { readonly id: string; readonly owner: string; readonly passkey: SoftPasskey };

async function person(curve: 'P-256' | 'Ed25519' = 'P-256'): Promise<Person> {
  const id = `p${++counter}`;
  await put(server, patient(id));
  await put(server, observation(`o-${id}`, `Patient/${id}`));
  return { id, owner: `Patient/${id}`, passkey: await enrolPasskey(server, `Patient/${id}`, curve) };
}

const challengeOf = (text: string) => createHash('sha256').update(text).digest('base64url');
const webauthn = (passkey: SoftPasskey, text: string, forged: Forged = {}) =>
  JSON.stringify(passkey.assertion({ challenge: challengeOf(text) }, forged));
const prepared = async ({ owner }: Person) => prepare(server.admin, termsOf(server, { patient: owner, grantee: INSURER }));

type Signature = { readonly who: string; readonly webauthn?: string; readonly jws?: string };

function sign(statement: string, signatures: readonly Signature[]): Promise<Answer> {
  const parameter = signatures.map(({ who, ...rest }) => ({
    name: 'signature',
    part: [{ name: 'who', valueReference: { reference: who } }, ...Object.entries(rest).map(([name, value]) => ({ name, valueString: value }))],
  }));
  return server.admin.call('POST', 'Consent/$sign', {
    resourceType: 'Parameters',
    parameter: [{ name: 'statement', valueString: statement }, ...parameter],
  });
}

const byCustodian = (statement: string): Signature => ({ who: HOSPITAL, jws: jws(custodian, statement, true) });
const reads = async ({ id }: Person) => (await insurer.call('GET', `Observation/o-${id}`)).status;

async function inForce(who: Person): Promise<{ readonly consent: string; readonly digest: string }> {
  const made = await prepared(who);
  const statement = partOf(made, 'statement');
  const done = await sign(statement, [{ who: who.owner, webauthn: webauthn(who.passkey, statement) }, byCustodian(statement)]);
  expect([done.status, done.text]).toEqual([201, expect.any(String)]);
  return { consent: `Consent/${String(done.json['id'])}`, digest: partOf(made, 'digest') };
}

const withdraw = (consent: string, parameters: Readonly<Record<string, string>>) =>
  server.admin.call('POST', `${consent}/$withdraw`, {
    resourceType: 'Parameters',
    parameter: Object.entries(parameters).map(([name, valueString]) => ({ name, valueString })),
  });

describe('a Consent signed with a passkey', () => {
  it.each(['P-256', 'Ed25519'] as const)(
    '%s: permits, is proven by its receipts alone, and ends when it is withdrawn with the passkey',
    async (curve) => {
      const who = await person(curve);
      expect(await reads(who)).toBe(404);
      const { consent, digest } = await inForce(who);
      const read = await insurer.call('GET', `Observation/o-${who.id}`);
      expect(read.status).toBe(200);
      const receipt = await settled(insurer, read.headers.get('assent-receipt') ?? '');
      expect(verifyReceipt(receipt.text)).toMatchObject({ kind: 'proven' });
      const { signatures } = (JSON.parse(receipt.text) as { consents: [{ signatures: string[] }] }).consents[0];
      expect(Object.keys(JSON.parse(signatures[0] ?? '') as object)).toEqual(['id', 'authenticatorData', 'clientDataJSON', 'signature']);
      expect(verifyReceipt(receipt.text.replace('http://localhost', 'http://localhosT'))).toMatchObject({ kind: 'refuted' });
      const statement = withdrawalOf({ consent, digest, now: server.now() });
      const done = await withdraw(consent, { statement, webauthn: webauthn(who.passkey, statement) });
      expect([done.status, done.json['status'], await reads(who)]).toEqual([200, 'inactive', 404]);
    },
  );

  it('waits for the custodian, and the same again is the same', async () => {
    const who = await person();
    const statement = partOf(await prepared(who), 'statement');
    const mine: Signature = { who: who.owner, webauthn: webauthn(who.passkey, statement) };
    expect((await sign(statement, [mine])).status).toBe(202);
    expect((await sign(statement, [byCustodian(statement)])).status).toBe(201);
    expect((await sign(statement, [mine])).status).toBe(200);
    await server.restart();
    expect(await reads(who)).toBe(200);
  });

  it('may come beside the Consent, in a Provenance', async () => {
    const who = await person();
    const made = await prepared(who);
    const statement = partOf(made, 'statement');
    const consent = (made['parameter'] as { name: string; resource?: Json }[]).find(({ name }) => name === 'consent')?.resource;
    const assertion = who.passkey.assertion({ challenge: challengeOf(statement) });
    const { authenticatorData, clientDataJSON, signature } = assertion.response;
    const texts = {
      [who.owner]: JSON.stringify({ id: assertion.id, authenticatorData, clientDataJSON, signature }),
      [HOSPITAL]: jws(custodian, statement, true),
    };
    const signatures = Object.entries(texts).map(([reference, text]) => ({ who: { reference }, data: Buffer.from(text).toString('base64') }));
    const done = await server.admin.call('POST', 'Consent', consent, {
      'x-provenance': JSON.stringify({ resourceType: 'Provenance', signature: signatures }),
    });
    expect([done.status, await reads(who)]).toEqual([201, 200]);
    const stored = await server.admin.call('GET', `Provenance?target=Consent/${String(done.json['id'])}`);
    expect(stored.text).toContain('"sigFormat":"application/json"');
  });

  it.each<[string, Forged]>([
    ['on another page', { origin: 'https://evil.example' }],
    ['for another host', { rpId: 'evil.example' }],
    ['without the person verified', { flags: 0x01 }],
    ['over another challenge', { challenge: challengeOf('other terms') }],
    ['that was made to register', { type: 'webauthn.create' }],
    ['in a frame of another page', { clientData: { crossOrigin: true } }],
    ['under a credential nobody registered', { id: 'AAAAAAAAAAAAAAAAAAAAAA' }],
  ])('is refused %s', async (_name, forged) => {
    const who = await person();
    const statement = partOf(await prepared(who), 'statement');
    const refused = await sign(statement, [{ who: who.owner, webauthn: webauthn(who.passkey, statement, forged) }, byCustodian(statement)]);
    expect([refused.status, await reads(who)]).toEqual([422, 404]);
  });

  it('is refused by another patient’s passkey, a revoked one, one that signs as a JWS, in both forms at once, and as no JSON', async () => {
    const [who, other] = [await person(), await person()];
    const statement = partOf(await prepared(who), 'statement');
    const { kid } = ((await server.admin.call('GET', `/admin/keys?owner=${who.owner}`)).json['keys'] as [{ kid: string }])[0];
    const asJws = jws({ kid, owner: who.owner, privateKey: who.passkey.privateKey }, statement, true);
    const genuine = webauthn(who.passkey, statement);
    const attempts: readonly Signature[] = [
      { who: who.owner, webauthn: webauthn(other.passkey, statement) },
      { who: other.owner, webauthn: webauthn(other.passkey, statement) },
      { who: other.owner, webauthn: genuine },
      { who: who.owner, jws: asJws },
      { who: who.owner, webauthn: genuine, jws: asJws },
      { who: who.owner, webauthn: '{' },
    ];
    for (const attempt of attempts) expect((await sign(statement, [attempt, byCustodian(statement)])).status).toBe(422);
    await server.admin.call('POST', `/admin/keys/${kid}/revoke`, { reason: 'lost' });
    expect((await sign(statement, [{ who: who.owner, webauthn: genuine }, byCustodian(statement)])).status).toBe(422);
    expect(await reads(who)).toBe(404);
  });
});

describe('a withdrawal with a passkey', () => {
  it('is refused with an old signature, for another Consent, without its text, by another patient, and beside a JWS', async () => {
    const [who, other] = [await person(), await person()];
    const [{ consent, digest }, foreign] = [await inForce(who), await inForce(other)];
    const text = (now: number, more = { consent, digest }) => withdrawalOf({ ...more, now });
    const fresh = text(server.now());
    const old = text(server.now() - 11 * 60_000);
    const elsewhere = text(server.now(), foreign);
    const by = ({ passkey }: Person, statement: string, forged: Forged = {}) => ({ statement, webauthn: webauthn(passkey, statement, forged) });
    const statuses = [];
    for (const attempt of [by(who, old), by(who, elsewhere), by(other, fresh), by(who, fresh, { challenge: digest }), by(who, fresh, { flags: 1 })])
      statuses.push((await withdraw(consent, attempt)).status);
    expect(statuses).toEqual([422, 422, 422, 422, 422]);
    expect((await withdraw(consent, { webauthn: webauthn(who.passkey, fresh) })).status).toBe(400);
    expect((await withdraw(consent, { ...by(who, fresh), jws: 'x' })).status).toBe(400);
    expect(await reads(who)).toBe(200);
    expect((await withdraw(consent, by(who, fresh))).status).toBe(200);
    expect(await reads(who)).toBe(404);
  });
});
