/** A patient lets an app into their own record by a Consent signed with a passkey; grant and Consent live and die together. authorization.md §3 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSession, enrolKey, type Key } from '../../server/commands/demo/session.ts';
import {
  type AppClient,
  type Asked,
  authorizeUrl,
  type Browser,
  exchange,
  fieldOn,
  type LaunchBench,
  openBrowser,
  postToken,
  registerApp,
  scopesOn,
  signInPatient,
  signOn,
  startLaunchBench,
  type Visit,
} from '../support/app-launch.ts';
import type { SoftPasskey } from '../support/authenticator.ts';
import { approve, refuse, requestTasks, toldOf } from '../support/consent-requests.ts';
import { enrolPasskey } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put, register } from '../support/real-server.ts';

const SCOPE = 'launch/patient openid fhirUser offline_access patient/Observation.rs patient/Condition.rs';
const DAY_MS = 86_400_000;

let bench: LaunchBench;
let app: AppClient;
let counter = 0;

type Person = { readonly id: string; readonly passkey: SoftPasskey; readonly browser: Browser };

async function benchWith(settings: Readonly<Record<string, string>>): Promise<void> {
  bench = await startLaunchBench({ ASSENT_IMPLICIT_POLICY: 'deny', ...settings });
  await put(bench.server, organization(HOSPITAL));
  app = await registerApp(bench);
}

/** With a record, a passkey and a browser in which they are signed in. */
async function person(more: Readonly<Record<string, unknown>> = {}): Promise<Person> {
  const id = `p${++counter}`;
  await put(bench.server, { ...patient(id), ...more });
  await put(bench.server, observation(`new-${id}`, `Patient/${id}`, { effectiveDateTime: new Date(bench.server.now() - 30 * DAY_MS).toISOString() }));
  await put(bench.server, observation(`old-${id}`, `Patient/${id}`, { effectiveDateTime: '2001-01-01' }));
  const passkey = await enrolPasskey({ admin: bench.server.admin, origin: bench.origin }, `Patient/${id}`);
  const browser = openBrowser();
  await signInPatient(browser, bench, passkey);
  return { id, passkey, browser };
}

/** The first page, answered. */
async function goOn(
  { browser }: Person,
  address: string,
  { scopes, days = '90', since = 'all' }: { scopes?: readonly string[]; days?: string; since?: string } = {},
): Promise<Visit> {
  const page = await browser.visit(address);
  expect(page.text).toContain('Go on');
  const form = new URLSearchParams({ answer: 'allow', days, since });
  for (const scope of scopes ?? scopesOn(page.text)) form.append('scope', scope);
  return browser.visit(page.url, form);
}

async function letIn(who: Person, more: Parameters<typeof goOn>[2] & { readonly client?: AppClient; readonly scope?: string } = {}) {
  const client = more.client ?? app;
  const asked = authorizeUrl(bench, client, { scope: more.scope ?? SCOPE });
  const page = await goOn(who, asked.address, more);
  const back = await signOn(who.browser, page, who.passkey);
  return { asked, page, back };
}

const tokenOf = async (asked: Asked, back: Visit, client = app) => (await exchange(bench, client, { asked, back: back.url })).json;

async function get(token: unknown, path: string) {
  const response = await fetch(`${bench.fhir}/${path}`, { headers: { authorization: `Bearer ${String(token)}` } });
  const json = (await response.json()) as { readonly entry?: readonly { readonly resource: { readonly id: string } }[] };
  return { status: response.status, ids: (json.entry ?? []).map(({ resource }) => resource.id).sort() };
}

/** On the patient's page of their consents, the newest. */
async function withdrawNewest({ browser, passkey }: Person): Promise<void> {
  const list = await browser.visit(`${bench.origin}/patient/consents`);
  const form = { id: fieldOn(list.text, 'id'), token: fieldOn(list.text, 'token') };
  const done = await signOn(browser, await browser.visit(`${bench.origin}/patient/consents/review`, form), passkey);
  expect(done.text).toContain('Withdrawn.');
}

