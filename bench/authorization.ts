/**
 * What tokens and the pages of people cost: `node bench/authorization.ts [--seconds 2]`. CPU is of the server process, with eight callers, as CPU-ms a
 * request and as a multiple of a bare Fastify route in the same run; times to the first byte are of one caller. Exits 1 where a page is above 60 kB.
 */
import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { importJWK, type JWK, SignJWT } from 'jose';
import { freePort } from '../test/support/ports.ts';
import { type Bootstrap, createSession } from '../server/commands/demo/session.ts';
import { startBare } from './measured.ts';
import { cpuMs, start } from './processes.ts';
import { round } from './rates.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '2' } } });
const seconds = Number(values.seconds);
const CALLERS = 8;
const MOST_BYTES = 60_000;
const CALLBACK = 'https://app.example.org/callback';

type Ask = () => Promise<Response>;
type Figure = { readonly name: string; readonly cpu: number; readonly p50: number; readonly bytes: number };

/** `status`: what every answer has to be. */
async function measure(
  name: string,
  { pid, ask, status = 200 }: { readonly pid: number; readonly ask: Ask; readonly status?: number },
): Promise<Figure> {
  const times: number[] = [];
  let [answers, bytes] = [0, 0];
  const once = async (): Promise<void> => {
    const began = performance.now();
    const response = await ask();
    times.push(performance.now() - began);
    if (response.status !== status) throw new Error(`${name} answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
    bytes = Math.max(bytes, (await response.arrayBuffer()).byteLength);
    answers++;
  };
  const during = async (): Promise<void> => {
    for (const until = performance.now() + seconds * 1000; performance.now() < until; ) await once();
  };
  const together = () => Promise.all(Array.from({ length: CALLERS }, during));
  await together(); // warms all up
  times.length = 0;
  await during();
  const p50 = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
  const [before, first] = [cpuMs(pid), answers];
  await together();
  return { name, cpu: (cpuMs(pid) - before) / (answers - first), p50, bytes };
}

const dataDir = mkdtempSync(join(tmpdir(), 'assent-authorization-'));
const port = String(await freePort());
const origin = `http://localhost:${port}`;
const server = await start(['server/main.ts', 'serve'], { ASSENT_DATA_DIR: dataDir, ASSENT_PORT: port, ASSENT_PUBLIC_URL: origin });
const bare = await startBare('x'.repeat(1500));
try {
  const bootstrap = JSON.parse(readFileSync(String(server.ready['bootstrap']), 'utf8')) as Bootstrap;
  const figures = await measureAll(bootstrap);
  report(figures);
} finally {
  await bare.stop();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

async function measureAll(bootstrap: Bootstrap): Promise<readonly Figure[]> {
  const { pid } = server;
  const admin = await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
  const plain = `http://127.0.0.1:${String(bare.ready['port'])}`;
  const token = await (await fetch(`${plain}/token`)).text();
  const app = await registered(admin, {
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [CALLBACK],
    token_endpoint_auth_method: 'none',
    scope: 'patient/*.rs',
  });
  return [
    await measure('bare route', { pid: bare.pid, ask: () => fetch(`${plain}/resource`, { headers: { authorization: `Bearer ${token}` } }) }),
    await measure('a token that is verified and has a resource read that is absent', {
      pid,
      status: 404,
      ask: () => fetch(`${bootstrap.fhirBaseUrl}/Location/absent`, { headers: { authorization: `Bearer ${admin.token}` } }),
    }),
    await measure('token by client_secret', { pid, ask: bySecret(bootstrap) }),
    await measure('token by private_key_jwt, ES384', { pid, ask: await byAssertion(bootstrap, admin) }),
    await measure('authorization request, to its page', {
      pid,
      status: 303,
      ask: () => fetch(authorizeAddress(bootstrap, app), { redirect: 'manual' }),
    }),
    await measure('sign-in page of patients', { pid, ask: () => fetch(`${origin}/patient/sign-in`) }),
    await measure('page of an authorization', { pid, ask: await pageOf(bootstrap, app) }),
    await measure('first page', { pid, ask: () => fetch(`${origin}/`) }),
  ];
}

type Session = Awaited<ReturnType<typeof createSession>>;

async function registered(admin: Session, more: Readonly<Record<string, unknown>>): Promise<string> {
  const made = await admin.call('POST', '/admin/clients', { client_name: 'bench', actor: 'Organization/bench', purposes: ['TREAT'], ...more });
  if (made.status !== 201) throw new Error(`no client: ${made.text}`);
  return String(made.json['client_id']);
}

function bySecret({ tokenUrl, admin }: Bootstrap): Ask {
  const authorization = `Basic ${Buffer.from(`${admin.client_id}:${admin.client_secret}`).toString('base64')}`;
  const body = 'grant_type=client_credentials&scope=system%2F*.rs';
  const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' };
  return () => fetch(tokenUrl, { method: 'POST', headers, body });
}

async function byAssertion({ tokenUrl }: Bootstrap, admin: Session): Promise<Ask> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'ES384', use: 'sig' };
  const client = await registered(admin, { grant_types: ['client_credentials'], scope: 'system/*.rs', jwks: { keys: [jwk] } });
  const key = await importJWK(privateKey.export({ format: 'jwk' }) as JWK, 'ES384');
  return async () => {
    const assertion = await new SignJWT({})
      .setProtectedHeader({ alg: 'ES384', kid: 'bench', typ: 'JWT' })
      .setIssuer(client)
      .setSubject(client)
      .setAudience(tokenUrl)
      .setJti(randomUUID())
      .setExpirationTime('4m')
      .sign(key);
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      scope: 'system/*.rs',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    });
    return fetch(tokenUrl, { method: 'POST', body });
  };
}

function authorizeAddress({ fhirBaseUrl }: Bootstrap, client: string): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client,
    redirect_uri: CALLBACK,
    scope: 'launch/patient patient/*.rs',
    state: 'x',
    aud: fhirBaseUrl,
    code_challenge: createHash('sha256').update(randomBytes(32)).digest('base64url'),
    code_challenge_method: 'S256',
  });
  return `${origin}/auth/authorize?${query.toString()}`;
}

/** The page that one request of an app leads to, as the browser asks for it again. */
async function pageOf(bootstrap: Bootstrap, client: string): Promise<Ask> {
  const sent = await fetch(authorizeAddress(bootstrap, client), { redirect: 'manual' });
  const cookie = sent.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ');
  const address = new URL(sent.headers.get('location') ?? '/', origin);
  return () => fetch(address, { headers: { cookie } });
}

function report(figures: readonly Figure[]): void {
  const control = figures[0]?.cpu ?? 1;
  for (const { name, cpu, p50, bytes } of figures)
    process.stdout.write(`${name.padEnd(66)} ${round(cpu, 3)} CPU-ms, ${round(cpu / control, 1)} of bare, p50 ${round(p50, 1)} ms, ${bytes} bytes\n`);
  const large = figures.filter(({ name, bytes }) => name.includes('page') && bytes > MOST_BYTES);
  for (const { name, bytes } of large) process.stdout.write(`VIOLATION ${name}: ${bytes} bytes, more than ${MOST_BYTES}\n`);
  process.exitCode = large.length === 0 ? 0 : 1;
}
