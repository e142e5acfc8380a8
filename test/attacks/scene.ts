/**
 * What attackers find: a hospital's server with a witness, patients with Consents in force and withdrawn, disclosures and their receipts; stopped, so
 * that each attack has a copy of its folder to itself, and a copy from before the last withdrawal.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseVerifierKey } from '../../ledger/note.ts';
import { type Client, createSession, enrolKey, type Key, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  settled,
  startRealServer,
  termsOf,
  withdrawNow,
} from '../support/real-server.ts';
import { compiled } from '../support/compiled.ts';
import { type LaunchedServer, launchServer } from '../support/server-process.ts';
import { startWitness } from '../support/witness-server.ts';

export const INSURER = 'Organization/insurer';

/** `ready`: what /readyz answered. */
export type Running = Pick<LaunchedServer, 'bootstrap'> & { readonly ready: number; session(client: Client, scope?: string): Promise<Session> };

export type Scene = {
  /** Of the hospital's server as it is now, and as it was before Bea withdrew. Both are copies nobody else has. */
  copy(of?: 'now' | 'before'): string;
  /** A receipt of a disclosure, a statement of all disclosures about Ann, and the policy of whoever trusts the log and its witness. */
  readonly receipt: string;
  /** That Bea's Consent stood, before she withdrew it; and an instant after that. */
  readonly stood: string;
  readonly withdrawnAt: string;
  readonly policy: string;
  readonly insurer: Client;
  readonly admin: Client;
  /** Ann's Consent is in force, Bea's was withdrawn. */
  readonly ann: InForce;
  readonly bea: InForce;
  readonly keys: { readonly ann: Key; readonly bea: Key; readonly hospital: Key };
  /** A server on this folder while `work` asks it; the witness remembers what it had cosigned when the scene was set. `alone`: no witness is asked. */
  serve<T>(
    dataDir: string,
    work: (running: Running) => Promise<T>,
    options?: { readonly alone: boolean; readonly settings?: Readonly<Record<string, string>> },
  ): Promise<T>;
  readonly temporary: (name: string) => string;
  stop(): Promise<void>;
};

export async function setScene(): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'assent-attacks-'));
  const [policy, now, before] = ['policy', 'now', 'before'].map((name) => join(folder, name)) as [string, string, string];
  writeFileSync(policy, 'quorum none\n');
  const server = await startRealServer({ ASSENT_WITNESS_POLICY: policy });
  const origin = new URL(server.bootstrap.fhirBaseUrl).origin;
  const log = parseVerifierKey((await (await fetch(`${origin}/ledger/key`)).text()).trim());
  if (!log) throw new Error('The server shows no verifier key.');
  const cosigned = join(folder, 'witness');
  mkdirSync(cosigned);
  const witness = await startWitness({ name: 'witness.example', logs: [log], folder: cosigned });
  const { cosigner } = witness;
  const policyOf = (url: string) => `log ${log.text}\nwitness peer ${cosigner.verifierKey.text} ${url}/\nquorum peer\n`;
  writeFileSync(policy, policyOf(witness.url));
  await server.restart();
  const story = await live(server, () => server.restart(async () => cpSync(server.dataDir, before, { recursive: true })));
  await server.restart(async () => cpSync(server.dataDir, now, { recursive: true }));
  await server.stop();
  await witness.stop();
  let copies = 0;
  const settings = {
    ASSENT_PUBLIC_URL: origin,
    ASSENT_PORT: new URL(origin).port,
    ASSENT_CHECKPOINT_INTERVAL_MS: '10',
    ASSENT_VALIDATION_WORKERS: '1',
  };
  return {
    ...story,
    policy,
    admin: server.bootstrap.admin,
    async serve(dataDir, work, { alone, settings: more } = { alone: false }) {
      if (alone) return serve(dataDir, { ...settings, ...more }, work);
      const memory = join(folder, `witness-${++copies}`);
      cpSync(cosigned, memory, { recursive: true });
      const peer = await startWitness({ name: 'witness.example', logs: [log], folder: memory, cosigner });
      writeFileSync(`${memory}.policy`, policyOf(peer.url));
      try {
        return await serve(dataDir, { ...settings, ASSENT_WITNESS_POLICY: `${memory}.policy` }, work);
      } finally {
        await peer.stop();
      }
    },
    temporary: (name) => join(folder, name),
    copy(of = 'now') {
      const to = join(folder, `copy-${++copies}`);
      cpSync(of === 'now' ? now : before, to, { recursive: true });
      return to;
    },
    async stop() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

type Story = Pick<Scene, 'receipt' | 'stood' | 'withdrawnAt' | 'insurer' | 'ann' | 'bea' | 'keys'>;

/** `pause`: before the last withdrawal. */
async function live(server: RealServer, pause: () => Promise<void>): Promise<Story> {
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['ann', 'bea']) {
    await put(server, patient(id));
    await put(server, observation(`of-${id}`, `Patient/${id}`));
  }
  const [ann, bea, hospital] = [
    await enrolKey(server.admin, 'Patient/ann'),
    await enrolKey(server.admin, 'Patient/bea'),
    await enrolKey(server.admin, HOSPITAL),
  ];
  const terms = (who: string) => termsOf(server, { patient: `Patient/${who}`, grantee: INSURER });
  const inForce = { ann: await agree(server, terms('ann'), [ann, hospital]), bea: await agree(server, terms('bea'), [bea, hospital]) };
  const { client, session } = await register(server, { actor: INSURER });
  const read = await session.call('GET', 'Observation/of-ann');
  for (const id of ['of-bea', 'of-ann', 'absent']) await session.call('GET', `Observation/${id}`);
  const receipt = await cosigned(session, read.headers.get('assent-receipt') ?? '');
  const stood = await cosigned(server.admin, `${inForce.bea.consent}/$ledger-proof`);
  await pause();
  await withdrawNow(server, inForce.bea, bea);
  const withdrawnAt = new Date(server.now()).toISOString();
  return { receipt, stood, withdrawnAt, insurer: client, ...inForce, keys: { ann, bea, hospital } };
}

/** The receipt, once a witness has cosigned the checkpoint it rests on. */
async function cosigned(session: Session, url: string): Promise<string> {
  for (let turn = 0; turn < 500; turn++) {
    const { status, text } = await settled(session, url);
    if (status === 200 && text.includes('"witnesses"')) return text;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('No witness cosigned.');
}

/** What an `assent` command, which sees nothing but a folder and files, ends with and says. */
export async function assent(
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly said: string }> {
  const options = { cwd: new URL('../..', import.meta.url), env: { PATH: process.env['PATH'], ...compiled, ...settings } };
  return new Promise((resolve) =>
    execFile(process.execPath, ['server/main.ts', ...args], options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, said: stdout + stderr }),
    ),
  );
}

/** With the database of a stopped server. */
export function edit(dataDir: string, work: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(join(dataDir, 'assent.sqlite'));
  try {
    work(database);
  } finally {
    database.close();
  }
}

async function serve<T>(dataDir: string, settings: Readonly<Record<string, string>>, work: (running: Running) => Promise<T>): Promise<T> {
  const { bootstrap, end } = await launchServer(dataDir, { ...settings, ASSENT_LOG_LEVEL: 'silent' });
  try {
    const { status } = await fetch(new URL('/readyz', bootstrap.fhirBaseUrl));
    return await work({ bootstrap, ready: status, session: (client, scope = 'system/*.rs') => createSession(bootstrap, client, scope) });
  } finally {
    await end('SIGKILL');
  }
}
