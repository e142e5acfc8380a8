/** bootstrap.json: made once, private, true to the running server, and no way back in for an administrator who was removed. */
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bootstrap, ensureBootstrap, readBootstrap } from '../../server/authz/bootstrap.ts';
import { endpointsOf } from '../../server/authz/endpoints.ts';
import { type AuthorizationBench, basic, createAuthorizationBench } from '../support/authorization.ts';

let bench: AuthorizationBench;
let folder: string;
beforeEach(async () => {
  bench = await createAuthorizationBench();
  folder = await mkdtemp(join(tmpdir(), 'assent-bootstrap-'));
});
afterEach(async () => {
  await bench.app.close();
  await rm(folder, { recursive: true, force: true });
});

const dataDir = () => join(folder, 'data');
const start = (publicUrl = bench.endpoints.issuer) =>
  ensureBootstrap({ dataDir: dataDir(), endpoints: endpointsOf(publicUrl), clients: bench.clients });
const enter = ({ admin }: Bootstrap) => bench.requestToken({ scope: 'system/*.cruds admin' }, basic(admin.client_id, admin.client_secret));

test('the first start makes an administrator, in a file only its owner can read', async () => {
  const path = await start();
  const { mode } = await stat(path);
  expect(mode & 0o777).toBe(0o600);
  expect((await stat(dataDir())).mode & 0o777).toBe(0o700);
  const made = JSON.parse(await readFile(path, 'utf8')) as Bootstrap;
  expect(made).toMatchObject({
    fhirBaseUrl: 'https://fhir.example.org/fhir',
    tokenUrl: 'https://fhir.example.org/auth/token',
    consoleUrl: 'https://fhir.example.org/',
  });
  const answer = await enter(made);
  expect(answer.json['scope']).toBe('system/*.cruds admin');
  expect(await readdir(dataDir())).toEqual(['bootstrap.json']);
});

test('first starts at the same time make one administrator', async () => {
  await Promise.all(Array.from({ length: 8 }, () => start()));
  expect(await bench.clients.list({ limit: 20 })).toHaveLength(1);
  expect((await enter(await readBootstrap(dataDir()))).status).toBe(200);
  expect(await readdir(dataDir())).toEqual(['bootstrap.json']);
});

test('a second start changes nothing but the addresses', async () => {
  await start();
  const before = await readBootstrap(dataDir());
  await start('https://moved.example.org');
  expect(await readBootstrap(dataDir())).toEqual({
    ...before,
    fhirBaseUrl: 'https://moved.example.org/fhir',
    tokenUrl: 'https://moved.example.org/auth/token',
    consoleUrl: 'https://moved.example.org/',
  });
  expect(await bench.clients.list({ limit: 10 })).toHaveLength(1);
});

test('a start that was cut short after the file is made good by the next', async () => {
  await start();
  const before = await readBootstrap(dataDir());
  await bench.store.records.delete('client', before.admin.client_id);
  expect((await enter(before)).status).toBe(401);
  await start();
  expect((await enter(before)).status).toBe(200);
});

test('an administrator who was removed does not come back with a restart', async () => {
  await start();
  const before = await readBootstrap(dataDir());
  await bench.clients.remove(before.admin.client_id, 'first-start');
  await start();
  expect((await enter(before)).status).toBe(401);
});

test('who lost the file gets a new administrator beside the old', async () => {
  const path = await start();
  const before = await readBootstrap(dataDir());
  await rm(path);
  await start();
  const after = await readBootstrap(dataDir());
  expect(after.admin.client_id).not.toBe(before.admin.client_id);
  expect((await enter(after)).status).toBe(200);
});

test('a file that is not JSON stops the start with a sentence and is left alone', async () => {
  const path = await start();
  await writeFile(path, 'not json');
  await expect(start()).rejects.toThrow('it is not JSON');
  expect(await readFile(path, 'utf8')).toBe('not json');
});

test('the command line says what to do where no server was started', async () => {
  await expect(readBootstrap(join(folder, 'empty'))).rejects.toThrow('start the server once');
});
