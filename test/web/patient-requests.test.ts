/** Requests for a Consent on the patient's pages, over HTTP against the whole server: told of, approved, narrowed, refused; by a real requester and custodian. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Key, type Session, submit } from '../../server/commands/demo/session.ts';
import type { SoftPasskey } from '../support/authenticator.ts';
import { approve, askFor, requestTasks, type Task, toldOf } from '../support/consent-requests.ts';
import { enrolPasskey, getPage, type Page, postForm, signInOptions, signInWith, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put, register, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const ZH = { 'accept-language': 'zh-CN' };

let server: Awaited<ReturnType<typeof startNamedServer>>;
let origin: string;
let custodian: Key;
let insurer: Session;
let counter = 0;

beforeAll(async () => {
  server = await startNamedServer();
  origin = server.origin;
  await put(server, { ...organization(HOSPITAL), name: 'Riverside Hospital' });
  await put(server, { ...organization(INSURER), name: 'Fair & Square Insurance' });
  custodian = await enrolKey(server.admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER, purposes: ['HPAYMT'] })).session;
});
afterAll(() => server.stop());

type Person = { readonly id: string; readonly passkey: SoftPasskey; readonly cookie: string; readonly token: string };

async function person(): Promise<Person> {
  const id = `r${++counter}`;
  await put(server, patient(id));
  await put(server, observation(`o-${id}`, `Patient/${id}`));
  await put(server, { resourceType: 'Condition', id: `c-${id}`, subject: { reference: `Patient/${id}` }, code: { text: 'Asthma' } });
  const passkey = await enrolPasskey(server, `Patient/${id}`);
  const { cookie } = await signInWith(origin, passkey.assertion(await signInOptions(origin)));
  return { id, passkey, cookie, token: fieldOf((await getPage(origin, '/patient', cookie)).text, 'token') };
}

const unescaped = (text: string) =>
  text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
const fieldOf = (page: string, name: string) => unescaped(new RegExp(`name="${name}" value="([^"]*)"`).exec(page)?.[1] ?? '');
const classes = (...types: readonly string[]) => types.map((code) => ({ system: 'http://hl7.org/fhir/resource-types', code }));

/** By the insurer, over FHIR. */
async function ask({ id }: Person, provision: Json = { class: classes('Observation', 'Condition') }): Promise<Task> {
  const terms = termsOf(server, { patient: `Patient/${id}`, grantee: INSURER, purposes: ['HPAYMT'], provision });
  const answer = await askFor(insurer, terms, new Date(server.now() + 3_600_000).toISOString());
  expect(answer.status, answer.text).toBe(202);
  return answer.json as Task;
}

const idOf = ({ focus }: Task) => focus.reference.slice('Consent/'.length);
const home = ({ cookie }: Person) => getPage(origin, '/patient', cookie);
const send = ({ cookie, token }: Person, act: string, form: Readonly<Record<string, string>>) =>
  postForm(origin, `/patient/consents/${act}`, { token, ...form }, { cookie });
const status = async ({ id }: Task) => ((await insurer.call('GET', `Task/${id}`)).json as Task).status;
const reads = async ({ id }: Person) => [
  (await insurer.call('GET', `Observation/o-${id}`)).status,
  (await insurer.call('GET', `Condition/c-${id}`)).status,
];

/** As the script fills in the form of a page that goes to `act`. */
function signed({ text }: Page, act: string, passkey: SoftPasskey): Readonly<Record<string, string>> {
  const form = text.slice(text.indexOf(`action="/patient/consents/${act}"`));
  const challenge = /data-challenge="([^"]+)"/.exec(form)?.[1] ?? '';
  return { statement: fieldOf(form, 'statement'), webauthn: JSON.stringify(passkey.assertion({ challenge })) };
}

function narrow({ cookie, token }: Person, request: Task, { types, until }: { types: readonly string[]; until: string }): Promise<Page> {
  const form = new URLSearchParams({ token, id: idOf(request), until });
  for (const type of types) form.append('type', type);
  return postForm(origin, '/patient/consents/narrow', form, { cookie });
}

const lastDay = (page: string) => /name="until"[^>]* value="([^"]*)"/.exec(page)?.[1] ?? '';
const dayFromNow = (days: number) => new Date(server.now() + days * 86_400_000).toISOString().slice(0, 10);

