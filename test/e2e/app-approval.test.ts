/** A patient lets an app in, in a real browser with a virtual authenticator: read, narrow, sign, go back to the app; withdraw, and the app is out. */
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AppClient, authorizeUrl, type LaunchBench, postToken, registerApp, startLaunchBench } from '../support/app-launch.ts';
import { violationsOn } from '../support/axe.ts';
import { launchBrowser } from '../support/browser.ts';
import { issueCode } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put } from '../support/real-server.ts';
import { enrolOn, openWithAuthenticator } from '../support/virtual-authenticator.ts';

let bench: LaunchBench;
let browser: Browser;
let app: Server;
let callback: string;
let client: AppClient;

beforeAll(async () => {
  [bench, browser] = await Promise.all([startLaunchBench({ ASSENT_APPROVALS: 'patient', ASSENT_IMPLICIT_POLICY: 'deny' }), launchBrowser()]);
  app = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>app</title><p>Back in the app'),
  );
  await once(app.listen(0, '127.0.0.1'), 'listening');
  callback = `http://127.0.0.1:${(app.address() as AddressInfo).port}/callback`;
  await put(bench.server, organization(HOSPITAL));
  await put(bench.server, { ...organization('Organization/app'), name: 'Little Apps' });
  client = await registerApp(bench, { redirect_uris: [callback] });
});
afterAll(async () => {
  await browser?.close();
  app?.close();
  await bench?.stop();
});

type Look = {
  readonly locale: string;
  readonly colorScheme: 'light' | 'dark';
  readonly viewport: { readonly width: number; readonly height: number };
};
const words = {
  'en-US': { passkey: 'Sign in with your passkey', observations: 'Results and measurements', go: 'Go on', sign: 'Sign with your passkey and allow' },
  'zh-CN': { passkey: '用通行密钥登录', observations: '检查与测量结果', go: '继续', sign: '用通行密钥签名并允许' },
} as const;

describe('a patient lets an app in', () => {
  test.each<Look>([
    { locale: 'en-US', colorScheme: 'light', viewport: { width: 390, height: 800 } },
    { locale: 'zh-CN', colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
  ])('$locale, $colorScheme, $viewport.width wide', async (look) => {
    const said = words[look.locale as keyof typeof words];
    const id = `anna-${look.viewport.width}`;
    await put(bench.server, patient(id));
    await put(bench.server, observation(`o-${id}`, `Patient/${id}`));
    const opened = await openWithAuthenticator(browser, [bench.origin, new URL(callback).origin], look);
    const { page, complaints } = opened;
    await enrolOn(page, bench.origin, await issueCode(bench.server.admin, `Patient/${id}`));
    await page.waitForURL(/sign-in/);

    const scope = 'launch/patient offline_access patient/Observation.rs patient/Condition.rs';
    const asked = authorizeUrl(bench, client, { redirect_uri: callback, scope });
    await page.goto(asked.address);
    expect(await violationsOn(page)).toEqual([]);
    await page.getByRole('link', { name: said.passkey }).click();
    await page.waitForURL(/sign-in/);
    await page.locator('form[data-passkey="sign-in"] button').click();
    await page.getByRole('button', { name: said.go }).waitFor();
    expect(await violationsOn(page)).toEqual([]);
    expect(await page.getByText('Little Apps').isVisible()).toBe(true);
    expect(await page.getByText(`${said.observations} 1`).isVisible()).toBe(true);
    await page.locator('input[value="patient/Condition.rs"]').uncheck();
    await page.getByRole('button', { name: said.go }).click();
    await page.getByRole('button', { name: said.sign }).waitFor();
    expect(await violationsOn(page)).toEqual([]);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(look.viewport.width);
    expect(page.url()).not.toContain('anna');
    await page.getByRole('button', { name: said.sign }).click();
    await page.getByText('Back in the app').waitFor();

    const code = new URL(page.url()).searchParams.get('code') ?? '';
    const form = { grant_type: 'authorization_code', code, redirect_uri: callback, code_verifier: asked.verifier };
    const { json } = await postToken(bench, client, form);
    const reads = async () =>
      (await fetch(`${bench.fhir}/Observation/o-${id}`, { headers: { authorization: `Bearer ${String(json['access_token'])}` } })).status;
    expect([json['scope'], await reads()]).toEqual(['launch/patient offline_access patient/Observation.rs', 200]);

    await page.goto(`${bench.origin}/patient/consents`);
    await page.locator('form[action="/patient/consents/review"] button').first().click();
    await page.locator('form[action="/patient/consents/withdraw"] button').first().click();
    await page.locator('[role=status]').waitFor();
    expect(await reads()).toBe(401);
    expect(complaints).toEqual([]);
    await opened.context.close();
  });
});
