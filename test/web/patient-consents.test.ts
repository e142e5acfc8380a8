/** The page of a patient's own Consents, over HTTP against the whole server: what it shows to whom, what it signs, what it refuses. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Key, partOf, prepare, type Session, submit } from '../../server/commands/demo/session.ts';
import type { SoftPasskey } from '../support/authenticator.ts';
import { approve, askFor, type Task, toldOf } from '../support/consent-requests.ts';
import { enrolPasskey, getPage, type Page, postForm, signInOptions, signInWith, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put, register, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';

let server: Awaited<ReturnType<typeof startNamedServer>>;
let origin: string;
let custodian: Key;
let insurer: Session;
let counter = 0;

beforeAll(async () => {
  server = await startNamedServer();
  origin = server.origin;
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  custodian = await enrolKey(server.admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER })).session;
});
afterAll(() => server.stop());

type Person = { readonly id: string; readonly passkey: SoftPasskey; readonly cookie: string; readonly token: string };

async function person(): Promise<Person> {
  const id = `p${++counter}`;
  await put(server, patient(id));
  await put(server, observation(`o-${id}`, `Patient/${id}`));
  const passkey = await enrolPasskey(server, `Patient/${id}`);
  const { cookie } = await signInWith(origin, passkey.assertion(await signInOptions(origin)));
  const token = fieldOf((await getPage(origin, '/patient/passkeys', cookie)).text, 'token');
  return { id, passkey, cookie, token };
}

const unescaped = (text: string) =>
  text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
const fieldOf = (page: string, name: string) => unescaped(new RegExp(`name="${name}" value="([^"]*)"`).exec(page)?.[1] ?? '');

/** Prepared, and signed by the custodian alone. */
async function proposed({ id }: Person): Promise<string> {
  const statement = partOf(await prepare(server.admin, termsOf(server, { patient: `Patient/${id}`, grantee: INSURER })), 'statement');
  const done = await submit(server.admin, statement, [custodian]);
  expect(done.status).toBe(202);
  return String(done.json['id']);
}

const send = ({ cookie, token }: Person, act: string, form: Readonly<Record<string, string>>, sent = token) =>
  postForm(origin, `/patient/consents/${act}`, { token: sent, ...form }, { cookie });
const review = (who: Person, id: string) => send(who, 'review', { id });
const reads = async ({ id }: Person) => (await insurer.call('GET', `Observation/o-${id}`)).status;

/** As the script fills in the form of a page. */
function signed({ text }: Page, passkey: SoftPasskey): Readonly<Record<string, string>> {
  const challenge = /data-challenge="([^"]+)"/.exec(text)?.[1] ?? '';
  return { statement: fieldOf(text, 'statement'), webauthn: JSON.stringify(passkey.assertion({ challenge })) };
}

