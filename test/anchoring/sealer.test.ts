/** Sealing over the real engine: order, batches, checkpoints in time, crashes between any two steps, and a signer that is not fooled. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import { parseVerifierKey } from '../../ledger/note.ts';
import { leafHash } from '../../ledger/hash.ts';
import { verifyConsistency } from '../../ledger/proof.ts';
import { batchRoot, consistencyProof, createFrontier } from '../../ledger/tree.ts';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { createLogRecords, entriesOf, kinds, numberId } from '../../server/anchoring/log-records.ts';
import { createSealer } from '../../server/anchoring/sealer.ts';
import { systemSchedule } from '../../server/anchoring/schedule.ts';
import { openSigner } from '../../server/anchoring/signer.ts';
import type { AssentError } from '../../server/errors.ts';
import { itOnEmbedded } from '../support/on-embedded.ts';
import { createLogFixture, type LogFixture, someEntry } from '../support/log-fixture.ts';

let log: LogFixture;
beforeEach(async () => {
  log = await createLogFixture();
});
afterEach(() => log.dispose());

const some = (from: number, count: number) => Array.from({ length: count }, (_, i) => someEntry(from + i, log.time.now));
const stored = () => createLogRecords(log.engine.records);
const signed = async () => {
  const key = parseVerifierKey(log.anchoring.publicLog.verifierKey()) ?? expect.fail();
  const opened = openCheckpoint((await log.anchoring.publicLog.checkpoint()) ?? '', [key]);
  return opened.kind === 'signed' ? opened.checkpoint : undefined;
};
const texts = async (references: readonly string[]) => new Map(references.map((reference) => [reference, [reference]]));
const fsck = () => checkStoredLog({ log: log.engine.resources, records: log.engine.records, dataDir: log.dataDir, texts });
/** As kill -9 would leave it, and then the time after which the lease of the dead process is over: on a replica set another may live. */
const reopened = async (): Promise<void> => {
  await log.reopen();
  log.time.now += 15_000;
};
const settle = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 2));
};

describe('sealing', () => {
  it('puts rows into the tree in order, whatever the batches, and the checkpoint has the root of the entries', async () => {
    for (const count of [1, 300, 255, 256, 10]) {
      await log.append(...some(count * 10_000, count));
      await log.anchoring.sealer.flush();
    }
    const checkpoint = await signed();
    expect(checkpoint?.size).toBe(822);
    const frontier = createFrontier();
    for (let i = 0; i < 4; i++) {
      const bundle = await log.anchoring.publicLog.entries(i, i < 3 ? 256 : 822 - 768);
      for (const entry of entriesOf(bundle ?? expect.fail())) frontier.append(leafHash(entry));
    }
    expect(Buffer.from(frontier.root())).toEqual(checkpoint && Buffer.from(checkpoint.root));
    expect(await fsck()).toMatchObject({ size: 822, signed: 822, anchored: 822, problems: [] });
    const [batch] = await stored().batchesAround(0);
    const first = entriesOf((await log.anchoring.publicLog.entries(0, 1)) ?? expect.fail()).map(leafHash);
    expect(batch?.root).toBe(Buffer.from(batchRoot(first)).toString('base64'));
    expect(log.faults).toEqual([]);
  });

  it('shows nothing that can be guessed: the same row twice makes different public entries', async () => {
    const twice = [someEntry(1, log.time.now), { ...someEntry(1, log.time.now), kind: 'denial' as const }, someEntry(2, log.time.now)];
    await log.append(...twice);
    await log.anchoring.sealer.flush();
    const bundle = Buffer.from((await log.anchoring.publicLog.entries(0, 3)) ?? expect.fail());
    expect(bundle.length).toBe(3 * 34);
    expect(new Set(entriesOf(bundle).map((entry) => Buffer.from(entry).toString('hex'))).size).toBe(3);
    expect(bundle.toString('latin1')).not.toContain('Patient');
  });

  it('seals a full batch at once, a lone entry after 250 ms, and signs at most once a second', async () => {
    await log.anchoring.sealer.start();
    await log.append(...some(0, 256));
    await expect.poll(async () => (await signed())?.size).toBe(256);
    await settle();
    await log.append(...some(256, 1));
    await settle();
    expect(await stored().head()).toBe(256);
    log.time.now += 250;
    await expect.poll(() => log.ring().then(() => stored().head())).toBe(257);
    expect((await signed())?.size).toBe(256);
    log.time.now += 750;
    await log.ring();
    await expect.poll(async () => (await signed())?.size).toBe(257);
    const before = (await stored().checkpoint())?.signedAt;
    log.time.now += 600_000;
    await log.ring();
    await expect.poll(async () => (await stored().checkpoint())?.signedAt).toBe((before ?? 0) + 600_000);
    await log.anchoring.sealer.stop();
  });

  it('finds rows that were committed by others or before the start, and stops for good', async () => {
    await log.engine.resources.commit({
      guards: [],
      resources: [],
      records: [],
      log: [{ key: 'a', entry: JSON.stringify(someEntry(1, log.time.now)) }],
      bumpEpoch: false,
    });
    await log.anchoring.sealer.start();
    expect((await signed())?.size).toBe(1);
    await log.append(...some(2, 1));
    await log.anchoring.sealer.stop();
    expect((await signed())?.size).toBe(2);
    await log.append(...some(3, 300));
    log.time.now += 10_000;
    await log.ring();
    await settle();
    expect((await signed())?.size).toBe(2);
  });
});

