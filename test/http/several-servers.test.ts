/**
 * Two server processes on one database and one data folder, started for the first time at once: a withdrawal on one against reads on the other,
 * a client removed on one, and the sealing process killed. ASSENT_TEST_RACES sets how many races; 1000 is the full form.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { systemClock } from '../../server/clock.ts';
import {
  type Bootstrap,
  type Client,
  consentTerms,
  createSession,
  enrolKey,
  type Key,
  partOf,
  prepare,
  registerClient,
  type Session,
  submit,
  withdraw,
} from '../../server/commands/demo/session.ts';
import { freePort } from '../support/ports.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../support/mongod.ts';
import { type LaunchedServer, launchServer } from '../support/server-process.ts';

const RACES = Number(process.env['ASSENT_TEST_RACES'] ?? 100);
const PATIENTS = 6;
const [HOSPITAL, INSURER] = ['Organization/hospital', 'Organization/insurer'];

/** One server, and the sessions of both callers with it. */
type Side = { readonly server: LaunchedServer; readonly bootstrap: Bootstrap; readonly admin: Session; readonly insurer: Session };

describe.skipIf(!findMongod())('two servers on one database', () => {
  let set: ReplicaSet;
  let driver: MongoClient;
  let dataDir: string;
  let ports: readonly number[];
  let sides: [Side, Side];
  let client: Client;
  let custodianKey: Key;
  const database = `several-${process.pid}`;

  const launch = (port: number) =>
    launchServer(dataDir, {
      ASSENT_PORT: String(port),
      ASSENT_PUBLIC_URL: `http://127.0.0.1:${ports[0]}`,
      ASSENT_MONGODB_URI: set.uri(database),
      ASSENT_CHECKPOINT_INTERVAL_MS: '100',
    });
  const at = (server: LaunchedServer, port: number): Bootstrap => {
    const here = (url: string) => url.replace(/^http:\/\/[^/]+/, `http://127.0.0.1:${port}`);
    const { fhirBaseUrl, tokenUrl, consoleUrl, admin } = server.bootstrap;
    return { fhirBaseUrl: here(fhirBaseUrl), tokenUrl: here(tokenUrl), consoleUrl: here(consoleUrl), admin };
  };

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'assent-several-'));
    ports = [await freePort(), await freePort()];
    set = await startReplicaSet();
    driver = await new MongoClient(set.uri('admin')).connect();
    const servers = await Promise.all(ports.map(launch));
    const bootstraps = servers.map((server, i) => at(server, ports[i] ?? 0));
    const admins = await Promise.all(bootstraps.map((bootstrap) => createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin')));
    const [admin = expect.fail()] = admins;
    for (const reference of [HOSPITAL, INSURER]) await putOrganization(admin, reference);
    client = await registerClient(admin, 'Insurer', INSURER, 'HPAYMT');
    custodianKey = await enrolKey(admin, HOSPITAL);
    const insurers = await Promise.all(bootstraps.map((bootstrap) => createSession(bootstrap, client, 'system/*.rs')));
    const side = (i: 0 | 1): Side => ({
      server: servers[i] ?? expect.fail(),
      bootstrap: bootstraps[i] ?? expect.fail(),
      admin: admins[i] ?? expect.fail(),
      insurer: insurers[i] ?? expect.fail(),
    });
    sides = [side(0), side(1)];
  });
  afterAll(async () => {
    for (const { server } of sides ?? []) await server.end('SIGKILL');
    await driver?.close();
    await set?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  test('that were started for the first time at once have one administrator, one key for tokens and one for the log', async () => {
    const [one, other] = sides;
    expect(one.server.bootstrap.admin).toEqual(other.server.bootstrap.admin);
    const keys = await Promise.all(sides.map(async ({ admin }) => (await admin.call('GET', '/ledger/key')).text));
    expect(keys[0]).toBe(keys[1]);
    expect((await one.admin.call('GET', '/admin/clients')).text.match(/First administrator/g)).toHaveLength(1);
    // The other's token, here.
    const foreign = await fetch(`${one.bootstrap.fhirBaseUrl}/${HOSPITAL}`, { headers: { authorization: `Bearer ${other.insurer.token}` } });
    expect(foreign.status).toBe(200);
    expect(readdirSync(dataDir).sort()).toEqual(
      ['bootstrap.json', 'signer', ...(readdirSync(dataDir).includes('anchors') ? ['anchors'] : [])].sort(),
    );
  });

  test(`${RACES} races: after a withdrawal was answered by one, the other gives nothing away`, async () => {
    const begun = performance.now();
    const counts = { withdrawn: 0, permitted: 0, refused: 0 };
    const racers = await Promise.all(Array.from({ length: PATIENTS }, (_, i) => makePatient(sides[0].admin, `racer-${i}`)));
    await Promise.all(
      racers.map(async ({ patient, key }, i) => {
        for (let race = i; race < RACES; race += PATIENTS) {
          const [here, there] = race % 2 === 0 ? sides : [sides[1], sides[0]];
          await raceOnce({ here, there, patient, key }, counts);
        }
      }),
    );
    expect(counts.withdrawn).toBe(RACES);
    // Some reads came before their withdrawal and some after it, so these were races.
    expect(counts.permitted).toBeGreaterThan(0);
    expect(counts.refused).toBeGreaterThan(RACES);
    process.stdout.write(
      `${RACES} races in ${Math.round(performance.now() - begun)} ms: ${counts.permitted} reads before, ${counts.refused} after\n`,
    );
    expect(await disclosedTooLate()).toEqual([]);
  });

  type Race = { readonly here: Side; readonly there: Side; readonly patient: string; readonly key: Key };

  /** Signed here, read there, withdrawn here while it is read there. */
  async function raceOnce({ here, there, patient, key }: Race, counts: { withdrawn: number; permitted: number; refused: number }): Promise<void> {
    const agreed = await agree(here.admin, patient, key);
    expect((await there.insurer.call('GET', patient)).status).toBe(200);
    const under = [there.insurer.call('GET', patient), there.insurer.call('GET', `Patient?_id=${patient.slice(8)}`)];
    const withdrawal = await withdraw(here.admin, { ...agreed, key, now: systemClock() });
    expect(withdrawal.status).toBe(200);
    counts.withdrawn++;
    for (const answer of [await there.insurer.call('GET', patient), await here.insurer.call('GET', patient)]) {
      expect(answer.status).toBe(404);
      counts.refused++;
    }
    for (const { status, text } of await Promise.all(under)) {
      expect([200, 404]).toContain(status);
      if (status === 200 && text.includes('birthDate')) counts.permitted++;
      else counts.refused++;
    }
  }

  /** In the log's own order: disclosures that rest on a Consent whose withdrawal comes before them. */
  async function disclosedTooLate(): Promise<string[]> {
    const db = driver.db(database);
    // The sealer numbers what is waiting, once a second at the latest.
    while ((await db.collection('log').countDocuments({ p: true })) > 0) await new Promise((resolve) => setTimeout(resolve, 50));
    const rows = await db
      .collection<{ _id: string; entry: string; n: number }>('log')
      .find({ n: { $gte: 0 } })
      .sort({ n: 1 })
      .toArray();
    const events = await db.collection<{ _id: string; b: string }>('resources').find({ t: 'AuditEvent' }).toArray();
    const restsOn = new Map(events.map(({ _id, b }) => [_id, basisOf(b)]));
    const withdrawn = new Set<string>();
    const late: string[] = [];
    let disclosures = 0;
    for (const { entry, n } of rows) {
      const { kind, reference } = JSON.parse(entry) as { kind: string; reference: string };
      if (kind === 'consent-withdrawn') withdrawn.add(reference);
      if (kind !== 'disclosure') continue;
      const consents = restsOn.get(reference) ?? [];
      if (consents.length > 0) disclosures++;
      if (consents.some((consent) => withdrawn.has(consent))) late.push(`${n} ${reference}`);
    }
    expect(withdrawn.size).toBe(RACES);
    expect(disclosures).toBeGreaterThan(RACES);
    return late;
  }

  test('a client removed on one is dead on the other at once', async () => {
    const [one, other] = sides;
    for (let i = 0; i < 10; i++) {
      const [here, there] = i % 2 === 0 ? [one, other] : [other, one];
      const doomed = await registerClient(here.admin, `Doomed ${i}`, INSURER, 'HPAYMT');
      const session = await createSession(there.bootstrap, doomed, 'system/*.rs');
      expect((await session.call('GET', HOSPITAL)).status).toBe(200);
      expect((await here.admin.call('DELETE', `/admin/clients/${doomed.client_id}`)).status).toBe(204);
      expect((await session.call('GET', HOSPITAL)).status).toBe(401);
      await expect(createSession(there.bootstrap, doomed, 'system/*.rs')).rejects.toThrow('token');
    }
  });

  test('the one that seals is killed and the other goes on: receipts come, the log has no gap and no fork', async () => {
    const { patient, key } = await makePatient(sides[0].admin, 'survivor');
    await agree(sides[0].admin, patient, key);
    const waits: number[] = [];
    for (const dying of [0, 1] as const) {
      const left = sides[1 - dying] ?? expect.fail();
      const dead = sides[dying];
      // Disclosed by the one that dies with it, before it can have sealed it.
      const urls = [await disclosed(dead, patient), await disclosed(left, patient)];
      await dead.server.end('SIGKILL');
      urls.push(await disclosed(left, patient));
      const begun = performance.now();
      for (const url of urls) expect(verifyReceipt(await receiptAt(left, url)).kind).toBe('proven');
      waits.push(Math.round(performance.now() - begun));
      const port = ports[dying] ?? 0;
      const server = await launch(port);
      const bootstrap = at(server, port);
      const [admin, insurer] = [
        await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin'),
        await createSession(bootstrap, client, 'system/*.rs'),
      ];
      sides[dying] = { server, bootstrap, admin, insurer };
    }
    process.stdout.write(`receipts after kill -9 of each server: ${waits.join(' and ')} ms\n`);
    const [code, out] = await fsck();
    expect([code, out]).toEqual([0, expect.stringContaining('whole')]);
    for (const { bootstrap } of sides) expect((await fetch(bootstrap.fhirBaseUrl.replace('/fhir', '/readyz'))).status).toBe(200);
  });

  async function makePatient(admin: Session, id: string): Promise<{ readonly patient: string; readonly key: Key }> {
    const patient = `Patient/${id}`;
    const body = { resourceType: 'Patient', id, active: true, birthDate: '1970-01-01', managingOrganization: { reference: HOSPITAL } };
    expect((await admin.call('PUT', patient, body)).status).toBe(201);
    return { patient, key: await enrolKey(admin, patient) };
  }

  async function agree(admin: Session, patient: string, key: Key): Promise<{ readonly consent: string; readonly digest: string }> {
    const prepared = await prepare(admin, consentTerms({ patient, custodian: HOSPITAL, grantee: INSURER, now: systemClock() }));
    const signed = await submit(admin, partOf(prepared, 'statement'), [key, custodianKey]);
    expect([signed.status, signed.status === 201 ? '' : signed.text]).toEqual([201, '']);
    return { consent: `Consent/${String(signed.json['id'])}`, digest: partOf(prepared, 'digest') };
  }

  function fsck(): Promise<readonly [number, string]> {
    return new Promise((resolve) => {
      const env = { PATH: '', ASSENT_DATA_DIR: dataDir, ASSENT_MONGODB_URI: set.uri(database) };
      execFile(process.execPath, ['server/main.ts', 'fsck'], { cwd: new URL('../..', import.meta.url), env }, (error, stdout, stderr) =>
        resolve([typeof error?.code === 'number' ? error.code : 0, stdout + stderr]),
      );
    });
  }
});