describe('a request for a consent', () => {
  it('stands on the first page of the patient it is about, with who, why, what, how long and until when; and on nobody else’s', async () => {
    const [who, other] = [await person(), await person()];
    expect((await home(who)).text).toContain('Nobody waits for an answer of yours.');
    await ask(who);
    const { text } = await home(who);
    expect(text).toContain('<h3>Fair &amp; Square Insurance</h3>');
    expect(text).toContain('<dd>payment</dd>');
    expect(text).toContain('<dd>Results and measurements, Conditions</dd>');
    expect(text).toMatch(/<dd>from <time [^>]+>1 January 2024<\/time> until <time [^>]+>31 December \d{4}<\/time><\/dd>/);
    expect(text).toContain('<dd>Riverside Hospital</dd>');
    expect(text).toMatch(/<dt>Answer by<\/dt><dd><time/);
    expect(text.length).toBeLessThan(60_000);
    expect((await home(other)).text).toContain('Nobody waits for an answer of yours.');
  });

  it('is approved by the patient and the custodian, and then the requester reads', async () => {
    const who = await person();
    const request = await ask(who);
    const page = await send(who, 'review', { id: idOf(request) });
    expect(page.text).toContain('Riverside Hospital has to agree as well');
    expect((await send(who, 'sign', signed(page, 'sign', who.passkey))).text).toContain('once the other signature is there');
    expect((await home(who)).text).toContain('Nobody waits for an answer of yours.');
    expect((await send(who, 'review', { id: idOf(request) })).text).toContain('You have signed it.');
    expect(await reads(who)).toEqual([404, 404]);
    expect((await approve(server.admin, await toldOf(request, server.admin), [custodian])).status).toBe(201);
    expect([await status(request), await reads(who)]).toEqual(['completed', [200, 200]]);
  });

  it('is refused, with a reason that whoever asked and the custodian never see', async () => {
    const who = await person();
    const request = await ask(who);
    const page = await send(who, 'review', { id: idOf(request) });
    const done = await send(who, 'refuse', { id: idOf(request), reason: ' They sold\nmy data. ', ...signed(page, 'refuse', who.passkey) });
    expect(done.text).toContain('Refused.');
    // Whoever asked is told at the deadline, as of silence.
    expect([await status(request), await reads(who)]).toEqual(['requested', [404, 404]]);
    const tasks = (await server.admin.call('GET', `Task?patient=Patient/${who.id}&code=urn:assent:request|`)).json['entry'] as { resource: Json }[];
    const about = tasks.filter(({ resource }) => JSON.stringify(resource).includes('They sold my data.'));
    expect(about.map(({ resource }) => resource['owner'])).toEqual([{ reference: `Patient/${who.id}` }]);
    expect((await home(who)).text).toContain('Nobody waits for an answer of yours.');
  });

  it('is gone from the page when its deadline has passed', async () => {
    const who = await person();
    await ask(who);
    server.advance(3_600_001);
    const { cookie } = await signInWith(origin, who.passkey.assertion(await signInOptions(origin)));
    expect((await home({ ...who, cookie })).text).toContain('Nobody waits for an answer of yours.');
    server.advance(-3_600_001);
  });
});