describe('a crash', () => {
  it('between any two steps loses and doubles nothing', async () => {
    const sizes: number[] = [];
    for (let round = 0; round < 6; round++) {
      await log.append(...some(round * 1000, 90));
      // The process dies after so many writes of the sealer: a batch, a checkpoint record, the signer's state, nothing.
      const dying = { ...log.engine.resources, commit: failAfter(round % 3, log.engine.resources.commit) };
      const signer = await openSigner({ directory: join(log.dataDir, 'signer') });
      const faults: unknown[] = [];
      const config = { CHECKPOINT_INTERVAL_MS: 1000 };
      await createSealer({
        log: dying,
        records: log.engine.records,
        signer,
        anchors: [],
        signed: () => undefined,
        clock: () => log.time.now,
        schedule: systemSchedule,
        config,
        report: (fault) => faults.push(fault),
      }).flush();
      await reopened();
      await log.anchoring.sealer.flush();
      sizes.push((await signed())?.size ?? 0);
    }
    expect(sizes).toEqual([90, 180, 270, 360, 450, 540]);
    expect(log.faults).toEqual([]);
    expect((await fsck()).problems).toEqual([]);
  });

  function failAfter<T extends (...args: never[]) => Promise<unknown>>(count: number, commit: T): T {
    let left = count;
    return ((...args: Parameters<T>) => (left-- > 0 ? commit(...args) : Promise.reject(new Error('killed')))) as T;
  }

  it('leaves no second sealer able to seal the same rows', async () => {
    await log.append(...some(0, 10));
    await log.anchoring.sealer.flush();
    await log.append(...some(10, 10));
    const signer = await openSigner({ directory: join(log.dataDir, 'signer') });
    const faults: unknown[] = [];
    const free = { ...log.engine.resources, lease: async () => 99 };
    const rival = createSealer({
      log: free,
      records: log.engine.records,
      signer,
      anchors: [],
      signed: () => undefined,
      clock: () => log.time.now,
      schedule: () => () => undefined,
      config: { CHECKPOINT_INTERVAL_MS: 1000 },
      report: (fault) => faults.push(fault),
    });
    await Promise.all([log.anchoring.sealer.flush(), rival.flush()]);
    expect((await fsck()).problems).toEqual([]);
    expect(await stored().head()).toBe(20);
    // Whoever was overtaken says so and goes on from what is stored.
    expect([...faults, ...log.faults].map((fault) => (fault as AssentError).code).filter((code) => code !== 'conflict')).toEqual([]);
    await log.anchoring.sealer.flush();
    expect((await signed())?.size).toBe(20);
  });

  it('cannot happen unnoticed to who holds the lease: another process waits', async () => {
    await log.append(...some(0, 5));
    await log.anchoring.sealer.flush();
    const other = createSealer({
      log: log.engine.resources,
      records: log.engine.records,
      signer: await openSigner({ directory: join(log.dataDir, 'signer') }),
      anchors: [],
      signed: () => undefined,
      clock: () => log.time.now,
      schedule: () => () => undefined,
      config: { CHECKPOINT_INTERVAL_MS: 1000 },
      report: (fault) => log.faults.push(fault),
    });
    await log.append(...some(5, 5));
    await other.flush();
    expect([await stored().head(), log.faults]).toEqual([5, []]);
  });
});