/** The Consents an AuditEvent names as what permitted it. */
function basisOf(event: string): string[] {
  const { entity = [] } = JSON.parse(event) as { entity?: { what: { reference: string }; role: { code: string } }[] };
  const permits = entity.filter(({ what, role }) => role.code === '13' && what.reference.startsWith('Consent/'));
  return permits.map(({ what }) => what.reference.split('/').slice(0, 2).join('/'));
}

async function putOrganization(admin: Session, reference: string): Promise<void> {
  const body = { resourceType: 'Organization', id: reference.slice('Organization/'.length), active: true, name: reference };
  expect((await admin.call('PUT', reference, body)).status).toBe(201);
}

async function disclosed({ insurer }: Side, path: string): Promise<string> {
  const { status, headers } = await insurer.call('GET', path);
  return headers.get('assent-receipt') ?? expect.fail(`${status} without a receipt`);
}

/** From this server, whichever is named in the link. */
async function receiptAt({ insurer, bootstrap }: Side, url: string): Promise<string> {
  const here = url.replace(/^http:\/\/[^/]+/, new URL(bootstrap.fhirBaseUrl).origin);
  for (const until = systemClock() + 120_000; ; ) {
    const { status, text } = await insurer.call('GET', here);
    if (status === 200) return text;
    if (status !== 202 || systemClock() > until) throw new Error(`${status} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
