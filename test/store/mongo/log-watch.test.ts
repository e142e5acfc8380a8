/** Wake-ups between processes: they come soon, and nothing is lost where they do not. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient, MongoServerError } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logRow } from '../../../ledger/entry.ts';
import { createAnchoring } from '../../../server/anchoring/anchoring.ts';
import type { Connection } from '../../../server/store/mongo/connection.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import { createLogWatch } from '../../../server/store/mongo/log-watch.ts';
import type { Engine } from '../../../server/store/port.ts';
import { writes } from '../../contract/subject.ts';
import { noChain, someEntry } from '../../support/log-fixture.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

describe.skipIf(!findMongod())('wake-ups of the log', () => {
  let set: ReplicaSet;
  let admin: MongoClient;
  let one: Engine;
  let other: Engine;
  let name: string;
  beforeAll(async () => {
    set = await startReplicaSet();
    name = `watch-${process.pid}`;
    admin = await new MongoClient(set.uri('admin')).connect();
    const open = () => createMongoEngine({ uri: set.uri(name), clock: () => 1_000 });
    one = await open();
    other = await open();
  });
  afterAll(async () => {
    await Promise.all([one, other].map(({ resources }) => resources.close()));
    await admin.close();
    await set.stop();
  });

  const log = (key: string) => one.resources.commit(writes([], { log: [{ key, entry: key }] }));
  /** The change streams' questions that the server holds at the moment. */
  const held = async (): Promise<number[]> => {
    const operations = admin.db('admin').aggregate([{ $currentOp: { allUsers: true, idleCursors: true } }, { $match: { ns: `${name}.log` } }]);
    return (await operations.toArray()).filter(({ cursor }) => cursor?.tailable === true).map(({ cursor }) => cursor.cursorId);
  };

  test('a commit of one process wakes the other at once; numbering wakes nobody, a killed stream loses nothing and comes back', async () => {
    let woken = 0;
    const faults: unknown[] = [];
    other.watchLog?.(
      () => woken++,
      (fault) => faults.push(fault),
    );
    await expect.poll(held).toHaveLength(1);
    await log('first');
    await expect.poll(() => woken).toBe(1);
    expect((await one.resources.readLog(0, 10)).map(({ key }) => key)).toEqual(['first']);
    await log('second');
    await expect.poll(() => woken).toBe(2);

    await admin.db(name).command({ killCursors: 'log', cursors: await held() });
    await log('third');
    expect((await other.resources.readLog(0, 10)).map(({ key }) => key)).toEqual(['first', 'second', 'third']);
    // It comes back by itself, and says nothing about patients while it is away.
    const before = woken;
    await expect
      .poll(
        async () => {
          await log(`later-${performance.now()}`);
          return woken;
        },
        { interval: 100 },
      )
      .toBeGreaterThan(before);
    expect(JSON.stringify(faults)).not.toContain('third');
  });

  test('without any wake-up the sealer of one process seals on its tick what the other committed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'assent-watch-'));
    const clock = () => Date.UTC(2024, 5, 1);
    const open = () => createMongoEngine({ uri: set.uri(`${name}-sealed`), clock });
    const [mine, theirs] = [await open(), await open()];
    try {
      const ticks: (() => void)[] = [];
      const { sealer, publicLog } = await createAnchoring({
        log: mine.resources,
        records: mine.records,
        clock,
        schedule: (_, run) => {
          ticks.push(run);
          return () => undefined;
        },
        config: { DATA_DIR: folder, CHECKPOINT_INTERVAL_MS: 0, WITNESS_POLICY: '', ...noChain },
        report: (fault) => expect.fail(String(fault)),
      });
      await sealer.start();
      expect(await publicLog.checkpoint()).toBeUndefined();
      await theirs.resources.commit(writes([], { log: [logRow(someEntry(0, clock()))] }));
      for (const tick of ticks.splice(0)) tick();
      await expect.poll(() => publicLog.checkpoint()).toContain('\n1\n');
      await sealer.stop();
    } finally {
      await Promise.all([mine, theirs].map(({ resources }) => resources.close()));
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('closing the engine ends its stream, and is no fault', async () => {
    const engine = await createMongoEngine({ uri: set.uri(name), clock: () => 1_000 });
    const faults: unknown[] = [];
    const streams = (await held()).length;
    engine.watchLog?.(
      () => undefined,
      (fault) => faults.push(fault),
    );
    await expect.poll(held).toHaveLength(streams + 1);
    await engine.resources.close();
    await expect.poll(held).toHaveLength(streams);
    expect(faults).toEqual([]);
  });

  test('a database that has no change streams is asked again and again, and complained about once', async () => {
    let asked = 0;
    const refuse = () => {
      asked++;
      throw new MongoServerError({ message: 'third', code: 40573 });
    };
    const watch = createLogWatch({ collections: { log: { watch: refuse } } } as unknown as Connection);
    const faults: unknown[] = [];
    watch.watch(
      () => undefined,
      (fault) => faults.push(fault),
    );
    await expect.poll(() => asked).toBeGreaterThan(1);
    await watch.close();
    expect(faults).toEqual([expect.objectContaining({ code: 'unavailable', message: expect.not.stringContaining('third') })]);
  });
});
