/** Two browsers, one of them an attacker's: what one began the other neither goes on with, nor is it signed in by it. authorization.md §5 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  allow,
  type AppClient,
  authorizeUrl,
  type Browser,
  exchange,
  type LaunchBench,
  openBrowser,
  registerApp,
  scopesOn,
  startLaunchBench,
} from '../support/app-launch.ts';
import { enrolPasskey, getPage, postForm, signInOptions, signInWith } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put } from '../support/real-server.ts';

let bench: LaunchBench;
let app: AppClient;
beforeAll(async () => {
  bench = await startLaunchBench();
  for (const resource of [organization(HOSPITAL), patient('1'), { resourceType: 'Practitioner', id: '7' }]) await put(bench.server, resource);
  app = await registerApp(bench);
});
afterAll(() => bench.stop());

/** By host and name. */
type Cookies = Map<string, string>;

const cookiesFor = (cookies: Cookies, url: string) =>
  [...cookies].flatMap(([key, value]) => (key.startsWith(`${new URL(url).host} `) ? [`${key.split(' ')[1]}=${value}`] : [])).join('; ');

/** Redirects one by one, with the cookies of this one browser. Resolves with the first address that `stop` names, or where a page is. */
async function follow(address: string, cookies: Cookies, stop: (url: string) => boolean, form?: URLSearchParams): Promise<string> {
  let [url, body] = [address, form];
  for (let hop = 0; hop < 20; hop++) {
    if (!body && stop(url)) return url;
    const cookie = cookiesFor(cookies, url);
    const sent = body ? { method: 'POST', body, headers: { cookie, origin: bench.origin } } : { headers: { cookie } };
    const response = await fetch(url, { redirect: 'manual', ...sent });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(`${new URL(url).host} ${name}`, value);
    }
    const location = response.headers.get('location');
    if (location === null) return url;
    [url, body] = [new URL(location, url).href, undefined];
  }
  throw new Error('It redirects without end.');
}

const never = () => false;
const returning = (url: string) => url.startsWith(`${bench.origin}/authorize/return`);

test('a sign-in that the attacker began is not finished in the victim’s browser, and stays unused', async () => {
  const attacker: Cookies = new Map();
  const page = await follow(authorizeUrl(bench, app).address, attacker, never);
  const link = await follow(page, attacker, returning, new URLSearchParams({ answer: 'sign-in' }));
  expect([returning(link), new URL(link).searchParams.has('code')]).toEqual([true, true]);
  // The victim is lured to it: with no sign-in under way, and with one of their own.
  expect((await openBrowser().visit(link)).status).toBe(403);
  const victim: Cookies = new Map();
  const own = await follow(authorizeUrl(bench, app).address, victim, never);
  await follow(own, victim, returning, new URLSearchParams({ answer: 'sign-in' }));
  expect((await fetch(link, { headers: { cookie: cookiesFor(victim, link) }, redirect: 'manual' })).status).toBe(403);
});

test('the page of one request of an app is opened and answered in its own browser only', async () => {
  const [attacker, victim] = [openBrowser(), openBrowser()];
  const theirs = await attacker.visit(authorizeUrl(bench, app).address);
  const mine = await victim.visit(authorizeUrl(bench, app).address);
  await victim.visit(mine.url, { answer: 'sign-in' });
  for (const [browser, page] of [
    [victim, theirs],
    [attacker, mine],
  ] as const satisfies readonly (readonly [Browser, { url: URL }])[]) {
    expect((await browser.visit(page.url)).status).toBe(410);
    for (const answer of ['allow', 'deny', 'sign-in']) expect((await browser.visit(page.url, { answer, patient: '1' })).status, answer).toBe(410);
  }
  // The victim's own still stands.
  const page = await victim.visit(mine.url);
  expect(scopesOn(page.text)).toEqual(['patient/*.rs']);
});

test('who signed in for one request of an app is not signed in for the next, in the same browser', async () => {
  const browser = openBrowser();
  await allow(browser, authorizeUrl(bench, app).address, { patient: '1' });
  const next = await browser.visit(authorizeUrl(bench, app).address);
  expect([next.status, next.text.includes('value="sign-in"'), next.text.includes('value="allow"')]).toEqual([200, true, false]);
});

test('what a person approved goes on in that person’s browser only', async () => {
  const victim: Cookies = new Map();
  const asked = authorizeUrl(bench, app);
  const page = await follow(asked.address, victim, never);
  const signedIn = await follow(page, victim, never, new URLSearchParams({ answer: 'sign-in' }));
  const approval = new URLSearchParams({ answer: 'allow', patient: '1', scope: 'patient/*.rs' });
  const resume = await follow(signedIn, victim, (url) => url.startsWith(`${bench.origin}/auth/authorize/`), approval);
  expect(resume).toContain('/auth/authorize/');
  // Whoever saw the address has no code by it.
  const seen = await openBrowser().visit(resume);
  expect([seen.status, seen.url.searchParams.has('code')]).toEqual([400, false]);
  const back = await follow(resume, victim, (url) => url.startsWith('https://app.example.org/'));
  expect((await exchange(bench, app, { asked, back: new URL(back) })).json['patient']).toBe('1');
  // And not a second time.
  expect(await follow(resume, victim, (url) => url.startsWith('https://app.example.org/'))).toBe(resume);
});

test('a session that was planted in the victim’s browser stays the attacker’s: the victim’s is another', async () => {
  const { server, origin } = bench;
  for (const [id, value] of [
    ['victim', 4711],
    ['attacker', 1234],
  ] as const) {
    await put(server, patient(id));
    await put(server, observation(`of-${id}`, `Patient/${id}`, { valueQuantity: { value, unit: '/min' } }));
  }
  const own = { admin: server.admin, origin };
  const [mine, theirs] = [await enrolPasskey(own, 'Patient/victim'), await enrolPasskey(own, 'Patient/attacker')];
  const planted = (await signInWith(origin, theirs.assertion(await signInOptions(origin)))).cookie;
  const answer = JSON.stringify(mine.assertion(await signInOptions(origin)));
  const { cookie } = await postForm(origin, '/patient/sign-in', { answer }, { cookie: planted });
  expect([cookie === planted, cookie.split('=')[0]]).toEqual([false, planted.split('=')[0]]);
  const shown = async (session: string) => /4711|1234/.exec((await getPage(origin, '/patient/record/results', session)).text)?.[0];
  expect([await shown(cookie), await shown(planted)]).toEqual(['4711', '1234']);
  // A name that nobody was given is no session.
  expect((await getPage(origin, '/patient/record/results', `${planted.split('=')[0]}=${'x'.repeat(43)}`)).status).not.toBe(200);
});
