/** All passkeys lost: a new one by a code, the custodian's word, a delay in which an old one stops it. Over HTTP against the whole server. consent.md §6 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, jws, type Key } from '../../server/commands/demo/session.ts';
import { createPasskey, type SoftPasskey } from '../support/authenticator.ts';
import { sendSignatures } from '../support/key-ceremony.ts';
import { enrolPasskey, getPage, postForm, signInOptions, signInWith, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, organization, patient, put } from '../support/real-server.ts';

const HOUR = 3_600_000;
let server: Awaited<ReturnType<typeof startNamedServer>>;
let origin: string;
let custodian: Key;
let counter = 0;

beforeAll(async () => {
  server = await startNamedServer();
  origin = server.origin;
  await put(server, organization(HOSPITAL));
  custodian = await enrolKey(server.admin, HOSPITAL);
});
afterAll(() => server.stop());

type Person = { readonly owner: string; readonly old: SoftPasskey };

async function person(): Promise<Person> {
  const id = `lost${++counter}`;
  await put(server, patient(id));
  return { owner: `Patient/${id}`, old: await enrolPasskey(server, `Patient/${id}`) };
}

const issue = (owner: string, more: Json = {}) => server.admin.call('POST', '/admin/enrolments', { owner, proofing: 'in-person', ...more });
const codeFor = async (owner: string) => String((await issue(owner, { recovers: 'phone lost' })).json['code']);
const challengeOf = (text: string) => createHash('sha256').update(text).digest('base64url');
const signsIn = async (passkey: SoftPasskey) => (await signInWith(origin, passkey.assertion(await signInOptions(origin)))).status;

/** As the script does it, up to the signature. */
async function made(code: string): Promise<{ readonly next: SoftPasskey; readonly statement: string }> {
  const next = createPasskey({ origin });
  const options = (await postForm(origin, '/patient/enrol/options', { code })).json as unknown as { challenge: string; user: { id: string } };
  const { json } = await postForm(origin, '/patient/enrol', { code, answer: JSON.stringify(next.registration(options)) });
  expect(json).toMatchObject({ made: { challenge: challengeOf(String(json['statement'])), allowCredentials: [{ id: next.id }] } });
  return { next, statement: String(json['statement']) };
}

const propose = (code: string, statement: string, by: SoftPasskey) =>
  postForm(origin, '/patient/enrol/recovery', { code, statement, made: JSON.stringify(by.assertion({ challenge: challengeOf(statement) })) });

async function waiting(owner: string): Promise<readonly { readonly statement: string; readonly signature: string }[]> {
  return (await server.admin.call('GET', `/admin/recoveries?owner=${owner}`)).json['recoveries'] as never;
}

/** By the custodian's desk: signed and sent as it was found. */
async function attest(owner: string) {
  const [found] = await waiting(owner);
  const { statement = '', signature = '' } = found ?? {};
  return sendSignatures(server.admin, '$recover-key', statement, [jws(custodian, statement, true), signature]);
}

async function recovering(who: Person): Promise<SoftPasskey> {
  const code = await codeFor(who.owner);
  const { next, statement } = await made(code);
  expect((await propose(code, statement, next)).json).toEqual({ location: '/patient/enrol?proposed' });
  expect((await attest(who.owner)).status).toBe(202);
  return next;
}

/** After the delay, when the server has looked at all that is due: whoever waits rightly is recovered then. */
async function afterTheDelay(work: () => Promise<void>): Promise<void> {
  const due = await recovering(await person());
  server.advance(73 * HOUR);
  await server.restart();
  while ((await signsIn(due)) !== 200) await new Promise((resolve) => setTimeout(resolve, 20));
  await work();
  server.advance(-73 * HOUR);
}

describe('all passkeys lost', () => {
  it('a new one is made with a code, attested by the custodian, and takes their place by itself after the delay', async () => {
    const who = await person();
    const next = await recovering(who);
    expect([await signsIn(next), await signsIn(who.old)]).toEqual([403, 200]);
    const told = (await server.admin.call('GET', `Task?patient=${who.owner}`)).text;
    expect(told).toContain('key-recovery-opened');
    await afterTheDelay(async () => expect([await signsIn(next), await signsIn(who.old)]).toEqual([200, 403]));
  });

  it('nothing happens before the custodian signs, and the code works once', async () => {
    const who = await person();
    const code = await codeFor(who.owner);
    const { next, statement } = await made(code);
    expect(await waiting(who.owner)).toEqual([]);
    expect((await propose(code, statement, next)).status).toBe(200);
    expect((await propose(code, statement, next)).status).toBe(403);
    expect((await postForm(origin, '/patient/enrol/options', { code })).status).toBe(403);
    expect((await waiting(who.owner)).map((each) => each.statement)).toEqual([statement]);
    await afterTheDelay(async () => expect([await signsIn(next), await signsIn(who.old)]).toEqual([403, 200]));
  });

  it('what is put forward is about the patient of the code, in its words, and signed by the new passkey', async () => {
    const [who, other] = [await person(), await person()];
    const code = await codeFor(who.owner);
    const { next, statement } = await made(code);
    const forOther = statement.replace(who.owner, other.owner);
    const otherwise = statement.replace('phone lost', 'phone found');
    expect((await propose(code, forOther, next)).status).toBe(403);
    expect((await propose(code, otherwise, next)).status).toBe(403);
    expect((await propose(code, statement, createPasskey({ origin }))).status).toBe(403);
    expect((await propose(code, 'no statement', next)).status).toBe(403);
    expect([await waiting(who.owner), await waiting(other.owner)]).toEqual([[], []]);
    expect((await propose(code, statement, next)).status).toBe(200);
  });

  it('whoever still has an old one finds it on the first page and stops it, and it stays stopped', async () => {
    const who = await person();
    const next = await recovering(who);
    const { cookie } = await signInWith(origin, who.old.assertion(await signInOptions(origin)));
    expect((await getPage(origin, '/patient', cookie)).text).toContain('Your passkeys are to be replaced');
    const page = (await getPage(origin, '/patient/passkeys', cookie)).text;
    const field = (name: string) => (new RegExp(`name="${name}" value="([^"]*)"`).exec(page)?.[1] ?? '').replaceAll('&quot;', '"');
    const statement = field('statement');
    const stop = (by: SoftPasskey) =>
      postForm(
        origin,
        '/patient/passkeys/stop',
        { token: field('token'), statement, webauthn: JSON.stringify(by.assertion({ challenge: challengeOf(statement) })) },
        { cookie },
      );
    expect((await stop(next)).status).toBe(422);
    expect((await stop(who.old)).status).toBe(303);
    expect((await getPage(origin, '/patient', cookie)).text).not.toContain('are to be replaced');
    await afterTheDelay(async () => expect([await signsIn(next), await signsIn(who.old)]).toEqual([403, 200]));
  });

  it('a code to recover is for those who have keys, and the others get one for a first key', async () => {
    const { owner } = await person();
    await put(server, patient('keyless'));
    expect((await issue(owner)).status).toBe(409);
    expect((await issue('Patient/keyless', { recovers: 'phone lost' })).status).toBe(409);
    expect((await issue('Patient/keyless')).status).toBe(201);
    expect((await server.admin.call('GET', '/admin/recoveries')).status).toBe(400);
  });
});
