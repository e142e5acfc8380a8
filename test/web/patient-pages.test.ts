/** What a patient reads at /patient, over HTTP against the whole server: who saw what, the record, the file of all data; and that it is nobody else's. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, partOf, prepare, type Session, submit } from '../../server/commands/demo/session.ts';
import type { Row } from '../../server/consent/gate.ts';
import type { Caller } from '../../server/consent/model.ts';
import { languageOf } from '../../server/web/language.ts';
import { kindPage } from '../../server/web/patient/record.ts';
import { PAGE_SIZE } from '../../server/web/patient/record-pages.ts';
import { trailPage } from '../../server/web/patient/trail.ts';
import { patientWords } from '../../server/web/patient/words.ts';
import type { SoftPasskey } from '../support/authenticator.ts';
import { enrolPasskey, getPage, type Page, postForm, signInOptions, signInWith, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put, register, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const PAGES = ['/patient', '/patient/trail', '/patient/record', '/patient/record/results', '/patient/data'];

let server: Awaited<ReturnType<typeof startNamedServer>>;
let origin: string;
let insurer: Session;

type Person = { readonly cookie: string; readonly token: string };

async function signedIn(passkey: SoftPasskey): Promise<Person> {
  const { cookie } = await signInWith(origin, passkey.assertion(await signInOptions(origin)));
  return { cookie, token: fieldOf((await getPage(origin, '/patient', cookie)).text, 'token') };
}

/** Signed by the hospital, then by the patient on their page. */
async function permitInsurer(who: Person, passkey: SoftPasskey): Promise<void> {
  const custodian = await enrolKey(server.admin, HOSPITAL);
  const statement = partOf(await prepare(server.admin, termsOf(server, { patient: 'Patient/alice', grantee: INSURER })), 'statement');
  expect((await submit(server.admin, statement, [custodian])).status).toBe(202);
  const challenge = createHash('sha256').update(statement).digest('base64url');
  const webauthn = JSON.stringify(passkey.assertion({ challenge }));
  expect((await send(who, '/patient/consents/sign', { statement, webauthn })).status).toBe(200);
}

const fieldOf = (page: string, name: string) => new RegExp(`name="${name}" value="([^"]*)"`).exec(page)?.[1] ?? '';
const get = ({ cookie }: Person, path: string, more = '') => getPage(origin, path, `${cookie}${more}`);
const send = ({ cookie, token }: Person, path: string, form: Readonly<Record<string, string>> = {}) =>
  postForm(origin, path, { token, ...form }, { cookie });

let alice: Person;
let bob: Person;

beforeAll(async () => {
  server = await startNamedServer();
  origin = server.origin;
  for (const resource of [organization(HOSPITAL), organization(INSURER), patient('alice'), patient('bob')]) await put(server, resource);
  await put(server, observation('pulse', 'Patient/alice', { code: { text: 'Pulse <b>at rest</b>' } }));
  await put(server, observation('weight', 'Patient/alice', { code: { text: 'Weight' }, effectiveDateTime: '2024-05' }));
  insurer = (await register(server, { actor: INSURER })).session;
  expect((await insurer.call('GET', 'Observation/pulse')).status).toBe(404);
  const passkey = await enrolPasskey(server, 'Patient/alice');
  alice = await signedIn(passkey);
  bob = await signedIn(await enrolPasskey(server, 'Patient/bob'));
  await permitInsurer(alice, passkey);
  expect((await insurer.call('GET', 'Observation/pulse')).status).toBe(200);
});
afterAll(() => server.stop());

