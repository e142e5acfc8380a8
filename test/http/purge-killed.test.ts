/**
 * kill -9 while a patient is being erased, again and again: at no moment is there a half that fsck would not forgive, and in the end nothing is
 * left. ledger.md §1, §7
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type Client,
  consentTerms,
  createSession,
  enrolKey,
  partOf,
  prepare,
  registerClient,
  type Session,
  submit,
} from '../../server/commands/demo/session.ts';
import { fsck } from '../../server/commands/fsck.ts';
import { freePort } from '../support/ports.ts';
import { systemClock } from '../../server/clock.ts';
import { readConfig } from '../../server/config.ts';
import { type ReplicaSet, startReplicaSet } from '../support/mongod.ts';
import { HOSPITAL, observation, organization, patient, put } from '../support/real-server.ts';
import { type LaunchedServer, launchServer } from '../support/server-process.ts';

const INSURER = 'Organization/insurer';
const LOST = 'Patient/lost';
const OBSERVATIONS = 110;
/** More than are erased in one commit. */
const CONSENTS = 28;
const WHOLE = OBSERVATIONS + CONSENTS;

/** What is stored, seen from beside the server. */
type Probe = {
  resources(): Promise<number>;
  erasedEntries(): Promise<number>;
  /** What confirms a guess of a Consent: the digests in the log rows about those of the patient. */
  digests(): Promise<string[]>;
  close(): Promise<void>;
};

let dataDir: string;
let set: ReplicaSet | undefined;
let settings: Record<string, string>;
let server: LaunchedServer;
let probe: Probe;
let client: Client;

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'assent-purge-killed-'));
  if (process.env['ASSENT_TEST_ENGINE'] === 'mongodb') set = await startReplicaSet(1);
  settings = { ASSENT_PORT: String(await freePort()), ...(set ? { ASSENT_MONGODB_URI: set.uri('killed') } : {}) };
  server = await launchServer(dataDir, settings);
  probe = set ? await probeOfSet(set.uri('killed')) : probeOfFile();
  await fill(await adminOf(server));
});
afterAll(async () => {
  await server.end('SIGKILL');
  await probe.close();
  await set?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

function adminOf({ bootstrap }: LaunchedServer): Promise<Session> {
  return createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
}

async function fill(admin: Session): Promise<void> {
  for (const reference of [HOSPITAL, INSURER]) await put({ admin }, organization(reference));
  for (const id of ['lost', 'kept']) await put({ admin }, patient(id));
  const entry = Array.from({ length: OBSERVATIONS }, (_, i) => {
    const { id: _id, ...resource } = observation(`n${i}`, LOST);
    return { resource: { ...resource, note: [{ text: `number ${i}` }] }, request: { method: 'POST', url: 'Observation' } };
  });
  expect((await admin.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry })).status).toBe(200);
  const [custodian, ...keys] = [await enrolKey(admin, HOSPITAL), await enrolKey(admin, LOST), await enrolKey(admin, 'Patient/kept')];
  const agreeing = async (key: (typeof keys)[number] | undefined) => {
    if (!key) expect.fail();
    const terms = consentTerms({ patient: key.owner, custodian: HOSPITAL, grantee: INSURER, now: systemClock() });
    const signed = await submit(admin, partOf(await prepare(admin, terms), 'statement'), [key, custodian]);
    expect(signed.status).toBe(201);
  };
  for (let i = 0; i < CONSENTS; i++) await agreeing(keys[0]);
  await agreeing(keys[1]);
  client = await registerClient(admin, 'Insurer', INSURER, 'HPAYMT');
}

