/** Separation of duties, over HTTP against the whole server: each account of administration may do what the table says, and nothing else. */
import { generateKeyPairSync } from 'node:crypto';
import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSession, enrolKey, type Client, type Session } from '../../server/commands/demo/session.ts';
import { type Role, roles } from '../../server/consent/model.ts';
import { adminPlugin, type AdminDeps } from '../../server/http/admin.ts';
import { duties, type Endpoint } from '../../server/http/duties.ts';
import { webPlugin, type WebDependencies } from '../../server/web/plugin.ts';
import { type ConsoleReader, consoleAs } from '../support/console.ts';
import { HOSPITAL, observation, organization, patient, put, register, type RealServer, startRealServer } from '../support/real-server.ts';

type Account = { readonly name: Role | 'admin'; readonly client: Client; readonly session: Session };

let server: RealServer;
let origin: string;
let accounts: readonly Account[];

const of = (name: Account['name']) => accounts.find((account) => account.name === name) as Account;
const newClient = (scope: string, more: object = {}) => ({
  client_name: 'Somebody',
  client_secret: 'a secret of sixteen',
  scope,
  actor: 'Device/somebody',
  purposes: ['HOPERAT'],
  ...more,
});

beforeAll(async () => {
  server = await startRealServer();
  origin = new URL(server.bootstrap.consoleUrl).origin;
  for (const resource of [organization(HOSPITAL), patient('alice')]) await put(server, resource);
  await put(server, observation('pulse', 'Patient/alice'));
  const made = await Promise.all(
    roles.map(async (name) => {
      const actor = name === 'signer' ? HOSPITAL : `Practitioner/${name}`;
      return { name, ...(await register(server, { actor, purposes: ['HOPERAT'], scope: `admin/${name}` })) };
    }),
  );
  accounts = [...made, { name: 'admin', client: server.bootstrap.admin, session: server.admin }];
});
afterAll(() => server.stop());

/** What the table says, read here once more. */
function isFor(endpoint: Endpoint, name: Account['name']): boolean {
  const duty = duties[endpoint] as 'anyone' | 'launch' | readonly Role[];
  if (duty === 'anyone') return true;
  if (duty === 'launch') return false;
  return name === 'admin' ? duty.length === 0 || duty.some((role) => role !== 'signer') : duty.includes(name);
}

async function statusFor(endpoint: Endpoint, { session }: Account, reader: ConsoleReader): Promise<number> {
  const [method = '', path = ''] = endpoint.split(' ');
  const at = path.replace(':id', 'nothing');
  if (at.startsWith('/admin/')) return (await session.call(method, at, method === 'POST' || method === 'PUT' ? {} : undefined)).status;
  return (method === 'GET' ? await reader.get(at) : await reader.send(at)).status;
}

