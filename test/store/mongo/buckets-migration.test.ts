/** A data set of before buckets, brought to this version: refused until then, cut off and gone on with, and found as if it had been written anew. */
import { type Collection, type Db, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { up as first } from '../../../migrations/mongo/0001-first-schema.ts';
import { up as buckets } from '../../../migrations/mongo/0002-buckets.ts';
import { bucketOf, newId } from '../../../server/fhir/ids.ts';
import { any } from '../../../server/search/expression.ts';
import { toDocument } from '../../../server/store/mongo/documents.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import { migrateMongo } from '../../../server/store/mongo/migrations.ts';
import { idsFound, query, resource } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

type Named = { readonly _id: string; readonly s?: string };

const rows = Array.from({ length: 2_500 }, (_, i) => {
  const id = i % 2 === 0 ? `chosen-${i}` : newId('at-home');
  const gone = i % 100 === 0 ? { deleted: true, body: '' } : {};
  return resource('Observation', id, { instant: i, keys: [`@patient/${i % 2 === 0 ? `p${i % 10}` : 'at-home'}`, `n${i}`], ...gone });
});

describe.skipIf(!findMongod())('a database of before buckets', () => {
  let set: ReplicaSet;
  let client: MongoClient;
  let databases = 0;
  beforeAll(async () => {
    set = await startReplicaSet();
    client = await new MongoClient(set.uri('admin')).connect();
  });
  afterAll(async () => {
    await client.close();
    await set.stop();
  });

  async function before(): Promise<{ readonly uri: string; readonly database: Db; readonly resources: Collection<Named> }> {
    const name = `buckets-${process.pid}-${++databases}`;
    const database = client.db(name);
    await first(database);
    const resources = database.collection<Named>('resources');
    await resources.insertMany(rows.map(toDocument).map(({ s: _s, c: _c, ...old }) => old));
    await database.collection<Named>('migrations').insertOne({ _id: '0001-first-schema' });
    return { uri: set.uri(name), database, resources };
  }

  async function expectMigrated({ uri, database, resources }: Awaited<ReturnType<typeof before>>): Promise<void> {
    expect(await resources.countDocuments({ s: { $exists: false } })).toBe(0);
    for (const { _id, s } of await resources.find({}, { projection: { s: 1 } }).toArray())
      expect(s).toBe(bucketOf('Observation', _id.slice('Observation/'.length)));
    const marked = (await database.collection<Named>('astray').find().sort({ _id: 1 }).toArray()).map(({ _id, s }) => [_id, s]);
    expect(marked).toEqual(['p0', 'p2', 'p4', 'p6', 'p8'].map((id) => [`Observation/${id}`, bucketOf('Patient', id)]));
    expect((await resources.indexes()).map(({ name }) => name)).not.toContain('k_d_id');
    const engine = await createMongoEngine({ uri, clock: () => 0, routed: true });
    for (const patient of ['at-home', 'p4']) {
      const theirs = rows.filter(({ keys, deleted }) => !deleted && keys.includes(`@patient/${patient}`)).map(({ id }) => id);
      expect(await idsFound({ engine }, query('Observation', { where: any([`@patient/${patient}`]), limit: 3_000 }))).toEqual(theirs.toReversed());
    }
    await engine.resources.close();
  }

  test('is refused by the server with the remedy, migrated by the command, and served', async () => {
    const old = await before();
    await expect(createMongoEngine({ uri: old.uri, clock: () => 0 })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('npm run migrate'),
    });
    expect(await migrateMongo(old.uri)).toEqual(['0002-buckets', '0003-deciding-keys']);
    await expectMigrated(old);
    expect(await migrateMongo(old.uri)).toEqual([]);
  });

  test('that was cut off half-way is gone on with; what has its bucket has its marks, and no older server adds to it', async () => {
    const old = await before();
    let slices = 0;
    const cutOff = new Proxy(old.database, {
      get(database, name) {
        if (name !== 'collection') return Reflect.get(database, name) as unknown;
        return (of: string) => {
          if (of === 'resources' && ++slices > 3) throw new Error('killed');
          return database.collection(of);
        };
      },
    });
    await expect(buckets(cutOff)).rejects.toThrow('killed');
    const placed = await old.resources.countDocuments({ s: { $exists: true } });
    expect(placed).toBeGreaterThan(0);
    expect(placed).toBeLessThan(rows.length);
    expect(await old.database.collection('astray').countDocuments()).toBe(5);
    const { s: _s, c: _c, ...late } = toDocument(resource('Observation', 'late'));
    await expect(old.resources.insertOne(late)).rejects.toMatchObject({ code: 121 });
    await expect(createMongoEngine({ uri: old.uri, clock: () => 0 })).rejects.toMatchObject({ code: 'unavailable' });
    expect(await migrateMongo(old.uri)).toEqual(['0002-buckets', '0003-deciding-keys']);
    await expectMigrated(old);
  });
});
