/**
 * The whole of it, as the people do it: a patient in a real browser on a phone, an insurer and a custodian over HTTP. From a code on paper to a consent, a
 * reading that is proven, and its end.
 */
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enrolKey, type Key, type Session } from '../../server/commands/demo/session.ts';
import { violationsOn } from '../support/axe.ts';
import { launchBrowser } from '../support/browser.ts';
import { approve, askFor, requestTasks, type Task, toldOf } from '../support/consent-requests.ts';
import { issueCode, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put, register, settled, termsOf } from '../support/real-server.ts';
import { openWithAuthenticator } from '../support/virtual-authenticator.ts';

const INSURER = 'Organization/insurer';
let server: Awaited<ReturnType<typeof startNamedServer>>;
let browser: Browser;
let hospital: { readonly key: Key; readonly session: Session };
let insurer: Session;

beforeAll(async () => {
  [server, browser] = await Promise.all([startNamedServer(), launchBrowser()]);
  await put(server, { ...organization(HOSPITAL), name: 'Riverside Hospital' });
  await put(server, { ...organization(INSURER), name: 'Fair & Square Insurance' });
  await put(server, patient('anna'));
  await put(server, observation('pulse', 'Patient/anna'));
  const key = await enrolKey(server.admin, HOSPITAL);
  hospital = { key, session: (await register(server, { actor: HOSPITAL })).session };
  insurer = (await register(server, { actor: INSURER, purposes: ['HPAYMT'] })).session;
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

async function enrolAndSignIn(page: Page, code: string): Promise<void> {
  await page.goto(`${server.origin}/patient`);
  await page.getByRole('link', { name: 'I have a code' }).click();
  await page.getByLabel('The code you were given').fill(code);
  await page.getByRole('button', { name: 'Register a passkey' }).click();
  await page.getByText('Your passkey is registered.').waitFor();
  await page.getByRole('button', { name: 'Sign in with your passkey' }).click();
  await page.getByText('Nobody waits for an answer of yours.').waitFor();
}

async function ask(): Promise<Task> {
  const provision = { class: ['Observation', 'Condition'].map((code) => ({ system: 'http://hl7.org/fhir/resource-types', code })) };
  const terms = termsOf(server, { patient: 'Patient/anna', grantee: INSURER, purposes: ['HPAYMT'], provision });
  const answer = await askFor(insurer, terms, new Date(server.now() + 86_400_000).toISOString());
  expect(answer.status).toBe(202);
  return answer.json as Task;
}

const read = () => insurer.call('GET', 'Observation/pulse');

/** From the trail, as a file, to the verifier’s page: what it says of it. */
async function proven(page: Page): Promise<string> {
  await page.getByRole('navigation').getByRole('link', { name: 'Who saw what' }).click();
  const act = page.getByRole('listitem').filter({ hasText: 'Fair & Square Insurance: Read' }).first();
  expect(await act.getByText('payment').isVisible()).toBe(true);
  await act.getByText('Details and receipt').click();
  const [file] = await Promise.all([page.waitForEvent('download'), act.getByRole('button', { name: 'As a small file' }).click()]);
  expect(file.suggestedFilename()).toBe('receipt.assent');
  const verifier = await page.context().newPage();
  await verifier.goto(server.origin + (await page.getByRole('link', { name: 'Check a receipt' }).getAttribute('href')));
  const receipt = { name: 'receipt.assent', mimeType: 'application/vnd.assent.receipt', buffer: readFileSync(await file.path()) };
  await verifier.getByLabel('Receipt file').setInputFiles(receipt);
  const said = await verifier.locator('#result .verdict').evaluate((box) => box.className.replace('verdict ', ''));
  await verifier.close();
  return said;
}

test('from a code on paper to a consent, a proven reading and the end of it', async () => {
  const { context, page, complaints } = await openWithAuthenticator(browser, [server.origin]);
  await enrolAndSignIn(page, await issueCode(server.admin, 'Patient/anna'));

  const request = await ask();
  await page.reload();
  expect(await page.getByRole('heading', { name: 'Fair & Square Insurance' }).isVisible()).toBe(true);
  expect(await violationsOn(page)).toEqual([]);
  await page.getByRole('button', { name: 'Read and answer' }).click();
  expect(await page.getByText('Riverside Hospital has to agree as well').isVisible()).toBe(true);
  await page.getByText('Allow less than that').click();
  await page.getByText('Refuse', { exact: true }).click();
  expect(await violationsOn(page)).toEqual([]);
  await page.getByLabel('Conditions').uncheck();
  await page.getByRole('button', { name: 'Show me these terms' }).click();
  expect(await violationsOn(page)).toEqual([]);
  await page.getByRole('button', { name: 'Approve with your passkey' }).click();
  await page.getByText('Signed. It is in force once the other signature is there.').waitFor();
  expect((await read()).status).toBe(404);

  const [task] = (await requestTasks(hospital.session)).filter(({ status }) => status === 'requested');
  expect(task?.focus).toEqual(request.focus);
  expect((await approve(hospital.session, await toldOf(request, hospital.session), [hospital.key])).status).toBe(201);
  const answer = await read();
  expect(answer.status).toBe(200);
  await settled(insurer, answer.headers.get('assent-receipt') ?? '');
  expect(await proven(page)).toBe('proven');

  await page.goto(`${server.origin}/patient/consents`);
  await page.getByRole('button', { name: 'Read or withdraw' }).click();
  expect(await violationsOn(page)).toEqual([]);
  await page.getByRole('button', { name: 'Withdraw with your passkey' }).click();
  await page.getByText('Withdrawn.').waitFor();
  expect((await read()).status).toBe(404);
  expect(complaints).toEqual([]);
  expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
  await context.close();
});
