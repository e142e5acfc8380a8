import { afterAll, beforeAll, describe } from 'vitest';
import { createMongoEngine } from '../../server/store/mongo/engine.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../support/mongod.ts';
import type { Subject } from './subject.ts';
import { contractSuite } from './suite.ts';

describe.skipIf(!findMongod())('on a replica set', () => {
  let set: ReplicaSet;
  let databases = 0;
  beforeAll(async () => {
    set = await startReplicaSet();
  });
  afterAll(() => set.stop());

  contractSuite('MongoDB', async (): Promise<Subject> => {
    const uri = set.uri(`contract-${process.pid}-${++databases}`);
    const time = { now: Date.UTC(2026, 0, 1) };
    const open = () => createMongoEngine({ uri, clock: () => time.now });
    let current = await open();
    return {
      engine: current,
      time,
      reopen: async () => {
        await current.resources.close();
        current = await open();
        return current;
      },
      dispose: () => current.resources.close(),
    };
  });
});