describe('where the patient alone signs', () => {
  beforeAll(() => benchWith({ ASSENT_APPROVALS: 'patient' }));
  afterAll(() => bench.stop());

  test('the words of the Consent are shown and signed; the app then sees that, and after a withdrawal nothing, at its next request', async () => {
    const who = await person();
    const { asked, page, back } = await letIn(who);
    expect(page.text).toContain(`Device/${app.id}`);
    expect(page.text).toContain('Growth chart');
    const json = await tokenOf(asked, back);
    expect(json).toMatchObject({ patient: who.id, scope: SCOPE });
    const token = json['access_token'];
    expect(await get(token, 'Observation')).toEqual({ status: 200, ids: [`new-${who.id}`, `old-${who.id}`] });
    const again = await postToken(bench, app, { grant_type: 'refresh_token', refresh_token: String(json['refresh_token']) });
    expect((await get(again.json['access_token'], `Observation/new-${who.id}`)).status).toBe(200);
    await withdrawNewest(who);
    expect((await get(token, 'Observation')).status).toBe(401);
    expect((await get(again.json['access_token'], 'Observation')).status).toBe(401);
    const refreshed = await postToken(bench, app, { grant_type: 'refresh_token', refresh_token: String(again.json['refresh_token']) });
    expect(refreshed.json['error']).toBe('invalid_grant');
    expect((await postToken(bench, app, { token: String(again.json['access_token']) }, 'introspect')).json).toEqual({ active: false });
  });

  test('withdrawn before the code is used, the code is worth nothing', async () => {
    const who = await person();
    const { asked, back } = await letIn(who);
    await withdrawNewest(who);
    expect((await tokenOf(asked, back))['error']).toBe('invalid_grant');
  });

  test('what was taken away is in neither the Consent nor the token; only the time that was left is seen', async () => {
    const who = await person();
    const { asked, page, back } = await letIn(who, { scopes: ['patient/Observation.rs'], since: '1y', days: '1' });
    expect(page.text).not.toContain('Condition');
    const json = await tokenOf(asked, back);
    expect(await get(json['access_token'], 'Observation')).toEqual({ status: 200, ids: [`new-${who.id}`] });
    expect((await get(json['access_token'], 'Condition')).status).toBe(403);
  });

  test('on the same terms nothing is signed twice; on other terms it is', async () => {
    const who = await person();
    await letIn(who);
    const asked = authorizeUrl(bench, app, { scope: SCOPE });
    const back = await goOn(who, asked.address);
    expect((await tokenOf(asked, back))['patient']).toBe(who.id);
    for (const other of [{ days: '30' }, { since: '1y' }])
      expect((await goOn(who, authorizeUrl(bench, app, { scope: SCOPE }).address, other)).text).toContain('data-passkey="sign"');
    const fewer = await goOn(who, authorizeUrl(bench, app, { scope: SCOPE }).address, { scopes: ['patient/Condition.rs'] });
    expect([fewer.status, fewer.text.includes('data-passkey="sign"')]).toEqual([200, true]);
  });

  test('is for this app: another one of the same organization sees nothing by it', async () => {
    const who = await person();
    await letIn(who);
    const other = await register(bench.server, { actor: 'Organization/app' });
    expect((await other.session.call('GET', `Observation/new-${who.id}`)).status).toBe(404);
  });

  test.each<[string, (who: Person, page: Visit) => Promise<Visit>]>([
    ['no signature', (who, page) => who.browser.visit(page.url, { answer: 'sign', statement: fieldOn(page.text, 'statement') })],
    ['another page’s signature', (who, page) => signOn(who.browser, page, who.passkey, { origin: 'https://evil.example.org' })],
    ['nobody verified', (who, page) => signOn(who.browser, page, who.passkey, { flags: 0x01 })],
    ['another challenge', (who, page) => signOn(who.browser, page, who.passkey, { challenge: 'AAAA' })],
    ['another site', (who, page) => signOn(who.browser, page, who.passkey, { rpId: 'evil.example.org' })],
    ['another statement', (who, page) => signOn(who.browser, { ...page, text: page.text.replaceAll('Condition', 'Encounter') }, who.passkey)],
    ['somebody else’s passkey', async (who, page) => signOn(who.browser, page, (await person()).passkey)],
    ['a look before anything is signed', (who, page) => who.browser.visit(page.url, { answer: 'look' })],
  ])('%s lets nobody in', async (_, forged) => {
    const who = await person();
    const page = await goOn(who, authorizeUrl(bench, app, { scope: SCOPE }).address);
    const { status, url } = await forged(who, page);
    expect([url.origin, url.searchParams.get('code')]).toEqual([bench.origin, null]);
    expect([200, 400, 403, 422]).toContain(status);
    expect((await bench.server.admin.call('GET', `Consent?patient=${who.id}&status=active&_summary=count`)).json['total']).toBe(0);
  });

  test('a page of another patient’s is not signed in this browser', async () => {
    const [who, other] = [await person(), await person()];
    const page = await goOn(who, authorizeUrl(bench, app, { scope: SCOPE }).address);
    await signInPatient(who.browser, bench, other.passkey);
    expect((await signOn(who.browser, page, other.passkey)).status).toBe(400);
  });

  test('whoever signed in elsewhere signs with a passkey first; to be told who it is takes none', async () => {
    const who = await person();
    bench.idp.user = `Patient/${who.id}`;
    const browser = openBrowser();
    const asked = authorizeUrl(bench, app, { scope: SCOPE });
    const first = await browser.visit(asked.address);
    const page = await browser.visit(first.url, { answer: 'sign-in' });
    expect(page.text).toContain('Sign in with it first');
    const pushed = await browser.visit(page.url, new URLSearchParams({ answer: 'allow', scope: 'patient/Observation.rs', days: '1', since: 'all' }));
    expect([pushed.status, pushed.text.includes('Sign in with it first')]).toEqual([200, true]);
    await signInPatient(browser, bench, who.passkey);
    const back = await signOn(browser, await goOn({ ...who, browser }, page.url.href), who.passkey);
    expect((await tokenOf(asked, back))['patient']).toBe(who.id);
    const login = authorizeUrl(bench, app, { scope: 'openid fhirUser' });
    const known = openBrowser();
    const again = await known.visit((await known.visit(login.address)).url, { answer: 'sign-in' });
    bench.idp.user = 'Practitioner/7';
    const done = await known.visit(again.url, { answer: 'allow' });
    expect((await tokenOf(login, done))['scope']).toBe('openid fhirUser');
  });

  test('a record that names no organization that keeps it opens to no app, and the page says why', async () => {
    const who = await person({ managingOrganization: undefined });
    const page = await goOn(who, authorizeUrl(bench, app, { scope: SCOPE }).address);
    expect(page.text).toContain('does not say which organization keeps it');
  });

  test('what the page did not offer is refused', async () => {
    const who = await person();
    const { address } = authorizeUrl(bench, app, { scope: SCOPE });
    expect((await goOn(who, address, { scopes: ['user/*.rs'] })).status).toBe(400);
    expect((await goOn(who, address, { days: '36500' })).status).toBe(400);
    expect((await goOn(who, address, { since: '' })).status).toBe(400);
  });
});

