/** What the embedded engine need not look at: resources that the index alone tells apart, and what lies outside of the instants that are asked. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { and, any, type Expression, none, startsWith } from '../../server/search/expression.ts';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import type { Engine, Order } from '../../server/store/port.ts';
import { query, resource, store } from '../contract/subject.ts';

const COUNT = 2_000;
const type = 'Thing';
let dataDir: string;
let engine: Engine;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'assent-ways-'));
  engine = await createEmbeddedEngine({ dataDir, clock: () => 0 });
  const things = Array.from({ length: COUNT }, (_, n) => {
    const value = `n${String((n * 7) % 1_000).padStart(3, '0')}`;
    const keys = n % 4 === 0 ? ['code', value, `w${value}`, 'odd'] : [n % 2 === 0 ? 'even' : 'odd', 'token\u0001system', value];
    return resource(type, `t${n}`, { instant: n * 1_000, keys });
  });
  await store({ engine }, ...things);
});
afterAll(async () => {
  await engine.resources.close();
  await rm(dataDir, { recursive: true });
});

async function walked(where: Expression, order?: Order): Promise<readonly [rows: number, walked: number]> {
  const found = await engine.resources.find(query(type, { where, limit: 20, ...(order ? { order } : {}) }));
  if (found.kind !== 'rows') throw new Error(`The engine answered ${found.kind}.`);
  return [found.rows.length, found.walked];
}

test('two large criteria that nothing meets are told apart in the index, within the budget', async () => {
  const where = and([any(['code']), any(['even'])]);
  const [rows, looked] = await walked(where);
  expect(rows).toBe(0);
  expect(looked).toBeLessThan(COUNT / 4 / 2);
  expect(await engine.resources.find(query(type, { where, budget: 10 }))).toMatchObject({ kind: 'budget' });
  // No key of the span is in use.
  expect(await walked(and([any(['odd']), startsWith('nothing\u0001')]))).toEqual([0, 0]);
});

test('a token without its system is walked in order', async () => {
  expect(await walked(startsWith('token\u0001'))).toEqual([20, 21]);
});

test('an order by value of what one key has is walked along keys of its own', async () => {
  const keys = [{ prefix: 'n', direction: 'ascending' as const, within: 'wn' }];
  const [rows, looked] = await walked(any(['code']), { by: 'keys', keys, ids: 'ascending' });
  expect(rows).toBe(20);
  expect(looked).toBeLessThan(30);
});

test('of what lies between two instants nothing else is looked at', async () => {
  const at = (from: number, to: number): Expression => ({ kind: 'instants', from: from * 1_000, to: to * 1_000, unless: none });
  const [rows, looked] = await walked(and([any(['odd']), startsWith('n7'), at(100, 107)]));
  // 100, 101, 103, 104, 105 and 107; n7 begins their values, and those of others elsewhere.
  expect(rows).toBe(6);
  expect(looked).toBeLessThan(12);
});
