/** Several server processes on one database and one signer's folder: they take turns, start at once, and one of them sleeps at the worst moment. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import { parseVerifierKey } from '../../ledger/note.ts';
import { createFrontier } from '../../ledger/tree.ts';
import { type Anchoring, createAnchoring } from '../../server/anchoring/anchoring.ts';
import { checkStoredLog } from '../../server/anchoring/fsck.ts';
import { emptyChain } from '../../server/anchoring/row-chain.ts';
import { openSignerFiles, readSignerState } from '../../server/anchoring/signer-files.ts';
import { createLogFixture, type LogFixture, noChain, someEntry } from '../support/log-fixture.ts';

let log: LogFixture;
beforeEach(async () => {
  log = await createLogFixture();
});
afterEach(() => log.dispose());

const LEASE_MS = 15_000;
const folder = () => join(log.dataDir, 'signer');
const some = (from: number, count: number) => Array.from({ length: count }, (_, i) => someEntry(from + i, log.time.now));
const fsck = async () => {
  const texts = async (references: readonly string[]) => new Map(references.map((reference) => [reference, [reference]]));
  return checkStoredLog({ log: log.engine.resources, records: log.engine.records, dataDir: log.dataDir, texts });
};
const signedSize = async () => {
  const key = parseVerifierKey(log.anchoring.publicLog.verifierKey()) ?? expect.fail();
  const opened = openCheckpoint((await log.anchoring.publicLog.checkpoint()) ?? '', [key]);
  return opened.kind === 'signed' ? opened.checkpoint.size : undefined;
};

/** Another process: its own memory, the same database and folder. `wait`: for before it publishes a checkpoint. */
async function another(wait: () => Promise<void> = async () => undefined): Promise<Anchoring & { readonly faults: unknown[] }> {
  const faults: unknown[] = [];
  const readLog: LogFixture['engine']['resources']['readLog'] = (from, limit) => log.engine.resources.readLog(from, limit);
  const commit: LogFixture['engine']['resources']['commit'] = async (writes) => {
    const publishes = writes.records.some(({ recordKind }) => recordKind === 'log-checkpoint');
    if (publishes) await wait();
    return log.engine.resources.commit(writes);
  };
  const anchoring = await createAnchoring({
    log: { ...log.engine.resources, readLog, commit },
    records: log.engine.records,
    clock: () => log.time.now,
    schedule: () => () => undefined,
    config: { DATA_DIR: log.dataDir, CHECKPOINT_INTERVAL_MS: 1000, WITNESS_POLICY: '', ...noChain },
    report: (fault) => faults.push(fault),
  });
  return { ...anchoring, faults };
}

describe('two processes', () => {
  it('take turns sealing and signing as the lease goes from one to the other', async () => {
    const other = await another();
    let size = 0;
    for (let turn = 0; turn < 6; turn++) {
      const [now, later] = turn % 2 === 0 ? [log.anchoring, other] : [other, log.anchoring];
      await log.append(...some(turn * 1000, 200));
      await now.sealer.flush();
      size += 200;
      expect(await signedSize()).toBe(size);
      // While one holds the lease the other waits.
      await log.append(...some(turn * 1000 + 500, 7));
      await later.sealer.flush();
      expect(await signedSize()).toBe(size);
      size += 7;
      await now.sealer.flush();
      log.time.now += LEASE_MS;
    }
    await Promise.all([log.anchoring.check(), other.check()]);
    expect([...log.faults, ...other.faults]).toEqual([]);
    expect(await fsck()).toMatchObject({ size: 1242, signed: 1242, anchored: 1242, problems: [] });
    expect((await readSignerState(folder()))?.size).toBe(1242);
    expect(readdirSync(folder()).filter((name) => !/^key$|^state\.\d+\.json$/.test(name))).toEqual([]);
    expect(readdirSync(folder())).toHaveLength(2);
  });

  it('hand over at once when one stops', async () => {
    const other = await another();
    await log.append(...some(0, 5));
    await log.anchoring.sealer.flush();
    await log.anchoring.sealer.stop();
    await log.append(...some(10, 5));
    await other.sealer.flush();
    expect(await signedSize()).toBe(10);
  });

  it('are not set back by one that slept between signing and publishing', async () => {
    let wake: () => void = () => undefined;
    const asleep = new Promise<void>((resolve) => (wake = resolve));
    let sleeps = false;
    const sleeper = await another(async () => {
      sleeps = true;
      await asleep;
    });
    await log.append(...some(0, 5));
    const slow = sleeper.sealer.flush();
    while (!sleeps) await new Promise((resolve) => setImmediate(resolve));
    log.time.now += LEASE_MS;
    await log.append(...some(10, 300));
    await log.anchoring.sealer.flush();
    expect(await signedSize()).toBe(305);
    wake();
    await slow;
    expect([await signedSize(), (await readSignerState(folder()))?.size]).toEqual([305, 305]);
    log.time.now += LEASE_MS;
    await log.append(...some(1000, 3));
    await sleeper.sealer.flush();
    await Promise.all([sleeper.check(), log.anchoring.check()]);
    expect(await fsck()).toMatchObject({ size: 308, signed: 308, problems: [] });
  });

  it('make one key when they start for the first time at once', async () => {
    const directory = join(log.dataDir, 'fresh-signer');
    const opened = await Promise.all(Array.from({ length: 8 }, () => openSignerFiles(directory)));
    expect(new Set(opened.map(({ signer }) => signer.verifierKey.text)).size).toBe(1);
    expect(readdirSync(directory)).toEqual(['key']);
  });
});

describe('the state of the signer', () => {
  const stateOf = (size: number) => {
    const frontier = createFrontier();
    for (let i = 0; i < size; i++) frontier.append(Buffer.alloc(32, i));
    return { size, root: frontier.root(), frontier: frontier.hashes, chain: emptyChain };
  };

  it('is advanced by one of those who continue the same state', async () => {
    const files = await Promise.all(Array.from({ length: 6 }, () => openSignerFiles(folder())));
    for (let round = 1; round < 5; round++) {
      const before = await files[0]?.newest();
      const results = await Promise.all(files.map((each, i) => each.advance(before, stateOf(round * 10 + i))));
      const winners = results.filter((result) => result !== undefined);
      expect(winners).toHaveLength(1);
      expect((await files[0]?.newest())?.state.size).toBe(winners[0]?.state.size);
    }
  });

  it('is not set back by one who slept until its number was cleared away', async () => {
    const [awake, sleeper] = [await openSignerFiles(folder()), await openSignerFiles(folder())];
    const seen = (await awake.advance(undefined, stateOf(1))) ?? expect.fail();
    let kept = seen;
    for (const size of [2, 3, 4]) kept = (await awake.advance(kept, stateOf(size))) ?? expect.fail();
    expect(readdirSync(folder())).not.toContain('state.1.json');
    expect(await sleeper.advance(seen, stateOf(9))).toBeUndefined();
    expect((await sleeper.newest(seen))?.state.size).toBe(4);
    expect(readdirSync(folder()).filter((name) => name !== 'key')).toEqual(['state.3.json']);
  });
});
