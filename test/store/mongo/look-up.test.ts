/** Resources asked for by id at the same time share a command, and each answer is still of a moment after its own question. */
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import type { Engine } from '../../../server/store/port.ts';
import { query, resource, store } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

describe.skipIf(!findMongod())('look-ups by id', () => {
  let set: ReplicaSet;
  let engine: Engine;
  let client: MongoClient;
  beforeAll(async () => {
    set = await startReplicaSet();
    const uri = set.uri(`look-up-${process.pid}`);
    engine = await createMongoEngine({ uri, clock: () => 0 });
    client = await new MongoClient(uri).connect();
  });
  afterAll(async () => {
    await client.close();
    await engine.resources.close();
    await set.stop();
  });

  async function versionOf(id: string, deleted = false): Promise<string | undefined> {
    const found = await engine.resources.find(query('T', { where: { kind: 'id', ids: new Set([id]) }, limit: 1, deleted }));
    return found.kind === 'rows' ? found.rows[0]?.version : found.kind;
  }

  test('a hundred and fifty at once take two commands, and each gets its own', async () => {
    const ids = Array.from({ length: 150 }, (_, i) => `many${i}`);
    await store({ engine }, ...ids.map((id) => resource('T', id, { version: `v-${id}` })));
    await client.db().setProfilingLevel('all');
    const versions = await Promise.all([...ids, 'nobody'].map((id) => versionOf(id)));
    await client.db().setProfilingLevel('off');
    const commands = await client
      .db()
      .collection('system.profile')
      .countDocuments({ ns: { $regex: /\.resources$/ } });
    expect(versions).toEqual([...ids.map((id) => `v-${id}`), undefined]);
    expect(commands).toBe(2);
  });

  test('a deleted one is there only for those who asked for deletions, in one command with those who did not', async () => {
    await store({ engine }, resource('T', 'gone', { version: 'last', deleted: true, keys: [] }));
    expect(await Promise.all([versionOf('gone'), versionOf('gone', true), versionOf('gone')])).toEqual([undefined, 'last', undefined]);
  });

  test('what was acknowledged before the question is in the answer, however many look-ups are under way', async () => {
    let asking = true;
    const others = Array.from({ length: 8 }, async () => {
      while (asking) await versionOf('changing');
    });
    try {
      for (let round = 0; round < 40; round++) {
        await store({ engine }, resource('T', 'changing', { version: `v${round}`, lastUpdated: round }));
        expect(await versionOf('changing')).toBe(`v${round}`);
      }
    } finally {
      asking = false;
      await Promise.all(others);
    }
  });
});
