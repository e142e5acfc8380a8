/** The log's order between processes: what relied on the epoch stands before what moved it, or was refused. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import type { Engine } from '../../../server/store/port.ts';
import { idsFound, query, resource, writes } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

const ROUNDS = 150;
const READERS = 4;

describe.skipIf(!findMongod())('disclosures and withdrawals of different processes', () => {
  let set: ReplicaSet;
  let one: Engine;
  let other: Engine;
  beforeAll(async () => {
    set = await startReplicaSet();
    const open = () => createMongoEngine({ uri: set.uri(`gate-${process.pid}`), clock: () => Date.UTC(2026, 0, 1) });
    [one, other] = await Promise.all([open(), open()]);
  });
  afterAll(async () => {
    await Promise.all([one, other].map(({ resources }) => resources.close()));
    await set.stop();
  });

  test('stand in the log in the order in which they hold', async () => {
    let withdrawn = false;
    let refused = 0;
    /** Key of the row to the epoch it relied on, or for a withdrawal the one it moved to. */
    const relied = new Map<string, number>();
    const disclose = async (engine: Engine, reader: number): Promise<void> => {
      for (let i = 0; !withdrawn; i++) {
        const epoch = await engine.resources.epoch();
        const key = `disclosure ${reader} ${i}`;
        const { kind } = await engine.resources.commit({ ...writes([], { guards: [{ kind: 'epoch', epoch }] }), log: [{ key, entry: '{}' }] });
        if (kind === 'committed') relied.set(key, epoch);
        else refused++;
      }
    };
    const withdraw = async (): Promise<void> => {
      for (let i = 0; i < ROUNDS; i++) {
        // Permissions are not withdrawn so fast that nobody can be answered in between.
        while (relied.size < i) await new Promise((resolve) => setImmediate(resolve));
        const epoch = await other.resources.epoch();
        await other.resources.commit({ ...writes([], { bumpEpoch: true }), log: [{ key: `withdrawal ${epoch + 1}`, entry: '{}' }] });
      }
      withdrawn = true;
    };
    await Promise.all([withdraw(), ...Array.from({ length: READERS }, (_, i) => disclose(i % 2 === 0 ? one : other, i))]);
    const log = await one.resources.readLog(0, 100_000);
    let epoch = 0;
    const late = log.filter(({ key }) => {
      if (key.startsWith('withdrawal')) epoch = Number(key.split(' ')[1]);
      return (relied.get(key) ?? epoch) < epoch;
    });
    expect(late.map(({ key }) => key)).toEqual([]);
    expect(log).toHaveLength(relied.size + ROUNDS);
    expect(refused).toBeGreaterThan(0);
  });

  test('a load that relies on the epoch gives way to withdrawals, and ends', async () => {
    const withdrawals: number[] = [];
    let ended = false;
    const withdraw = async (): Promise<void> => {
      while (!ended) {
        const begun = performance.now();
        expect(await other.resources.commit(writes([], { bumpEpoch: true }))).toEqual({ kind: 'committed' });
        withdrawals.push(performance.now() - begun);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const rely = async (): Promise<string> => {
      const guards = [{ kind: 'epoch' as const, epoch: await one.resources.epoch() }];
      const set = writes(
        Array.from({ length: 2_000 }, (_, i) => resource('Relying', `${i}`)),
        { guards },
      );
      return one.resources.commit(set).then(
        ({ kind }) => kind,
        ({ code }) => code,
      );
    };
    const running = withdraw();
    const begun = performance.now();
    const outcome = await rely().finally(() => (ended = true));
    await running;
    // Permissions moved meanwhile, so it must not have been written under the old ones.
    expect(['conflict', 'unavailable']).toContain(outcome);
    expect(await idsFound({ engine: one }, query('Relying'))).toEqual([]);
    expect(performance.now() - begun).toBeLessThan(60_000);
    // None waits for the load, or it would have been unavailable; a pause of the machine is nobody's fault.
    expect(withdrawals.toSorted((a, b) => a - b)[Math.floor(withdrawals.length / 2)]).toBeLessThan(5_000);
    expect(await rely()).toBe('committed');
  });
});
