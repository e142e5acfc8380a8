/**
 * The whole server as users get it: createApp over the embedded engine in a folder of its own, HTTP on a free loopback port, real keys and
 * tokens. The clock can be moved, the log is kept in memory, and the database file lies open to a hand with SQL. With
 * ASSENT_TEST_ENGINE=mongodb the same suites run on a replica set.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MongoClient } from 'mongodb';
import { type App, createApp } from '../../server/app.ts';
import { systemClock } from '../../server/clock.ts';
import {
  type Answer,
  type Bootstrap,
  type Client,
  consentTerms,
  createSession,
  expect,
  type Json,
  type Key,
  partOf,
  prepare,
  type Session,
  submit,
  withdraw,
} from '../../server/commands/demo/session.ts';
import { freePort } from './ports.ts';
import { readConfig } from '../../server/config.ts';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import { createMongoEngine } from '../../server/store/mongo/engine.ts';
import type { Engine } from '../../server/store/port.ts';
import { type Hand, handOnFile, handOnReplicaSet } from './hand.ts';
import { borrowDatabase } from './mongod.ts';

export const HOSPITAL = 'Organization/hospital';
export const ADMIN_SCOPE = 'system/*.cruds admin';

export type RealServer = {
  readonly bootstrap: Bootstrap;
  readonly dataDir: string;
  /** The settings it was started with. */
  readonly environment: Readonly<Record<string, string>>;
  readonly admin: Session;
  /** Log lines as written, oldest first. */
  readonly logs: string[];
  readonly now: () => number;
  advance(ms: number): void;
  /** In the database beside the running server. */
  readonly hand: Hand;
  /** From now on the database refuses what an audit needs: log rows, or AuditEvents. Resolves with what ends it. */
  breakWrites(of: 'log' | 'resources'): Promise<() => Promise<void>>;
  /** The same folder and port, as after a stop. `between` has the database to itself; `changed`: settings from now on. */
  restart(between?: () => Promise<unknown>, changed?: Readonly<Record<string, string>>): Promise<void>;
  /** The same, with the engine alone in between. */
  offline(work: (engine: Engine) => Promise<unknown>): Promise<void>;
  stop(): Promise<void>;
};

export async function startRealServer(
  settings: Readonly<Record<string, string>> = {},
  watching: Pick<Parameters<typeof createApp>[1], 'through' | 'waiting'> = {},
): Promise<RealServer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'assent-real-'));
  const replicaSet = process.env['ASSENT_TEST_ENGINE'] === 'mongodb' ? await borrowDatabase() : undefined;
  const port = await freePort();
  const environment = {
    ASSENT_PORT: String(port),
    ASSENT_DATA_DIR: dataDir,
    ASSENT_LOG_LEVEL: 'warn',
    ASSENT_CHECKPOINT_INTERVAL_MS: '10',
    ASSENT_VALIDATION_WORKERS: '1',
    // There are thousands of misses in the tests, and each would wait (held.test.ts has it on).
    ASSENT_MISS_QUANTUM_MS: '0',
    ...(replicaSet ? { ASSENT_MONGODB_URI: replicaSet.uri } : {}),
    ...settings,
  };
  let config = readConfig(environment);
  let offset = 0;
  const now = () => systemClock() + offset;
  const logs: string[] = [];
  const open = async (): Promise<App> => {
    const app = await createApp(config, { clock: now, logTo: { write: (line) => void logs.push(line) }, ...watching });
    await app.listen();
    return app;
  };
  let app = await open();
  const bootstrap = JSON.parse(readFileSync(app.bootstrap, 'utf8')) as Bootstrap;
  const sql = (work: (database: DatabaseSync) => void): void => {
    const database = new DatabaseSync(join(dataDir, 'assent.sqlite'), { timeout: 60_000 });
    try {
      work(database);
    } finally {
      database.close();
    }
  };
  const restart: RealServer['restart'] = async (between, changed = {}) => {
    await app.close();
    await between?.();
    config = readConfig({ ...environment, ...changed });
    app = await open();
  };
  const openEngine = () => (replicaSet ? createMongoEngine({ uri: replicaSet.uri, clock: now }) : createEmbeddedEngine({ dataDir, clock: now }));
  const hand = replicaSet ? await handOnReplicaSet(replicaSet.uri) : handOnFile(dataDir);
  return {
    bootstrap,
    dataDir,
    environment,
    admin: await createSession(bootstrap, bootstrap.admin, ADMIN_SCOPE),
    logs,
    now,
    advance: (ms) => void (offset += ms),
    hand,
    async breakWrites(of) {
      if (replicaSet) return refuseDocuments(replicaSet.uri, of);
      const when = of === 'log' ? '' : "WHEN NEW.type = 'AuditEvent'";
      sql((database) => database.exec(`CREATE TRIGGER broken BEFORE INSERT ON ${of} ${when} BEGIN SELECT RAISE(ABORT, 'disk full'); END`));
      return async () => sql((database) => database.exec('DROP TRIGGER broken'));
    },
    restart,
    offline: (work) =>
      restart(async () => {
        const engine = await openEngine();
        await work(engine);
        await engine.resources.close();
      }),
    async stop() {
      await app.close();
      await hand.close();
      await replicaSet?.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** A validator no such document passes, in the place of the collection's own. */
async function refuseDocuments(uri: string, of: 'log' | 'resources'): Promise<() => Promise<void>> {
  const client = await MongoClient.connect(uri);
  const database = client.db();
  const [collection] = (await database.listCollections({ name: of }).toArray()) as { readonly options?: { readonly validator?: object } }[];
  const refused = of === 'log' ? { _id: { $exists: false } } : { t: { $ne: 'AuditEvent' } };
  await database.command({ collMod: of, validator: refused });
  return async () => {
    await database.command({ collMod: of, validator: collection?.options?.validator ?? {} });
    await client.close();
  };
}

export type Registered = { readonly client: Client; readonly session: Session };
type Registering = { readonly actor: string; readonly purposes?: readonly string[]; readonly scope?: string; readonly choosesIds?: boolean };

/** A client of its own and a token for all it is registered for. */
export async function register(
  server: Pick<RealServer, 'admin' | 'bootstrap'>,
  { actor, purposes = ['TREAT'], scope = 'system/*.cruds', choosesIds = false }: Registering,
): Promise<Registered> {
  const secret = randomBytes(24).toString('base64url');
  const made = await server.admin.call('POST', '/admin/clients', {
    client_name: `client of ${actor}`,
    client_secret: secret,
    scope,
    actor,
    purposes,
    choosesIds,
    grant_types: ['client_credentials'],
  });
  expect(`registering a client of ${actor}`, made.status === 201);
  const client = { client_id: String(made.json['client_id']), client_secret: secret };
  return { client, session: await createSession(server.bootstrap, client, scope) };
}

/** A resource under an id of the administrator's choosing; resolves with its version. */
export async function put({ admin }: Pick<RealServer, 'admin'>, resource: Json): Promise<string> {
  const done = await admin.call('PUT', `${String(resource['resourceType'])}/${String(resource['id'])}`, resource);
  expect(`PUT ${String(resource['resourceType'])}/${String(resource['id'])}: ${done.text}`, done.status === 200 || done.status === 201);
  return versionOf(done);
}

export function versionOf({ headers }: Answer): string {
  return /"(.*)"/.exec(headers.get('etag') ?? '')?.[1] ?? '';
}

export const organization = (reference: string): Json => ({
  resourceType: 'Organization',
  id: reference.slice('Organization/'.length),
  active: true,
  name: reference,
});

export const patient = (id: string): Json => ({ resourceType: 'Patient', id, active: true, managingOrganization: { reference: HOSPITAL } });

export const observation = (id: string, subject: string, more: Json = {}): Json => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  identifier: [{ system: 'urn:test', value: id }],
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: subject },
  effectiveDateTime: '2024-05-01T08:00:00Z',
  valueQuantity: { value: 72, unit: '/min' },
  ...more,
});