describe('the pages of a signed-in patient', () => {
  it('send everybody else to sign in, and bring them back', async () => {
    for (const path of PAGES) {
      const away = await getPage(origin, path);
      expect([away.status, away.headers.get('location')]).toEqual([303, `/patient/sign-in?next=${path}`]);
    }
    for (const path of ['/patient/data', '/patient/receipt', '/patient/trail', '/patient/record/results'])
      expect((await postForm(origin, path, { token: alice.token })).status, path).toBe(403);
    expect((await postForm(origin, '/patient/data', { token: bob.token }, { cookie: alice.cookie })).status).toBe(403);
  });

  it('an address where nothing is answers a browser with a page that leads on, and a program with an OperationOutcome', async () => {
    for (const path of ['/patient/nowhere', '/console/nowhere', '/nowhere']) {
      const page = await fetch(origin + path, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', 'accept-language': 'zh-CN' } });
      expect([path, page.status, page.headers.get('content-type')]).toEqual([path, 404, 'text/html; charset=utf-8']);
      expect(await page.text()).toMatch(/没有这个页面。[^]*href="\/patient"/);
      expect((await (await fetch(origin + path)).json()) as object).toMatchObject({ resourceType: 'OperationOutcome' });
    }
    expect((await fetch(`${origin}/fhir/Nothing/1`, { headers: { accept: 'text/html' } })).headers.get('content-type')).not.toContain('text/html');
  });

  it('run no script, ask nobody else for anything, and are small', async () => {
    for (const path of PAGES) {
      const { status, text, headers } = await get(alice, path);
      expect([status, text.includes('<script')]).toEqual([200, false]);
      expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; img-src data:; form-action 'self'/);
      expect(headers.get('cache-control')).toBe('private, no-store');
      expect(text.length).toBeLessThan(60_000);
    }
  });

  it('show who saw what, by name, with what was refused, and never another’s', async () => {
    const { text } = await get(alice, '/patient/trail');
    expect(text).toContain(`${INSURER}: Read <span class="good">done</span>`);
    expect(text).toContain('<dd>treatment </dd>');
    expect(text).toMatch(/<dd>Results and measurements × 1<\/dd>[^]*?<li><code>Observation\/pulse/);
    expect(text).toContain('You: Signed in <span class="good">done</span>');
    expect((await get(bob, '/patient/trail')).text).not.toContain('Observation/pulse');
  });

  it('give the receipt of each act as a file, and of another’s none, like one that is not there', async () => {
    const page = (await get(alice, '/patient/trail')).text;
    const card = page.slice(page.indexOf(`${INSURER}: Read`));
    const id = fieldOf(card, 'id');
    let receipt: Page;
    do receipt = await send(alice, '/patient/receipt', { id });
    while (receipt.status === 202);
    expect([receipt.status, receipt.headers.get('content-disposition')]).toEqual([200, 'attachment; filename="receipt.json"']);
    expect(receipt.text).toContain('Observation/pulse');
    const small = await send(alice, '/patient/receipt', { id, as: 'small' });
    expect(['content-type', 'content-disposition'].map((name) => small.headers.get(name))).toEqual([
      'application/vnd.assent.receipt',
      'attachment; filename="receipt.assent"',
    ]);
    const [foreign, absent] = [await send(bob, '/patient/receipt', { id }), await send(bob, '/patient/receipt', { id: 'absent' })];
    expect([foreign.status, foreign.text]).toEqual([404, absent.text]);
  });

  it('show the record in words: escaped, with units, dates as precise as written, and never another’s', async () => {
    const { text } = await get(alice, '/patient/record/results');
    expect(text).toContain('<h2>Pulse &lt;b&gt;at rest&lt;/b&gt;</h2>');
    expect(text).toContain('<dd>72 /min</dd>');
    expect(text).toContain('<dd>1 May 2024, 08:00 UTC</dd>');
    expect(text).toContain('<dd>May 2024</dd>');
    expect((await get(bob, '/patient/record/results')).text).toContain('There is nothing here.');
    expect((await get(alice, '/patient/record/constructor')).status).toBe(404);
  });

  it('go on to what is older by a form that is for this patient and this list alone', async () => {
    for (let i = 0; i <= PAGE_SIZE; i++)
      await put(server, observation(`bob-${i}`, 'Patient/bob', { code: { text: `Row ${i}.` }, effectiveDateTime: `2024-01-${10 + (i % 20)}` }));
    const first = (await get(bob, '/patient/record/results')).text;
    const page = fieldOf(first, 'page');
    const second = (await send(bob, '/patient/record/results', { page })).text;
    const rows = [first, second].map((text) => text.match(/Row \d+\./g) ?? []);
    expect(rows.map(({ length }) => length)).toEqual([PAGE_SIZE, 1]);
    expect(new Set(rows.flat()).size).toBe(PAGE_SIZE + 1);
    expect(fieldOf(second, 'page')).toBe('');
    expect((await send(alice, '/patient/record/results', { page })).status).toBe(400);
    expect((await send(bob, '/patient/trail', { page })).status).toBe(400);
  });

  it('give all data as one Bundle, under a name that says nothing, and nothing of anybody else', async () => {
    const file = await send(alice, '/patient/data');
    expect([file.status, file.headers.get('content-type'), file.headers.get('content-disposition')]).toEqual([
      200,
      'application/fhir+json',
      'attachment; filename="record.json"',
    ]);
    const entries = file.json['entry'] as { readonly fullUrl: string }[];
    const names = entries.map(({ fullUrl }) => fullUrl.split('/fhir/')[1]);
    expect(names).toEqual(expect.arrayContaining(['Patient/alice', 'Observation/pulse', 'Observation/weight', HOSPITAL]));
    expect(file.text).not.toContain('Patient/bob');
    expect(file.json).toMatchObject({ resourceType: 'Bundle', type: 'collection' });
  });
});

const caller: Caller = { client: 'c', actor: 'Patient/1', purpose: 'PATRQT', scopes: [], admin: false, choosesIds: false, tokenId: 't' };
const reader = { session: { caller, patient: 'Patient/1', formToken: 'f'.repeat(43) }, language: 'en', words: patientWords.en } as const;

