/** A client of one member that never hears of the others: what a server process is that has been cut off together with a deposed primary. */
import { MongoClient } from 'mongodb';
import type { Connection } from '../../server/store/mongo/connection.ts';
import { EPOCH } from '../../server/store/mongo/documents.ts';
import { createEpochReader } from '../../server/store/mongo/epoch.ts';
import type { Member } from '../support/mongod.ts';
import { direct } from './members.ts';

export type UnknowingReader = {
  /** As the engine asks while another primary may be about. */
  careful(): Promise<number>;
  /** With majority read concern, of which a deposed primary has an old one. */
  careless(): Promise<number>;
  close(): Promise<void>;
};

/** It does not give the member up while that one is frozen, and asks nobody again. */
const patient = { heartbeatFrequencyMS: 300_000, connectTimeoutMS: 300_000, socketTimeoutMS: 60_000, retryReads: false } as const;

export async function createUnknowingReader({ port }: Member, database: string): Promise<UnknowingReader> {
  const client = await new MongoClient(direct(port, database), { ...patient, minPoolSize: 2 }).connect();
  const counters = client.db().collection<{ _id: string; value: number }>('counters');
  const connection = { collections: { counters }, topology: { isSettled: () => false } };
  const careless = async () => (await counters.findOne({ _id: EPOCH }, { readConcern: { level: 'majority' } }))?.value ?? Number.NaN;
  // Both connections are open before the member is frozen, so that what is asked then waits inside it.
  await Promise.all([careless(), careless()]);
  return { careful: createEpochReader(connection as unknown as Connection), careless, close: () => client.close() };
}
