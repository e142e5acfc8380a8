/** Long reads of the embedded engine: counted in rows, not in time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, and, any, type Expression, not, or } from '../../server/search/expression.ts';
import { openDatabase } from '../../server/store/embedded/database.ts';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import { createReader, type Reader } from '../../server/store/embedded/reader.ts';
import { createReads, type LongRead, runLong, SHORT } from '../../server/store/embedded/reads.ts';
import type { Engine, Order, Query } from '../../server/store/port.ts';
import { query, resource, store } from '../contract/subject.ts';

const TYPE = 'Type';
const ROWS = SHORT * 3;
const byKey: Order = { by: 'keys', keys: [{ prefix: 'value', direction: 'ascending' }], ids: 'ascending' };
const rare = and([any(['common']), any(['~rare'])]);
let dataDir: string;
let engine: Engine;
let reader: Reader;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'assent-reads-'));
  engine = await createEmbeddedEngine({ dataDir, clock: () => 0 });
  const rows = Array.from({ length: ROWS }, (_, i) =>
    resource(TYPE, `r${i}`, { instant: -i, keys: ['common', `value${i % 7}`, i === ROWS - 1 ? '~rare' : '~usual'] }),
  );
  await store({ engine }, ...rows);
  reader = createReader(dataDir);
});
afterAll(async () => {
  await reader.close();
  await engine.resources.close();
  await rm(dataDir, { recursive: true });
});

/** What was handed on, and every other call answered as the reader thread would. */
function watched() {
  const database = openDatabase(dataDir, 'read-only');
  const handedOn: LongRead[] = [];
  const reads = createReads({
    database,
    elsewhere: async <T>(read: LongRead) => {
      handedOn.push(read);
      return runLong(database, read, () => undefined) as T;
    },
  });
  return { reads, handedOn, close: () => database.close() };
}

test.each<[string, Expression, Order, number]>([
  ['a walk that finds one row at its end', rare, query(TYPE).order, 5],
  ['an order by value', all, byKey, ROWS],
  ['what is left when nothing is excluded', not(any(['~rare'])), query(TYPE).order, ROWS],
])('%s is handed on, and answered as if it were not', async (_, where, order, limit) => {
  const { reads, handedOn, close } = watched();
  const found = await reads.find(query(TYPE, { where, order, limit, budget: ROWS * 3 }));
  expect(handedOn).toHaveLength(1);
  expect(found).toEqual(await engine.resources.find(query(TYPE, { where, order, limit, budget: ROWS * 3 })));
  expect(found).toMatchObject({ kind: 'rows' });
  close();
});

/** That none of the rows has. */
const spans = (count: number): Expression =>
  or(Array.from({ length: count }, (_, i) => ({ kind: 'range', from: `~value${i}/a`, to: `~value${i}/b` })));

test.each<[string, Expression]>([
  ['rows that are each held against hundreds of alternatives', and([any(['common']), spans(400)])],
  ['hundreds of keys, of which none has an entry', any(Array.from({ length: SHORT }, (_, i) => `nothing${i}`))],
  ['hundreds of ids, of which there is none', { kind: 'id', ids: new Set(Array.from({ length: SHORT + 1 }, (_, i) => `no${i}`)) }],
])('%s are looked at elsewhere', async (_, where) => {
  const { reads, handedOn, close } = watched();
  expect(await reads.find(query(TYPE, { where, budget: ROWS * 3 }))).toMatchObject({ kind: 'rows', rows: [] });
  expect(handedOn).toHaveLength(1);
  close();
});

test('a page that is found soon is read at once', async () => {
  const { reads, handedOn, close } = watched();
  expect(await reads.find(query(TYPE, { where: any(['common']), limit: 20 }))).toMatchObject({ kind: 'rows', rows: { length: 20 } });
  expect(await reads.count({ type: TYPE, where: any(['common']), scope: 'internal' })).toEqual({ kind: 'count', total: ROWS });
  expect(handedOn).toEqual([]);
  close();
});

test('a count along two keys that the same rows have is as long as one of them', async () => {
  const twice: Expression = and([any(['twice', 'double']), any(['~rare'])]);
  const rows = Array.from({ length: SHORT * 0.7 }, (_, i) => resource('Twice', `r${i}`, { keys: ['twice', 'double', i === 0 ? '~rare' : '~usual'] }));
  await store({ engine }, ...rows);
  const { reads, handedOn, close } = watched();
  expect(await reads.count({ type: 'Twice', where: twice, scope: 'internal' })).toEqual({ kind: 'count', total: 1 });
  expect(handedOn).toEqual([]);
  close();
});

test('a count of what has to be looked at row by row is handed on', async () => {
  const { reads, handedOn, close } = watched();
  expect(await reads.count({ type: TYPE, where: rare, scope: 'internal' })).toEqual({ kind: 'count', total: 1 });
  expect(handedOn).toHaveLength(1);
  close();
});

