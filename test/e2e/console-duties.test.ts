/**
 * The console of each duty in a real browser: judged by axe, light and dark, on a phone and on a wide screen; a custodian signs with a key file and with a
 * passkey, an auditor saves a trail without JavaScript.
 */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { type Client, enrolKey, type Key } from '../../server/commands/demo/session.ts';
import { type Role, roles } from '../../server/consent/model.ts';
import { approve, askFor, type Task, toldOf } from '../support/consent-requests.ts';
import { launchBrowser } from '../support/browser.ts';
import { startNamedServer } from '../support/patient-pages.ts';
import { agree, HOSPITAL, observation, organization, patient, put, register, termsOf } from '../support/real-server.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const INSURER = 'Organization/insurer';
const PHONE = { width: 390, height: 800 };
const WIDE = { width: 1280, height: 900 };

let server: Awaited<ReturnType<typeof startNamedServer>>;
let browser: Browser;
let alice: Key;
const clients = new Map<Role, Client>();
let keyFile: string;

beforeAll(async () => {
  [server, browser] = await Promise.all([startNamedServer(), launchBrowser()]);
  for (const resource of [organization(HOSPITAL), organization(INSURER), patient('alice'), observation('pulse', 'Patient/alice')])
    await put(server, resource);
  alice = await enrolKey(server.admin, 'Patient/alice');
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = await server.admin.call('POST', '/admin/keys', { owner: HOSPITAL, jwk: publicKey.export({ format: 'jwk' }), proofing: 'in person' });
  keyFile = join(server.dataDir, 'custodian.jwk');
  writeFileSync(keyFile, JSON.stringify(privateKey.export({ format: 'jwk' })));
  const custodian = { kid: String(made.json['kid']), owner: HOSPITAL, privateKey };
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER }), [alice, custodian]);
  const { session } = await register(server, { actor: INSURER });
  for (let i = 0; i < 3; i++) expect((await session.call('GET', 'Observation/pulse')).status).toBe(200);
  expect((await server.admin.call('POST', '$reindex')).status).toBe(202);
  for (const role of roles) {
    const actor = role === 'signer' ? HOSPITAL : `Practitioner/${role}`;
    clients.set(role, (await register(server, { actor, purposes: ['HOPERAT'], scope: `admin/${role}` })).client);
  }
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** A request that waits for the hospital. */
async function requested() {
  const { session } = await register(server, { actor: INSURER });
  const made = await askFor(
    session,
    termsOf(server, { patient: 'Patient/alice', grantee: INSURER }),
    new Date(server.now() + 3_600_000).toISOString(),
  );
  expect(made.status, made.text).toBe(202);
  return toldOf(made.json as Task, server.admin);
}

type Look = { readonly colorScheme?: 'light' | 'dark'; readonly viewport?: { width: number; height: number }; readonly script?: boolean };

/** Signed in. `complaints`: what the browser says of a page, and what it asks of others. */
async function open(role: Role, { colorScheme = 'light', viewport = PHONE, script = true }: Look = {}) {
  const context = await browser.newContext({ colorScheme, viewport, javaScriptEnabled: script });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => void complaints.push(message.text()));
  page.on('request', (request) => {
    if (!request.url().startsWith(server.origin) && !request.url().startsWith('data:')) complaints.push(request.url());
  });
  const { client_id: id, client_secret: secret } = clients.get(role) ?? server.bootstrap.admin;
  await page.goto(server.origin);
  await page.getByLabel('Client id').fill(id);
  await page.getByLabel('Client secret').fill(secret);
  await page.getByRole('button', { name: 'Sign in' }).click();
  return { context, page, complaints };
}

const RULES = `{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }`;
type Verdict = { readonly passed: number; readonly violations: readonly string[] };

async function judge(page: Page, name: string): Promise<void> {
  await page.evaluate(axe);
  const { passed, violations } = await page.evaluate<Verdict>(
    `axe.run(document, ${RULES}).then(({ passes, violations }) => ({ passed: passes.length, violations: violations.map(({ id, nodes }) => id + ' ' + nodes[0].html) }))`,
  );
  expect([name, violations]).toEqual([name, []]);
  expect(passed).toBeGreaterThan(5);
  expect(await page.evaluate<number>('document.documentElement.scrollWidth'), name).toBeLessThanOrEqual(page.viewportSize()?.width ?? 0);
}

/** Every page of the menu, and those behind its forms. */
async function judgeAll(role: Role, page: Page): Promise<void> {
  const paths = await page.evaluate<string[]>('[...document.querySelectorAll("nav a")].map((link) => link.getAttribute("href"))');
  for (const path of paths) {
    await page.goto(server.origin + path);
    await judge(page, `${role} ${path}`);
  }
  if (role === 'auditor') {
    await page.goto(`${server.origin}/console/trail`);
    await page.getByLabel('Patient').fill('alice');
    await page.getByRole('button', { name: 'Show the trail' }).click();
    await judge(page, 'a trail');
    await page.getByRole('button', { name: 'Proof' }).last().click();
    await judge(page, 'a proof');
    await page.goto(`${server.origin}/console/trail`);
    await page.getByRole('button', { name: 'Show the trail' }).click();
    await judge(page, 'a trail of nothing');
  }
  if (role === 'signer') {
    await page.goto(`${server.origin}/console/queue`);
    await page.getByRole('button', { name: 'Read what is asked' }).first().click();
    for (const summary of await page.locator('summary').all()) await summary.click();
    await judge(page, 'what is asked');
    await page.goto(`${server.origin}/console/passkey`);
    await judge(page, 'a passkey');
  }
  if (role === 'operator') {
    await page.goto(`${server.origin}/console/log`);
    for (const summary of await page.locator('summary').all()) await summary.click();
    await page.getByRole('button', { name: 'All of it' }).click();
    await judge(page, 'all of the log');
  }
  if (role === 'registrar') {
    await page.goto(`${server.origin}/console/organizations`);
    await page.getByRole('button', { name: 'Its keys' }).first().click();
    await judge(page, 'keys');
  }
}

