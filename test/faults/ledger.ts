/**
 * A server process whose log another process signs, under a load of Consents that are agreed and withdrawn, reads that rest on them, and proofs of how
 * they stand; the server, its signer or both are killed (-9) at moments spread over all that such a round does: a row committed, sealed, signed, a
 * root of the map of Consents logged, sealed, signed. After each kill `fsck` finds the log whole, what was answered is there, a Consent that was not
 * withdrawn is proven to stand, and one that was is not. ledger.md §2, §3, §8
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { type Answer, type Bootstrap, createSession, enrolKey, type Key, type Session } from '../../server/commands/demo/session.ts';
import { freePort } from '../support/ports.ts';
import { assent } from '../attacks/scene.ts';
import {
  ADMIN_SCOPE,
  agree,
  HOSPITAL,
  type InForce,
  observation,
  organization,
  patient,
  put,
  register,
  termsOf,
  withdrawNow,
} from '../support/real-server.ts';
import { type LaunchedServer, launchServer } from '../support/server-process.ts';
import { launchSigner, type SignerProcess } from '../support/signer-process.ts';
import { until } from './members.ts';

const READER = 'Organization/reader';
const RECORD = 'Observation/of-ann';

/** `uri`: of the replica set's database; absent: the embedded engine. */
export type LedgerPlan = { readonly kills: number; readonly seed: number; readonly uri?: string };

export type LedgerOutcome = {
  /** By victim. */
  readonly kills: Readonly<Record<Victim, number>>;
  /** Rounds that were cut off before all was answered. */
  readonly interrupted: number;
  /** Answered before a kill, and found after it. */
  readonly agreed: number;
  readonly withdrawn: number;
  readonly receipts: number;
  /** That a Consent stood, and that one did not. */
  readonly stood: number;
  readonly ended: number;
  readonly checks: number;
  readonly violations: readonly string[];
};

const victims = ['server', 'signer', 'both'] as const;
type Victim = (typeof victims)[number];

type Tally = { -readonly [count in keyof Omit<LedgerOutcome, 'kills' | 'violations'>]: number } & {
  readonly kills: Record<Victim, number>;
  readonly violations: string[];
};
type Running = { server: LaunchedServer; signer: SignerProcess };
type Stage = {
  readonly tally: Tally;
  readonly running: Running;
  readonly settings: Readonly<Record<string, string>>;
  readonly bootstrap: Bootstrap;
  readonly admin: Session;
  readonly reader: Session;
  readonly keys: readonly [Key, Key];
  start(victim: Victim): Promise<void>;
};
/** What a round was told before it was cut off. */
type Told = { agreed?: InForce; receipt?: string; withdrawn?: true; stood?: true; done?: true };

