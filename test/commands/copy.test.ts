/** `assent copy`: a data set that lived on the embedded engine goes on living on a real replica set: the same bytes, the same keys, the same log. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { systemClock } from '../../server/clock.ts';
import { patientBundle, seededRandom } from '../../server/commands/demo/generator.ts';
import {
  type Client,
  consentTerms,
  createSession,
  enrolKey,
  type Json,
  type Key,
  partOf,
  prepare,
  registerClient,
  type Session,
  submit,
  withdraw,
} from '../../server/commands/demo/session.ts';
import { freePort } from '../support/ports.ts';
import { openDump } from '../../server/store/embedded/dump.ts';
import { markMoved } from '../../server/store/embedded/moved.ts';
import { nameOf, openLoad } from '../../server/store/mongo/load.ts';
import { sections, summarize } from '../../server/store/transfer.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../support/mongod.ts';
import { type LaunchedServer, launchServer } from '../support/server-process.ts';

const root = new URL('../..', import.meta.url);
const [HOSPITAL, INSURER] = ['Organization/hospital', 'Organization/insurer'];

test('a target is named without the secrets of its URI', () => {
  expect(nameOf('mongodb://user:p%40ss@a:1,b:2/db?replicaSet=r')).toBe('mongodb://a:1,b:2/db');
  expect(nameOf('mongodb+srv://user:pa/ss@host')).not.toContain('pa');
  expect(nameOf('mongodb://a:1/?x=y')).toBe('mongodb://a:1/assent');
});

describe.skipIf(!findMongod())('a copied data set', () => {
  let set: ReplicaSet;
  let driver: MongoClient;
  let dataDir: string;
  let uri: string;
  let port: string;
  let server: LaunchedServer | undefined;
  let before: Before;

  const settings = (more: Readonly<Record<string, string>> = {}) => ({ ASSENT_PORT: port, ASSENT_CHECKPOINT_INTERVAL_MS: '10', ...more });
  const assent = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ code: number; out: string }> =>
    new Promise((resolve) => {
      const run = { cwd: root, env: { PATH: '', ASSENT_DATA_DIR: dataDir, ...env } };
      execFile(process.execPath, ['server/main.ts', ...args], run, (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, out: stderr + stdout }),
      );
    });

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'assent-copy-'));
    port = String(await freePort());
    const [replicas, launched] = await Promise.all([startReplicaSet(), launchServer(dataDir, settings())]);
    [set, server] = [replicas, launched];
    driver = await new MongoClient(set.uri('admin')).connect();
    uri = set.uri(`copy-${process.pid}`);
    before = await liveALittle(launched);
  });
  afterAll(async () => {
    await server?.end('SIGKILL');
    await driver.close();
    await set.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  test('is read beside a running server, and by one process only', async () => {
    const dump = openDump(dataDir);
    try {
      expect(dump.hold()).toBe(false);
      expect(await assent(['copy', '--to', uri])).toMatchObject({ code: 1, out: expect.stringContaining('Another process copies') });
    } finally {
      dump.close();
    }
    expect(await assent(['copy', '--to', uri, '--stop', '4194304'])).toMatchObject({ code: 1, out: expect.stringContaining('no process 4194304') });
    expect((await assent(['copy', '--to', uri, '--stop', 'all'])).code).toBe(2);
    // As a lost machine would leave it: the copy reads what is on the disk.
    await server?.end('SIGKILL');
    server = undefined;
  });

  test('goes into an empty database only, and a half of it serves nobody', async () => {
    const [, name = ''] = /\/([^/?]+)\?/.exec(uri) ?? [];
    await driver.db(`${name}-other`).collection('letters').insertOne({ to: 'somebody' });
    const other = set.uri(`${name}-other`);
    expect(await assent(['copy', '--to', other, '--restart'])).toMatchObject({ code: 1, out: expect.stringContaining('is not empty') });
    expect(await driver.db(`${name}-other`).collection('letters').countDocuments()).toBe(1);
    const load = await openLoad({ uri, clock: systemClock, restart: false });
    const dump = openDump(dataDir);
    for (const change of dump.round(0)) if (change.section === 'resources') await load.apply(change);
    dump.close();
    await load.close();
    await expect(launchServer(dataDir, settings({ ASSENT_MONGODB_URI: uri }))).rejects.toThrow(/copy into this database has not finished/);
    expect(await assent(['copy', '--to', uri])).toMatchObject({ code: 1, out: expect.stringContaining('--restart') });
  });

  test('that differs in one byte is noticed', async () => {
    const elsewhere = set.uri(`copy-${process.pid}-changed`);
    const [dump, load] = [openDump(dataDir), await openLoad({ uri: elsewhere, clock: systemClock, restart: false })];
    try {
      for (const change of dump.round(0)) {
        if (change.section !== 'resources' && change.section !== 'history') {
          await load.apply(change);
          await load.check(change);
          continue;
        }
        const rows = change.rows.map((row, i) => (i === 0 ? { ...row, body: row.body.replace(/.$/, ' ') } : row));
        await load.apply({ ...change, rows });
        await expect(load.check(change)).rejects.toThrow(/not what was written/);
      }
      const differing: string[] = [];
      for (const section of sections) {
        const [here, there] = [await summarize(dump, section, 0), await summarize(load.data, section, 0)];
        expect(here.rows).toBe(there.rows);
        expect(here.rows).toBeGreaterThan(0);
        if (here.digest !== there.digest) differing.push(section);
      }
      expect(differing).toEqual(['resources', 'history']);
    } finally {
      dump.close();
      await load.close();
    }
  });

  test('whose copy was broken off just before its end serves from neither side, and is copied again to that target only', async () => {
    markMoved(dataDir, { to: nameOf(uri), at: '2026-01-01T00:00:00.000Z' });
    await expect(launchServer(dataDir, settings())).rejects.toThrow(/was moved to/);
    await expect(launchServer(dataDir, settings({ ASSENT_MONGODB_URI: uri }))).rejects.toThrow(/has not finished/);
    expect((await assent(['copy', '--to', set.uri('elsewhere')])).out).toContain('was moved to');
    expect((await assent(['copy', '--to', uri])).out).toContain('--restart');
  });

  test('is copied with progress, read back, and then served', async () => {
    const done = await assent(['copy', '--restart'], { ASSENT_MONGODB_URI: uri });
    expect(done).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /resources: \d+ copied[^]*log: \d+ read back, SHA-256[^]*on both sides[^]*last round: 0 rows[^]*Nobody could write for[^]*Moved\./,
      ),
    });
    expect(JSON.parse(done.out.split('\n').find((line) => line.startsWith('{')) ?? '')).toMatchObject({
      moved: true,
      rows: { log: expect.any(Number) },
      log: { root: expect.any(String) },
      stoppedMs: expect.any(Number),
    });
    expect((await assent(['copy', '--to', uri, '--restart'])).out).toMatch(/was moved to mongodb:[^]*remove .*moved\.json/);
    server = await launchServer(dataDir, settings({ ASSENT_MONGODB_URI: uri }));
    expect(server.bootstrap).toEqual(before.bootstrap);
  });

  test('answers as before: ids, versions, bytes, history, search, tokens', async () => {
    for (const [path, answer] of before.answers) expect([path, await answerOf(before.insurer, path)]).toEqual([path, answer]);
    const session = await createSession(before.bootstrap, before.client, 'system/*.rs');
    expect(await answerOf(session, before.patient)).toEqual(before.answers.get(before.patient));
  });

  test('proves what was disclosed before it, and goes on logging', async () => {
    expect(verifyReceipt(before.receipt.text).kind).toBe('proven');
    for (const url of [before.receipt.url, before.unclaimed]) expect(verifyReceipt(await receiptAt(before.insurer, url)).kind).toBe('proven');
    const fresh = await before.insurer.call('GET', before.patient);
    const receipt = await receiptAt(before.insurer, fresh.headers.get('assent-receipt') ?? '');
    expect(verifyReceipt(receipt).kind).toBe('proven');
    const key = (await before.insurer.call('GET', '/ledger/key')).text;
    expect(key).toBe(before.logKey);
    const checked = await assent(['fsck'], { ASSENT_MONGODB_URI: uri });
    expect(checked).toMatchObject({
      code: 0,
      out: expect.stringMatching(/\d+ entries \(1 erased\), \d+ under the signed checkpoint, \d+ anchored: whole/),
    });
  });

  test('still obeys its patients: a Consent signed before the copy is withdrawn after it', async () => {
    const { admin, consent, digest, patientKey } = before;
    expect((await withdraw(admin, { consent, digest, key: patientKey, now: systemClock() })).status).toBe(200);
    expect((await before.insurer.call('GET', before.patient)).status).toBe(404);
    await server?.end('SIGTERM');
    server = undefined;
  });

  test('does not go on in the old database as well: the signer has seen more, and nothing is disclosed from it', async () => {
    await expect(launchServer(dataDir, settings())).rejects.toThrow(/was moved to .*moved\.json/s);
    rmSync(join(dataDir, 'moved.json'));
    server = await launchServer(dataDir, settings());
    const old = await createSession(before.bootstrap, before.client, 'system/*.rs');
    expect((await old.call('GET', before.patient)).status).toBe(503);
  });
});

type Before = {
  readonly bootstrap: LaunchedServer['bootstrap'];
  readonly admin: Session;
  readonly insurer: Session;
  readonly client: Client;
  readonly patient: string;
  readonly patientKey: Key;
  readonly consent: string;
  readonly digest: string;
  readonly answers: ReadonlyMap<string, unknown>;
  readonly receipt: { readonly url: string; readonly text: string };
  /** A disclosure whose receipt nobody has asked for yet. */
  readonly unclaimed: string;
  readonly logKey: string;
};

