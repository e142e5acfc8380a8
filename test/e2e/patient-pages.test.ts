/** The pages that a patient reads, in a real browser without JavaScript, judged by axe: in both languages, light and dark, on a phone and on a wide screen. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launchBrowser } from '../support/browser.ts';
import { enrolPasskey, signInOptions, signInWith, startNamedServer } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put } from '../support/real-server.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PAGES = ['/patient', '/patient/trail', '/patient/record', '/patient/record/results', '/patient/data', '/patient/consents', '/patient/passkeys'];
const AWAY = ['/patient/sign-in', '/patient/enrol', '/'];
const PHONE = { width: 390, height: 800 };

let server: Awaited<ReturnType<typeof startNamedServer>>;
let browser: Browser;
let cookie: string;

beforeAll(async () => {
  [server, browser] = await Promise.all([startNamedServer(), launchBrowser()]);
  for (const resource of [organization(HOSPITAL), patient('alice'), observation('pulse', 'Patient/alice')]) await put(server, resource);
  const passkey = await enrolPasskey(server, 'Patient/alice');
  cookie = (await signInWith(server.origin, passkey.assertion(await signInOptions(server.origin)))).cookie;
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

type Look = {
  readonly locale?: string;
  readonly colorScheme?: 'light' | 'dark';
  readonly viewport?: { width: number; height: number };
  readonly script?: boolean;
};

/** Signed in. `complaints`: what the browser says of a page, and what it asks of others. */
async function open({ locale = 'en-US', colorScheme = 'light', viewport = PHONE, script = true }: Look = {}) {
  const context: BrowserContext = await browser.newContext({ locale, colorScheme, viewport, javaScriptEnabled: script });
  const [name = '', value = ''] = cookie.split('=');
  await context.addCookies([{ name, value, url: server.origin }]);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => void complaints.push(message.text()));
  page.on('request', (request) => {
    if (!request.url().startsWith(server.origin) && !request.url().startsWith('data:')) complaints.push(request.url());
  });
  return { context, page, complaints };
}

const RULES = `{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }`;
type Verdict = { readonly passed: number; readonly violations: readonly string[] };

describe('what a patient reads', () => {
  test.each([
    { locale: 'en-US', colorScheme: 'light', viewport: PHONE },
    { locale: 'zh-CN', colorScheme: 'dark', viewport: PHONE },
    { locale: 'zh-CN', colorScheme: 'light', viewport: { width: 1280, height: 900 } },
    { locale: 'en-US', colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
  ] as const)('axe finds nothing to object to: $locale, $colorScheme, $viewport.width wide', async (look) => {
    const { context, page, complaints } = await open(look);
    for (const path of [...PAGES, ...AWAY]) {
      await page.goto(server.origin + path);
      await page.evaluate(axe);
      const { passed, violations } = await page.evaluate<Verdict>(
        `axe.run(document, ${RULES}).then(({ passes, violations }) => ({ passed: passes.length, violations: violations.map(({ id, nodes }) => id + ' ' + nodes[0].html) }))`,
      );
      expect([path, violations]).toEqual([path, []]);
      expect(passed).toBeGreaterThan(5);
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(look.viewport.width);
    }
    expect(complaints).toEqual([]);
    await context.close();
  });

  test('works without JavaScript: pages, language, receipt and file; no address names the patient', async () => {
    const { context, page, complaints } = await open({ script: false });
    await page.goto(`${server.origin}/patient`);
    await page.getByRole('main').getByRole('link', { name: 'Your record' }).click();
    await page.getByRole('link', { name: 'Results and measurements' }).click();
    expect(await page.getByText('72 /min').isVisible()).toBe(true);
    await page.getByRole('button', { name: '中文' }).click();
    await page.getByRole('navigation').getByRole('link', { name: '谁查阅了什么' }).click();
    expect(await page.locator('html').getAttribute('lang')).toBe('zh');
    expect(page.url()).not.toContain('alice');
    await page.goto(`${server.origin}/patient/data`);
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: '下载您的数据' }).click()]);
    expect(file.suggestedFilename()).toBe('record.json');
    expect(readFileSync(await file.path(), 'utf8')).toContain('"id":"pulse"');
    expect(complaints).toEqual([]);
    await context.close();
  });
});
