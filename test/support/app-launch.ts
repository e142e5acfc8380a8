/** A server with a hospital's identity provider, apps of persons, and a browser as far as cookies, redirects and forms go. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import type { Forged, SoftPasskey } from './authenticator.ts';
import { IDP_CLIENT, type IdentityProvider, startIdentityProvider } from './identity-provider.ts';
import { type RealServer, startRealServer } from './real-server.ts';

export const CALLBACK = 'https://app.example.org/callback';

export type LaunchBench = {
  readonly server: RealServer;
  readonly idp: IdentityProvider;
  readonly origin: string;
  readonly fhir: string;
  stop(): Promise<void>;
};

export async function startLaunchBench(settings: Readonly<Record<string, string>> = {}): Promise<LaunchBench> {
  const port = String(await freePort());
  const origin = `http://localhost:${port}`;
  const idp = await startIdentityProvider(`${origin}/authorize/return`);
  const folder = mkdtempSync(join(tmpdir(), 'assent-idp-'));
  const secretPath = join(folder, 'secret');
  writeFileSync(secretPath, `${IDP_CLIENT.secret}\n`, { mode: 0o600 });
  const server = await startRealServer({
    ASSENT_PORT: port,
    ASSENT_PUBLIC_URL: origin,
    ASSENT_IMPLICIT_POLICY: 'permit-except',
    ASSENT_OIDC_ISSUER: idp.issuer,
    ASSENT_OIDC_CLIENT_ID: IDP_CLIENT.id,
    ASSENT_OIDC_SECRET_PATH: secretPath,
    ...settings,
  });
  const stop = async () => {
    await server.stop();
    await idp.stop();
    rmSync(folder, { recursive: true });
  };
  return { server, idp, origin, fhir: `${origin}/fhir`, stop };
}

export type AppClient = { readonly id: string; readonly secret: string | undefined };

/** A public app, unless there is a secret. */
export async function registerApp({ server }: LaunchBench, more: Readonly<Record<string, unknown>> = {}): Promise<AppClient> {
  const { client_secret: secret } = more as { client_secret?: string };
  const made = await server.admin.call('POST', '/admin/clients', {
    client_name: 'Growth chart',
    scope: 'patient/*.cruds user/*.cruds',
    actor: 'Organization/app',
    purposes: ['TREAT', 'PATRQT'],
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [CALLBACK],
    ...(secret === undefined ? { token_endpoint_auth_method: 'none' } : {}),
    ...more,
  });
  if (made.status !== 201) throw new Error(`No app: ${made.text}`);
  return { id: String(made.json['client_id']), secret };
}

export type Visit = { readonly status: number; readonly url: URL; readonly text: string; readonly headers: Headers };
/** `from`: whose page sends the form; ours, unless it is said. */
export type Browser = { visit(url: string | URL, form?: Readonly<Record<string, string>> | URLSearchParams, from?: string): Promise<Visit> };

/** Follows redirects until a page, or until it leaves these servers (`status` 0). */
export function openBrowser(): Browser {
  const jar: { name: string; value: string; path: string; host: string }[] = [];
  const keep = (url: URL, line: string) => {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    const path = /path=([^;]+)/i.exec(line)?.[1] ?? '/';
    const at = jar.findIndex((each) => each.name === name && each.path === path && each.host === url.host);
    if (at >= 0) jar.splice(at, 1);
    if (value !== '' && !/max-age=0|expires=thu, 01 jan 1970/i.test(line)) jar.push({ name, value, path, host: url.host });
  };
  const visit: Browser['visit'] = async (address, form, from) => {
    let url = new URL(address);
    let body = form && new URLSearchParams(form);
    for (let hop = 0; hop < 20; hop++) {
      if (!['localhost', '127.0.0.1'].includes(url.hostname)) return { status: 0, url, text: '', headers: new Headers() };
      const cookies = jar.filter(({ path, host }) => host === url.host && url.pathname.startsWith(path)).map(({ name, value }) => `${name}=${value}`);
      const headers = { cookie: cookies.join('; '), accept: 'text/html', ...(body ? { origin: from ?? url.origin } : {}) };
      const response = await fetch(url, { method: body ? 'POST' : 'GET', redirect: 'manual', headers, ...(body ? { body } : {}) });
      for (const line of response.headers.getSetCookie()) keep(url, line);
      const location = response.headers.get('location');
      const text = await response.text();
      if (location === null) return { status: response.status, url, text, headers: response.headers };
      url = new URL(location, url);
      body = undefined;
    }
    throw new Error('It redirects without end.');
  };
  return { visit };
}

export type Asked = { readonly address: string; readonly verifier: string; readonly state: string };

