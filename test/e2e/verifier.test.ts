/** The page that proves receipts, opened from a file in a real browser that has no network. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepareWorld } from '../../bench/world.ts';
import { bytesOf, type Vector, type Vectors, vectorsFile } from '../receipt-verifier/vectors.ts';
import { launchBrowser } from '../support/browser.ts';
import { type RealServer, settled, startRealServer } from '../support/real-server.ts';

const { vectors } = JSON.parse(readFileSync(vectorsFile, 'utf8')) as Vectors;
let browser: Browser;
let folder: string;
let file: string;
let server: RealServer;
let genuine: string;
let key: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assent-verifier-'));
  file = join(folder, 'verify.html');
  writeFileSync(file, execFileSync(process.execPath, ['server/main.ts', 'verifier']));
  [browser, server] = await Promise.all([launchBrowser(), startRealServer()]);
  const { insurer, patient, base } = await prepareWorld(server.bootstrap);
  const read = await insurer.call('GET', patient);
  genuine = (await settled(insurer, read.headers.get('assent-receipt') ?? '')).text;
  key = (await (await fetch(`${new URL(base).origin}/ledger/key`)).text()).trim();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

type Opened = { readonly context: BrowserContext; readonly page: Page; readonly outside: string[] };
type Look = { readonly locale?: string; readonly width?: number; readonly dark?: boolean; readonly url?: string; readonly online?: boolean };

async function open({ locale = 'en-GB', width = 390, dark = false, url = pathToFileURL(file).href, online = false }: Look = {}): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width, height: 800 }, locale, colorScheme: dark ? 'dark' : 'light', offline: !online });
  const page = await context.newPage();
  const outside: string[] = [];
  page.on('request', (request) => void (request.url() === url || outside.push(request.url())));
  page.on('console', (message) => outside.push(message.text()));
  page.on('pageerror', (error) => outside.push(String(error)));
  await page.goto(url);
  return { context, page, outside };
}

async function verdictOf(page: Page, text: string, trust?: string): Promise<string> {
  if (trust !== undefined) await page.getByLabel('Whom you trust').fill(trust);
  await page.getByLabel('Or its text').fill(text);
  await page.getByRole('button', { name: 'Verify' }).click();
  return shownVerdict(page);
}

const shownVerdict = (page: Page): Promise<string> => page.locator('#result .verdict').evaluate((box) => box.className.replace('verdict ', ''));

/** As a file: what it says is there when another verdict took the place of the last. */
async function verdictOfFile(page: Page, buffer: Buffer): Promise<string> {
  await page.locator('#result').evaluate((result) => result.replaceChildren());
  await page.locator('#file').setInputFiles({ name: 'receipt.json.gz', mimeType: 'application/gzip', buffer });
  await page.locator('#result .verdict').waitFor();
  return shownVerdict(page);
}

const isText = ({ encoding }: Vector): boolean => encoding === undefined;

/** For whoever wants to look: ASSENT_PICTURES names a folder. */
async function picture(page: Page, name: string): Promise<void> {
  const to = process.env['ASSENT_PICTURES'];
  if (to !== undefined) await page.screenshot({ path: join(to, `${name}.png`), fullPage: true });
}

