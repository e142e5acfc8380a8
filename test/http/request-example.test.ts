/** docs/examples/request.mjs as an insurer runs it: a process of its own against a real server, with its own key, answered by patient and custodian. */
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Json, type Key } from '../../server/commands/demo/session.ts';
import { approve, refuse, requestTasks, toldOf } from '../support/consent-requests.ts';
import { HOSPITAL, observation, organization, patient, put, type RealServer, startRealServer } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
let server: RealServer;
let custodian: Key;
let folder: string;
let registered: { readonly clientId: string; readonly key: string };

beforeAll(async () => {
  server = await startRealServer();
  folder = mkdtempSync(join(tmpdir(), 'assent-example-'));
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  custodian = await enrolKey(server.admin, HOSPITAL);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'insurer-1', alg: 'ES384', use: 'sig' }] };
  const made = await server.admin.call('POST', '/admin/clients', {
    client_name: 'Insurer',
    jwks,
    scope: 'system/*.rs',
    actor: INSURER,
    purposes: ['HPAYMT'],
    grant_types: ['client_credentials'],
  });
  expect(made.status, made.text).toBe(201);
  const key = join(folder, 'private.jwk.json');
  writeFileSync(key, JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: 'insurer-1' }));
  registered = { clientId: String(made.json['client_id']), key };
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

type Run = { readonly lines: Json[]; readonly ended: Promise<number | null>; stop(): void };

/** `name`: of its patient, and of what it keeps. */
async function person(name: string): Promise<Key> {
  await put(server, patient(name));
  for (const each of ['a', 'b']) await put(server, observation(`o-${name}-${each}`, `Patient/${name}`));
  return enrolKey(server.admin, `Patient/${name}`);
}

function run(name: string, deadlineMinutes: number): Run {
  const settings = {
    fhir: server.bootstrap.fhirBaseUrl,
    ...registered,
    actor: INSURER,
    purpose: 'HPAYMT',
    custodian: HOSPITAL,
    patient: `Patient/${name}`,
    deadlineMinutes,
    read: `Observation?patient=Patient/${name}&_count=1`,
    state: join(folder, `${name}.state.json`),
    pollSeconds: 0.1,
  };
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(settings));
  const script = new URL('../../docs/examples/request.mjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, file], { env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: Json[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line) as Json));
  createInterface({ input: child.stderr }).on('line', (line) => lines.push({ stderr: line }));
  return { lines, ended: new Promise((resolve) => child.on('close', resolve)), stop: () => void child.kill('SIGKILL') };
}

async function told(name: string) {
  const [task] = (await requestTasks(server.admin, 'consent')).filter(({ for: whose }) => (whose as Json)['reference'] === `Patient/${name}`);
  return toldOf(task ?? expect.fail(), server.admin);
}

it('asks, is stopped, goes on, and reads what patient and custodian granted, every page of it', async () => {
  const key = await person('yes');
  const first = run('yes', 60);
  await expect.poll(() => first.lines).toMatchObject([{ asked: expect.stringMatching(/^Task\//) }]);
  first.stop();
  await first.ended;
  const second = run('yes', 60);
  await expect.poll(() => second.lines).toEqual(first.lines);
  expect(await requestTasks(server.admin, 'consent')).toHaveLength(1);
  const asked = await told('yes');
  expect((await approve(server.admin, asked, [key])).status).toBe(202);
  expect((await approve(server.admin, asked, [custodian])).status).toBe(201);
  expect(await second.ended, JSON.stringify(second.lines)).toBe(0);
  expect(second.lines.slice(1)).toEqual([
    { granted: true, consent: asked.consent },
    { read: 'Observation?patient=Patient/yes&_count=1', resources: 2 },
  ]);
});

it('is told at its deadline that it was not granted, although the server was away in between', async () => {
  const key = await person('no');
  const script = run('no', 2);
  await expect.poll(() => script.lines).toHaveLength(1);
  expect((await refuse(server.admin, await told('no'), { key, now: server.now() })).status).toBe(200);
  server.advance(3 * 60_000);
  await server.restart();
  expect(await script.ended, JSON.stringify(script.lines)).toBe(3);
  expect(script.lines.at(-1)).toEqual({ granted: false, reason: 'The request was not granted.' });
});