describe('the table of duties', () => {
  it('names every endpoint of the admin API and of the console, and nothing that is not there', async () => {
    const app = Fastify();
    const served: string[] = [];
    app.addHook('onRoute', ({ method, url }) => void served.push(...[method].flat().map((one) => `${one} ${url}`)));
    await app.register(adminPlugin, {} as AdminDeps);
    await app.register(webPlugin({ origin, clock: () => 0, custodians: {} } as unknown as WebDependencies));
    await app.close();
    expect(served.filter((name) => !/^HEAD | \/assets\//.test(name)).toSorted()).toEqual(Object.keys(duties).toSorted());
  });

  it('is what each account meets, at every endpoint', async () => {
    for (const account of accounts) {
      const reader = await consoleAs(origin, account.client);
      for (const endpoint of Object.keys(duties) as Endpoint[]) {
        // It answers a wrong secret so too; the accounts sign in by it all the time.
        if (endpoint === 'POST /console/sign-in') continue;
        const still = endpoint === 'POST /console/sign-out' ? await consoleAs(origin, account.client) : reader;
        const status = await statusFor(endpoint, account, still);
        expect(status === 403, `${account.name} at ${endpoint}: ${status}`).toBe(!isFor(endpoint, account.name));
        expect([401, 500], `${account.name} at ${endpoint}`).not.toContain(status);
      }
    }
  });

  it('lets nobody without an account in', async () => {
    for (const [endpoint, duty] of Object.entries(duties)) {
      const [method = '', path = ''] = endpoint.split(' ');
      if (duty === 'anyone') continue;
      const answer = await fetch(origin + path.replace(':id', 'nothing'), { method, redirect: 'manual', headers: { origin } });
      expect([401, 303, 415], endpoint).toContain(answer.status);
    }
  });

  it('gives each account a menu of its own pages', async () => {
    const menu = async (name: Account['name']) => (await (await consoleAs(origin, of(name).client)).get('/')).text;
    expect(await menu('auditor')).toContain('href="/console/trail"');
    expect(await menu('auditor')).not.toContain('href="/console/explain"');
    expect(await menu('operator')).not.toContain('href="/console/trail"');
  });
});

describe('an account with duties', () => {
  it('gives duties to nobody, and takes none', async () => {
    const { session } = of('registrar');
    for (const scope of ['admin', 'admin/auditor', 'admin/signer', 'system/*.cruds admin'])
      expect((await session.call('POST', '/admin/clients', newClient(scope, { actor: HOSPITAL }))).status, scope).toBe(403);
    const made = await session.call('POST', '/admin/clients', newClient('system/*.rs', { client_id: 'plain' }));
    expect(made.status).toBe(201);
    const { client_secret: _secret, ...widened } = newClient('admin/auditor');
    expect((await session.call('PUT', '/admin/clients/plain', widened)).status).toBe(403);
    const { client_id: theirs } = of('auditor').client;
    expect((await session.call('PUT', `/admin/clients/${theirs}`, newClient('system/*.rs'))).status).toBe(403);
    expect((await session.call('DELETE', `/admin/clients/${theirs}`)).status).toBe(403);
    expect((await session.call('DELETE', '/admin/clients/plain')).status).toBe(204);
  });

  it('enrols patients, and no custodian: nobody can make both signatures', async () => {
    const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
    const { session } = of('registrar');
    expect((await session.call('POST', '/admin/keys', { owner: HOSPITAL, jwk, proofing: 'in person' })).status).toBe(403);
    expect((await session.call('POST', '/admin/keys', { owner: HOSPITAL, jwk, proofing: 'in person', role: 'requester' })).status).toBe(201);
    await enrolKey(session, 'Patient/alice');
    await enrolKey(server.admin, HOSPITAL);
  });

  it.each([
    ['signing and running the server', 'admin/signer admin/operator', HOSPITAL],
    ['duties and records', 'admin/auditor system/*.rs', 'Device/x'],
    ['duties and all of administration', 'admin admin/signer', HOSPITAL],
    ['signing for nobody', 'admin/signer', 'Device/x'],
    ['a patient', 'admin/auditor', 'Patient/alice'],
    ['an unknown duty', 'admin/everything', 'Device/x'],
  ])('is not %s', async (_, scope, actor) => {
    expect((await server.admin.call('POST', '/admin/clients', newClient(scope, { actor }))).status).toBe(400);
  });

  it('reads no record over FHIR, nor what its own pages show', async () => {
    for (const { session, name } of accounts.filter((account) => account.name !== 'admin'))
      for (const path of ['Observation/pulse', 'Patient/alice', 'AuditEvent', 'Consent', '?_type=Observation', 'Patient/alice/$disclosures'])
        expect((await session.call('GET', path)).status, `${name}: ${path}`).toBe(403);
  });

  it('is told no scope it is not registered for', async () => {
    const { client } = of('auditor');
    await expect(createSession(server.bootstrap, client, 'admin')).rejects.toThrow();
    await expect(createSession(server.bootstrap, client, 'admin/operator')).rejects.toThrow();
  });
});