describe('the page that proves receipts', () => {
  test('gives every vector its verdict, asks nothing of anyone and reports no error', async () => {
    const { context, page, outside } = await open();
    for (const { name, verdict, file: text, trust = '' } of vectors.filter(isText)) {
      // A text area holds no other newlines than the reader’s; these are for files.
      if (/newline/.test(name)) continue;
      expect([name, await verdictOf(page, text, trust)]).toEqual([name, verdict]);
    }
    expect(outside).toEqual([]);
    await context.close();
  });

  test('opens compressed files as they are, gives each its verdict in two languages, and gives up one that grows without end', async () => {
    const { context, page, outside } = await open();
    const compressed = vectors.filter((vector) => !isText(vector));
    expect(compressed.length).toBeGreaterThan(5);
    for (const vector of compressed) {
      expect([vector.name, await verdictOfFile(page, bytesOf(vector))]).toEqual([vector.name, vector.verdict]);
      for (const said of await page.locator('#result [lang=zh]').allTextContents()) expect(said).toMatch(/\p{Script=Han}/u);
    }
    expect(await verdictOfFile(page, gzipSync(genuine, { level: 9 }))).toBe('proven');
    expect(await verdictOfFile(page, gzipSync(Buffer.alloc(800_000_000, ' ')))).toBe('unreadable');
    expect(await page.locator('#result').innerText()).toContain('too large');
    expect(outside).toEqual([]);
    await context.close();
  });

  test('says in Chinese all that it says of the vectors, and nothing in two languages at once', async () => {
    const { context, page } = await open({ locale: 'zh-CN' });
    for (const { file: text } of vectors.filter(isText)) {
      await page.locator('#text').fill(text);
      await page.getByRole('button', { name: '验证' }).click();
      for (const said of await page.locator('#result [lang=zh]').allTextContents()) expect(said).toMatch(/\p{Script=Han}/u);
      expect(await page.locator('#result [lang=en]').filter({ visible: true }).count()).toBe(0);
    }
    await page.getByRole('button', { name: 'English' }).click();
    expect(await page.locator('#result [lang=zh]').filter({ visible: true }).count()).toBe(0);
    await context.close();
  });

  test('proves the file of a running server, by whom and what not; refutes it with one letter changed and under another key', async () => {
    const { context, page, outside } = await open({ dark: true });
    const receipt = { name: 'receipt.json', mimeType: 'application/json', buffer: Buffer.from(genuine) };
    await page.getByLabel('Receipt file').setInputFiles(receipt);
    const result = page.locator('#result');
    await result.locator('.proven').waitFor();
    const said = await result.innerText();
    for (const part of ['Proven', 'Not proven', 'Organization/bench-insurer', 'custodian', 'withdrawn', 'not pinned', 'Anybody can make a log', key])
      expect(said).toContain(part);
    await picture(page, 'phone-dark-proven');
    await page.getByLabel('Whom you trust').fill(key);
    expect(await verdictOf(page, genuine)).toBe('proven');
    expect(await result.innerText()).not.toMatch(/not pinned|Anybody can make a log/);
    await page.getByLabel('Whom you trust').fill((JSON.parse(vectors[0]?.file ?? '{}') as { log: string }).log);
    expect(await verdictOf(page, genuine)).toBe('refuted');
    await page.getByLabel('Whom you trust').fill('anybody');
    expect(await verdictOf(page, genuine)).toBe('unreadable');
    await page.getByLabel('Whom you trust').fill('');
    expect(await verdictOf(page, genuine.replace('bench-insurer', 'bench-insured'))).toBe('refuted');
    await picture(page, 'phone-dark-refuted');
    expect(outside).toEqual([]);
    await context.close();
  });

  test('refutes what does not show that its Consents were in force when the reader says', async () => {
    const { context, page, outside } = await open();
    const vector = (name: RegExp) => vectors.find((each) => name.test(each.name))?.file ?? expect.fail();
    const [stands, replaced] = [vector(/place nothing had taken/), vector(/was replaced after it was used/)];
    const demand = (instant: string) => page.getByLabel('In force at this time or later').fill(instant);
    await demand('2024-05-25T12:00');
    expect(await verdictOf(page, stands)).toBe('proven');
    expect(await page.locator('#result').innerText()).toContain('was in force when AuditEvent/');
    for (const file of [replaced, genuine]) expect(await verdictOf(page, file)).toBe('refuted');
    await demand('2024-06-05T12:00');
    expect(await verdictOf(page, stands)).toBe('refuted');
    expect(await page.locator('#result').innerText()).toContain('and not later');
    await demand('');
    for (const file of [stands, replaced, genuine]) expect(await verdictOf(page, file)).toBe('proven');
    expect(outside).toEqual([]);
    await context.close();
  });

  test('takes no markup from a file', async () => {
    const { context, page, outside } = await open();
    const hostile = (vectors[0]?.file ?? '').replaceAll('Organization/insurer', '<img src=x onerror=alert(1)>');
    await verdictOf(page, hostile);
    await page.getByLabel('Whom you trust').fill('<img src=x onerror=alert(1)>');
    await verdictOf(page, hostile);
    expect(await page.locator('img').count()).toBe(0);
    expect(outside).toEqual([]);
    await context.close();
  });

  test('tells erased from missing, fits a phone and a desk, and prints the result without the form', async () => {
    const erased = vectors.find(({ verdict }) => verdict === 'erased')?.file ?? expect.fail();
    for (const [locale, width] of [
      ['en-GB', 320],
      ['en-GB', 1280],
      ['zh-CN', 390],
    ] as const) {
      const { context, page } = await open({ locale, width });
      await page.locator('#text').fill(locale === 'zh-CN' ? genuine : erased);
      await page.locator('button[type=submit]').click();
      if (locale === 'en-GB') expect(await page.locator('#result').innerText()).toContain('Erased, not missing');
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      expect(await page.evaluate('document.activeElement.id')).toBe('result');
      await picture(page, `${locale}-${width}`);
      await page.emulateMedia({ media: 'print' });
      expect(await page.locator('form').isVisible()).toBe(false);
      expect(await page.locator('#result').isVisible()).toBe(true);
      await context.close();
    }
  });

  test('is the same file at /ledger/verify.html, and works there', async () => {
    const url = `${new URL(server.bootstrap.fhirBaseUrl).origin}/ledger/verify.html`;
    const answer = await fetch(url);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await answer.text()).toBe(readFileSync(file, 'utf8'));
    const { context, page, outside } = await open({ url, online: true });
    expect(await verdictOf(page, genuine)).toBe('proven');
    expect(outside.filter((request) => !request.endsWith('/favicon.ico'))).toEqual([]);
    await context.close();
  });
});
