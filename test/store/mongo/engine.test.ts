/** What an operator and an attacker would notice: refusals at start, values that look like operators, size limits, migrations. */
import { type Db, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { any, startsWith } from '../../../server/search/expression.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import { migrateMongo } from '../../../server/store/mongo/migrations.ts';
import type { Engine } from '../../../server/store/port.ts';
import { idsFound, query, resource, store, writes } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet, startStandalone } from '../../support/mongod.ts';

describe.skipIf(!findMongod())('the MongoDB engine', () => {
  let set: ReplicaSet;
  let client: MongoClient;
  let databases = 0;
  const opened: Engine[] = [];
  beforeAll(async () => {
    set = await startReplicaSet();
    client = await new MongoClient(set.uri('admin')).connect();
  });
  afterAll(async () => {
    for (const { resources } of opened) await resources.close();
    await client.close();
    await set.stop();
  });

  function fresh(): { uri: string; database: Db; open: () => Promise<Engine> } {
    const name = `engine-${process.pid}-${++databases}`;
    const uri = set.uri(name);
    const open = async () => {
      const engine = await createMongoEngine({ uri, clock: () => 1_000 });
      opened.push(engine);
      return engine;
    };
    return { uri, database: client.db(name), open };
  }

  test.skipIf(findMongod() && 'uri' in (findMongod() ?? {}))('refuses a standalone and says how to make a replica set', async () => {
    const standalone = await startStandalone();
    try {
      const opening = createMongoEngine({ uri: standalone.uri, clock: () => 0 });
      await expect(opening).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('rs.initiate()') });
    } finally {
      await standalone.stop();
    }
  });

  test('says within seconds that it cannot be reached, without the password', async () => {
    for (const uri of ['mongodb://user:secret@127.0.0.1:9/x', 'mongodb://user:secret@', 'postgres://user:secret@host/x', '']) {
      const started = performance.now();
      const error = await createMongoEngine({ uri, clock: () => 0 }).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: 'unavailable' });
      expect(String((error as Error).message)).not.toContain('secret');
      expect(performance.now() - started).toBeLessThan(28_000);
    }
  });

  test('a value that starts with $, has dots or looks like an operator is data, wherever it stands', async () => {
    const { resources, records } = await fresh().open();
    const engine = { resources, records };
    const odd = ['$ne', '$where', '$$ROOT', 'a.b', '{"$gt":""}', '$set', '__proto__'];
    for (const value of odd) {
      await store({ engine }, resource('Odd', value, { version: value, keys: [value, `~${value}`], body: `{"$gt":"${encodeURIComponent(value)}"}` }));
      expect(await idsFound({ engine }, query('Odd', { where: any([value]) }))).toEqual([value]);
      expect(await idsFound({ engine }, query('Odd', { where: startsWith(value) }))).toEqual([value]);
      expect(await idsFound({ engine }, query('Odd', { where: { kind: 'id', ids: new Set([value]) } }))).toEqual([value]);
      const version = await resources.history({ type: 'Odd', id: value, version: value, scope: 'internal', limit: 5 });
      expect(version.kind === 'rows' && version.rows).toHaveLength(1);
      const record = { [value]: value, list: [{ $ne: null }] };
      await records.put(value, value, record, { lookup: [value] });
      await records.put(value, value, record, { lookup: [value] });
      expect((await records.list(value, { lookup: value })).map((r) => [r.id, r.value])).toEqual([[value, record]]);
      await resources.commit(
        writes([], { log: [{ key: value, entry: value }], records: [{ kind: 'put', recordKind: value, id: 'x', value: value }] }),
      );
      expect(await resources.lease(value, value, 10)).toBe(1);
    }
    expect((await resources.readLog(0, 100)).map(({ key, entry }) => [key, entry])).toEqual(odd.map((value) => [value, value]));
    expect(await idsFound({ engine }, query('Odd'))).toHaveLength(odd.length);
    expect(await idsFound({ engine }, query('$ne', {}))).toEqual([]);
    // A caller that was tricked into handing on an object gets nothing for it.
    const object = { $ne: null } as unknown as string;
    expect(await idsFound({ engine }, query('Odd', { where: { kind: 'id', ids: new Set([object]) } }))).toEqual([]);
    expect(await records.get('Odd', object)).toBeUndefined();
  });

  test('what is too large for a document is refused as such, and takes no one with it', async () => {
    const engine = await fresh().open();
    const large = resource('Large', 'large', { body: 'x'.repeat(15 * 1024 * 1024 + 1) });
    const fits = resource('Large', 'fits', { body: 'x'.repeat(14 * 1024 * 1024) });
    const small = Array.from({ length: 5 }, (_, i) => resource('Large', `s${i}`));
    const results = await Promise.allSettled([...small, large, fits].map((one) => engine.resources.commit(writes([one]))));
    expect(results.map(({ status }) => status)).toEqual([...small.map(() => 'fulfilled'), 'rejected', 'fulfilled']);
    expect(results[5]).toMatchObject({ reason: { code: 'too-large', status: 413 } });
    expect(await idsFound({ engine }, query('Large'))).toEqual(['fits', 's0', 's1', 's2', 's3', 's4']);
    await expect(engine.records.put('large', 'x', 'x'.repeat(16 * 1024 * 1024))).rejects.toMatchObject({ code: 'too-large' });
    const three = Array.from({ length: 3 }, (_, i) => resource('Large', `three${i}`, { body: 'y'.repeat(10 * 1024 * 1024) }));
    expect(await engine.resources.commit(writes(three))).toEqual({ kind: 'committed' });
  });

  test('the envelope is checked by the database itself', async () => {
    const { database, open } = fresh();
    await open();
    const insert = database.collection<{ _id: string }>('resources').insertOne({ _id: 'Patient/1' });
    await expect(insert).rejects.toMatchObject({ code: 121 });
  });

  test('a new database is made, one that was cut off while being made is finished, migrating again changes nothing', async () => {
    const { uri, database, open } = fresh();
    await database.createCollection('resources');
    await database.collection('resources').createIndex({ k: 1, d: -1, _id: 1 }, { name: 'k_d_id' });
    const engine = await open();
    await engine.resources.commit(writes([resource('Kept', 'a')], { bumpEpoch: true }));
    const epoch = await engine.resources.epoch();
    expect(await migrateMongo(uri)).toEqual([]);
    // Cut off with data: the server does not touch it, the command goes on.
    await database.collection('migrations').deleteMany({});
    await database.collection('resources').dropIndex('k_d_id_s');
    await expect(open()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('npm run migrate') });
    expect(await migrateMongo(uri)).toEqual(['0001-first-schema', '0002-buckets', '0003-deciding-keys']);
    const again = await open();
    expect(await idsFound({ engine: again }, query('Kept'))).toEqual(['a']);
    expect(await again.resources.epoch()).toBe(epoch);
  });

  test('a database that is not as it was left, or of a newer server, is refused', async () => {
    const { uri, database, open } = fresh();
    await open();
    await database.collection('log').dropIndex('n');
    await expect(open()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('index n of log') });
    await database.collection('log').createIndex({ n: 1 }, { name: 'n', unique: true, partialFilterExpression: { n: { $gte: 0 } } });
    await database.command({ collMod: 'resources', validator: {} });
    await expect(open()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('validator') });
    await database.collection<{ _id: string }>('migrations').insertOne({ _id: '9999-later' });
    await expect(open()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('newer server (9999-later)') });
    await expect(migrateMongo(uri)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('newer server') });
  });
});