describe('where the custodian signs as well', () => {
  let custodian: Key;
  beforeAll(async () => {
    await benchWith({ ASSENT_APPROVALS: 'both' });
    custodian = await enrolKey(bench.server.admin, HOSPITAL);
  });
  afterAll(() => bench.stop());

  async function waiting(who: Person) {
    const { asked, page, back } = await letIn(who);
    expect([back.status, back.text.includes('has to sign as well')]).toEqual([200, true]);
    const hospital = (await register(bench.server, { actor: HOSPITAL })).session;
    const statement = fieldOn(page.text, 'statement');
    const task = (await requestTasks(hospital)).find(({ input }) => JSON.stringify(input).includes(JSON.stringify(statement)));
    if (!task) throw new Error('The custodian was not asked.');
    return { asked, back, hospital, told: await toldOf(task, hospital) };
  }

  test('the app waits until it did; then it is let in, now and when it is opened again', async () => {
    const who = await person();
    const { asked, back, hospital, told } = await waiting(who);
    expect((await who.browser.visit(back.url, { answer: 'look' })).text).toContain('has to sign as well');
    expect((await approve(hospital, told, [custodian])).status).toBe(201);
    const token = await tokenOf(asked, await who.browser.visit(back.url, { answer: 'look' }));
    expect((await get(token['access_token'], 'Observation')).ids).toEqual([`new-${who.id}`, `old-${who.id}`]);
    const later = authorizeUrl(bench, app, { scope: SCOPE });
    expect((await tokenOf(later, await goOn(who, later.address)))['patient']).toBe(who.id);
  });

  test('refused by the custodian, it is not let in', async () => {
    const who = await person();
    const { back, hospital, told } = await waiting(who);
    expect((await refuse(hospital, told, { key: custodian, now: bench.server.now() })).status).toBe(200);
    const page = await who.browser.visit(back.url, { answer: 'look' });
    expect([page.status, page.text.includes('It was not granted')]).toEqual([200, true]);
  });
});

test('under an open policy as well, an app is only let in by a signature, and dies with the key that gave it', async () => {
  await benchWith({ ASSENT_APPROVALS: 'patient', ASSENT_IMPLICIT_POLICY: 'permit-except' });
  try {
    const who = await person();
    const since = new Date(bench.server.now()).toISOString();
    const { asked, back } = await letIn(who);
    const token = (await tokenOf(asked, back))['access_token'];
    expect((await get(token, 'Observation')).status).toBe(200);
    const admin = await createSession(bench.server.bootstrap, bench.server.bootstrap.admin, 'system/*.cruds admin');
    const [key] = (await admin.call('GET', `/admin/keys?owner=Patient/${who.id}`)).json['keys'] as { readonly kid: string }[];
    const stolen = await admin.call('POST', `/admin/keys/${key?.kid}/revoke`, { reason: 'stolen', compromisedSince: since });
    expect(stolen.status).toBe(200);
    expect((await get(token, 'Observation')).status).toBe(401);
  } finally {
    await bench.stop();
  }
});

test('it ends with its period: tokens are not refreshed after it', async () => {
  await benchWith({ ASSENT_APPROVALS: 'patient' });
  try {
    const who = await person();
    const { asked, back } = await letIn(who, { days: '1' });
    const json = await tokenOf(asked, back);
    bench.server.advance(DAY_MS + 1000);
    const refreshed = await postToken(bench, app, { grant_type: 'refresh_token', refresh_token: String(json['refresh_token']) });
    expect(refreshed.json['error']).toBe('invalid_grant');
  } finally {
    await bench.stop();
  }
});