/** With a Consent that nobody has any more. */
async function erasePatient(admin: Session, patient: string, custodianKey: Key): Promise<void> {
  const key = await enrolKey(admin, patient);
  const prepared = await prepare(admin, consentTerms({ patient, custodian: HOSPITAL, grantee: INSURER, now: systemClock() }));
  expect((await submit(admin, partOf(prepared, 'statement'), [key, custodianKey])).status).toBe(201);
  const job = (await admin.call('POST', `${patient}/$purge`)).headers.get('content-location') ?? expect.fail();
  expect(JSON.parse(await receiptAt(admin, job))).toMatchObject({ resourceType: 'Bundle' });
}

/** Patients loaded, a Consent signed by both, reads, a change, a deletion, an erasure. */
async function liveALittle({ bootstrap }: LaunchedServer): Promise<Before> {
  const admin = await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
  for (const reference of [HOSPITAL, INSURER])
    await admin.call('PUT', reference, { resourceType: 'Organization', id: reference.slice(13), active: true, name: `${reference} 医院` });
  const random = seededRandom(7);
  const patients: string[] = [];
  for (let i = 0; i < 3; i++) {
    const loaded = await admin.call('POST', '', patientBundle(random, i, HOSPITAL));
    patients.push(/Patient\/[^/"]+/.exec(loaded.text)?.[0] ?? expect.fail(loaded.text));
  }
  const [patient = ''] = patients;
  const client = await registerClient(admin, 'Insurer', INSURER, 'HPAYMT');
  const [patientKey, custodianKey] = [await enrolKey(admin, patient), await enrolKey(admin, HOSPITAL)];
  const prepared = await prepare(admin, consentTerms({ patient, custodian: HOSPITAL, grantee: INSURER, now: systemClock() }));
  const signed = await submit(admin, partOf(prepared, 'statement'), [patientKey, custodianKey]);
  expect(signed.status).toBe(201);
  await erasePatient(admin, patients[2] ?? '', custodianKey);
  await admin.call('PUT', HOSPITAL, { resourceType: 'Organization', id: 'hospital', active: true, name: 'Renamed' });
  await admin.call('PUT', 'Organization/closed', { resourceType: 'Organization', id: 'closed', name: 'Closed' });
  expect((await admin.call('DELETE', 'Organization/closed')).status).toBe(204);
  const insurer = await createSession(bootstrap, client, 'system/*.rs');
  const answers = new Map<string, unknown>();
  const paths = [patient, `${patient}/_history`, `Observation?subject=${patient}&_count=7&_total=accurate`, HOSPITAL, `${HOSPITAL}/_history`];
  for (const path of [...paths, 'Organization/closed', patients[1] ?? '']) answers.set(path, await answerOf(insurer, path));
  expect((answers.get(patient) as { status: number }).status).toBe(200);
  const url = await disclosed(insurer, patient);
  const text = await receiptAt(insurer, url);
  return {
    bootstrap,
    admin,
    insurer,
    client,
    patient,
    patientKey,
    answers,
    consent: `Consent/${String(signed.json['id'])}`,
    digest: partOf(prepared, 'digest'),
    receipt: { url, text },
    unclaimed: await disclosed(insurer, patient),
    logKey: (await insurer.call('GET', '/ledger/key')).text,
  };
}

async function answerOf(session: Session, path: string): Promise<unknown> {
  const { status, headers, text, json } = await session.call('GET', path);
  // A Bundle is made for each answer: its entries are what is stored.
  const body = json['resourceType'] === 'Bundle' ? { total: json['total'], entry: json['entry'] as Json[] } : text;
  return { status, etag: headers.get('etag'), modified: headers.get('last-modified'), body };
}

async function disclosed(session: Session, path: string): Promise<string> {
  return (await session.call('GET', path)).headers.get('assent-receipt') ?? expect.fail('no receipt');
}

async function receiptAt(session: Session, url: string): Promise<string> {
  for (const until = systemClock() + 120_000; ; ) {
    const { status, text } = await session.call('GET', url);
    if (status === 200) return text;
    if (status !== 202 || systemClock() > until) throw new Error(`${status} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