describe('the signer', () => {
  it('keeps key and state readable by its owner only, and the log keeps its name', async () => {
    await log.append(...some(0, 3));
    await log.anchoring.sealer.flush();
    for (const file of ['key', 'state.json']) expect(statSync(join(log.dataDir, 'signer', file)).mode & 0o777).toBe(0o600);
    const key = log.anchoring.publicLog.verifierKey();
    expect(key).toMatch(/^assent\.local\/[0-9a-f]{16}\+/);
    await log.reopen();
    expect(log.anchoring.publicLog.verifierKey()).toBe(key);
  });

  it('signs checkpoints that are consistent with each other', async () => {
    const checkpoints = [];
    for (const count of [3, 300, 1]) {
      await log.append(...some(count * 1000, count));
      await log.anchoring.sealer.flush();
      checkpoints.push((await signed()) ?? expect.fail());
    }
    const [a, b, c] = checkpoints;
    for (const [old, now] of [
      [a, b],
      [b, c],
      [a, c],
    ]) {
      if (!old || !now) expect.fail();
      const proof = await consistencyProof(old.size, now.size, stored().tile);
      expect(verifyConsistency({ oldSize: old.size, oldRoot: old.root, size: now.size, root: now.root }, proof)).toBe(true);
    }
  });

  itOnEmbedded('refuses a database restored from an older copy of its files, and one that then grew another way', async () => {
    await log.append(...some(0, 10));
    await log.anchoring.sealer.flush();
    const backup = join(log.dataDir, 'backup');
    await saveDatabase(backup);
    await log.append(...some(10, 10));
    await log.anchoring.sealer.flush();
    await restoreDatabase(backup);
    await log.anchoring.sealer.flush();
    await expect(log.anchoring.check()).rejects.toThrow('older than the signer');
    await log.append(...some(500, 10));
    await log.anchoring.sealer.flush();
    expect([await stored().head(), (await signed())?.size]).toEqual([10, 10]);
    await log.reopen();
    await log.anchoring.sealer.start();
    await expect(log.anchoring.check()).rejects.toThrow();
    expect((await fsck()).problems.join()).toContain('The signer knows 20 entries, the log has 10.');
    rmSync(backup, { recursive: true });
  });

  it.each([
    ['an entry changed after it was signed', async () => tamper(kinds.bundle, numberId(0), (bytes) => bytes.fill(1, 40, 60)), 'Tile'],
    ['a changed tile', async () => tamper(kinds.tile, `0/${numberId(0)}`, (bytes) => bytes.fill(1, 0, 9)), 'Tile'],
  ])('or fsck notices %s', async (_name, change, word) => {
    await log.append(...some(0, 10));
    await log.anchoring.sealer.flush();
    await change();
    const { problems } = await fsck();
    expect(problems.join()).toContain(word);
    // Only what it has not yet signed is read again; a changed tile shows in the root.
    if (_name.includes('tile')) {
      await reopened();
      await log.anchoring.sealer.start();
      await expect(log.anchoring.check()).rejects.toThrow('not a continuation');
    }
  });

  it('refuses entries that changed between sealing and signing', async () => {
    await log.anchoring.sealer.start();
    await log.append(...some(0, 256));
    await expect.poll(async () => (await signed())?.size).toBe(256);
    await log.append(...some(256, 256));
    await expect.poll(() => stored().head()).toBe(512);
    expect((await signed())?.size).toBe(256);
    await tamper(kinds.bundle, numberId(1), (bytes) => bytes.set([(bytes[2] ?? 0) ^ 1], 2));
    await log.anchoring.sealer.flush();
    await expect(log.anchoring.check()).rejects.toThrow('not a continuation');
    expect((await signed())?.size).toBe(256);
  });

  it('does not start anew when its key or state is gone', async () => {
    await log.append(...some(0, 3));
    await log.anchoring.sealer.flush();
    const folder = join(log.dataDir, 'signer');
    const [key, state] = ['key', 'state.json'].map((name) => join(folder, name)) as [string, string];
    const kept = readFileSync(key);
    rmSync(key);
    await expect(openSigner({ directory: folder })).rejects.toMatchObject({ code: 'unavailable' });
    writeFileSync(key, kept, { mode: 0o600 });
    writeFileSync(state, '{"size":3');
    await expect(openSigner({ directory: folder })).rejects.toMatchObject({ code: 'unavailable' });
    rmSync(state);
    await reopened();
    await log.anchoring.sealer.start();
    await expect(log.anchoring.check()).rejects.toThrow('older than the checkpoint');
    rmSync(key);
    await reopened();
    await log.anchoring.sealer.start();
    await expect(log.anchoring.check()).rejects.toThrow('not signed by this signer');
  });

  async function tamper(kind: string, id: string, change: (bytes: Buffer) => void): Promise<void> {
    const bytes = Buffer.from(((await log.engine.records.get(kind, id))?.value as Uint8Array) ?? expect.fail());
    change(bytes);
    await log.engine.records.put(kind, id, bytes);
  }

  const files = ['assent.sqlite', 'assent.sqlite-wal', 'assent.sqlite-shm'];
  async function saveDatabase(to: string): Promise<void> {
    await log.engine.resources.close();
    mkdirSync(to);
    for (const file of files) copyIfThere(join(log.dataDir, file), join(to, file));
    await log.reopen();
  }
  async function restoreDatabase(from: string): Promise<void> {
    await log.engine.resources.close();
    for (const file of files) {
      rmSync(join(log.dataDir, file), { force: true });
      copyIfThere(join(from, file), join(log.dataDir, file));
    }
    await log.reopen();
  }
  function copyIfThere(from: string, to: string): void {
    try {
      copyFileSync(from, to);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
});
