/** What MongoDB really does for each form of query, from its own profiler: index scans in order, nothing sorted, no more read than needed. */
import { type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { all, and, any, startsWith } from '../../../server/search/expression.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import type { Engine, Position, Query } from '../../../server/store/port.ts';
import { query, resource, store } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

const LIMIT = 20;
const TOTAL = 2_000;

describe.skipIf(!findMongod())('queries as MongoDB runs them', () => {
  let set: ReplicaSet;
  let engine: Engine;
  let client: MongoClient;
  beforeAll(async () => {
    set = await startReplicaSet();
    const uri = set.uri(`queries-${process.pid}`);
    engine = await createMongoEngine({ uri, clock: () => 0 });
    client = await new MongoClient(uri).connect();
    const rows = Array.from({ length: TOTAL }, (_, i) =>
      // Two of each instant, so that pages end inside one.
      resource('T', `r${String(i).padStart(4, '0')}`, { instant: i >> 1, lastUpdated: i, keys: ['big', `p${i % 100}`, `third${i % 3}`, `date${i}`] }),
    );
    await store({ engine }, ...rows);
    await store({ engine }, ...rows.slice(0, 100).map((row) => ({ ...row, version: `${row.version}-2`, lastUpdated: row.lastUpdated + TOTAL })));
  });
  afterAll(async () => {
    await client.close();
    await engine.resources.close();
    await set.stop();
  });

  /** Every command on resources and history that `work` caused. */
  async function profiled(work: () => Promise<unknown>): Promise<Document[]> {
    const database = client.db();
    await database.setProfilingLevel('off');
    await database.dropCollection('system.profile').catch(() => undefined);
    await database.setProfilingLevel('all');
    try {
      await work();
    } finally {
      await database.setProfilingLevel('off');
    }
    const commands = await database
      .collection('system.profile')
      .find({ ns: { $regex: /\.(resources|history)$/ } })
      .toArray();
    expect(commands.length).toBeGreaterThan(0);
    return commands;
  }

  function expectLean(commands: readonly Document[], most: number): void {
    for (const { planSummary, hasSortStage, docsExamined, keysExamined } of commands) {
      expect(planSummary).toMatch(/^(IXSCAN|IDHACK|COUNT_SCAN)/);
      expect(planSummary).not.toMatch(/COLLSCAN/);
      expect(hasSortStage ?? false).toBe(false);
      expect(docsExamined ?? 0).toBeLessThanOrEqual(most);
      expect(keysExamined ?? 0).toBeLessThanOrEqual(Math.max(most, 1_000) + 60);
    }
  }

  const find = (fields: Partial<Query>) => engine.resources.find(query('T', { limit: LIMIT, ...fields }));
  const oldest = { by: 'instant', direction: 'oldest-first' } as const;
  const after: Position = { sort: 500, id: 'r1000' };
  const id = { kind: 'id' as const, ids: new Set(['r0007']) };

  const forms: readonly (readonly [string, Partial<Query>, number])[] = [
    ['one key', { where: any(['big']) }, LIMIT + 1],
    ['one key, oldest first', { where: any(['big']), order: oldest }, LIMIT + 1],
    ['one key, a later page', { where: any(['big']), after }, LIMIT + 1],
    ['one key, a later page, oldest first', { where: any(['big']), after, order: oldest }, LIMIT + 1],
    ['several keys', { where: any(['p1', 'p2', 'p3']) }, LIMIT + 1],
    ['several keys, a later page', { where: any(['p1', 'p2', 'big']), after }, LIMIT + 1],
    ['several keys, a later page, oldest first', { where: any(['p1', 'p2', 'big']), after, order: oldest }, LIMIT + 1],
    ['a selective key and a common one', { where: and([any(['big']), any(['p7'])]) }, LIMIT + 1],
    ['a key and a scope of many patients', { where: any(['third1']), scope: { epoch: 1, where: any(['p1', 'p4', 'p7']) } }, 61],
    ['a small range', { where: startsWith('date199') }, 11],
    ['all of a type', { where: all }, LIMIT + 1],
    ['all of a type, a later page', { where: all, after }, LIMIT + 1],
    ['one id', { where: id }, 1],
    ['one id within a scope', { where: id, scope: { epoch: 1, where: any(['p7']) } }, 1],
    [
      'a key, in order of another',
      { where: any(['p7']), order: { by: 'keys', keys: [{ prefix: 'date', direction: 'descending' }], ids: 'descending' } },
      LIMIT + 1,
    ],
  ];

  test.each(forms)('%s', async (_, fields, most) => {
    const commands = await profiled(async () => expect(await find(fields)).toMatchObject({ kind: 'rows' }));
    expectLean(commands, most);
  });

  test('counts of one key read the index alone', async () => {
    const commands = await profiled(async () => {
      expect(await engine.resources.count({ type: 'T', where: any(['big']), scope: 'internal' })).toEqual({ kind: 'count', total: TOTAL });
    });
    expect(commands.map(({ planSummary, docsExamined }) => [planSummary, docsExamined])).toEqual([['COUNT_SCAN { k: 1, d: -1, _id: 1, s: 1 }', 0]]);
  });

  test.each([
    ['of one resource', { type: 'T', id: 'r0007' }],
    ['of a type', { type: 'T' }],
    ['of a type, a later page', { type: 'T', after: { lastUpdated: 1_000, type: 'T', id: 'r1000', version: 'v' } }],
    ['of everything', {}],
    ['of everything, some types, oldest first', { types: ['T', 'U'], direction: 'oldest-first' as const }],
    ['of everything, a later page', { after: { lastUpdated: 1_000, type: 'T', id: 'r1000', version: 'v' } }],
  ])('history %s', async (_, asked) => {
    const commands = await profiled(() => engine.resources.history({ ...asked, scope: 'internal', limit: LIMIT }));
    expectLean(commands, LIMIT + 2);
  });
});
