/**
 * `assent copy` beside a server that goes on: writes, disclosures and withdrawals all the while, copies that break off in every phase, and in the
 * end everything that was acknowledged, on the replica set. ASSENT_TEST_PATIENTS is for the full form: how many there are.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { systemClock } from '../../server/clock.ts';
import { patientBundle, seededRandom } from '../../server/commands/demo/generator.ts';
import {
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

const root = new URL('../..', import.meta.url);
const [HOSPITAL, INSURER] = ['Organization/hospital', 'Organization/insurer'];
const { ASSENT_TEST_PATIENTS } = process.env;
const LONG = ASSENT_TEST_PATIENTS !== undefined;
const PATIENTS = Number(ASSENT_TEST_PATIENTS ?? 12);
const CONSENTS = 8;

const found = findMongod();

describe.skipIf(!found || 'uri' in found)('a data set that moves while it is used', () => {
  let set: ReplicaSet;
  let dataDir: string;
  let uri: string;
  let settings: Readonly<Record<string, string>>;
  let server: LaunchedServer;
  let world: World;
  let load: Load;
  let copier: Copier | undefined;

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'assent-live-copy-'));
    settings = { ASSENT_PORT: String(await freePort()), ASSENT_CHECKPOINT_INTERVAL_MS: '10' };
    [set, server] = await Promise.all([startReplicaSet(), launchServer(dataDir, settings)]);
    uri = set.uri('live');
    world = await settle(server);
    load = startLoad(world);
  });
  afterAll(async () => {
    await load.stop();
    await copier?.end('SIGKILL');
    await server.end('SIGKILL');
    await set.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const copy = (...args: readonly string[]): Copier => (copier = launchCopy(dataDir, ['--to', uri, ...args]));
  const loseTarget = async (meanwhile: () => Promise<unknown>): Promise<void> => {
    const member = set.members[0] ?? expect.fail();
    const gone = once(member.process, 'exit');
    member.process.kill('SIGKILL');
    await gone;
    await meanwhile();
    member.start();
  };
  const goesOn = async (): Promise<void> => {
    const before = load.acknowledged();
    while (load.acknowledged() < before + 5) await sleep(5);
  };

  test('a copy that is killed while it copies, or while it follows, leaves the server alone and is begun again; a lost target is waited for', async () => {
    const first = copy();
    await first.says('resources:');
    await first.end('SIGKILL');
    await goesOn();
    const refused = copy();
    expect(await refused.ended).toBe(1);
    expect(refused.said()).toContain('Run it again with --restart');
    const second = copy('--restart');
    await second.says('Caught up, and following');
    await goesOn();
    await loseTarget(async () => second.says('does not answer'));
    await second.says('rows in the last round', second.said().length);
    await second.end('SIGKILL');
    await goesOn();
  });

  if (LONG)
    test('a target that stays lost ends the copy with a sentence, and nothing else', async () => {
      const copying = copy('--restart');
      await copying.says('Caught up, and following');
      await loseTarget(async () => expect(await copying.ended).toBe(1));
      expect(copying.said()).toMatch(/MongoDB/);
      await goesOn();
    });

  test('every acknowledged write arrives, and nothing stands still for long', async () => {
    const moving = copy('--restart', '--stop', String(server.ready.pid));
    expect([await moving.ended, moving.said()]).toEqual([0, expect.stringContaining('Moved.')]);
    const result = JSON.parse(moving.printed()) as { moved: boolean; log: { size: number }; stoppedMs: number };
    expect(result.moved).toBe(true);
    expect(result.log.size).toBeGreaterThan(0);
    expect(result.stoppedMs).toBeLessThan(30_000);
    expect(await server.end('SIGTERM')).toBe(0);
    await load.stop();
    await expect(launchServer(dataDir, settings)).rejects.toThrow(/was moved to mongodb:.*moved\.json/s);
    server = await launchServer(dataDir, { ...settings, ASSENT_MONGODB_URI: uri });
    const { versions, deleted, withdrawn } = load;
    expect(versions.length).toBeGreaterThan(50);
    expect(deleted.length).toBeGreaterThan(2);
    expect(withdrawn.length).toBeGreaterThan(2);
    const lost: string[] = [];
    const check = async (path: string, status: number) => {
      const answer = await world.admin.call('GET', path);
      if (answer.status !== status) lost.push(`${path}: ${answer.status}`);
    };
    for (const part of slices(versions, 8)) await Promise.all(part.map((path) => check(path, 200)));
    for (const part of slices(deleted, 8)) await Promise.all(part.map((path) => check(path, 410)));
    expect(lost).toEqual([]);
  });

  test('withdrawals hold, consents hold, receipts prove what was disclosed on either engine', async () => {
    for (const { patient } of load.withdrawn) expect([patient, (await world.insurer.call('GET', patient)).status]).toEqual([patient, 404]);
    const kept = world.consents.filter((consent) => !load.asked.has(consent));
    expect(kept.length).toBeGreaterThan(0);
    for (const { patient } of kept) expect((await world.insurer.call('GET', patient)).status).toBe(200);
    expect(verifyReceipt(world.receipt).kind).toBe('proven');
    expect(load.receipts.length).toBeGreaterThan(3);
    for (const url of load.receipts.slice(-20)) expect(verifyReceipt(await receiptAt(world.insurer, url)).kind).toBe('proven');
    const checked = spawn(process.execPath, ['server/main.ts', 'fsck'], {
      cwd: root,
      env: { PATH: '', ASSENT_DATA_DIR: dataDir, ASSENT_MONGODB_URI: uri },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said = heard(checked.stdout);
    expect([(await once(checked, 'exit'))[0], said()]).toEqual([0, expect.stringContaining(': whole.')]);
  });
});

type Consented = { readonly patient: string; readonly consent: string; readonly digest: string; readonly key: Key };
type World = { readonly admin: Session; readonly insurer: Session; readonly consents: readonly Consented[]; readonly receipt: string };

async function settle({ bootstrap }: LaunchedServer): Promise<World> {
  const admin = await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
  for (const reference of [HOSPITAL, INSURER])
    await admin.call('PUT', reference, { resourceType: 'Organization', id: reference.slice(13), active: true, name: reference });
  const random = seededRandom(11);
  const patients: string[] = [];
  for (let i = 0; i < PATIENTS; i++) {
    const loaded = await admin.call('POST', '', patientBundle(random, i, HOSPITAL));
    patients.push(/Patient\/[^/"]+/.exec(loaded.text)?.[0] ?? expect.fail(loaded.text));
  }
  const client = await registerClient(admin, 'Insurer', INSURER, 'HPAYMT');
  const custodianKey = await enrolKey(admin, HOSPITAL);
  const consents: Consented[] = [];
  for (const patient of patients.slice(0, CONSENTS)) {
    const key = await enrolKey(admin, patient);
    const prepared = await prepare(admin, consentTerms({ patient, custodian: HOSPITAL, grantee: INSURER, now: systemClock() }));
    const signed = await submit(admin, partOf(prepared, 'statement'), [key, custodianKey]);
    expect(signed.status).toBe(201);
    consents.push({ patient, consent: `Consent/${String(signed.json['id'])}`, digest: partOf(prepared, 'digest'), key });
  }
  const insurer = await createSession(bootstrap, client, 'system/*.rs');
  const disclosed = await insurer.call('GET', patients[0] ?? '');
  return { admin, insurer, consents, receipt: await receiptAt(insurer, disclosed.headers.get('assent-receipt') ?? expect.fail(disclosed.text)) };
}

type Load = {
  /** Acknowledged so far, as paths: versions that were written, resources that were deleted, and not written again. */
  readonly versions: string[];
  readonly deleted: string[];
  readonly withdrawn: Consented[];
  /** Withdrawals that were sent, acknowledged or not. */
  readonly asked: ReadonlySet<Consented>;
  /** Of acknowledged disclosures. */
  readonly receipts: string[];
  acknowledged(): number;
  stop(): Promise<void>;
};

