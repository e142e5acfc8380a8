/** However much a query reads from MongoDB, others have their turn in between: measured in CPU of this thread, which is the same on a busy machine. */
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { all, and, any, type Expression, not } from '../../../server/search/expression.ts';
import { MAX_COUNT } from '../../../server/search/parse.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import type { Engine, Order, Query } from '../../../server/store/port.ts';
import { query, resource, store } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

const TYPE = 'T';
const ROWS = 8_000;
const MOST_MS = 20;
const MOST_RUNS = 10;

const byValue: Order = { by: 'keys', keys: [{ prefix: 'value', direction: 'ascending' }], ids: 'ascending' };
const byTwo: Order = {
  by: 'keys',
  keys: [
    { prefix: 'third', direction: 'descending' },
    { prefix: 'value', direction: 'ascending' },
  ],
  ids: 'ascending',
};

describe.skipIf(!findMongod())('turns while MongoDB is read', () => {
  let set: ReplicaSet;
  let engine: Engine;
  beforeAll(async () => {
    set = await startReplicaSet();
    engine = await createMongoEngine({ uri: set.uri(`turns-${process.pid}`), clock: () => 0 });
    // As many keys, and as long ones, as an Observation has.
    const keys = Array.from({ length: 30 }, (_, i) => `~${String(i).padStart(2, '0')}${'k'.repeat(40)}`);
    const rows = Array.from({ length: ROWS }, (_, i) =>
      resource(TYPE, `r${i}`, { instant: i, keys: ['common', `value${i % 997}`, `third${i % 3}`, i === 0 ? '~rare' : '~usual', ...keys] }),
    );
    for (let at = 0; at < ROWS; at += 1_000) await store({ engine }, ...rows.slice(at, at + 1_000));
  });
  afterAll(async () => {
    await engine.resources.close();
    await set.stop();
  });

  /** CPU of the longest turn of this thread while `work` runs, in ms, and how many there were. */
  async function turnsOf(work: () => Promise<unknown>): Promise<{ longest: number; turns: number }> {
    let [longest, turns, done] = [0, 0, false];
    const finished = work().finally(() => void (done = true));
    while (!done) {
      const before = process.threadCpuUsage();
      await setImmediate();
      const { user, system } = process.threadCpuUsage(before);
      longest = Math.max(longest, (user + system) / 1_000);
      turns++;
    }
    await finished;
    return { longest, turns };
  }

  const find = (more: Partial<Query>) => engine.resources.find(query(TYPE, { budget: ROWS * 3, limit: 20, ...more }));
  const count = (where: Expression) => engine.resources.count({ type: TYPE, where, scope: 'internal', naming: 'value' });

  test.each<[string, () => Promise<{ readonly kind: string }>]>([
    ['a walk that finds one row at its end', () => find({ where: and([any(['common']), any(['~rare'])]) })],
    ['the largest page', () => find({ where: any(['common']), limit: MAX_COUNT, total: {} })],
    ['what is left when nothing is excluded', () => find({ where: not(any(['~rare'])), total: {} })],
    ['an order by value', () => find({ where: any(['common']), order: byValue })],
    ['the largest page in an order by value', () => find({ where: all, order: byValue, limit: MAX_COUNT })],
    ['an order by two values', () => find({ where: all, order: byTwo })],
    ['two large criteria of which both are met by none', () => find({ where: and([any(['third0']), any(['third1'])]) })],
    ['a count that says whom it counted', () => count(and([any(['common']), any(['~usual'])]))],
  ])('%s', async (_, work) => {
    expect(await work()).toHaveProperty('kind', expect.stringMatching(/^(rows|count)$/)); // and warms it up
    // What the collector of garbage takes counts as well, and so does what a neighbour on the same core does to its caches, but not in each of many runs.
    const runs = [await turnsOf(work)];
    while (runs.length < MOST_RUNS && runs.every(({ longest }) => longest >= MOST_MS)) runs.push(await turnsOf(work));
    expect(Math.min(...runs.map(({ longest }) => longest))).toBeLessThan(MOST_MS);
    expect(Math.max(...runs.map(({ turns }) => turns))).toBeGreaterThan(2);
  });
});