export async function runLedgerFaults({ kills, seed, uri }: LedgerPlan, say: (line: string) => void = () => undefined): Promise<LedgerOutcome> {
  const folder = await mkdtemp(join(tmpdir(), 'assent-ledger-faults-'));
  const stage = await setStage(folder, uri);
  try {
    const whole = await measured(stage);
    for (let i = 0; i < kills; i++) {
      const victim = victims[(i + seed) % victims.length] ?? 'both';
      // Evenly, and between the moments that another seed has.
      const at = (whole * (i + ((seed * 0.618) % 1))) / kills;
      await round(stage, victim, at);
      say(`${victim} killed after ${Math.round(at)} of ${Math.round(whole)} ms: ${stage.tally.violations.length} violations`);
    }
    return stage.tally;
  } finally {
    await Promise.all([stage.running.server.end('SIGKILL'), stage.running.signer.end('SIGKILL')]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function setStage(folder: string, uri: string | undefined): Promise<Stage> {
  const port = String(await freePort());
  const [data, apart] = [join(folder, 'data'), join(folder, 'signer')];
  const signer = await launchSigner(apart);
  const settings = {
    ASSENT_PORT: port,
    ASSENT_PUBLIC_URL: `http://127.0.0.1:${port}`,
    ASSENT_DATA_DIR: data,
    ASSENT_CHECKPOINT_INTERVAL_MS: '10',
    ASSENT_VALIDATION_WORKERS: '1',
    ASSENT_LOG_LEVEL: 'silent',
    ASSENT_SIGNER: signer.address,
    ASSENT_SIGNER_SECRET_PATH: signer.secret,
    ...(uri === undefined ? {} : { ASSENT_MONGODB_URI: uri }),
  };
  const running: Running = { signer, server: await launchServer(data, settings) };
  const { bootstrap } = running.server;
  const admin = await createSession(bootstrap, bootstrap.admin, ADMIN_SCOPE);
  for (const reference of [HOSPITAL, READER]) await put({ admin }, organization(reference));
  await put({ admin }, patient('ann'));
  await put({ admin }, observation('of-ann', 'Patient/ann'));
  const keys = [await enrolKey(admin, 'Patient/ann'), await enrolKey(admin, HOSPITAL)] as const;
  const { session: reader } = await register({ admin, bootstrap }, { actor: READER });
  const tally: Tally = {
    kills: { server: 0, signer: 0, both: 0 },
    violations: [],
    interrupted: 0,
    agreed: 0,
    withdrawn: 0,
    receipts: 0,
    stood: 0,
    ended: 0,
    checks: 0,
  };
  return {
    tally,
    running,
    settings,
    bootstrap,
    admin,
    reader,
    keys,
    // A server does not start without its signer.
    async start(victim) {
      if (victim !== 'server') running.signer = await launchSigner(apart);
      if (victim !== 'signer') running.server = await launchServer(data, settings);
    },
  };
}

/** How long a round takes that nothing disturbs: the second one, as the first loads what it needs. */
async function measured(stage: Stage): Promise<number> {
  await act(stage, {});
  const begun = performance.now();
  const told: Told = {};
  await act(stage, told);
  if (!told.done) throw new Error('An undisturbed round did not come to its end.');
  return performance.now() - begun;
}

/** Two Consents: one stays, one is withdrawn. Whatever is answered is told at once. */
async function act(stage: Stage, told: Told): Promise<void> {
  const { admin, reader, keys } = stage;
  const [ann] = keys;
  const now = () => Date.now();
  const agreed = await agree({ admin }, termsOf({ now }, { patient: 'Patient/ann', grantee: READER }), keys);
  told.agreed = agreed;
  const read = await reader.call('GET', RECORD);
  if (read.status === 200) told.receipt = read.headers.get('assent-receipt') ?? '';
  await proofOf(stage, agreed);
  const { status } = await withdrawNow({ admin, now }, agreed, ann);
  if (status === 200 || status === 201) told.withdrawn = true;
  await proofOf(stage, agreed);
  told.done = true;
}

async function round(stage: Stage, victim: Victim, at: number): Promise<void> {
  const { tally, running } = stage;
  const told: Told = {};
  // Cut off wherever it is: a refused connection, half an answer, 503.
  const acting = act(stage, told).catch(() => undefined);
  await sleep(at);
  await Promise.all([victim === 'signer' ? 0 : running.server.end('SIGKILL'), victim === 'server' ? 0 : running.signer.end('SIGKILL')]);
  tally.kills[victim]++;
  // While the signer alone is away the round goes on, and what has to be signed is waited for.
  if (victim === 'signer') await stage.start(victim);
  await acting;
  if (victim !== 'signer') await stage.start(victim);
  if (!told.done) tally.interrupted++;
  await check(stage, told);
}

async function check(stage: Stage, { agreed, receipt, withdrawn }: Told): Promise<void> {
  const { tally, reader } = stage;
  const { code, said } = await assent(['fsck'], stage.settings);
  tally.checks++;
  if (code !== 0) tally.violations.push(`fsck: ${said}`);
  if (receipt !== undefined) {
    const { status, text } = await waited(reader, receipt);
    if (status === 200 && verifyReceipt(text).kind === 'proven') tally.receipts++;
    else tally.violations.push(`the receipt of what was answered is ${status}: ${text.slice(0, 300)}`);
  }
  if (!agreed) return;
  tally.agreed++;
  await checkStanding(stage, agreed, withdrawn);
}

/** `withdrawn`: it was answered that it is; if it was not, either may be so, and what is so is proven. */
async function checkStanding(stage: Stage, agreed: InForce, withdrawn: true | undefined): Promise<void> {
  const { tally, admin } = stage;
  const asked = Date.now();
  const before = await admin.call('GET', agreed.consent);
  const { status, text } = await proofOf(stage, agreed);
  const isActive = before.json['status'] === 'active';
  const verdict = verifyReceipt(text, isActive ? { inForceAt: asked - 60_000 } : {});
  if (withdrawn && isActive) tally.violations.push(`a withdrawal that was answered is lost: ${agreed.consent}`);
  if (status !== 200 || verdict.kind !== 'proven') {
    tally.violations.push(`${agreed.consent}, ${String(before.json['status'])}, is not proven: ${status}, ${JSON.stringify(verdict)}`);
    return;
  }
  if (withdrawn) tally.withdrawn++;
  if (isActive) tally.stood++;
  else if (verifyReceipt(text, { inForceAt: asked - 60_000 }).kind === 'refuted') tally.ended++;
  else tally.violations.push(`${agreed.consent} was withdrawn and is proven to be in force`);
}

/** `$ledger-proof`, which logs a root of the map where the newest is older than the Consent’s newest entry. */
function proofOf({ admin }: Pick<Stage, 'admin'>, { consent }: InForce): Promise<Answer> {
  return waited(admin, `${consent}/$ledger-proof`);
}

/** Until it is neither 202 (not sealed yet) nor 503 (just started, or not signed yet). */
async function waited(session: Session, url: string): Promise<Answer> {
  let answer: Answer | undefined;
  await until(`an answer from ${url.replace(/^.*\/fhir\//, '')}`, async () => {
    answer = await session.call('GET', url);
    return answer.status !== 202 && answer.status !== 503;
  });
  return answer as Answer;
}
