/** A patient with a real browser and its (virtual) authenticator: enrols, signs out and in, signs a Consent, withdraws it. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { enrolKey, type Key, partOf, prepare, type Session, submit } from '../../server/commands/demo/session.ts';
import { launchBrowser } from '../support/browser.ts';
import { issueCode, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put, register, termsOf } from '../support/real-server.ts';
import { addAuthenticator, enrolOn, openWithAuthenticator } from '../support/virtual-authenticator.ts';

const INSURER = 'Organization/insurer';
let server: Awaited<ReturnType<typeof startNamedServer>>;
let browser: Browser;
let custodian: Key;
let insurer: Session;

beforeAll(async () => {
  [server, browser] = await Promise.all([startNamedServer(), launchBrowser()]);
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  custodian = await enrolKey(server.admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER })).session;
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const open = (more: { readonly verified?: boolean } = {}) => openWithAuthenticator(browser, [server.origin], more);
const enrol = (page: Page, code: string) => enrolOn(page, server.origin, code);

async function person(id: string): Promise<string> {
  await put(server, patient(id));
  await put(server, observation(`o-${id}`, `Patient/${id}`));
  return issueCode(server.admin, `Patient/${id}`);
}

const reads = async (id: string) => (await insurer.call('GET', `Observation/o-${id}`)).status;

async function proposed(id: string): Promise<void> {
  const statement = partOf(await prepare(server.admin, termsOf(server, { patient: `Patient/${id}`, grantee: INSURER })), 'statement');
  expect((await submit(server.admin, statement, [custodian])).status).toBe(202);
}

async function signIn(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Sign in with your passkey' }).click();
  await page.waitForURL(`${server.origin}/patient`);
}

describe('a patient in a browser', () => {
  test('enrols, signs out, signs in, signs a Consent and withdraws it', async () => {
    const code = await person('anna');
    const { context, page, complaints } = await open();
    await enrol(page, code);
    await page.getByText('Your passkey is registered.').waitFor();
    await signIn(page);
    expect(await page.getByText('Nobody waits for an answer').isVisible()).toBe(true);
    await page.getByRole('main').getByRole('link', { name: 'Your passkeys' }).click();
    expect(await page.getByRole('main').getByRole('listitem').count()).toBe(1);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.goto(`${server.origin}/patient`);
    await signIn(page);

    await proposed('anna');
    await page.reload();
    await page.getByRole('button', { name: 'Read and answer' }).click();
    expect(await page.getByText('查阅者 Organization/insurer').isVisible()).toBe(true);
    expect(await reads('anna')).toBe(404);
    await page.getByRole('button', { name: 'Approve with your passkey' }).click();
    await page.getByText('It is in force.').waitFor();
    expect(await reads('anna')).toBe(200);

    await page.getByRole('main').getByRole('link', { name: 'Your consents' }).click();
    await page.getByRole('button', { name: 'Read or withdraw' }).click();
    await page.getByRole('button', { name: 'Withdraw with your passkey' }).click();
    await page.getByText('Withdrawn.').waitFor();
    expect(await reads('anna')).toBe(404);

    expect(page.url()).not.toContain('anna');
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax' });
    expect(complaints).toEqual([]);
    await context.close();
  });

  test('adds a passkey on a second device, by the one on the first', async () => {
    const code = await person('clara');
    const { context, page, devtools, first, complaints } = await open();
    await enrol(page, code);
    await page.getByText('Your passkey is registered.').waitFor();
    await signIn(page);
    const second = await addAuthenticator(devtools, { transport: 'usb', verified: true });
    // Whoever is asked reaches for the right device: to make one and sign with it, the new one; then the one there is.
    const reached = [second, second, first];
    await page.exposeFunction('reach', async () => {
      const device = reached.shift();
      for (const authenticatorId of [first, second])
        await devtools.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: authenticatorId === device });
    });
    await page.addInitScript(`for (const act of ['create', 'get']) {
      const asked = navigator.credentials[act].bind(navigator.credentials);
      navigator.credentials[act] = async (options) => (await reach(), asked(options));
    }`);
    await page.goto(`${server.origin}/patient/passkeys`);
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByText('I have lost it').nth(1).waitFor();
    expect(await page.getByText('in use').count()).toBe(2);
    expect(complaints).toEqual([]);
    await context.close();
  });

  test('who lost the device makes a passkey on another one with a code, and is told what happens next', async () => {
    const first = await open();
    await enrol(first.page, await person('dora'));
    await first.page.getByText('Your passkey is registered.').waitFor();
    await first.context.close();
    const lost = { owner: 'Patient/dora', proofing: 'in-person', recovers: 'phone lost' };
    const { code } = (await server.admin.call('POST', '/admin/enrolments', lost)).json as { readonly code: string };
    const { context, page, complaints } = await open();
    await enrol(page, code);
    await page.getByText('Your new passkey is made.').waitFor();
    expect(await page.getByText('72 hours').isVisible()).toBe(true);
    expect(page.url()).toBe(`${server.origin}/patient/enrol?proposed`);
    const waiting = (await server.admin.call('GET', '/admin/recoveries?owner=Patient/dora')).json['recoveries'];
    expect(waiting).toHaveLength(1);
    expect(complaints).toEqual([]);
    await context.close();
  });

  test('is told in words what went wrong: a wrong code, a device that verifies nobody, no passkey', async () => {
    const code = await person('berta');
    const { context, page } = await open({ verified: false });
    await enrol(page, 'AAAA-BBBB-CCCC');
    await page.getByText('This code is not valid').waitFor();
    await enrol(page, code);
    await page.getByText('It was not done').waitFor();
    await page.goto(`${server.origin}/patient/sign-in`);
    await page.getByRole('button', { name: 'Sign in with your passkey' }).click();
    await page.getByText('It was not done').waitFor();
    expect(await page.getByRole('alert').isVisible()).toBe(true);
    expect(await context.cookies()).toEqual([]);
    await context.close();
  });
});
