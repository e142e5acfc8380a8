/** The log's key replaced, as an operator does it with the servers stopped; receipts before and after, readers with the old key pinned, and the old key in a thief's hands. */
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePolicy, type Policy } from '../../ledger/policy.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { beginRotation } from '../../server/anchoring/signer-files.ts';
import { enrolKey, type Session } from '../../server/commands/demo/session.ts';
import { assent } from '../attacks/scene.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  settled,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const READER = 'Organization/reader';

let folder: string;
let server: RealServer;
let reader: Session;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assent-log-key-'));
  server = await startRealServer();
  for (const reference of [HOSPITAL, READER]) await put(server, organization(reference));
  await put(server, patient('ann'));
  await put(server, observation('of-ann', 'Patient/ann'));
  const keys = [await enrolKey(server.admin, 'Patient/ann'), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: 'Patient/ann', grantee: READER }), keys);
  reader = (await register(server, { actor: READER })).session;
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const at = (path: string) => new URL(path, server.bootstrap.fhirBaseUrl);
const keyNow = async () => (await (await fetch(at('/ledger/key'))).text()).trim();
const ready = async () => (await fetch(at('/readyz'))).status;
const settings = () => {
  const uri = server.environment['ASSENT_MONGODB_URI'];
  return { ASSENT_DATA_DIR: server.dataDir, ...(uri === undefined ? {} : { ASSENT_MONGODB_URI: uri }) };
};
const trusting = (key: string): Policy => {
  const policy = parsePolicy(`log ${key}\n`);
  return typeof policy === 'string' ? expect.fail(policy) : policy;
};
const verdictOf = (text: string, key: string) => verifyReceipt(text, { policy: trusting(key) });

const read = async () => (await reader.call('GET', 'Observation/of-ann')).headers.get('assent-receipt') ?? expect.fail();
async function receipt(url: string): Promise<string> {
  const { status, text } = await settled(reader, url);
  expect(status).toBe(200);
  return text;
}

async function rotate(): Promise<string> {
  const done = { code: 1, said: '' };
  await server.restart(async () => Object.assign(done, await assent(['rotate'], settings())));
  expect(done).toMatchObject({ code: 0, said: expect.stringContaining('Logged as entry') as string });
  return done.said.split('\n')[0] ?? '';
}

async function together(...texts: readonly string[]) {
  const files = texts.map((text, i) => {
    const file = join(folder, `file-${i}.json`);
    writeFileSync(file, text);
    return file;
  });
  return assent(['verify', ...files]);
}

describe('the log’s key', () => {
  it('is replaced, twice: who pinned any of them goes on believing the log, with receipts of before and after', async () => {
    const first = await keyNow();
    const url = await read();
    const before = await receipt(url);
    const second = await rotate();
    expect([await keyNow(), second === first, await ready()]).toEqual([second, false, 200]);
    expect(second.split('+')[0]).toBe(first.split('+')[0]);
    const after = await receipt(await read());
    for (const key of [first, second]) expect(verdictOf(after, key)).toMatchObject({ kind: 'proven' });
    expect(verdictOf(before, first).kind).toBe('proven');
    expect(verdictOf(before, second)).toMatchObject({ kind: 'refuted', reason: 'The log is none of those trusted.' });
    // The same disclosure once more: now under the new key.
    expect(verdictOf(await receipt(url), second).kind).toBe('proven');
    const third = await rotate();
    const last = await receipt(await read());
    for (const key of [first, second, third]) expect(verdictOf(last, key)).toMatchObject({ kind: 'proven' });
    expect(verifyReceipt(last)).toMatchObject({
      proven: expect.arrayContaining([expect.stringContaining(`took the place of ${first}, ${second}`)]) as string[],
    });
    expect(await together(before, after, last)).toMatchObject({ code: 0 });
    for (const old of ['key', 'key.1']) expect(existsSync(join(server.dataDir, 'signer', old))).toBe(false);
    expect(await assent(['fsck'], settings())).toMatchObject({ code: 0, said: expect.stringContaining(': whole') as string });
  });

  it('broken off in the middle, neither key signs until it is run again', async () => {
    const before = await keyNow();
    await server.restart(async () => void (await beginRotation(join(server.dataDir, 'signer'))));
    expect(await ready()).toBe(503);
    expect((await reader.call('GET', 'Observation/of-ann')).status).toBe(503);
    const after = await rotate();
    expect([after === before, await ready(), await keyNow()]).toEqual([false, 200, after]);
    expect(verdictOf(await receipt(await read()), before).kind).toBe('proven');
  });

  it('in a thief’s hands after it was replaced signs what is refuted beside any later receipt', async () => {
    if (server.environment['ASSENT_MONGODB_URI'] !== undefined) return;
    const stolen = join(folder, 'stolen');
    await server.restart(async () => cpSync(server.dataDir, stolen, { recursive: true }));
    const old = await keyNow();
    await rotate();
    const honest = await receipt(await read());
    const theirs = await startRealServer({ ASSENT_DATA_DIR: stolen, ASSENT_PUBLIC_URL: at('/').origin });
    try {
      const port = Number(theirs.environment['ASSENT_PORT']);
      const url = await fetch(`http://127.0.0.1:${port}/fhir/Observation/of-ann`, { headers: { authorization: `Bearer ${reader.token}` } });
      const asked = new URL(url.headers.get('assent-receipt') ?? '', `http://127.0.0.1:${port}/fhir/`);
      asked.host = `127.0.0.1:${port}`;
      await expect.poll(async () => (await fetch(asked, { headers: { authorization: `Bearer ${reader.token}` } })).status).toBe(200);
      const forged = await (await fetch(asked, { headers: { authorization: `Bearer ${reader.token}` } })).text();
      expect(verdictOf(forged, old).kind).toBe('proven');
      expect(await together(honest, forged)).toMatchObject({
        code: 1,
        said: expect.stringContaining('is signed with a key that was replaced') as string,
      });
    } finally {
      await theirs.stop();
    }
  });
});
