/**
 * A log that signs with ML-DSA-44 as well: real servers and signers, readers who pinned both keys, one of them, or neither. ledger.md §2,
 * https://c2sp.org/tlog-cosignature
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import { parseNote, parseVerifierKey } from '../../ledger/note.ts';
import { parseTrust } from '../../ledger/policy.ts';
import { type Verdict, verifyReceipt } from '../../ledger/receipt.ts';
import { openLogSigner } from '../../server/anchoring/log-signer.ts';
import { openSigner } from '../../server/anchoring/signer.ts';
import { type Session } from '../../server/commands/demo/session.ts';
import { prepareWorld } from '../../bench/world.ts';
import { assent } from '../attacks/scene.ts';
import { type RealServer, settled, startRealServer } from '../support/real-server.ts';
import { launchSigner } from '../support/signer-process.ts';
import { startWitness } from '../support/witness-server.ts';

const SECOND = 'key.ml-dsa-44';
const SOON_MS = 15_000;
const temporary: string[] = [];
const newFolder = (): string => {
  temporary.push(mkdtempSync(join(tmpdir(), 'assent-second-key-')));
  return temporary.at(-1) ?? '';
};
afterAll(() => {
  for (const folder of temporary) rmSync(folder, { recursive: true, force: true });
});

describe('the second key of a signer', () => {
  it('is made once, its owner’s alone, of the log’s name; the setting turned off and on again it is the same', async () => {
    const directory = newFolder();
    const open = (mlDsa: boolean) => openSigner({ directory, mlDsa });
    expect((await open(false)).cosignerKey).toBeUndefined();
    const { cosignerKey, verifierKey } = await open(true);
    const key = parseVerifierKey(cosignerKey ?? '') ?? expect.fail();
    expect([key.type, key.name]).toEqual(['ml-dsa-44', verifierKey.split('+')[0]]);
    expect(statSync(join(directory, SECOND)).mode & 0o777).toBe(0o600);
    expect([(await open(false)).cosignerKey, (await open(true)).cosignerKey]).toEqual([undefined, cosignerKey]);
    chmodSync(join(directory, SECOND), 0o640);
    await expect(open(true)).rejects.toThrow('can be read by others');
  });
});

describe('a server that signs with two keys', () => {
  let server: RealServer;
  let insurer: Session;
  let admin: Session;
  let seen: string;
  beforeAll(async () => {
    server = await startRealServer({ ASSENT_LOG_MLDSA: 'on' });
    ({ insurer, admin, patient: seen } = await prepareWorld(server.bootstrap));
  });
  afterAll(async () => server.stop());

  const get = async (path: string): Promise<string> => (await fetch(new URL(path, server.bootstrap.fhirBaseUrl))).text();
  const keysNow = async (): Promise<readonly string[]> => (await get('/ledger/keys')).trimEnd().split('\n');
  const receipt = async (): Promise<string> => {
    const { headers } = await insurer.call('GET', seen);
    const { status, text } = await settled(insurer, headers.get('assent-receipt') ?? '');
    expect(status).toBe(200);
    return text;
  };
  const trusting = (text: string, keys: readonly string[]): Verdict => {
    const policy = parseTrust(keys.join('\n'));
    return typeof policy === 'string' ? expect.fail(policy) : verifyReceipt(text, { policy });
  };
  const settings = () => {
    const uri = server.environment['ASSENT_MONGODB_URI'];
    return { ASSENT_DATA_DIR: server.dataDir, ...(uri === undefined ? {} : { ASSENT_MONGODB_URI: uri }) };
  };

  it('shows both, its Ed25519 key first in every checkpoint, which those who know no other go on accepting', async () => {
    const [first = '', second = '', ...more] = await keysNow();
    expect([await get('/ledger/key'), more]).toEqual([`${first}\n`, []]);
    const note = await get('/ledger/checkpoint');
    expect(parseNote(note)?.signatures.map(({ id }) => id)).toEqual([first, second].map((key) => key.split('+')[1]));
    const [plain, whole] = [[first], [first, second]].map((keys) =>
      openCheckpoint(
        note,
        keys.flatMap((key) => parseVerifierKey(key) ?? []),
      ),
    );
    expect([plain, whole]).toMatchObject([
      { kind: 'signed', by: [{ key: { text: first } }] },
      { kind: 'signed', by: [{ key: { text: first } }, { key: { text: second }, time: expect.any(Number) as number }] },
    ]);
  });

  it('hands out receipts and statements that say which of the keys count, and what the second proves', async () => {
    const [[first = '', second = ''], text] = [await keysNow(), await receipt()];
    const id = second.split('+', 2).join('+');
    const unpinned = expect.arrayContaining([
      `That the log has a key ${id}, with which the checkpoint is signed as well: it was not pinned (--trust).`,
    ]) as string[];
    expect(trusting(text, [first, second])).toMatchObject({
      kind: 'proven',
      proven: expect.arrayContaining([expect.stringMatching(/^It was signed with .* as well, which you pinned/)]) as string[],
      notProven: expect.not.arrayContaining([expect.stringContaining('with which the checkpoint')]) as string[],
    });
    expect([trusting(text, [first]), verifyReceipt(text)]).toMatchObject([
      { kind: 'proven', notProven: unpinned },
      { kind: 'proven', notProven: unpinned },
    ]);
    // The log’s own second key is no witness.
    expect(verifyReceipt(text)).toMatchObject({ notProven: expect.arrayContaining([expect.stringContaining('no witness’s signature')]) as string[] });
    const statement = (await admin.call('GET', `${seen}/$disclosures`)).text;
    expect(trusting(statement, [first, second]).kind).toBe('proven');
  });

  it('is not believed without the second line, with another or with one over something else, where both keys are pinned', async () => {
    const [keys, text, later] = [await keysNow(), await receipt(), await receipt()];
    type File = { checkpoint: string; witnesses?: string[] };
    const [file, other] = [JSON.parse(text) as File, JSON.parse(later) as File];
    const lines = file.checkpoint.split('\n');
    const { witnesses: _none, ...bare } = { ...file, checkpoint: `${lines.slice(0, -2).join('\n')}\n` };
    const moved = { ...file, checkpoint: [...lines.slice(0, -2), other.checkpoint.split('\n').at(-2), ''].join('\n') };
    expect(file.checkpoint).not.toBe(other.checkpoint);
    expect(trusting(JSON.stringify(bare), keys.slice(0, 1)).kind).toBe('proven');
    expect([bare, moved].map((each) => trusting(JSON.stringify(each), keys))).toMatchObject([
      { kind: 'refuted', reason: 'Those who cosigned are not all whom the policy demands.' },
      { kind: 'refuted', reason: 'The checkpoint is forged.' },
    ]);
  });

  it('is cosigned by a witness that knows the first key alone', async () => {
    const keys = await keysNow();
    const witness = await startWitness({ name: 'witness.example', logs: keys.slice(0, 1).flatMap((key) => parseVerifierKey(key) ?? []) });
    const policy = join(newFolder(), 'policy');
    writeFileSync(policy, `witness peer ${witness.cosigner.verifierKey.text} ${witness.url}\nquorum peer\n`);
    try {
      await server.restart(undefined, { ASSENT_WITNESS_POLICY: policy });
      const url = (await insurer.call('GET', seen)).headers.get('assent-receipt') ?? '';
      let cosigned = '';
      const ask = async () => (cosigned = (await settled(insurer, url)).text);
      await expect.poll(ask, { timeout: SOON_MS }).toContain(witness.cosigner.verifierKey.text);
      expect(trusting(cosigned, [...keys, witness.cosigner.verifierKey.text])).toMatchObject({
        kind: 'proven',
        proven: expect.arrayContaining([expect.stringContaining('cosigned by witness.example (')]) as string[],
      });
    } finally {
      await server.restart(undefined, { ASSENT_WITNESS_POLICY: '' });
      await witness.dispose();
    }
  });

  it('keeps the second key when the first is replaced; the second is replaced by itself, and whoever pinned it has to be told', async () => {
    const before = await keysNow();
    const done: { code: number; said: string }[] = [];
    await server.restart(async () => void done.push(await assent(['rotate'], settings())));
    const rotated = await keysNow();
    expect([rotated[0] === before[0], rotated[1] === before[1]]).toEqual([false, true]);
    expect(trusting(await receipt(), before).kind).toBe('proven');
    await server.restart(async () => void done.push(await assent(['rotate', '--ml-dsa'], settings())));
    expect(done.map(({ code }) => code)).toEqual([0, 0]);
    const replaced = await keysNow();
    expect([replaced[0] === rotated[0], replaced[1] === rotated[1], done[1]?.said.startsWith(`${replaced[1]}\n`)]).toEqual([true, false, true]);
    const text = await receipt();
    expect([trusting(text, before).kind, trusting(text, [before[0] ?? '', replaced[1] ?? '']).kind]).toEqual(['refuted', 'proven']);
    expect(await assent(['fsck'], settings())).toMatchObject({ code: 0, said: expect.stringContaining(': whole') as string });
  });

  it('does not start when the second key has signed and is gone', async () => {
    const file = join(server.dataDir, 'signer', SECOND);
    const kept = readFileSync(file);
    let refused = '';
    await server.restart(async () => {
      rmSync(file);
      refused = await openSigner({ directory: join(server.dataDir, 'signer'), mlDsa: true }).then(
        () => '',
        (fault: Error) => fault.message,
      );
      writeFileSync(file, kept, { mode: 0o600 });
    });
    expect(refused).toBe('The log’s second signing key is missing, but it has signed.');
  });
});

describe('a server whose signer is a process of its own', () => {
  it('has checkpoints with both lines from a signer with --ml-dsa, and does not start where it asks for them of one without', async () => {
    const [data, folder] = [newFolder(), newFolder()];
    const plain = await launchSigner(folder);
    const config = { DATA_DIR: data, LOG_MLDSA: 'on', ...plain.settings } as const;
    await expect(openLogSigner(config, () => undefined)).rejects.toThrow('start it with --ml-dsa');
    await plain.end('SIGTERM');
    const signer = await launchSigner(folder, '--ml-dsa');
    const server = await startRealServer({ ASSENT_LOG_MLDSA: 'on', ASSENT_SIGNER: signer.address, ASSENT_SIGNER_SECRET_PATH: signer.secret });
    try {
      const { insurer, patient } = await prepareWorld(server.bootstrap);
      const { headers } = await insurer.call('GET', patient);
      const { text } = await settled(insurer, headers.get('assent-receipt') ?? '');
      const keys = await (await fetch(new URL('/ledger/keys', server.bootstrap.fhirBaseUrl))).text();
      const policy = parseTrust(keys);
      expect([keys.startsWith(`${signer.key}\n`), keys.split('\n').length]).toEqual([true, 3]);
      expect(typeof policy === 'string' ? policy : verifyReceipt(text, { policy }).kind).toBe('proven');
    } finally {
      await server.stop();
      await signer.end('SIGKILL');
    }
  });
});