type Terms = {
  readonly patient: string;
  readonly grantee: string;
  readonly purposes?: readonly string[];
  readonly provision?: Json;
  readonly custodian?: string;
};

export function termsOf(
  { now }: Pick<RealServer, 'now'>,
  { patient: subject, grantee, purposes = ['TREAT'], provision = {}, custodian = HOSPITAL }: Terms,
): Json {
  const terms = consentTerms({ patient: subject, custodian, grantee, now: now() });
  const purpose = purposes.map((code) => ({ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code }));
  return { ...terms, provision: { ...(terms['provision'] as Json), purpose, ...provision } };
}

export type InForce = { readonly consent: string; readonly digest: string; readonly statement: string; readonly body: Json };

/** Prepared and signed by all keys at once. */
export async function agree({ admin }: Pick<RealServer, 'admin'>, terms: Json, keys: readonly Key[]): Promise<InForce> {
  const prepared = await prepare(admin, terms);
  const statement = partOf(prepared, 'statement');
  const signed = await submit(admin, statement, keys);
  expect(`signing ${signed.text}`, signed.status === 201);
  return { consent: `Consent/${String(signed.json['id'])}`, digest: partOf(prepared, 'digest'), statement, body: signed.json };
}

export async function withdrawNow({ admin, now }: Pick<RealServer, 'admin' | 'now'>, { consent, digest }: InForce, key: Key): Promise<Answer> {
  return withdraw(admin, { consent, digest, key, now: now() });
}

/** An answer without what differs from request to request: time, connection, and the ids asked for. */
export function normalised(
  { status, headers, text }: Answer,
  ...ids: readonly string[]
): { readonly status: number; readonly headers: unknown; readonly text: string } {
  const ignored = new Set(['date', 'connection', 'keep-alive', 'content-length']);
  const plain = (value: string) => ids.filter((id) => id !== '').reduce((all, id) => all.replaceAll(id, '…'), value);
  return { status, headers: [...headers].filter(([name]) => !ignored.has(name)).map(([name, value]) => [name, plain(value)]), text: plain(text) };
}

/** Asks until the answer is another than 202: a seal is on its way. */
export async function settled(session: Session, url: string): Promise<Answer> {
  for (const until = systemClock() + 120_000; ; ) {
    const answer = await session.call('GET', url);
    if (answer.status !== 202 || systemClock() > until) return answer;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