/** Goes on whatever happens to the server; one consent is withdrawn every now and then, the last two never. */
function startLoad({ admin, insurer, consents }: World): Load {
  const [versions, deleted, receipts]: [string[], string[], string[]] = [[], [], []];
  const withdrawn: Consented[] = [];
  const asked = new Set<Consented>();
  let going = true;
  const loop = async (turn: (i: number) => Promise<unknown>, pause: number): Promise<void> => {
    for (let i = 0; going; i++) {
      await turn(i).catch(() => undefined);
      await sleep(pause);
    }
  };
  const write = async (path: string, name: string): Promise<void> => {
    const [resourceType = '', id] = path.split('/');
    const { status, headers } = await admin.call('PUT', path, { resourceType, id, name });
    const version = /"(.+)"/.exec(headers.get('etag') ?? '')?.[1];
    if (status < 300 && version !== undefined) versions.push(`${path}/_history/${version}`);
  };
  const writer = (name: string) =>
    loop(async (i) => {
      const path = `Organization/${name}-${i}`;
      await write(path, 'Created');
      // Also what was copied long ago is changed again.
      await write(`Organization/${name}-${i % 5}-often`, `Changed ${i}`);
      if (i % 6 === 0 && (await admin.call('DELETE', path)).status === 204) deleted.push(path);
    }, 40);
  const reader = loop(async (i) => {
    const { status, headers } = await insurer.call('GET', consents[i % consents.length]?.patient ?? '');
    const receipt = headers.get('assent-receipt');
    if (status === 200 && receipt !== null) receipts.push(receipt);
  }, 60);
  const withdrawer = loop(async (i) => {
    const consented = consents[i];
    if (!consented || i >= consents.length - 2) return;
    asked.add(consented);
    const { status } = await withdraw(admin, { ...consented, now: systemClock() });
    if (status === 200) withdrawn.push(consented);
  }, 2_000);
  const ends = Promise.all([writer('a'), writer('b'), reader, withdrawer]);
  return {
    versions,
    deleted,
    withdrawn,
    asked,
    receipts,
    acknowledged: () => versions.length,
    async stop() {
      going = false;
      await ends;
    },
  };
}