describe('the console of each duty', () => {
  test.each([
    { colorScheme: 'light', viewport: PHONE },
    { colorScheme: 'dark', viewport: PHONE },
    { colorScheme: 'light', viewport: WIDE },
    { colorScheme: 'dark', viewport: WIDE },
  ] as const)('axe finds nothing to object to: $colorScheme, $viewport.width wide', async (look) => {
    await requested();
    for (const role of roles) {
      const { context, page, complaints } = await open(role, look);
      await judgeAll(role, page);
      expect(complaints.filter((text) => !text.includes('422'))).toEqual([]);
      await context.close();
    }
  });

  test('an auditor saves a trail without JavaScript; the file is proven, and no address names the patient', async () => {
    const { context, page, complaints } = await open('auditor', { script: false });
    await page.getByRole('link', { name: 'Audit trail' }).click();
    await page.getByLabel('Patient').fill('alice');
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save it as a signed file' }).click()]);
    expect(file.suggestedFilename()).toBe('trail.json');
    const text = readFileSync(await file.path(), 'utf8');
    expect([verifyReceipt(text).kind, text.includes('Observation/pulse')]).toEqual(['proven', true]);
    expect(page.url()).not.toContain('alice');
    expect(complaints).toEqual([]);
    await context.close();
  });
});

describe('a custodian signs', () => {
  test('with a key file, of which nothing is sent', async () => {
    const asked = await requested();
    const { context, page } = await open('signer');
    const sent: string[] = [];
    page.on('request', (request) => void sent.push(request.postData() ?? ''));
    await page.getByRole('link', { name: 'Waiting for the custodian' }).click();
    await reading(page, asked.consent);
    await page.locator('summary', { hasText: 'With a key file' }).first().click();
    await page.getByLabel('Private key (JWK)').first().setInputFiles(keyFile);
    await page.getByRole('button', { name: 'Approve with this key' }).click();
    await page.getByText('It comes into force when the patient signs as well').waitFor();
    const { d } = JSON.parse(readFileSync(keyFile, 'utf8')) as { readonly d: string };
    expect(sent.some((body) => body.includes('jws='))).toBe(true);
    expect(sent.some((body) => body.includes(d))).toBe(false);
    expect((await approve(server.admin, asked, [alice])).status).toBe(201);
    await context.close();
  });

  test('and is told what is wrong with a file that is no key', async () => {
    const asked = await requested();
    const { context, page } = await open('signer');
    await page.goto(`${server.origin}/console/queue`);
    await reading(page, asked.consent);
    await page.locator('summary', { hasText: 'With a key file' }).first().click();
    const wrong = join(server.dataDir, 'wrong.json');
    for (const [text, sentence] of [
      ['{"kty":"EC","crv":"P-256"}', 'no private key'],
      ['not json', 'not JSON'],
    ] as const) {
      writeFileSync(wrong, text);
      await page.getByLabel('Private key (JWK)').first().setInputFiles(wrong);
      await page.getByRole('button', { name: 'Approve with this key' }).click();
      await page.getByText(sentence).first().waitFor();
    }
    await context.close();
  });

  test('with a passkey registered here, and refuses with it', async () => {
    const issued = await server.admin.call('POST', '/admin/enrolments', { owner: HOSPITAL, proofing: 'in person' });
    const { context, page } = await open('signer');
    const devtools = await context.newCDPSession(page);
    await devtools.send('WebAuthn.enable');
    const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true } as const;
    await devtools.send('WebAuthn.addVirtualAuthenticator', { options: { ...options, automaticPresenceSimulation: true } });
    await page.goto(`${server.origin}/console/passkey`);
    await page.getByLabel('The code you were given').fill(String(issued.json['code']));
    await page.getByRole('button', { name: 'Register a passkey' }).click();
    await page.waitForURL(`${server.origin}/console/queue`);
    for (const [button, sentence] of [
      ['Approve with a passkey', 'It comes into force when the patient signs as well'],
      ['Refuse with a passkey', 'Refused.'],
    ] as const) {
      const asked = await requested();
      await page.goto(`${server.origin}/console/queue`);
      await reading(page, asked.consent);
      await page.getByRole('button', { name: button }).click();
      await page.getByText(sentence).waitFor();
    }
    await context.close();
  });
});

/** Opens requests until it is the one about this Consent. */
async function reading(page: Page, consent: string): Promise<void> {
  const count = await page.getByRole('button', { name: 'Read what is asked' }).count();
  for (let i = 0; i < count; i++) {
    await page.goto(`${server.origin}/console/queue`);
    await page.getByRole('button', { name: 'Read what is asked' }).nth(i).click();
    if ((await page.locator('input[name=consent]').first().inputValue()) === consent.slice('Consent/'.length)) return;
  }
  throw new Error('The request is not in the queue.');
}
