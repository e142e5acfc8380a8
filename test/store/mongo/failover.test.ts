/** Three members, the primary killed under a load of writes: nothing acknowledged is lost, and the engine comes back by itself. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { all } from '../../../server/search/expression.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import type { Engine } from '../../../server/store/port.ts';
import { idsFound, query, resource, writes } from '../../contract/subject.ts';
import { findMongod, type Member, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

const found = findMongod();

describe.skipIf(!found || 'uri' in found)('a replica set of three', () => {
  let set: ReplicaSet;
  let engine: Engine;
  beforeAll(async () => {
    set = await startReplicaSet(3);
    engine = await createMongoEngine({ uri: set.uri('failover'), clock: () => 1_000 });
  });
  afterAll(async () => {
    await engine.resources.close();
    await set.stop();
  });

  async function primary(): Promise<Member> {
    const client = await new MongoClient(set.uri('admin')).connect();
    try {
      const { me } = await client.db('admin').command({ hello: 1 });
      const member = set.members.find(({ port }) => String(me).endsWith(`:${port}`));
      if (!member) throw new Error('The primary is none of ours.');
      return member;
    } finally {
      await client.close();
    }
  }

  async function kill({ process }: Member): Promise<void> {
    const ended = once(process, 'exit');
    process.kill('SIGKILL');
    await ended;
  }

  async function recovered(): Promise<void> {
    for (let attempt = 0; attempt < 60; attempt++) {
      if (
        await engine.resources.check().then(
          () => true,
          () => false,
        )
      )
        return;
      await sleep(200);
    }
    throw new Error('The engine did not come back.');
  }

  test('the primary is killed in the middle of a load: what was acknowledged is there, once, and in order', async () => {
    const acknowledged: string[] = [];
    const failures: unknown[] = [];
    let going = true;
    const writer = async (name: string) => {
      for (let i = 0; going; i++) {
        const id = `${name}-${i}`;
        try {
          await engine.resources.commit(writes([resource('Load', id)], { log: [{ key: id, entry: id }], bumpEpoch: i % 10 === 0 }));
          acknowledged.push(id);
        } catch (error) {
          failures.push(error);
        }
      }
    };
    const writers = Array.from({ length: 4 }, (_, w) => writer(`w${w}`));
    for (let kills = 0; kills < 2; kills++) {
      const before = acknowledged.length;
      while (acknowledged.length < before + 200) await sleep(10);
      const victim = await primary();
      await kill(victim);
      await recovered();
      victim.start();
    }
    const after = acknowledged.length;
    while (acknowledged.length < after + 100) await sleep(10);
    going = false;
    await Promise.all(writers);
    for (const failure of failures) expect(failure).toMatchObject({ code: 'unavailable', retryAfter: 2 });
    const stored = new Set(await idsFound({ engine }, query('Load', { limit: 100_000 })));
    expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
    const rows = await engine.resources.readLog(0, 1_000_000);
    expect(rows.map(({ index }) => index)).toEqual(rows.map((_, i) => i));
    const numbered = rows.map(({ key }) => key);
    expect(new Set(numbered).size).toBe(numbered.length);
    // A resource and its log row: both or neither, also where the answer was lost.
    expect(new Set(numbered)).toEqual(stored);
    for (let w = 0; w < 4; w++) {
      const own = numbered.filter((key) => key.startsWith(`w${w}-`)).map((key) => Number(key.slice(3)));
      expect(own).toEqual([...own].sort((a, b) => a - b));
    }
  });

  test('without a majority everything says unavailable within seconds, and recovers by itself', async () => {
    await recovered();
    const epoch = await engine.resources.epoch();
    const first = await primary();
    const others = set.members.filter((member) => member !== first);
    for (const member of others) await kill(member);
    const started = performance.now();
    const outcomes = await Promise.allSettled([
      engine.resources.commit(writes([resource('Lost', 'a')])),
      engine.resources.find(query('Load', { limit: 1, scope: { epoch, where: all } })),
      engine.resources.check(),
      engine.records.put('x', 'y', 1),
    ]);
    expect(performance.now() - started).toBeLessThan(28_000);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'unavailable', retryAfter: 2 } });
    for (const member of others) member.start();
    await recovered();
    expect(await engine.resources.commit(writes([resource('Back', 'a')]))).toEqual({ kind: 'committed' });
    expect(await idsFound({ engine }, query('Back'))).toEqual(['a']);
  });
});
