/** Clinicians without an identity provider sign in with a passkey of this server, and let apps in as who they are. authorization.md §2 */
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AppClient,
  authorizeUrl,
  exchange,
  type LaunchBench,
  openBrowser,
  registerApp,
  scopesOn,
  signInPatient,
  startLaunchBench,
} from '../support/app-launch.ts';
import { createPasskey, type SoftPasskey } from '../support/authenticator.ts';
import { enrolPasskey } from '../support/patient-pages.ts';
import { HOSPITAL, observation, organization, patient, put, register } from '../support/real-server.ts';

let bench: LaunchBench;
let app: AppClient;
beforeAll(async () => {
  bench = await startLaunchBench({ ASSENT_OIDC_ISSUER: '' });
  await put(bench.server, organization(HOSPITAL));
  await put(bench.server, patient('1'));
  await put(bench.server, observation('o1', 'Patient/1'));
  app = await registerApp(bench);
});
afterAll(() => bench.stop());

const codeFor = (owner: string, by = bench.server.admin) => by.call('POST', '/admin/enrolments', { owner, proofing: 'badge' });

async function enrol(owner: string): Promise<SoftPasskey> {
  const code = String((await codeFor(owner)).json['code']);
  const browser = openBrowser();
  const passkey = createPasskey({ origin: bench.origin });
  const options = JSON.parse((await browser.visit(`${bench.origin}/staff/enrol/options`, { code })).text) as Parameters<
    SoftPasskey['registration']
  >[0];
  const done = await browser.visit(`${bench.origin}/staff/enrol`, { code, answer: JSON.stringify(passkey.registration(options)) });
  expect([done.status, done.text]).toEqual([200, '{"location":"/staff/sign-in?enrolled"}']);
  return passkey;
}

async function signIn(browser: ReturnType<typeof openBrowser>, passkey: SoftPasskey, path = 'staff') {
  const options = JSON.parse((await browser.visit(`${bench.origin}/${path}/sign-in/options`, {})).text) as { readonly challenge: string };
  return browser.visit(`${bench.origin}/${path}/sign-in`, { answer: JSON.stringify(passkey.assertion(options)) });
}

describe('a clinician with a passkey', () => {
  test('lets an app in, which acts as them; once the key is revoked nobody signs in with it', async () => {
    const passkey = await enrol('Practitioner/7');
    const browser = openBrowser();
    const asked = authorizeUrl(bench, app);
    const door = await browser.visit(asked.address);
    expect(door.text).toContain(`/staff/sign-in?next=${door.url.pathname}`);
    expect(door.text).not.toContain('Sign in with your organization');
    expect((await signIn(browser, passkey)).status).toBe(200);
    const page = await browser.visit(door.url);
    expect(page.text).toContain('Practitioner/7');
    const form = new URLSearchParams({ answer: 'allow', patient: '1' });
    for (const scope of scopesOn(page.text)) form.append('scope', scope);
    const back = await browser.visit(page.url, form);
    const { json } = await exchange(bench, app, { asked, back: back.url });
    expect(decodeJwt(String(json['access_token']))).toMatchObject({ actor: 'Practitioner/7', fhir_user: 'Practitioner/7', patient: '1' });
    const read = await fetch(`${bench.fhir}/Observation/o1`, { headers: { authorization: `Bearer ${String(json['access_token'])}` } });
    expect(read.status).toBe(200);

    const [key] = (await bench.server.admin.call('GET', '/admin/keys?owner=Practitioner/7')).json['keys'] as { readonly kid: string }[];
    await bench.server.admin.call('POST', `/admin/keys/${key?.kid}/revoke`, { reason: 'left' });
    expect((await browser.visit((await browser.visit(authorizeUrl(bench, app).address)).url)).text).not.toContain('Practitioner/7');
    expect((await signIn(openBrowser(), passkey)).status).toBe(403);
  });

  test('is no patient, nor is a patient’s passkey one of staff', async () => {
    const own = await enrolPasskey({ admin: bench.server.admin, origin: bench.origin }, 'Patient/1');
    expect((await signIn(openBrowser(), own)).status).toBe(403);
    const passkey = await enrol('PractitionerRole/9');
    expect((await signIn(openBrowser(), passkey, 'patient')).status).toBe(403);
    const browser = openBrowser();
    await signInPatient(browser, bench, passkey);
    expect((await browser.visit(`${bench.origin}/patient/consents`)).url.pathname).toBe('/patient/sign-in');
  });

  test('gets a code from an administrator only', async () => {
    expect((await codeFor('Device/1')).status).toBe(400);
    const { session } = await register(bench.server, { actor: HOSPITAL });
    expect((await codeFor('Practitioner/8', session)).status).toBe(403);
  });

  test.each(['/staff/enrol', '/staff/sign-in'])('%s speaks Chinese, and leads nowhere but here', async (path) => {
    const response = await fetch(`${bench.origin}${path}?next=https://evil.example.org/`, { headers: { 'accept-language': 'zh-CN' } });
    const text = await response.text();
    expect([response.status, text.includes('<html lang="zh">'), text.includes('evil')]).toEqual([200, true, false]);
    // What the script says when something goes wrong stands in the page.
    expect(text).toMatch(/data-passkey-problem data-cancelled="[^"]+"/);
  });
});
