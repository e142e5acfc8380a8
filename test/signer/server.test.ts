/**
 * A server whose log another process signs: real processes, real HTTP; the signer killed and started again, the database set back, the key nowhere
 * near the server. ledger.md §2
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePolicy } from '../../ledger/policy.ts';
import { verifyReceipt } from '../../ledger/receipt.ts';
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
import { launchSigner, type SignerProcess } from '../support/signer-process.ts';

const READER = 'Organization/reader';

let folder: string;
let signer: SignerProcess;
let server: RealServer;
let reader: Session;

const settings = (of: SignerProcess) => ({ ASSENT_SIGNER: of.address, ASSENT_SIGNER_SECRET_PATH: of.secret });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assent-apart-'));
  signer = await launchSigner(join(folder, 'signer'));
  server = await startRealServer(settings(signer));
  for (const reference of [HOSPITAL, READER]) await put(server, organization(reference));
  await put(server, patient('ann'));
  await put(server, observation('of-ann', 'Patient/ann'));
  const keys = [await enrolKey(server.admin, 'Patient/ann'), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: 'Patient/ann', grantee: READER }), keys);
  reader = (await register(server, { actor: READER })).session;
});
afterAll(async () => {
  await server.stop();
  await signer.end('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const at = (path: string) => new URL(path, server.bootstrap.fhirBaseUrl);
const sizeNow = async () => Number((await (await fetch(at('/ledger/checkpoint'))).text()).split('\n')[1]);
const ready = async () => {
  const answer = await fetch(at('/readyz'));
  return [answer.status, await answer.text()] as const;
};
const fsck = () => assent(['fsck'], { ASSENT_DATA_DIR: server.dataDir, ...settings(signer), ...mongo() });
const mongo = () => {
  const uri = server.environment['ASSENT_MONGODB_URI'];
  return uri === undefined ? {} : { ASSENT_MONGODB_URI: uri };
};

async function read(): Promise<string> {
  const answer = await reader.call('GET', 'Observation/of-ann');
  expect(answer.status).toBe(200);
  return answer.headers.get('assent-receipt') ?? expect.fail();
}

describe('a server with a signer of its own', () => {
  it('hands out receipts under the key of the signer, which it does not have', async () => {
    const { status, text } = await settled(reader, await read());
    expect([status, verifyReceipt(text).kind, text.includes(JSON.stringify(signer.key))]).toEqual([200, 'proven', true]);
    expect(await (await fetch(at('/ledger/key'))).text()).toBe(`${signer.key}\n`);
    expect(existsSync(join(server.dataDir, 'signer'))).toBe(false);
    expect(readdirSync(join(folder, 'signer')).filter((name) => name === 'key')).toEqual(['key']);
    expect(await fsck()).toMatchObject({ code: 0, said: expect.stringContaining('whole') as string });
  });

  it('goes on reading and writing while the signer is dead, and has it all signed once it is back', async () => {
    await settled(reader, await read());
    await signer.end('SIGKILL');
    const before = await sizeNow();
    const receipt = await read();
    await put(server, observation('while-away', 'Patient/ann'));
    expect([(await reader.call('GET', receipt)).status, await sizeNow(), (await ready())[0]]).toEqual([202, before, 200]);
    await expect.poll(() => server.logs.join('')).toContain('The signer cannot be reached');
    expect((await fsck()).code).not.toBe(0);
    signer = await launchSigner(join(folder, 'signer'));
    await expect.poll(sizeNow).toBeGreaterThan(before);
    const { status, text } = await settled(reader, receipt);
    expect([status, verifyReceipt(text).kind]).toEqual([200, 'proven']);
  });

  it('does not start without it, with a wrong secret, or with a key of its own left behind', async () => {
    const secret = join(folder, 'another');
    writeFileSync(secret, 'x'.repeat(43));
    await expect(startRealServer({ ...settings(signer), ASSENT_SIGNER: `unix:${join(folder, 'nobody')}` })).rejects.toThrow('cannot be reached');
    await expect(startRealServer({ ...settings(signer), ASSENT_SIGNER_SECRET_PATH: secret })).rejects.toThrow('does not accept the secret');
    const copy = join(folder, 'copy');
    cpSync(join(folder, 'signer', 'key'), join(copy, 'signer', 'key'));
    await expect(startRealServer({ ...settings(signer), ASSENT_DATA_DIR: copy })).rejects.toThrow('A signing key lies in the data folder');
  });

  it('has its key replaced in the signer’s folder, and goes on under the new one', async () => {
    const old = signer.key;
    await server.restart(async () => {
      await signer.end('SIGTERM');
      const done = await assent(['rotate', '--signer', join(folder, 'signer')], { ASSENT_DATA_DIR: server.dataDir, ...mongo() });
      expect(done).toMatchObject({ code: 0 });
      signer = await launchSigner(join(folder, 'signer'));
      expect(done.said).toContain(signer.key);
    });
    const { text } = await settled(reader, await read());
    const policy = parsePolicy(`log ${old}\n`);
    if (typeof policy === 'string') expect.fail(policy);
    expect([signer.key === old, verifyReceipt(text, { policy }).kind]).toEqual([false, 'proven']);
    expect(await fsck()).toMatchObject({ code: 0, said: expect.stringContaining(': whole') as string });
  });

  it('is refused once its database was set back, by the signer, and stays refused when both are started again', async () => {
    const database = (of: string) => readdirSync(of).filter((name) => name.startsWith('assent.sqlite'));
    if (server.environment['ASSENT_MONGODB_URI'] !== undefined) return;
    const backup = join(folder, 'backup');
    await server.restart(async () => {
      for (const name of database(server.dataDir)) cpSync(join(server.dataDir, name), join(backup, name));
    });
    await settled(reader, await read());
    const signed = await sizeNow();
    await server.restart(async () => {
      for (const name of database(server.dataDir)) rmSync(join(server.dataDir, name));
      for (const name of database(backup)) cpSync(join(backup, name), join(server.dataDir, name));
    });
    expect(await ready()).toEqual([503, expect.stringContaining('older than the signer')]);
    expect((await reader.call('GET', 'Observation/of-ann')).status).toBe(503);
    await signer.end('SIGTERM');
    signer = await launchSigner(join(folder, 'signer'));
    await server.restart();
    expect((await ready())[0]).toBe(503);
    expect(await sizeNow()).toBeLessThan(signed);
    expect(await fsck()).toMatchObject({ code: 1, said: expect.stringContaining(`The signer knows ${signed} entries`) as string });
  });
});
