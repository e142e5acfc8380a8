/**
 * What docs/operations/sharding.md calls targeted names its shard: each command carries the shard key that the page gives its collection. No
 * router is at hand here, so this is seen in the profiler of a replica set.
 */
import { type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { all, any } from '../../../server/search/expression.ts';
import { unsuitability } from '../../../server/store/mongo/connection.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import type { Engine } from '../../../server/store/port.ts';
import { query, resource, store, writes } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

const SHARD_KEYS: Readonly<Record<string, string>> = { resources: '_id', history: 'i', records: '_id' };

describe.skipIf(!findMongod())('commands that go to one shard', () => {
  let set: ReplicaSet;
  let engine: Engine;
  let client: MongoClient;
  let revision: number;
  beforeAll(async () => {
    set = await startReplicaSet();
    const uri = set.uri(`sharding-${process.pid}`);
    engine = await createMongoEngine({ uri, clock: () => 0 });
    client = await new MongoClient(uri).connect();
    await store({ engine }, resource('T', 'a', { version: 'first', keys: ['@patient/p'] }));
    await store({ engine }, resource('T', 'a', { version: 'second', keys: ['@patient/p'] }));
    const there = await engine.records.put('kind', 'there', 1);
    revision = there.kind === 'written' ? there.revision : -1;
  }, 60_000);
  afterAll(async () => {
    await client.close();
    await engine.resources.close();
    await set.stop();
  });

  /** Commands on sharded collections that `work` caused, as `collection operation key…`: what the shard key is fixed to. */
  async function keysOf(work: () => Promise<unknown>): Promise<string[]> {
    const database = client.db();
    await database.setProfilingLevel('off');
    await database.dropCollection('system.profile').catch(() => undefined);
    await database.setProfilingLevel('all');
    try {
      await work();
    } finally {
      await database.setProfilingLevel('off');
    }
    const profiled = await database
      .collection('system.profile')
      .find({ ns: { $regex: /\.(resources|history|records)$/ } })
      .toArray();
    return profiled.map(({ ns, op, command }) => {
      const collection = String(ns).slice(String(ns).lastIndexOf('.') + 1);
      return `${collection} ${op} ${fixed(command, SHARD_KEYS[collection] ?? '')}`;
    });
  }

  function fixed(command: Document, key: string): string {
    const filter: Document = command['filter'] ?? command['query'] ?? command['q'] ?? {};
    const value: unknown = filter[key];
    if (typeof value === 'string') return value;
    const { $eq, $in } = (value ?? {}) as { readonly $eq?: string; readonly $in?: readonly string[] };
    return $eq ?? $in?.join() ?? 'every shard';
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

  test('a search asks every shard, as the page says', async () => {
    const found = await keysOf(() => engine.resources.find(query('T', { where: any(['@patient/p']) })));
    expect(found).toEqual(['resources query every shard']);
  });
});

test('a sharded cluster that confirms commits before all shards show them is refused', () => {
  expect(unsuitability({ msg: 'isdbgrid', maxWireVersion: 17 })).toContain('MongoDB 7.0');
  expect(unsuitability({ msg: 'isdbgrid' })).toContain('MongoDB 7.0');
  expect(unsuitability({ msg: 'isdbgrid', maxWireVersion: 21 })).toBeUndefined();
  expect(unsuitability({ setName: 'rs0', maxWireVersion: 17 })).toBeUndefined();
  expect(unsuitability({ maxWireVersion: 25 })).toContain('standalone');
});
