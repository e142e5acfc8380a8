/** The first start on a replica set whose primary steps down in the middle of it: the server waits, makes its database whole, and works. */
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AssentError } from '../../../server/errors.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import { unavailable } from '../../../server/store/mongo/faults.ts';
import { patiently } from '../../../server/store/mongo/patience.ts';
import { schemaProblems } from '../../../server/store/mongo/schema.ts';
import { idsFound, query, resource, writes } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

const found = findMongod();

describe('patience', () => {
  test('outlasts what passes, says each time that it waits, and counts the attempts', async () => {
    let waited = 0;
    const attempts: number[] = [];
    const work = async (attempt: number) => {
      attempts.push(attempt);
      if (attempt < 2) throw unavailable('No primary.');
      return 'done';
    };
    expect(await patiently({ ms: 10_000, waiting: () => waited++ }, work)).toBe('done');
    expect([attempts, waited]).toEqual([[0, 1, 2], 2]);
  });

  test('ends at its bound, and at once with what does not pass', async () => {
    const failing = (error: Error) => {
      let attempts = 0;
      const end = patiently({ ms: 0 }, () => {
        attempts++;
        return Promise.reject(error);
      });
      return end.catch((caught: unknown) => [caught, attempts]);
    };
    const passing = unavailable('No primary.');
    expect(await failing(passing)).toEqual([passing, expect.any(Number)]);
    const lasting = new AssentError('unavailable', 'Another version.');
    expect(await failing(lasting)).toEqual([lasting, 1]);
    const ours = new TypeError('A fault of ours.');
    expect(await failing(ours)).toEqual([ours, 1]);
  });
});

describe.skipIf(!found || 'uri' in found)('a first start in the middle of an election', () => {
  let set: ReplicaSet;
  let driver: MongoClient;
  beforeAll(async () => {
    set = await startReplicaSet(3);
    driver = await new MongoClient(set.uri('admin')).connect();
  });
  afterAll(async () => {
    await driver.close();
    await set.stop();
  });

  const stepDown = () => driver.db('admin').command({ replSetStepDown: 2, secondaryCatchUpPeriodSecs: 1, force: true });

  test.for([0, 60, 250])('is waited out, however far the start had come (%i ms)', async (pause) => {
    const name = `first-${pause}`;
    const opening = createMongoEngine({ uri: set.uri(name), clock: () => 1_000 });
    // Its failure is told below, not as nobody's.
    void opening.catch(() => undefined);
    await sleep(pause);
    await stepDown();
    const engine = await opening;
    try {
      expect(await schemaProblems(driver.db(name))).toEqual([]);
      for (let attempt = 0; ; attempt++) {
        const stored = await engine.resources.commit(writes([resource('T', 'a')])).catch((error: unknown) => error);
        if (!(stored instanceof Error)) break;
        expect(attempt).toBeLessThan(50);
        await sleep(200);
      }
      expect(await idsFound({ engine }, query('T'))).toEqual(['a']);
    } finally {
      await engine.resources.close();
    }
  });

  test('without a primary at all is waited out as well', async () => {
    await stepDown();
    const engine = await createMongoEngine({ uri: set.uri('none-yet'), clock: () => 1_000 });
    expect(await schemaProblems(driver.db('none-yet'))).toEqual([]);
    await engine.resources.close();
  });

  test('cut off between two migrations is gone on with at the next start; with data in it only by the command', async () => {
    const [uri, database] = [set.uri('cut-off'), driver.db('cut-off')];
    await (await createMongoEngine({ uri, clock: () => 1_000 })).resources.close();
    await database.collection<{ _id: string }>('migrations').deleteOne({ _id: '0003-deciding-keys' });
    const engine = await createMongoEngine({ uri, clock: () => 1_000 });
    await engine.resources.commit(writes([resource('T', 'a')]));
    await engine.resources.close();
    await database.collection<{ _id: string }>('migrations').deleteOne({ _id: '0003-deciding-keys' });
    await expect(createMongoEngine({ uri, clock: () => 1_000 })).rejects.toThrow(/npm run migrate/);
  });
});