function probeOfFile(): Probe {
  const database = new DatabaseSync(join(dataDir, 'assent.sqlite'), { readOnly: true, timeout: 60_000 });
  const theirs = database.prepare("SELECT count(*) AS n FROM resources WHERE type IN ('Observation', 'Consent') AND body LIKE '%Patient/lost%'");
  const erased = database.prepare(`SELECT count(*) AS n FROM log WHERE entry LIKE '%"erased":"%'`);
  const rows = database.prepare("SELECT entry FROM log WHERE entry LIKE '%\"Consent/%' AND entry LIKE '%Patient/lost%'");
  return {
    resources: async () => Number(theirs.get()?.['n']),
    erasedEntries: async () => Number(erased.get()?.['n']),
    digests: async () => rows.all().flatMap(({ entry }) => digestsIn(String(entry))),
    close: async () => database.close(),
  };
}

async function probeOfSet(uri: string): Promise<Probe> {
  const client = await MongoClient.connect(uri);
  const count = (collection: string, filter: object) => client.db().collection(collection).countDocuments(filter);
  return {
    resources: () => count('resources', { t: { $in: ['Observation', 'Consent'] }, b: /Patient\/lost/ }),
    erasedEntries: () => count('log', { entry: /"erased":"/ }),
    digests: async () => {
      const rows = await client
        .db()
        .collection('log')
        .find({ entry: /"Consent\/.*/ })
        .toArray();
      return rows.flatMap(({ entry }) => (String(entry).includes(LOST) ? digestsIn(String(entry)) : []));
    },
    close: () => client.close(),
  };
}

/** Of a tombstone it is of nothing that was erased. */
function digestsIn(entry: string): string[] {
  return entry.includes('"erases":') ? [] : [...entry.matchAll(/"(?:digest|statement)":"([^"]+)"/g)].map(([, digest = '']) => digest);
}

function inFiles(text: string): boolean {
  return readdirSync(dataDir).some((name) => name.startsWith('assent.sqlite') && readFileSync(join(dataDir, name)).includes(text));
}

const checked = () => fsck(readConfig({ ASSENT_DATA_DIR: dataDir, ...settings }));

async function killedWhen(due: () => Promise<boolean>): Promise<void> {
  while (!(await due())) await sleep(1);
  await server.end('SIGKILL');
}

it('is gone on with after each kill, and the log is whole at every one', async () => {
  const reads = async () => {
    const insurer = await createSession(server.bootstrap, client, 'system/*.rs');
    const answers = await Promise.all([LOST, 'Patient/kept'].map((reference) => insurer.call('GET', reference)));
    return answers.map(({ status }) => status);
  };
  expect([await probe.resources(), await reads()]).toEqual([WHOLE, [200, 200]]);
  const digests = await probe.digests();
  expect(new Set(digests).size).toBe(2 * CONSENTS);
  const admin = await adminOf(server);
  const started = await admin.call('POST', `${LOST}/$purge`);
  expect(started.status).toBe(202);
  const job = started.headers.get('content-location') ?? expect.fail();
  const seen: [number, number][] = [];
  const fewer = (than: number) => async () => (await probe.resources()) < than;
  for (const due of [fewer(WHOLE), fewer(WHOLE / 2), async () => (await probe.erasedEntries()) > 0, async () => (await probe.resources()) === 0]) {
    await killedWhen(due);
    seen.push([await probe.resources(), await probe.erasedEntries()]);
    expect(await checked()).toBe(0);
    server = await launchServer(dataDir, settings);
  }
  // At least once it was killed in between.
  expect(seen.some(([left]) => left > 0 && left < WHOLE)).toBe(true);
  const again = await adminOf(server);
  let done = await again.call('GET', job);
  for (; done.status === 202; done = await again.call('GET', job)) await sleep(20);
  expect(done.status).toBe(200);
  expect([await probe.resources(), await probe.erasedEntries()]).toEqual([0, CONSENTS]);
  expect(await reads()).toEqual([404, 200]);
  expect(await probe.digests()).toEqual([]);
  expect(digests.filter(inFiles)).toEqual([]);
  expect(await server.end('SIGTERM')).toBe(0);
  expect(await checked()).toBe(0);
});