it('a page of acts that showed a thousand records each is small still, and says how many they were', () => {
  const entity = Array.from({ length: 1000 }, (_, i) => ({
    what: { reference: `Observation/${'x'.repeat(36)}${i}/_history/${'v'.repeat(22)}` },
    role: { code: '4' },
  }));
  const body = JSON.stringify({ outcome: '0', subtype: [{ code: 'search-type' }], agent: [{ who: { reference: INSURER } }], entity });
  const row: Row = { type: 'AuditEvent', id: 'e'.repeat(36), version: '1', lastUpdated: 0, deleted: false, body };
  const { markup } = trailPage(reader, { rows: Array.from({ length: PAGE_SIZE }, () => row), next: undefined, names: new Map() });
  expect(markup.length).toBeLessThan(55_000);
  expect(markup).toContain('Results and measurements × 1000');
  expect(markup).toContain(patientWords.en.trail.more);
});

it('a number keeps the digits it was written with, and what has no words is left out', () => {
  const row = (body: string): Row => ({ type: 'Observation', id: '1', version: '1', lastUpdated: 0, deleted: false, body });
  const parts = '{"code":{"coding":[{"display":"Systolic"}]},"valueQuantity":{"value":120,"unit":"mmHg"}}';
  const rows = [
    row('{"status":"final","valueQuantity":{"comparator":"<","value":72.50,"unit":"kg"}}'),
    row(`{"code":{"text":"Pressure"},"component":[${parts}]}`),
  ];
  const { markup } = kindPage(reader, 'results', { rows, next: undefined });
  expect(markup).toContain('<dd>&lt;72.50 kg</dd>');
  expect(markup).toContain(patientWords.en.record.unnamed);
  expect(markup).toContain('<dt>Systolic</dt><dd>120 mmHg</dd>');
  expect(markup).not.toContain('undefined');
});

describe('the languages', () => {
  it('are chosen by the reader, kept, and else those of the browser', async () => {
    const chosen = await send(alice, '/patient/language', { language: 'zh' });
    expect([chosen.status, chosen.cookie]).toEqual([303, 'assent-language=zh']);
    const { text } = await get(alice, '/patient', `; ${chosen.cookie}`);
    expect(text).toContain('<html lang="zh">');
    expect(text).toContain(patientWords.zh.home);
    expect((await send(alice, '/patient/language', { language: 'toString' })).status).toBe(400);
    const leads = async (here: string) => (await send(alice, '/patient/language', { language: 'zh', here })).headers.get('location');
    expect(await Promise.all(['/patient/trail', 'https://evil.example', '//evil.example'].map(leads))).toEqual([
      '/patient/trail',
      '/patient',
      '/patient',
    ]);
    const prefers = (header: string) => languageOf({ 'accept-language': header });
    expect([prefers('zh-CN,zh;q=0.9'), prefers('de, zh;q=0.5, en;q=0.7'), prefers('zh;q=0'), prefers('constructor')]).toEqual([
      'zh',
      'en',
      'en',
      'en',
    ]);
  });

  it('have all that is said, and the views have no words of their own', () => {
    expect(shapeOf(patientWords.zh)).toEqual(shapeOf(patientWords.en));
    const sources = [
      'server/authz/passkeys.ts',
      'server/authz/recovery-proposals.ts',
      'server/consent/narrowing.ts',
      'server/web/forms.ts',
      'server/web/authorize/plugin.ts',
    ].map((file) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'));
    for (const sentence of Object.keys(patientWords.zh.errors.sentences)) expect(sources.join('\n')).toContain(`'${sentence}'`);
    const names = ['consent', 'consents', 'errors', 'frame', 'home', 'inbox', 'narrow', 'own-keys', 'passkeys', 'record', 'sign', 'terms', 'trail'];
    const views = names.map((name) => readFileSync(new URL(`../../server/web/patient/${name}.ts`, import.meta.url), 'utf8'));
    expect(wordsIn('html`<p>Hello ${name}</p>`')).toEqual(['Hello']);
    expect(views.flatMap(wordsIn)).toEqual([]);
  });
});

/** Names of all that is said, in order. */
function shapeOf(words: object, path = ''): readonly string[] {
  // What others say in English has its translation only.
  const own = Object.entries(words).filter(([name]) => name !== 'sentences');
  return own.flatMap(([name, value]) => (typeof value === 'string' ? [`${path}${name}`] : shapeOf(value as object, `${path}${name}.`)));
}

/** What stands between tags in the templates of a view. */
function wordsIn(source: string): readonly string[] {
  return [...source.matchAll(/[a-z"/]>([^<>`]*)</g)]
    .map(([, text = '']) => text.replaceAll(/\$\{[^}]*\}?/g, '').trim())
    .filter((text) => /\p{L}{2}/u.test(text));
}
