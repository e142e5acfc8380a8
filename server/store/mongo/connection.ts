/**
 * One connection pool to a replica set, with the read and write concerns that everything here relies on.
 * https://www.mongodb.com/docs/manual/reference/read-concern/, https://www.mongodb.com/docs/manual/reference/write-concern/
 *
 * Invariant: what is acknowledged is on a majority of members and in their journals; what is read has been; a standalone is not used, nor a
 * sharded cluster that confirms what not all shards show.
 */
import { type Collection, type Db, type Document, MongoClient, ReadConcern } from 'mongodb';
import { AssentError } from '../../errors.ts';
import { type KnownMarks, rememberMarks } from './astray.ts';
import type { Counter, HistoryDocument, LeaseDocument, LogDocument, Mark, RecordDocument, ResourceDocument } from './documents.ts';
import { translate } from './faults.ts';
import { createSizes, type Sizes } from './sizes.ts';
import { type Topology, watchTopology } from './topology.ts';

export type Collections = {
  readonly resources: Collection<ResourceDocument>;
  readonly history: Collection<HistoryDocument>;
  readonly log: Collection<LogDocument>;
  readonly records: Collection<RecordDocument>;
  readonly astray: Collection<Mark>;
  readonly counters: Collection<Counter>;
  readonly leases: Collection<LeaseDocument>;
};

export type Connection = {
  readonly client: MongoClient;
  readonly database: Db;
  readonly collections: Collections;
  /** The same collections without a read concern of their own: inside a transaction or a snapshot the session decides. */
  readonly inSession: Collections;
  readonly topology: Topology;
  readonly sizes: Sizes;
  readonly marks: KnownMarks;
  /** Whether it is a router that is connected to. */
  readonly routed: boolean;
  close(): Promise<void>;
};

/** No single command may take longer: a caller is told `unavailable` within seconds. */
export const COMMAND_MS = 5_000;
export const DURABLE = { w: 'majority', j: true, wtimeoutMS: 3_000 } as const;

/** After this much silence the driver destroys a connection. */
export const SOCKET_MS = 30_000;

export const DEFAULT_DATABASE = 'assent';
const options = {
  appName: 'assent',
  serverSelectionTimeoutMS: 3_000,
  // A member that hangs is noticed after one heartbeat and one such timeout; what waits for it then fails or is tried elsewhere.
  connectTimeoutMS: 2_500,
  socketTimeoutMS: SOCKET_MS,
  heartbeatFrequencyMS: 1_500,
  maxPoolSize: 50,
  readPreference: 'primary',
  writeConcern: DURABLE,
  // Every string was written from one of JavaScript's, which is always valid; looking at each character again takes longer than reading it.
  enableUtf8Validation: false,
  retryReads: true,
  retryWrites: true,
} as const;

/** Throws AssentError('unavailable') with a sentence for the operator. */
export async function connect(uri: string): Promise<Connection> {
  const client = createClient(uri);
  const topology = watchTopology(client);
  let hello: Document;
  try {
    await client.connect();
    hello = await requireSuitable(client);
  } catch (error) {
    await client.close().catch(() => undefined);
    throw translate(error);
  }
  const name = databaseName(uri);
  const database = client.db(name, { readConcern: new ReadConcern('majority') });
  return {
    client,
    database,
    collections: collectionsOf(database),
    inSession: collectionsOf(client.db(name)),
    topology,
    sizes: createSizes(),
    marks: rememberMarks(),
    routed: hello['msg'] === ROUTER,
    close: () => client.close(),
  };
}

function createClient(uri: string): MongoClient {
  try {
    return new MongoClient(uri, options);
  } catch (cause) {
    // The URI may hold a password: the driver's own message is kept out of what is shown.
    throw new AssentError('unavailable', 'ASSENT_MONGODB_URI is not a MongoDB connection string.', { cause });
  }
}

async function requireSuitable(client: MongoClient): Promise<Document> {
  const hello = await client.db('admin').command({ hello: 1 });
  const unsuitable = unsuitability(hello);
  if (unsuitable !== undefined) throw new AssentError('unavailable', unsuitable);
  return hello;
}

/** What a router calls itself. */
const ROUTER = 'isdbgrid';

/** MongoDB 7.0. Routers are the last to be upgraded, so shards are not older. */
const ROUTER_WIRE_VERSION = 21;

/** Why a server that says this about itself cannot be used. */
export function unsuitability(hello: Document): string | undefined {
  if (hello['msg'] === ROUTER) {
    // Before 6.1 a commit across shards is confirmed before every shard shows it: a withdrawal would not hold from the next request.
    if (Number(hello['maxWireVersion']) >= ROUTER_WIRE_VERSION) return undefined;
    return 'This sharded cluster is older than MongoDB 7.0, and may confirm a withdrawal before all shards know of it. Upgrade it.';
  }
  if (typeof hello['setName'] === 'string') return undefined;
  return 'This mongod is a standalone, which has no transactions. Restart it with --replSet rs0, run rs.initiate() once in mongosh, and add ?replicaSet=rs0 to ASSENT_MONGODB_URI.';
}

function databaseName(uri: string): string {
  const path = /^mongodb(?:\+srv)?:\/\/[^/]+\/([^?]*)/.exec(uri)?.[1];
  return path ? decodeURIComponent(path) : DEFAULT_DATABASE;
}

function collectionsOf(database: Db): Collections {
  return {
    resources: database.collection('resources'),
    history: database.collection('history'),
    log: database.collection('log'),
    records: database.collection('records'),
    astray: database.collection('astray'),
    counters: database.collection('counters'),
    leases: database.collection('leases'),
  };
}
