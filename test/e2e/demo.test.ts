/** `npm run demo` as somebody follows it who has never seen it: what is printed is opened and typed in a real browser with a virtual authenticator. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { launchBrowser } from '../support/browser.ts';
import { openWithAuthenticator } from '../support/virtual-authenticator.ts';

let browser: Browser;
let folder: string;
let child: ChildProcessWithoutNullStreams;
let ended: Promise<number | null>;
let printed = '';

beforeAll(async () => {
  browser = await launchBrowser();
  folder = mkdtempSync(join(tmpdir(), 'assent-demo-'));
  const main = fileURLToPath(new URL('../../server/main.ts', import.meta.url));
  const env = { PATH: process.env['PATH'], ASSENT_PORT: '0' };
  child = spawn(process.execPath, [main, 'demo'], { cwd: folder, env, stdio: 'pipe' });
  ended = new Promise((resolve) => child.on('exit', resolve));
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')));
  const ready = vi.waitFor(() => expect(printed).toContain('"ready":true'), { timeout: 110_000, interval: 100 });
  await Promise.race([ready, ended.then((exit) => Promise.reject(new Error(`The demo ended with ${String(exit)}: ${printed}`)))]);
});
afterAll(async () => {
  await browser?.close();
  child?.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true, force: true });
});

const printedAs = (pattern: RegExp) => pattern.exec(printed)?.[1] ?? '';

test('the insurer’s app is let in by what is printed, sees the record, and is shut out again', async () => {
  const enrol = printedAs(/(http\S+\/patient\/enrol)/);
  const code = printedAs(/the code you were given: (\S+)/);
  const app = printedAs(/(http\S+\?iss=\S+)/);
  const consents = printedAs(/(http\S+\/patient\/consents)/);
  const { page, complaints } = await openWithAuthenticator(browser, [new URL(enrol).origin, new URL(app).origin]);

  await page.goto(enrol);
  await page.getByLabel('The code you were given').fill(code);
  await page.getByRole('button', { name: 'Register a passkey' }).click();
  await page.getByText('Your passkey is registered.').waitFor();

  await page.goto(app);
  await page.getByRole('button', { name: 'Open a record' }).click();
  await page.getByRole('link', { name: 'Sign in with your passkey' }).click();
  await page.getByRole('button', { name: 'Sign in with your passkey' }).click();
  await page.getByText('Demo Insurer').first().waitFor();
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('button', { name: 'Sign with your passkey and allow' }).click();
  await page.getByText('One more signature').first().waitFor();

  child.stdin.write('\n');
  await expect.poll(() => printed).toContain('The hospital has signed');
  await page.getByRole('button', { name: 'Look again' }).click();
  await page.getByText('15 measurements').waitFor();
  expect(await page.getByRole('row').count()).toBe(10);

  // The passkey is this tab's: so it goes there and back, where a person opens a second one.
  await page.goto(consents);
  await page.getByRole('button', { name: 'Read or withdraw' }).click();
  await page.getByRole('button', { name: 'Withdraw with your passkey' }).click();
  await page.getByText('Withdrawn.').waitFor();
  expect(complaints).toEqual([]);
  await page.goto(new URL(app).origin);
  await page.getByText('Session expired').waitFor();
  expect(await page.getByRole('row').count()).toBe(0);

  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});
