/** The console as an administrator meets it: a real browser without JavaScript, a real server. */
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launchBrowser } from '../support/browser.ts';
import { type ServerProcess, startServer } from '../support/server-process.ts';

let server: ServerProcess;
let browser: Browser;
const patient = 'console-patient';

beforeAll(async () => {
  [server, browser] = await Promise.all([startServer(), launchBrowser()]);
  await createPatient();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** One act to be shown: the creation of a patient, under an id only an administrator may choose. */
async function createPatient(): Promise<void> {
  const { tokenUrl, admin, fhirBaseUrl } = server.bootstrap;
  const authorization = `Basic ${Buffer.from(`${admin.client_id}:${admin.client_secret}`).toString('base64')}`;
  const form = new URLSearchParams({ grant_type: 'client_credentials', scope: 'system/*.cruds admin' });
  const { access_token } = (await (await fetch(tokenUrl, { method: 'POST', headers: { authorization }, body: form })).json()) as {
    access_token: string;
  };
  const created = await fetch(`${fhirBaseUrl}/Patient/${patient}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/fhir+json' },
    body: JSON.stringify({ resourceType: 'Patient', id: patient, name: [{ family: 'Nyqvist' }] }),
  });
  expect(created.status).toBe(201);
}

async function open(viewport = { width: 390, height: 800 }): Promise<{ context: BrowserContext; page: Page; outside: string[] }> {
  const context = await browser.newContext({ viewport, javaScriptEnabled: false });
  const page = await context.newPage();
  const outside: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL(server.ready.console).origin) && !request.url().startsWith('data:')) outside.push(request.url());
  });
  page.on('console', (message) => outside.push(message.text()));
  await page.goto(server.ready.console);
  return { context, page, outside };
}

async function signIn(page: Page): Promise<void> {
  await page.getByLabel('Client id').fill(server.bootstrap.admin.client_id);
  await page.getByLabel('Client secret').fill(server.bootstrap.admin.client_secret);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

describe('the console in a browser without JavaScript', () => {
  test('shows health, log and checkpoint on a phone, asks nothing of anyone else, and fits the width', async () => {
    const { context, page, outside } = await open();
    expect(await page.getByText('Ready', { exact: true }).isVisible()).toBe(true);
    expect(await page.getByText('Log entries').isVisible()).toBe(true);
    const main = await page.locator('main').boundingBox();
    expect(main && main.x >= 0 && main.x + main.width <= 390).toBe(true);
    expect(outside).toEqual([]);
    await context.close();
  });

  test('an administrator signs in and sees who touched a patient’s record; the address never names the patient', async () => {
    const { context, page, outside } = await open();
    await signIn(page);
    await page.getByRole('link', { name: 'Audit trail' }).click();
    await page.getByLabel('Patient').fill(`Patient/${patient}`);
    await page.getByRole('button', { name: 'Show the trail' }).click();
    expect(await page.getByRole('heading', { name: `Patient/${patient}` }).isVisible()).toBe(true);
    expect(await page.locator('main').getByRole('listitem').first().textContent()).toContain(server.bootstrap.admin.client_id);
    expect(await page.content()).not.toContain('Nyqvist');
    expect(page.url()).not.toContain(patient);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
    expect(outside).toEqual([]);
    await context.close();
  });

  test('an administrator has a search explained, on a phone and on a wide screen; the page fits and the address does not name the search', async () => {
    for (const viewport of [
      { width: 390, height: 800 },
      { width: 1280, height: 900 },
    ]) {
      const { context, page, outside } = await open(viewport);
      await signIn(page);
      await page.getByRole('link', { name: 'How a search runs' }).click();
      await page.getByLabel('Search').fill('AuditEvent?action=E&_sort=-date&_include=AuditEvent:patient');
      await page.getByRole('button', { name: 'Explain the search' }).click();
      expect(await page.getByRole('heading', { name: '1. Page and total of AuditEvent' }).isVisible()).toBe(true);
      expect(await page.getByText('under 50 walked').first().isVisible()).toBe(true);
      expect(page.url()).not.toContain('action');
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(viewport.width);
      expect(outside).toEqual([]);
      await context.close();
    }
  });

  test('everything can be reached with the keyboard alone', async () => {
    const { context, page } = await open();
    const reached: (string | null)[] = [];
    const inOrder = [
      'Skip to the content',
      'The signed checkpoint',
      'checkpoint',
      'verifier key',
      'a page that proves receipts',
      'client',
      'secret',
      'Sign in',
    ];
    for (const _ of inOrder) {
      await page.keyboard.press('Tab');
      reached.push((await page.locator(':focus').textContent()) || (await page.locator(':focus').getAttribute('name')));
    }
    expect(reached).toEqual(inOrder);
    await context.close();
  });

  test('a wrong secret lets nobody in', async () => {
    const { context, page } = await open();
    await page.getByLabel('Client id').fill(server.bootstrap.admin.client_id);
    await page.getByLabel('Client secret').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    expect(await page.getByRole('alert').isVisible()).toBe(true);
    expect(await context.cookies()).toEqual([]);
    await context.close();
  });
});