export function authorizeUrl({ origin, fhir }: LaunchBench, client: AppClient, more: Readonly<Record<string, string | undefined>> = {}): Asked {
  const [verifier, state] = [randomBytes(32).toString('base64url'), randomBytes(8).toString('hex')];
  const parameters = {
    response_type: 'code',
    client_id: client.id,
    redirect_uri: CALLBACK,
    scope: 'launch/patient patient/*.rs',
    state,
    aud: fhir,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  };
  const query = new URLSearchParams(Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined));
  return { address: `${origin}/auth/authorize?${query.toString()}`, verifier, state };
}

/** The checked boxes of a page. */
export function scopesOn(text: string): string[] {
  return [...text.matchAll(/name="scope" value="([^"]+)"/g)].map(([, value = '']) => value.replaceAll('&amp;', '&'));
}

const unescaped = (text: string) =>
  text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

/** A hidden field of a page. */
export function fieldOn(text: string, name: string): string {
  return unescaped(new RegExp(`name="${name}" value="([^"]*)"`).exec(text)?.[1] ?? '');
}

/** In this browser, as the page's script does it. */
export async function signInPatient(browser: Browser, { origin }: LaunchBench, passkey: SoftPasskey): Promise<void> {
  const options = JSON.parse((await browser.visit(`${origin}/patient/sign-in/options`, {})).text) as { readonly challenge: string };
  await browser.visit(`${origin}/patient/sign-in`, { answer: JSON.stringify(passkey.assertion(options)) });
}

/** The form of a page that asks for a signature, signed and sent as the page's script does it. */
export async function signOn(browser: Browser, { text, url }: Visit, passkey: SoftPasskey, forged: Forged = {}): Promise<Visit> {
  const [form = ''] = /<form[^>]*data-passkey="sign".*?<\/form>/s.exec(text) ?? [];
  const hidden = [...form.matchAll(/name="([^"]+)" value="([^"]*)"/g)].map(([, name = '', value = '']) => [name, unescaped(value)] as const);
  const challenge = /data-challenge="([^"]+)"/.exec(form)?.[1] ?? '';
  const webauthn = JSON.stringify(passkey.assertion({ challenge }, forged));
  const action = /action="([^"]+)"/.exec(form)?.[1] ?? '/';
  return browser.visit(new URL(action, url), { ...Object.fromEntries(hidden), webauthn });
}

/** Signs in at the identity provider and allows what is ticked, or `scopes`. Resolves with where the app is called back. */
export async function allow(
  browser: Browser,
  address: string,
  { patient, scopes }: { patient?: string; scopes?: readonly string[] } = {},
): Promise<Visit> {
  const first = await browser.visit(address);
  if (first.status !== 200) return first;
  const page = first.text.includes('value="allow"') ? first : await browser.visit(first.url, { answer: 'sign-in' });
  if (!page.text.includes('value="allow"')) return page;
  const form = new URLSearchParams({ answer: 'allow', ...(patient === undefined ? {} : { patient }) });
  for (const scope of scopes ?? scopesOn(page.text)) form.append('scope', scope);
  return browser.visit(page.url, form);
}

export type Token = { readonly status: number; readonly json: Readonly<Record<string, unknown>>; readonly headers: Headers };

export async function postToken(
  { origin }: LaunchBench,
  client: AppClient | undefined,
  form: Readonly<Record<string, string>>,
  path = 'token',
): Promise<Token> {
  const secret = client?.secret;
  const basic =
    secret === undefined ? {} : { authorization: `Basic ${Buffer.from(`${client?.id}:${encodeURIComponent(secret)}`).toString('base64')}` };
  const body = new URLSearchParams({ ...(client && secret === undefined ? { client_id: client.id } : {}), ...form });
  const response = await fetch(`${origin}/auth/${path}`, { method: 'POST', headers: { ...basic, origin: 'https://app.example.org' }, body });
  const text = await response.text();
  return { status: response.status, headers: response.headers, json: text.startsWith('{') ? (JSON.parse(text) as Token['json']) : {} };
}

export function exchange(bench: LaunchBench, client: AppClient, { asked, back }: { readonly asked: Asked; readonly back: URL }): Promise<Token> {
  const code = back.searchParams.get('code') ?? '';
  return postToken(bench, client, { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: asked.verifier });
}

type Launched = {
  readonly scope?: string;
  readonly patient?: string;
  readonly scopes?: readonly string[];
  readonly more?: Readonly<Record<string, string>>;
};

/** All of it: from the request of the app to its token response. */
export async function launchApp(bench: LaunchBench, client: AppClient, { scope, patient, scopes, more = {} }: Launched): Promise<Token> {
  const asked = authorizeUrl(bench, client, { ...(scope === undefined ? {} : { scope }), ...more });
  const back = await allow(openBrowser(), asked.address, { ...(patient === undefined ? {} : { patient }), ...(scopes ? { scopes } : {}) });
  if (!back.url.searchParams.has('code')) throw new Error(`Not allowed: ${back.status} ${back.url.href} ${back.text}`);
  return exchange(bench, client, { asked, back: back.url });
}