describe('a patient’s consents', () => {
  it('are listed, read in words, signed and withdrawn', async () => {
    const who = await person();
    const id = await proposed(who);
    const list = await getPage(origin, '/patient/consents', who.cookie);
    expect((await getPage(origin, '/patient', who.cookie)).text).toContain('as your record’s keeper proposes');
    expect(list.text).toMatch(new RegExp(`<h2>${INSURER} <span class="soft">waits for your answer`));
    const page = await review(who, id);
    expect(page.text).toMatch(/查阅者 Organization\/insurer; 用途 治疗（TREAT）/);
    // Signed in the language they were made in; told in the reader's.
    expect(page.text).toContain('<div class="card" lang="zh">');
    expect(page.text).toContain('in Chinese they are signed');
    expect(page.text).toContain(`I allow the reading of my record; by ${INSURER}; for treatment (TREAT)`);
    expect(page.text).toContain(`<dt>Patient/${who.id}</dt><dd>you</dd>`);
    expect(page.text).toContain(`data-credentials="${who.passkey.id}"`);
    expect(page.text).toContain('data-rp-id="localhost"');
    expect(await reads(who)).toBe(404);
    expect((await send(who, 'sign', signed(page, who.passkey))).text).toContain('It is in force.');
    expect(await reads(who)).toBe(200);
    const again = await review(who, id);
    expect(again.text).toContain('Withdraw with your passkey');
    expect((await send(who, 'withdraw', { id, ...signed(again, who.passkey) })).text).toContain('Withdrawn.');
    expect(await reads(who)).toBe(404);
    expect((await review(who, id)).text).toContain('It is over.');
    expect((await getPage(origin, '/patient/consents', who.cookie)).text).not.toContain('/patient/consents/review');
  });

  it('that somebody asks for are signed or refused, and whoever asks is told no more than that', async () => {
    const ask = async ({ id }: Person) => {
      const until = new Date(server.now() + 3_600_000).toISOString();
      return (await askFor(insurer, termsOf(server, { patient: `Patient/${id}`, grantee: INSURER }), until)).json as Task;
    };
    const status = async ({ id }: Task) => ((await insurer.call('GET', `Task/${id}`)).json as Task).status;
    const [yes, no] = [await person(), await person()];
    const [granted, refused] = [await ask(yes), await ask(no)];
    const idOf = ({ focus }: Task) => focus.reference.slice('Consent/'.length);
    const page = await review(yes, idOf(granted));
    expect(page.text).toContain(`<strong>${INSURER}</strong> asks to read your record.`);
    const [approving, refusing] = page.text.split('action="/patient/consents/refuse"').map((text) => ({ ...page, text }));
    expect((await send(yes, 'sign', signed(approving as Page, yes.passkey))).text).toContain('once the other signature is there');
    expect((await approve(server.admin, await toldOf(granted, server.admin), [custodian])).status).toBe(201);
    expect([await status(granted), await reads(yes)]).toEqual(['completed', 200]);
    expect(refusing?.text).toContain('Refuse with your passkey');
    const other = (await review(no, idOf(refused))).text.split('action="/patient/consents/refuse"')[1] ?? '';
    const form = { id: idOf(refused), ...signed({ ...page, text: other }, no.passkey) };
    const foreign = { id: idOf(refused), ...signed({ ...page, text: other }, yes.passkey) };
    expect((await send(no, 'refuse', foreign)).status).toBe(422);
    expect((await send(no, 'refuse', form)).text).toContain('Refused.');
    expect([await status(refused), await reads(no)]).toEqual(['requested', 404]);
    expect((await review(no, idOf(refused))).text).toContain('It is over.');
  });

  it('are nobody else’s: another patient finds them like those that are not there, and signs nothing of them', async () => {
    const [who, other] = [await person(), await person()];
    const id = await proposed(who);
    expect((await getPage(origin, '/patient/consents', other.cookie)).text).toContain('none waits for you');
    const [foreign, absent] = [await review(other, id), await review(other, 'absent')];
    expect([foreign.status, foreign.text]).toEqual([404, absent.text]);
    const page = await review(who, id);
    expect((await send(other, 'sign', signed(page, other.passkey))).status).toBe(422);
    expect((await send(other, 'sign', signed(page, who.passkey))).status).toBe(422);
    expect(await reads(who)).toBe(404);
  });

  it('take no form without a session, with another session’s token, or from another page', async () => {
    const [who, other] = [await person(), await person()];
    const id = await proposed(who);
    const form = signed(await review(who, id), who.passkey);
    const away = await getPage(origin, '/patient/consents');
    expect([away.status, away.headers.get('location')]).toEqual([303, '/patient/sign-in?next=/patient/consents']);
    expect((await send({ ...who, cookie: '' }, 'sign', form)).status).toBe(403);
    expect((await send(who, 'sign', form, other.token)).status).toBe(403);
    const elsewhere = { cookie: who.cookie, from: 'https://evil.example' };
    expect((await postForm(origin, '/patient/consents/sign', { token: who.token, ...form }, elsewhere)).status).toBe(403);
    expect(await reads(who)).toBe(404);
  });

  it('are recorded as read by the patient', async () => {
    const who = await person();
    await proposed(who);
    await getPage(origin, '/patient/consents', who.cookie);
    const trail = (await server.admin.call('GET', `AuditEvent?patient=Patient/${who.id}&_count=50`)).text;
    expect(trail).toContain(`"agent":[{"who":{"reference":"Patient/${who.id}"},"altId":"passkey.`);
  });
});

it('no client is registered under the name of a passkey: it would see what the patient did', async () => {
  const registration = { client_name: 'x', client_secret: 'a secret of some length', scope: 'system/*.rs', actor: INSURER, purposes: ['TREAT'] };
  const named = (client_id: string) => server.admin.call('POST', '/admin/clients', { ...registration, client_id });
  expect((await named(`passkey.${'0'.repeat(32)}`)).status).toBe(400);
  expect((await named('passkeys')).status).toBe(201);
});
