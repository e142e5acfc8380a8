/** Three local members for the benchmark, or the running replica set that ASSENT_TEST_MONGODB_URI names; nothing where no mongod is found. */
import { randomBytes } from 'node:crypto';
import { MongoClient } from 'mongodb';
import { findMongod, startReplicaSet } from '../test/support/mongod.ts';

export type BenchedSet = {
  readonly uri: string;
  readonly members: string;
  stop(): Promise<void>;
};

export async function startBenchedSet(): Promise<BenchedSet | undefined> {
  const found = findMongod();
  if (!found) return undefined;
  const ours = !('uri' in found);
  const set = await startReplicaSet(ours ? 3 : 1);
  const uri = set.uri(`assent_bench_${randomBytes(6).toString('hex')}`);
  const members = ours ? 'three members on this machine' : 'the replica set of ASSENT_TEST_MONGODB_URI';
  return {
    uri,
    members,
    stop: async () => {
      if (!ours) await drop(uri);
      await set.stop();
    },
  };
}

async function drop(uri: string): Promise<void> {
  const client = new MongoClient(uri);
  try {
    await client.db().dropDatabase();
  } finally {
    await client.close();
  }
}
