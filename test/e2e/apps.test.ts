/**
 * The example app of docs/examples in a real browser, with fhirclient, which no one here wrote: a clinician opens it by itself and from a record
 * system, it reads, renews its token, and says what went wrong.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXAMPLE_APP, type ExampleApp, serveExampleApp } from '../../server/commands/demo/example-app.ts';
import { createSession } from '../../server/commands/demo/session.ts';
import { type LaunchBench, registerApp, startLaunchBench } from '../support/app-launch.ts';
import { launchBrowser } from '../support/browser.ts';
import { HOSPITAL, observation, organization, patient, put } from '../support/real-server.ts';

let bench: LaunchBench;
let browser: Browser;
let app: ExampleApp;

beforeAll(async () => {
  [bench, browser, app] = await Promise.all([startLaunchBench(), launchBrowser(), serveExampleApp()]);
  const named = { ...patient('1'), name: [{ given: ['Ada'], family: 'Ames' }] };
  for (const resource of [organization(HOSPITAL), named, patient('2'), { resourceType: 'Practitioner', id: '7' }]) await put(bench.server, resource);
  for (const id of ['a', 'b']) await put(bench.server, observation(id, 'Patient/1'));
  await put(bench.server, observation('c', 'Patient/2'));
  await registerApp(bench, { client_id: EXAMPLE_APP, scope: 'patient/Patient.rs patient/Observation.rs', redirect_uris: [app.address] });
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
  await bench?.stop();
});

/** `complaints`: what the browser says of a page. `asked`: what the page asked of others than its own server. */
async function open(): Promise<{ readonly page: Page; readonly complaints: string[]; readonly asked: string[]; close(): Promise<void> }> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const [complaints, asked]: [string[], string[]] = [[], []];
  page.on('console', (message) => void complaints.push(message.text()));
  page.on('pageerror', (error) => void complaints.push(error.message));
  page.on('response', (response) => {
    if (response.url().startsWith(`${bench.origin}/`))
      asked.push(`${response.status()} ${response.request().method()} ${new URL(response.url()).pathname}`);
  });
  return { page, complaints, asked, close: () => context.close() };
}

/** From the app's own page to the one on which the clinician decides. */
async function ask(page: Page): Promise<void> {
  await page.goto(`${app.address}?iss=${bench.fhir}`);
  await page.getByRole('button', { name: 'Open a record' }).click();
  await page.getByRole('button', { name: 'Sign in with your organization' }).click();
  await page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
}

async function allowFor(page: Page, id: string): Promise<void> {
  await page.getByLabel('For which patient').fill(`Patient/${id}`);
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
}

const sessionOf = async (page: Page) => {
  const text = await page.evaluate<string>("sessionStorage.getItem(JSON.parse(sessionStorage.getItem('SMART_KEY')))");
  return (JSON.parse(text) as { readonly tokenResponse: Readonly<Record<string, unknown>> }).tokenResponse;
};

const post = (path: string, form: Readonly<Record<string, string>>) =>
  fetch(`${bench.origin}/auth/${path}`, { method: 'POST', body: new URLSearchParams({ client_id: EXAMPLE_APP, ...form }) });