test('a count of rows of which the few keys that decide are read is handed on later', async () => {
  const { reads, handedOn, close } = watched();
  const scope = { epoch: await engine.resources.epoch(), where: not(any(['~rank/4'])) };
  expect(await reads.count({ type: TYPE, where: any(['common']), scope })).toEqual({ kind: 'count', total: ROWS });
  expect(handedOn).toEqual([]);
  await store({ engine }, ...Array.from({ length: SHORT * 4 + 1 }, (_, i) => resource('Many', `r${i}`, { keys: ['common'] })));
  const asked = { type: 'Many', where: any(['common']), scope, explain: true };
  expect(await reads.count(asked)).toMatchObject({ kind: 'count', total: SHORT * 4 + 1, trace: { walked: SHORT * 4 + 1 } });
  expect(handedOn).toHaveLength(1);
  close();
});

/** Whether a read is answered before the event loop can turn: what another thread says comes with a turn, however soon it is said. */
async function isAnsweredAtOnce(read: Promise<unknown>): Promise<boolean> {
  let answered = false;
  void read.then(() => (answered = true));
  for (let tasks = 0; tasks < 1_000; tasks++) await Promise.resolve();
  return answered;
}

test('the event loop turns while a long read runs', async () => {
  const long = engine.resources.find(query(TYPE, { where: rare }));
  expect(await isAnsweredAtOnce(long)).toBe(false);
  expect(await long).toMatchObject({ rows: [{ id: `r${ROWS - 1}` }] });
  expect(await isAnsweredAtOnce(engine.resources.find(query(TYPE, { where: any(['common']), limit: 20 })))).toBe(true);
});

test('a scope of another epoch is stale in the reader thread too', async () => {
  const scope = { epoch: (await engine.resources.epoch()) + 1, where: all };
  expect(await reader.read({ kind: 'find', query: query(TYPE, { scope }) }, undefined)).toEqual({ kind: 'stale' });
});

test('nobody waits: a read that runs, one that waits its turn and one not yet begun all end; the next is answered', async () => {
  const leaving = new AbortController();
  const reads = [1, 2].map(() => reader.read({ kind: 'find', query: query(TYPE, { where: rare }) }, leaving.signal));
  leaving.abort();
  for (const read of reads) await expect(read).rejects.toMatchObject({ code: 'abandoned' });
  await expect(engine.resources.find(query(TYPE, { where: rare, signal: leaving.signal }))).rejects.toMatchObject({ code: 'abandoned' });
  const next = await reader.read({ kind: 'count', query: { type: TYPE, where: rare, scope: 'internal' }, cap: undefined }, undefined);
  expect(next).toEqual({ kind: 'count', total: 1 });
});

test('over budget: says along which keys it went, and how much was counted by then', async () => {
  const budget = ROWS / 2;
  expect(await engine.resources.find(query(TYPE, { where: rare, budget }))).toMatchObject({ kind: 'budget', by: ['com'] });
  const page = await engine.resources.find(query(TYPE, { where: not(any(['~rare'])), limit: 5, total: { budget } }));
  // Counted on from where the page ended, which had looked at one row more than it shows.
  expect(page).toMatchObject({ kind: 'rows', rows: { length: 5 }, total: { count: budget + 6, exact: false } });
});

test('of more resources with one and the same sort key than can be sorted, those that follow are found by id', async () => {
  const type = 'Alike';
  const ids = Array.from({ length: 20_500 }, (_, i) => `r${String(i).padStart(5, '0')}`);
  await store({ engine }, ...ids.map((id, i) => resource(type, id, { instant: i, keys: [i === 77 ? 'value0' : 'value1'] })));
  const order = ['r00077', ...ids.filter((id) => id !== 'r00077')];
  const page = async (more: Partial<Query>) => {
    const found = await engine.resources.find(query(type, { order: byKey, limit: 40, budget: 1_000, ...more }));
    if (found.kind !== 'rows' || !found.next || !found.first) throw new Error(found.kind);
    return { ids: found.rows.map(({ id }) => id), first: found.first, next: found.next };
  };
  const one = await page({});
  const two = await page({ after: one.next });
  const three = await page({ after: two.next });
  expect([...one.ids, ...two.ids, ...three.ids]).toEqual(order.slice(0, 120));
  expect((await page({ after: three.first, reversed: true })).ids).toEqual(two.ids.toReversed());
});

test('many large criteria, whose sizes alone take long to count, are handed on', async () => {
  const type = 'Counted';
  const names = Array.from({ length: 60 }, (_, i) => `criterion-${i}`);
  await store({ engine }, ...Array.from({ length: 1_500 }, (_, i) => resource(type, `r${i}`, { instant: -i, keys: names })));
  const { reads, handedOn, close } = watched();
  const asked = (criteria: number) => query(type, { where: and(names.slice(0, criteria).map((name) => any([name]))), limit: 5 });
  expect(await reads.find(asked(2))).toMatchObject({ kind: 'rows', rows: { length: 5 } });
  expect(handedOn).toEqual([]);
  expect(await reads.find(asked(60))).toMatchObject({ kind: 'rows', rows: { length: 5 } });
  expect(handedOn).toHaveLength(1);
  close();
});
