/**
 * What Inferno's SMART App Launch test kit is to a server: an app and a backend service that have their keys at an address, send requests as it
 * does, and keep the answers for its checks. https://github.com/inferno-framework/smart-app-launch-test-kit, suite smart_stu2_2
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { allow, type LaunchBench, openBrowser } from './app-launch.ts';

export const ORIGIN = 'https://inferno.example.org';
export const REDIRECT = `${ORIGIN}/custom/smart_stu2_2/redirect`;
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export type Algorithm = 'ES384' | 'RS384';
export type Json = Readonly<Record<string, unknown>>;
export type Answer = { readonly status: number; readonly headers: Headers; readonly text: string; readonly json: Json };
/** How an app says who it is. */
export type Credential = 'public' | 'symmetric' | Algorithm;
export type App = { readonly id: string; readonly credential: Credential; readonly secret?: string };

export type Keys = {
  readonly jwksUri: string;
  readonly host: string;
  sign(claims: Json, algorithm: Algorithm): Promise<string>;
  stop(): Promise<void>;
};

/** A key of each kind, with the members that the kit's have. */
export async function serveKeys(): Promise<Keys> {
  const kept = new Map<Algorithm, { readonly key: CryptoKey; readonly kid: string }>();
  const keys: Json[] = [];
  for (const alg of ['ES384', 'RS384'] as const) {
    const { publicKey, privateKey } = await generateKeyPair(alg);
    const kid = randomBytes(16).toString('hex');
    kept.set(alg, { key: privateKey, kid });
    keys.push({ ...(await exportJWK(publicKey)), use: 'sig', key_ops: ['verify'], ext: true, kid, alg });
  }
  const server: Server = createServer((_request, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }, null, 2)),
  );
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    jwksUri: `http://${host}/.well-known/jwks.json`,
    host,
    sign: async (claims, alg) => {
      const held = kept.get(alg);
      if (!held) throw new Error(`No key for ${alg}.`);
      return new SignJWT(claims).setProtectedHeader({ alg, kid: held.kid, typ: 'JWT' }).sign(held.key);
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export async function get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return answered(await fetch(url, { headers: { accept: 'application/json', ...headers } }));
}

export async function post(url: string, form: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return answered(await fetch(url, { method: 'POST', headers, body: new URLSearchParams(form) }));
}

async function answered(response: Response): Promise<Answer> {
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: text.startsWith('{') ? (JSON.parse(text) as Json) : {} };
}

/** The claims of an assertion for who is `client`, for five minutes. */
export const claimsOf = (client: string, aud: string): Json => ({
  iss: client,
  sub: client,
  aud,
  exp: Math.floor((Date.now() + 300_000) / 1000),
  jti: randomBytes(32).toString('hex'),
});

type Addressed = { readonly bench: LaunchBench; readonly keys: Keys; readonly tokenUrl: string; readonly authorizationUrl: string };
export type Launched = { readonly redirect: URL; readonly state: string; readonly token: Answer };
export type Asking = {
  readonly app: App;
  readonly method: 'get' | 'post';
  readonly scope: string;
  readonly launch?: string;
  readonly patient?: string;
};

/** A token request that says who the app is. */
export async function requestToken({ keys, tokenUrl }: Addressed, { id, credential, secret }: App, form: Readonly<Record<string, string>>) {
  const headers = { origin: ORIGIN };
  if (credential === 'public') return post(tokenUrl, { ...form, client_id: id }, headers);
  if (credential === 'symmetric')
    return post(tokenUrl, form, { ...headers, authorization: `Basic ${Buffer.from(`${id}:${secret ?? ''}`).toString('base64')}` });
  const assertion = await keys.sign(claimsOf(id, tokenUrl), credential);
  return post(tokenUrl, { ...form, client_assertion_type: ASSERTION_TYPE, client_assertion: assertion }, headers);
}

/** From the request for authorization, which the person allows in a browser, to the tokens. */
export async function launch(to: Addressed, { app, method, scope, launch: opened, patient }: Asking): Promise<Launched> {
  const [state, verifier] = [randomUUID(), `${randomUUID()}-${randomUUID()}`];
  const asked = new URLSearchParams({
    response_type: 'code',
    client_id: app.id,
    redirect_uri: REDIRECT,
    scope,
    state,
    aud: to.bench.fhir,
    ...(opened === undefined ? {} : { launch: opened }),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const browser = openBrowser();
  const address =
    method === 'get' ? `${to.authorizationUrl}?${asked.toString()}` : (await browser.visit(to.authorizationUrl, asked, ORIGIN)).url.href;
  const { url: redirect } = await allow(browser, address, patient === undefined ? {} : { patient });
  const token = await requestToken(to, app, {
    code: redirect.searchParams.get('code') ?? '',
    redirect_uri: REDIRECT,
    grant_type: 'authorization_code',
    code_verifier: verifier,
  });
  return { redirect, state, token };
}

/** A backend service's request, with what `wrong` puts in the place of what is right. */
export async function requestAsService(
  { keys, tokenUrl }: Addressed,
  { client, algorithm }: { readonly client: string; readonly algorithm: Algorithm },
  wrong: { readonly form?: Readonly<Record<string, string>>; readonly claims?: Json } = {},
): Promise<Answer> {
  const form = {
    scope: 'system/*.rs',
    grant_type: 'client_credentials',
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: await keys.sign({ ...claimsOf(client, tokenUrl), ...wrong.claims }, algorithm),
    ...wrong.form,
  };
  return post(tokenUrl, form, { accept: 'application/json' });
}
