/**
 * What docs/operations/sharding.md calls targeted names its shard: each command carries the shard key that the page gives its collection. No
 * router is at hand here, so this is seen in the profiler of a replica set.
 */
import { type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { all, and, any, not, or } from '../../../server/search/expression.ts';
import { bucketOf, newId } from '../../../server/fhir/ids.ts';
import { unsuitability } from '../../../server/store/mongo/connection.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import type { Engine, Query } from '../../../server/store/port.ts';
import { query, resource, store, writes } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

const SHARD_KEYS: Readonly<Record<string, readonly string[]>> = { resources: ['s', '_id'], history: ['i'], records: ['_id'], astray: ['s', '_id'] };

describe.skipIf(!findMongod())('commands that go to one shard', () => {
  let set: ReplicaSet;
  let engine: Engine;
  /** As behind a router. */
  let routed: Engine;
  let client: MongoClient;
  let revision: number;
  beforeAll(async () => {
    set = await startReplicaSet();
    const uri = set.uri(`sharding-${process.pid}`);
    engine = await createMongoEngine({ uri, clock: () => 0 });
    routed = await createMongoEngine({ uri, clock: () => 0, routed: true });
    client = await new MongoClient(uri).connect();
    await store({ engine }, resource('T', 'a', { version: 'first', keys: ['@patient/p'] }));
    await store({ engine }, resource('T', 'a', { version: 'second', keys: ['@patient/p'] }));
    const there = await engine.records.put('kind', 'there', 1);
    revision = there.kind === 'written' ? there.revision : -1;
  });
  afterAll(async () => {
    await client.close();
    await engine.resources.close();
    await routed.resources.close();
    await set.stop();
  });

  /** Commands on sharded collections that `work` caused, as `collection operation key…`: what the last field of the shard key is fixed to, or its first. */
  async function keysOf(work: () => Promise<unknown>): Promise<string[]> {
    return (await profiled(work)).map(({ ns, op, command }) => {
      const collection = collectionOf(ns);
      return `${collection} ${op} ${fixed(command, SHARD_KEYS[collection] ?? [])}`;
    });
  }

  const collectionOf = (ns: unknown) => String(ns).slice(String(ns).lastIndexOf('.') + 1);

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
    return database
      .collection('system.profile')
      .find({ ns: { $regex: /\.(resources|history|records|astray)$/ } })
      .toArray();
  }

  /** A router goes by the fields of a shard key from the first on, as long as they are fixed. */
  function fixed(command: Document, fields: readonly string[]): string {
    const filter: Document = command['filter'] ?? command['query'] ?? command['q'] ?? {};
    let found: string | undefined;
    for (const field of fields) {
      const value: unknown = filter[field];
      const { $eq, $in } = (typeof value === 'string' ? { $eq: value } : (value ?? {})) as {
        readonly $eq?: string;
        readonly $in?: readonly string[];
      };
      const next = $eq ?? $in?.join();
      if (next === undefined) break;
      found = next;
    }
    return found ?? 'every shard';
  }

  const id = { kind: 'id' as const, ids: new Set(['a']) };

  test('read by id, one version, the versions of one resource', async () => {
    expect(await keysOf(() => engine.resources.find(query('T', { where: id })))).toEqual(['resources query T/a']);
    for (const version of [{}, { version: 'first' }]) {
      const found = await keysOf(() => engine.resources.history({ type: 'T', id: 'a', ...version, scope: { epoch: 1, where: () => all }, limit: 5 }));
      expect(found).toEqual(expect.arrayContaining(['resources query T/a', 'history query a']));
      expect(found.filter((command) => command.endsWith('every shard'))).toEqual([]);
    }
  });

  test('every write, with its guards', async () => {
    const guards = [
      { kind: 'version' as const, type: 'T', id: 'a', version: 'second' },
      { kind: 'record' as const, recordKind: 'kind', id: 'there', revision },
    ];
    const put = { kind: 'put' as const, recordKind: 'kind', id: 'made', value: 1 };
    const set = writes([resource('T', 'a', { version: 'third' }), resource('T', 'b')], { guards, records: [put] });
    const found = await keysOf(async () => expect(await engine.resources.commit(set)).toEqual({ kind: 'committed' }));
    expect(found).toEqual(
      expect.arrayContaining([
        'resources query T/a,T/b',
        'resources update T/a',
        'records query kind\nmade,kind\nthere',
        'records update kind\nmade',
      ]),
    );
    // An insert carries whole documents, shard key and all.
    expect(found.filter((command) => command.endsWith('every shard') && !command.includes(' insert '))).toEqual([]);
  });

  test('tokens and other records, one by one', async () => {
    const found = await keysOf(async () => {
      await engine.records.put('kind', 'x', 1);
      await engine.records.put('kind', 'there', 2, { revision });
      await engine.records.get('kind', 'x');
      await engine.records.delete('kind', 'x');
    });
    expect(found.length).toBeGreaterThan(3);
    expect(found.filter((command) => !/ kind\n(x|there)$/.test(command) && !command.includes(' insert '))).toEqual([]);
  });

  const bucket = bucketOf('Patient', 'well');
  const ofPatient = any(['@patient/well']);
  const anId = () => newId('well');
  const asked = async (fields: Partial<Query>) => keysOf(() => routed.resources.find(query('T', fields)));

  test('a search of one patient, whatever else it asks, its pages and its total', async () => {
    const rows = Array.from({ length: 30 }, (_, i) =>
      resource('T', anId(), { instant: i, keys: ['@patient/well', '0abrPatient/well', `code${i % 3}`] }),
    );
    await store({ engine }, ...rows);
    const own = ['astray query T/well', `resources query ${bucket}`];
    const forms: readonly Partial<Query>[] = [
      { where: ofPatient, limit: 5 },
      { where: any(['0abrPatient/well']), limit: 5 },
      { where: ofPatient, limit: 5, after: { sort: 30, id: 'x' } },
      { where: and([any(['code1']), ofPatient]), limit: 5 },
      { where: any(['code1', 'code2']), scope: { epoch: 1, where: ofPatient }, limit: 50 },
      { where: ofPatient, order: { by: 'keys', keys: [{ prefix: 'code', direction: 'descending' }], ids: 'descending' }, limit: 5 },
    ];
    for (const form of forms) {
      const found = await asked(form);
      expect(found.slice(0, 2), JSON.stringify(form)).toEqual([own[0], expect.stringMatching(new RegExp(`^resources (query|command) ${bucket}$`))]);
      expect(
        found.filter((command) => !own.includes(command) && !new RegExp(`^resources (command ${bucket}$|query T/${bucket})`).test(command)),
      ).toEqual([]);
    }
    const counted = await keysOf(async () =>
      expect(await routed.resources.count({ type: 'T', where: ofPatient, scope: 'internal' })).toEqual({ kind: 'count', total: 30 }),
    );
    expect(counted).toEqual(['astray query T/well', `resources command ${bucket}`, 'astray query T/well']);
  });

  test('on its shard such a search walks the index in order, sorts nothing and reads no more than its page; a total reads the index alone', async () => {
    const own = Array.from({ length: 300 }, (_, i) =>
      resource('Plan', newId('planned'), { instant: i >> 1, keys: ['@patient/planned', `code${i % 3}`] }),
    );
    const others = Array.from({ length: 700 }, (_, i) =>
      resource('Plan', newId(`other-${i % 50}`), { instant: i, keys: [`@patient/other-${i % 50}`, 'code1'] }),
    );
    await store({ engine }, ...own, ...others);
    const where = any(['@patient/planned']);
    const pages = [
      { where },
      { where, after: { sort: 100, id: 'm' } },
      { where, order: { by: 'instant' as const, direction: 'oldest-first' as const } },
    ];
    for (const page of pages) {
      const commands = await profiled(async () =>
        expect(await routed.resources.find(query('Plan', { ...page, limit: 20 }))).toMatchObject({ kind: 'rows' }),
      );
      const found = commands.filter(({ ns }) => collectionOf(ns) === 'resources');
      expect(found.length).toBeGreaterThan(0);
      for (const { planSummary, hasSortStage, docsExamined, execStats } of found) {
        expect(planSummary).toBe('IXSCAN { k: 1, d: -1, _id: 1, s: 1 }');
        expect(hasSortStage ?? false).toBe(false);
        expect(docsExamined).toBeLessThanOrEqual(21);
        expect(stagesOf(execStats)).toEqual(expect.arrayContaining(['LIMIT', 'FETCH', 'IXSCAN']));
      }
    }
    const narrowed = await profiled(() => routed.resources.find(query('Plan', { where: and([where, any(['code1'])]), limit: 20 })));
    // One batch of documents without their bodies beyond the page: how many are the other 700 does not matter.
    for (const { docsExamined } of narrowed) expect(docsExamined ?? 0).toBeLessThanOrEqual(256);
    const counted = await profiled(async () =>
      expect(await routed.resources.count({ type: 'Plan', where, scope: 'internal' })).toEqual({ kind: 'count', total: 300 }),
    );
    expect(counted.filter(({ ns }) => collectionOf(ns) === 'resources').map(({ docsExamined }) => docsExamined)).toEqual([0]);
  });

  function stagesOf(plan: Document | undefined): string[] {
    return plan ? [String(plan['stage']), ...stagesOf(plan['inputStage'] as Document | undefined)] : [];
  }

  test('a search that is not certain to be of one patient asks every shard; so does one of a patient who has something elsewhere', async () => {
    for (const where of [any(['code1']), any(['@patient/well', '@patient/p']), or([ofPatient, any(['code1'])]), not(ofPatient), all])
      expect(await asked({ where, limit: 5 })).toContain('resources query every shard');
    expect(await asked({ where: any(['@patient/p']) })).toEqual(['astray query T/p', 'resources query every shard']);
    // Of another type nothing is.
    expect(await keysOf(() => routed.resources.find(query('Other', { where: any(['@patient/p']) })))).toEqual([
      'astray query Other/p',
      `resources query ${bucketOf('Patient', 'p')}`,
    ]);
    // What is for ever has to be read once.
    expect(await asked({ where: any(['@patient/p']) })).toEqual(['resources query every shard']);
  });

  test('a write that needs a mark makes it, once; others pay nothing', async () => {
    const made = (id: string) => keysOf(() => store({ engine }, resource('T', id, { keys: ['@patient/later'] })));
    expect((await made(newId('later'))).filter((command) => command.startsWith('astray'))).toEqual([]);
    expect((await made('chosen')).filter((command) => command.startsWith('astray'))).toEqual(['astray update T/later']);
    expect((await made('chosen-too')).filter((command) => command.startsWith('astray'))).toEqual([]);
  });

  test('without a router nothing is aimed and no mark is read', async () => {
    expect(await keysOf(() => engine.resources.find(query('T', { where: any(['@patient/well']) })))).toEqual(['resources query every shard']);
  });
});

test('a sharded cluster that confirms commits before all shards show them is refused', () => {
  expect(unsuitability({ msg: 'isdbgrid', maxWireVersion: 17 })).toContain('MongoDB 7.0');
  expect(unsuitability({ msg: 'isdbgrid' })).toContain('MongoDB 7.0');
  expect(unsuitability({ msg: 'isdbgrid', maxWireVersion: 21 })).toBeUndefined();
  expect(unsuitability({ setName: 'rs0', maxWireVersion: 17 })).toBeUndefined();
  expect(unsuitability({ maxWireVersion: 25 })).toContain('standalone');
});