type Copier = {
  /** Resolves with its exit code; 1 when a signal ended it. */
  readonly ended: Promise<number>;
  /** From this character on. */
  says(what: string, from?: number): Promise<void>;
  said(): string;
  printed(): string;
  end(signal: 'SIGKILL'): Promise<number>;
};

function launchCopy(dataDir: string, args: readonly string[]): Copier {
  const env = { PATH: '', ASSENT_DATA_DIR: dataDir };
  const child: ChildProcess = spawn(process.execPath, ['server/main.ts', 'copy', ...args], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? 1)));
  const [said, printed] = [heard(child.stderr), heard(child.stdout)];
  let over = false;
  void ended.then(() => (over = true));
  return {
    ended,
    said,
    printed,
    async says(what, from = 0) {
      while (!said().slice(from).includes(what)) {
        if (over) throw new Error(`It ended without “${what}”: ${said()}`);
        await sleep(5);
      }
    },
    end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

function heard(stream: NodeJS.ReadableStream | null): () => string {
  let text = '';
  stream?.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  return () => text;
}

function slices<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

async function receiptAt(session: Session, url: string): Promise<string> {
  for (const until = systemClock() + 120_000; ; ) {
    const { status, text } = await session.call('GET', url);
    if (status === 200) return text;
    if (status !== 202 || systemClock() > until) throw new Error(`${status} ${text}`);
    await sleep(50);
  }
}
