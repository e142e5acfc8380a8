/** What an app was given, or may still ask for, ends in time: pages, launches, codes, refresh tokens. Time is moved, nothing waits. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSession } from '../../server/commands/demo/session.ts';
import {
  allow,
  type AppClient,
  authorizeUrl,
  exchange,
  type LaunchBench,
  launchApp,
  openBrowser,
  postToken,
  registerApp,
  scopesOn,
  startLaunchBench,
} from '../support/app-launch.ts';
import { HOSPITAL, organization, patient, put } from '../support/real-server.ts';

const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];

let bench: LaunchBench;
let app: AppClient;
beforeEach(async () => {
  bench = await startLaunchBench();
  for (const resource of [organization(HOSPITAL), patient('1'), { resourceType: 'Practitioner', id: '7' }]) await put(bench.server, resource);
  app = await registerApp(bench);
});
afterEach(() => bench.stop());

const refresh = async (token: unknown) => postToken(bench, app, { grant_type: 'refresh_token', refresh_token: String(token) });

test('a code: one minute', async () => {
  const codeFor = async () => {
    const asked = authorizeUrl(bench, app);
    return { asked, back: (await allow(openBrowser(), asked.address, { patient: '1' })).url };
  };
  const [early, late] = [await codeFor(), await codeFor()];
  bench.server.advance(50 * SECOND);
  expect((await exchange(bench, app, early)).status).toBe(200);
  bench.server.advance(11 * SECOND);
  expect((await exchange(bench, app, late)).json['error']).toBe('invalid_grant');
});

test('a page on which nobody decided: a quarter of an hour', async () => {
  const browser = openBrowser();
  const first = await browser.visit(authorizeUrl(bench, app).address);
  const page = await browser.visit(first.url, { answer: 'sign-in' });
  bench.server.advance(14 * MINUTE);
  expect((await browser.visit(page.url)).status).toBe(200);
  bench.server.advance(61 * SECOND);
  expect((await browser.visit(page.url)).status).toBe(410);
  const form = new URLSearchParams({ answer: 'allow', patient: '1', scope: scopesOn(page.text)[0] ?? '' });
  expect((await browser.visit(page.url, form)).status).toBe(410);
});

test('a launch of an EHR: five minutes, also where the page was open in time', async () => {
  const secret = 'a secret of some length';
  const ehr = await registerApp(bench, { client_secret: secret, scope: 'launch', grant_types: ['client_credentials'], redirect_uris: [] });
  const session = await createSession(bench.server.bootstrap, { client_id: ehr.id, client_secret: secret }, 'launch');
  const opened = await session.call('POST', '/admin/launches', { client_id: app.id, patient: '1' });
  const asked = () => authorizeUrl(bench, app, { scope: 'launch patient/*.rs', launch: String(opened.json['launch']) }).address;
  const browser = openBrowser();
  const first = await browser.visit(asked());
  const page = await browser.visit(first.url, { answer: 'sign-in' });
  expect(page.text).toContain('value="allow"');
  bench.server.advance(Number(opened.json['expires_in']) * SECOND + 1);
  expect((await openBrowser().visit(asked())).url.searchParams.get('error')).toBe('invalid_request');
  expect((await browser.visit(page.url, { answer: 'allow', scope: 'patient/*.rs' })).status).toBe(410);
});

test('online access: twelve hours after the last refresh', async () => {
  const { json } = await launchApp(bench, app, { patient: '1', scope: 'online_access patient/*.rs' });
  bench.server.advance(11 * HOUR);
  const second = await refresh(json['refresh_token']);
  expect(second.status).toBe(200);
  bench.server.advance(11 * HOUR);
  const third = await refresh(second.json['refresh_token']);
  expect(third.status).toBe(200);
  bench.server.advance(12 * HOUR + SECOND);
  expect((await refresh(third.json['refresh_token'])).json['error']).toBe('invalid_grant');
});

test('offline access: ninety days after the approval, however often it is refreshed', async () => {
  const { json } = await launchApp(bench, app, { patient: '1', scope: 'offline_access patient/*.rs' });
  let token = json['refresh_token'];
  for (let day = 0; day < 80; day += 40) {
    bench.server.advance(40 * DAY);
    const next = await refresh(token);
    expect([next.status, next.json['patient']]).toEqual([200, '1']);
    token = next.json['refresh_token'];
  }
  bench.server.advance(11 * DAY);
  expect((await refresh(token)).json['error']).toBe('invalid_grant');
});
