/**
 * Replaces the log's key while no server writes: old and new key sign the statement that says so, it becomes an entry, and the next checkpoint, which
 * holds it, is signed by the new key. ledger.md §2
 *
 * Invariants: the old key signs no checkpoint that holds the entry, and none larger than the statement says; wherever this is broken off, neither key signs
 * until it was run again, which goes on from there.
 */
import type { LogEntry } from '../../ledger/entry.ts';
import { digestOf } from '../../ledger/hash.ts';
import { readRotation, rotationReference } from '../../ledger/rotation.ts';
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import { createLease } from './lease.ts';
import { rotationEntry } from './log-keys.ts';
import { type LogStore, writeRotation } from './log-port.ts';
import { createLogRecords, kinds, numberId } from './log-records.ts';
import { openLog, sealNext } from './open-log.ts';
import { createRowChain } from './row-chain.ts';
import { systemSchedule } from './schedule.ts';
import { createSealer } from './sealer.ts';
import { beginRotation, destroyCosigner, readSignerState } from './signer-files.ts';
import { openSigner, type Signer } from './signer.ts';

export type RotateDependencies = {
  readonly log: LogStore;
  readonly records: RecordStore;
  /** The signer's folder. */
  readonly folder: string;
  readonly clock: Clock;
};

/** Resolves with the new verifier key and the index of the entry. Throws AssentError('unavailable') with what is in the way. */
export async function rotateLogKey(deps: RotateDependencies): Promise<{ readonly verifierKey: string; readonly index: number }> {
  const { log, folder, records } = deps;
  const stored = createLogRecords(records);
  if ((await readSignerState(folder))?.pending === undefined) await signAll(await openAsBefore(folder), deps);
  const note = await beginRotation(folder);
  const rotation = readRotation(note);
  if (!rotation) throw new AssentError('internal', 'The statement of the log’s keys is not signed by both.');
  await logStatement(note, rotationReference(rotation), deps);
  await sealAll(deps);
  const entry = await rotationEntry(note, rotation, { log, stored });
  if (!entry) throw new AssentError('unavailable', 'The replacement could not be sealed: stop the servers, and run this again.');
  const signer = await openAsBefore(folder);
  await signAll({ ...signer, sign: (request) => signer.sign({ ...request, rotated: entry }) }, deps);
  // The checkpoint by the new key, also where the one before was broken off in between.
  await signAll(await openAsBefore(folder), deps);
  return { verifierKey: rotation.to.text, index: entry.index };
}

/**
 * Destroys the log's ML-DSA-44 key and makes another, under which the last checkpoint is signed again. Nothing leads from one to the other: whoever pinned the old one has to be
 * told. Resolves with the new verifier key. Throws AssentError('unavailable') with what is in the way.
 */
export async function replaceSecondKey(deps: RotateDependencies): Promise<string> {
  const { folder } = deps;
  if ((await readSignerState(folder))?.cosigner === undefined) throw new AssentError('unavailable', 'The log has not been signed with a second key.');
  await signAll(await openAsBefore(folder), deps);
  await destroyCosigner(folder);
  const signer = await openSigner({ directory: folder, mlDsa: true });
  await signAll(signer, deps);
  return signer.cosignerKey ?? '';
}

/** With the second key if it has signed. */
async function openAsBefore(folder: string): Promise<Signer> {
  return openSigner({ directory: folder, mlDsa: (await readSignerState(folder))?.cosigner !== undefined });
}

/** Everything committed is sealed and under a checkpoint in the database. */
async function signAll(signer: Signer, { log, records, clock }: RotateDependencies): Promise<void> {
  const faults: unknown[] = [];
  const stored = createLogRecords(records);
  await signer.renew(createRowChain({ log, stored }));
  const report = (fault: unknown): void => void faults.push(fault);
  const config = { CHECKPOINT_INTERVAL_MS: 10 };
  const sealer = createSealer({ log, records, signer, anchors: [], clock, schedule: systemSchedule, config, signed: () => undefined, report });
  await sealer.flush();
  await sealer.stop();
  const status = signer.status();
  if (status.kind === 'refused') throw new AssentError('unavailable', status.reason);
  if (faults[0] instanceof Error) throw faults[0];
  if ((await stored.checkpoint())?.size !== (await stored.head()))
    throw new AssentError('unavailable', 'The log has entries that cannot be signed now: another process seals it, or it is empty.');
}

async function logStatement(note: string, reference: string, { log, records, clock }: RotateDependencies): Promise<void> {
  const known = await createLogRecords(records).rotations();
  if (known.includes(note)) return;
  const name = { recordKind: kinds.rotation, id: numberId(known.length) };
  const occurredAt = new Date(clock()).toISOString();
  const entry: LogEntry = { kind: 'log-key-rotated', occurredAt, subject: null, reference, digest: digestOf(note) };
  if (!(await writeRotation(log, { ...name, revision: null }, { entry, record: { kind: 'put', ...name, value: note } })))
    throw new AssentError('conflict', 'Somebody else replaces the key.');
}

async function sealAll({ log, records, clock }: RotateDependencies): Promise<void> {
  const stored = createLogRecords(records);
  const lease = createLease({ log, clock });
  try {
    const open = await openLog(stored);
    for (let fence = await lease.hold(); fence !== undefined; fence = await lease.hold()) if (!(await sealNext(open, fence, { log, stored }))) return;
  } finally {
    await lease.release();
  }
}
