/**
 * From one engine to the other while a server runs on the first: what it commits is followed until it stops, then the last of it is brought over.
 *
 * Invariants: the last round begins after the folder was taken from the server, so it has every write that was acknowledged; the source is
 * marked as moved before the target is free, so at no moment may servers write to both.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { openCheckpoint } from '../../../ledger/checkpoint.ts';
import { parseVerifierKey } from '../../../ledger/note.ts';
import { sameBytes } from '../../../ledger/hash.ts';
import { rootAt } from '../../../ledger/tree.ts';
import { createLogRecords } from '../../anchoring/log-records.ts';
import { readSigned } from '../../anchoring/log-signer.ts';
import type { SignerConfig } from '../../anchoring/remote-signer.ts';
import { systemClock } from '../../clock.ts';
import { AssentError } from '../../errors.ts';
import { markMoved } from '../../store/embedded/moved.ts';
import { createProgress, say } from './progress.ts';
import { catchUp, copyCounters, type Ends } from './rounds.ts';

export type Log = { readonly size: number; readonly root: string };
/** `since`: when the folder was taken, or its server was told to stop. */
export type Held = { readonly since: number };

const POLL_MS = 25;
const BETWEEN_ROUNDS_MS = 1_000;
/** A round that takes longer has more after it. */
const SHORT_ROUND_MS = 1_000;
const MOST_ROUNDS = 10;
const LONG_STOP_MS = 15_000;

/** Resolves when the folder is ours. `stop`: the server's process, which is told to stop when little is left; absent: somebody else does that. */
export async function follow(ends: Ends, stop: number | undefined): Promise<Held> {
  const { source } = ends;
  const progress = createProgress();
  await approach(ends);
  if (source.hold()) return { since: systemClock() };
  let since: number | undefined;
  if (stop !== undefined) {
    say(`Caught up. Process ${stop} is told to stop (SIGTERM).`);
    since = systemClock();
    tell(stop);
  } else say('Caught up, and following. Stop the server now, so that it stays stopped: what it still commits is brought over when it has ended.');
  let complained = false;
  for (let round = systemClock(); ; ) {
    const asked = systemClock();
    if (source.hold()) return { since: since ?? asked };
    if (asked - round > BETWEEN_ROUNDS_MS) {
      const rows = await catchUp(ends);
      round = systemClock();
      if (stop === undefined) progress(() => `following: ${rows} rows in the last round`);
    }
    if (since !== undefined && !complained && asked - since > LONG_STOP_MS) {
      say('A server still uses the folder. If another one was started, stop it so that it stays stopped.');
      complained = true;
    }
    await sleep(POLL_MS);
  }
}

/** It may have ended by itself. */
function tell(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function approach(ends: Ends): Promise<void> {
  for (let i = 0; i < MOST_ROUNDS; i++) {
    const started = systemClock();
    const rows = await catchUp(ends);
    if (rows > 0) say(`caught up with ${rows} rows`);
    if (systemClock() - started < SHORT_ROUND_MS) return;
  }
}

/** With the folder held. Afterwards servers start on the target, and none on the folder. */
export async function cutOver(ends: Ends, { signer, to }: { readonly signer: SignerConfig; readonly to: string }): Promise<Log> {
  const rows = await catchUp(ends);
  say(`last round: ${rows} rows`);
  if (ends.source.behind() !== 0) throw new AssentError('internal', 'Somebody writes to the database without holding the folder.');
  await copyCounters(ends);
  const log = await checkLog(ends, signer);
  markMoved(signer.DATA_DIR, { to, at: new Date(systemClock()).toISOString() });
  await ends.target.finish();
  return log;
}

/** The target's tree, from its own tiles, continues what the signer signed last: receipts lead to it. Throws AssentError('internal'). */
async function checkLog({ target }: Ends, signer: SignerConfig): Promise<Log> {
  const stored = createLogRecords(target.records);
  const [size, checkpoint] = [await stored.head(), await stored.checkpoint()];
  const { state: signed, verifierKey = '' } = await readSigned(signer);
  const key = parseVerifierKey(verifierKey);
  const claims = signed ? [{ size: signed.size, root: signed.root }] : [];
  if (checkpoint) {
    const opened = openCheckpoint(checkpoint.note, key ? [key] : []);
    if (opened.kind !== 'signed') throw new AssentError('internal', 'The checkpoint was not signed with the key in the data folder.');
    claims.push(opened.checkpoint);
  }
  for (const claim of claims) {
    const same = claim.size <= size && sameBytes(await rootAt(claim.size, stored.tile), claim.root);
    if (!same) throw new AssentError('internal', `The copied log does not continue what was signed at ${claim.size} entries.`);
  }
  return { size, root: Buffer.from(await rootAt(size, stored.tile)).toString('base64') };
}