describe('a request that the patient narrows', () => {
  it('is signed as narrowed: the custodian who approved all of it is asked anew, and the requester reads what is left', async () => {
    const who = await person();
    const request = await ask(who);
    const asked = await toldOf(request, server.admin);
    expect((await approve(server.admin, asked, [custodian])).status).toBe(202);
    const page = await narrow(who, request, { types: ['Observation'], until: dayFromNow(10) });
    expect(page.text).toContain('<dd>Results and measurements</dd>');
    expect(page.text).toContain(`until <time class="said" datetime="${dayFromNow(10)}">`);
    expect((await send(who, 'sign', signed(page, 'sign', who.passkey))).text).toContain('once the other signature is there');
    const anew = await toldOf(request, server.admin);
    expect(anew.statement).toContain(dayFromNow(10));
    const open = (await requestTasks(server.admin)).filter(({ focus, status: is }) => focus.reference === asked.consent && is === 'requested');
    expect(open.map((task) => task['owner'])).toEqual([{ reference: HOSPITAL }]);
    expect((await approve(server.admin, anew, [custodian])).status).toBe(201);
    expect([await status(request), await reads(who)]).toEqual(['completed', [200, 404]]);
  });

  it('of everything is narrowed to some kinds of records', async () => {
    const who = await person();
    const request = await ask(who, {});
    const page = await narrow(who, request, { types: ['Condition', 'Immunization'], until: '' });
    expect(page.text).toContain('<dd>Conditions, Vaccinations</dd>');
    await send(who, 'sign', signed(page, 'sign', who.passkey));
    await approve(server.admin, await toldOf(request, server.admin), [custodian]);
    expect(await reads(who)).toEqual([404, 200]);
  });

  it('is never more than was asked for, and not the same', async () => {
    const who = await person();
    const request = await ask(who);
    const all = ['Observation', 'Condition'];
    const until = lastDay((await send(who, 'review', { id: idOf(request) })).text);
    const refused = async (types: readonly string[], day: string) => {
      const { status: code, text } = await narrow(who, request, { types, until: day });
      return [code, /role="alert">([^<]*)/.exec(text)?.[1]];
    };
    expect(await refused(all, '2999-01-01')).toEqual([422, 'The last day is later than what was asked for.']);
    expect(await refused(['Observation', 'Procedure'], until)).toEqual([422, 'A kind of records was not asked for.']);
    expect(await refused([], until)).toEqual([422, 'No kind of records is left: refuse it instead.']);
    expect(await refused(all, until)).toEqual([422, 'Nothing was taken away from what was asked for.']);
    expect(await refused(all, 'tomorrow')).toEqual([422, 'The last day is no date.']);
    expect((await refused(all, '2020-01-01'))[0]).toBe(422);
    expect((await home(who)).text).toContain('Fair &amp; Square Insurance');
  });

  it('is narrowed by its patient alone: not by another one, not by the custodian, and not once the patient has signed', async () => {
    const [who, other] = [await person(), await person()];
    const request = await ask(who);
    const less = { types: ['Observation'], until: '' };
    expect((await narrow(other, request, less)).status).toBe(404);
    const [page, second] = [await narrow(who, request, less), await narrow(who, request, { ...less, types: ['Condition'] })];
    const { statement = '' } = signed(page, 'sign', who.passkey);
    expect((await submit(server.admin, statement, [custodian])).status).toBe(422);
    expect((await send(other, 'sign', signed(page, 'sign', other.passkey))).status).toBe(422);
    const all = await send(who, 'review', { id: idOf(request) });
    expect((await send(who, 'sign', signed(page, 'sign', who.passkey))).status).toBe(200);
    // What was asked for first, and other terms, are over.
    for (const late of [all, second]) expect((await send(who, 'sign', signed(late, 'sign', who.passkey))).status).toBe(422);
    expect((await narrow(who, request, less)).status).toBe(404);
    expect((await approve(server.admin, await toldOf(request, server.admin), [custodian])).status).toBe(201);
    expect(await reads(who)).toEqual([200, 404]);
  });
});

describe('in Chinese', () => {
  it('a request, its narrowing and what goes wrong are told in Chinese, and the terms are signed in it', async () => {
    const who = await person();
    const request = await ask(who);
    const inChinese = { ...who, cookie: `${who.cookie}; assent-language=zh` };
    expect((await home(inChinese)).text).toContain('<dd>检查与测量结果、疾病与健康问题</dd>');
    const wrong = await narrow(inChinese, request, { types: [], until: '' });
    expect([wrong.status, wrong.text.includes('没有剩下任何内容')]).toEqual([422, true]);
    const page = await narrow(inChinese, request, { types: ['Observation'], until: '' });
    expect(page.text).toMatch(/lang="zh"><p>知情同意/);
    expect((await send(inChinese, 'sign', signed(page, 'sign', who.passkey))).text).toContain('另一方签署后即生效');
  });

  it('no page and no error has an English sentence', async () => {
    const who = await person();
    const cookie = `${who.cookie}; assent-language=zh`;
    const pages = [
      '/patient',
      '/patient/consents',
      '/patient/passkeys',
      '/patient/trail',
      '/patient/record',
      '/patient/data',
      '/patient/enrol',
      '/patient/sign-in',
    ];
    const texts = [
      ...(await Promise.all(pages.map(async (path) => (await getPage(origin, path, cookie)).text))),
      (await postForm(origin, '/patient/consents/review', { token: 'x' }, { cookie })).text,
      (await postForm(origin, '/patient/consents/review', { token: who.token, id: 'x' }, { cookie })).text,
      (await postForm(origin, '/patient/consents/withdraw', { token: who.token, id: 'x' }, { cookie })).text,
      (await postForm(origin, '/patient/passkeys/review', { token: who.token, kid: 'x' }, { cookie })).text,
      (await getPage(origin, '/patient/record/x', cookie)).text,
    ];
    for (const text of texts) {
      const said = text.replaceAll(/<(style|title)>.*?<\/\1>/gs, '').replaceAll(/<code>.*?<\/code>|lang="en">English|<[^>]*>/gs, ' ');
      expect(said.match(/[A-Za-z]{3,}(?: [A-Za-z]+){2,}/g), said).toBe(null);
    }
    const told = await fetch(`${origin}/patient/enrol/options`, {
      method: 'POST',
      headers: { origin, ...ZH },
      body: new URLSearchParams({ code: 'x' }),
    });
    expect(await told.text()).toContain('代码无效');
  });
});