describe('fhirclient', () => {
  test('opened by itself: reads one patient’s record, renews the token without saying who it is, and reads on', async () => {
    const { page, complaints, asked, close } = await open();
    await ask(page);
    await allowFor(page, '1');
    await page.getByText('2 measurements').waitFor();
    expect(await page.getByRole('heading', { level: 2 }).textContent()).toBe('Ada Ames');
    expect(new URL(page.url()).search).toBe('');
    const first = await sessionOf(page);
    expect(first).toMatchObject({ patient: '1', token_type: 'Bearer', expires_in: 600, id_token: expect.any(String) });
    await page.getByRole('button', { name: 'Renew the token' }).click();
    await page.getByText('The token is new.').waitFor();
    const second = await sessionOf(page);
    expect([second['patient'], second['access_token'] === first['access_token'], second['refresh_token'] === first['refresh_token']]).toEqual([
      '1',
      false,
      false,
    ]);
    // Ten minutes later, as far as the browser knows, it renews by itself.
    await page.clock.setSystemTime(Date.now() + 595_000);
    const before = asked.length;
    await page.getByRole('button', { name: 'Read again' }).click();
    const renewed = ['200 POST /auth/token', '200 GET /fhir/Patient/1', '200 GET /fhir/Observation'];
    await expect.poll(() => asked.slice(before)).toEqual(expect.arrayContaining(renewed));
    await page.getByText('2 measurements').waitFor();
    expect(asked.filter((line) => line.includes('/auth/token')).every((line) => line.startsWith('200 '))).toBe(true);
    // What it keeps outlives a reload.
    await page.reload();
    await page.getByText('2 measurements').waitFor();
    expect(complaints).toEqual([]);
    await close();
  });

  test('opened by a record system: for the patient that is open there, with no question for one', async () => {
    const secret = 'a secret of some length';
    const ehr = await registerApp(bench, { client_secret: secret, scope: 'launch', grant_types: ['client_credentials'], redirect_uris: [] });
    const session = await createSession(bench.server.bootstrap, { client_id: ehr.id, client_secret: secret }, 'launch');
    const told = { client_id: EXAMPLE_APP, user: 'Practitioner/7', patient: '2', need_patient_banner: true };
    const { launch } = (await session.call('POST', '/admin/launches', told)).json;
    const { page, complaints, close } = await open();
    await page.goto(`${app.address}?iss=${bench.fhir}&launch=${String(launch)}`);
    await page.getByRole('button', { name: 'Sign in with your organization' }).click();
    await page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
    expect(await page.getByLabel('For which patient').count()).toBe(0);
    await page.getByRole('button', { name: 'Allow', exact: true }).click();
    await page.getByText('1 measurements').waitFor();
    expect(await page.getByRole('heading', { level: 2 }).textContent()).toBe('Patient/2');
    expect(await sessionOf(page)).toMatchObject({ patient: '2', need_patient_banner: true });
    // The same launch opens nothing a second time, and the app can say why.
    await page.goto(`${app.address}?iss=${bench.fhir}&launch=${String(launch)}`);
    await page.getByText('launch is not known, or not any more').waitFor();
    expect(complaints).toEqual([]);
    await close();
  });

  test('that is not allowed says so, and may ask again', async () => {
    const { page, complaints, close } = await open();
    await ask(page);
    await page.getByRole('button', { name: 'Do not allow' }).click();
    await page.getByText('access_denied').waitFor();
    expect(await page.getByRole('heading', { level: 2 }).isVisible()).toBe(false);
    expect(await page.getByLabel('Address of the FHIR server').inputValue()).toBe(bench.fhir);
    expect(complaints).toEqual([]);
    await close();
  });

  test('whose access is ended reads nothing more, neither by its token nor by a new one', async () => {
    const { page, asked, close } = await open();
    await ask(page);
    await allowFor(page, '1');
    await page.getByText('2 measurements').waitFor();
    const { access_token: token, refresh_token: refresh } = await sessionOf(page);
    expect((await post('revoke', { token: String(token) })).status).toBe(200);
    const before = asked.length;
    await page.getByRole('button', { name: 'Read again' }).click();
    await page.getByText('Session expired').waitFor();
    expect(await page.getByRole('heading', { level: 2 }).isVisible()).toBe(false);
    expect(asked.slice(before).toSorted()).toEqual(['401 GET /fhir/Observation', '401 GET /fhir/Patient/1']);
    expect((await post('token', { grant_type: 'refresh_token', refresh_token: String(refresh) })).status).toBe(400);
    await close();
  });

  test('of the page is the one its page names by digest, so nobody changes it unseen', () => {
    const file = (name: string) => readFileSync(new URL(`../../docs/examples/app/${name}`, import.meta.url));
    const digest = createHash('sha384').update(file('fhir-client.pure.min.js')).digest('base64');
    expect(file('index.html').toString()).toContain(`src="fhir-client.pure.min.js" integrity="sha384-${digest}"`);
  });
});
