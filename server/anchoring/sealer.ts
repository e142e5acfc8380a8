/**
 * Turns committed log rows into the Merkle log: batches under a lease, then signed checkpoints, then anchors. ledger.md §2
 *
 * Invariants: whatever fails is tried again from what is stored, so the process may die between any two steps; nothing is sealed before
 * the signer has found the stored log to continue what it signed, nor once it has refused.
 */
import type { Anchor } from '../../ledger/anchor/port.ts';
import { createBatch, type Schedule } from '../../ledger/batch.ts';
import { rootAt } from '../../ledger/tree.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import { createLease, type Lease } from './lease.ts';
import { type LogStore, writeRecords } from './log-port.ts';
import { type CheckpointRecord, createLogRecords, kinds, type LogRecords, storedEntries } from './log-records.ts';
import { openLog, type OpenLog, sealNext } from './open-log.ts';
import { createRowChain } from './row-chain.ts';
import type { Signer } from './signer.ts';

export type SealerDependencies = {
  readonly log: LogStore;
  readonly records: RecordStore;
  readonly signer: Signer;
  readonly anchors: readonly Anchor[];
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly config: Pick<Config, 'CHECKPOINT_INTERVAL_MS'>;
  /** Told of every checkpoint once it is stored; must not wait. */
  readonly signed: (checkpoint: CheckpointRecord) => void;
  /** Told of every fault; sealing goes on by itself. */
  readonly report: (fault: unknown) => void;
};

export type Sealer = {
  /** Catches up with what is stored, then seals as it comes. */
  start(): Promise<void>;
  /** Seals and signs what is there, then nothing more. */
  stop(): Promise<void>;
  /** After every commit with log rows; cheap. */
  nudge(rows?: number): void;
  /** Resolves once everything committed before is sealed and under a signed checkpoint, if this process may do so. */
  flush(): Promise<void>;
};

/** How often rows committed by other processes are looked for, and what failed is tried again. */
const TICK_MS = 1000;
const HEARTBEAT_MS = 600_000;

export function createSealer(deps: SealerDependencies): Sealer {
  const { schedule } = deps;
  const timers: { tick?: () => void; due?: () => void } = {};
  const sealing = createSealing(deps, (ms) => {
    timers.due ??= schedule(ms, () => {
      delete timers.due;
      void batch.flush();
    });
  });
  const batch = createBatch({ schedule, seal: sealing.work });
  const tick = (): void => {
    timers.tick = schedule(TICK_MS, () => {
      tick();
      void batch.flush();
    });
  };
  const flush = (): Promise<void> => {
    sealing.force();
    return batch.flush();
  };
  return {
    async start() {
      await batch.flush();
      tick();
    },
    async stop() {
      timers.tick?.();
      timers.due?.();
      await flush();
      timers.due?.();
      await batch.stop();
      await sealing.release();
    },
    nudge: (rows = 1) => batch.add(rows),
    flush,
  };
}

type State = OpenLog & { checkpoint: CheckpointRecord | undefined };
type Context = SealerDependencies & { readonly stored: LogRecords; readonly lease: Lease };

/** `later`: asks to be worked again after so many milliseconds. */
function createSealing(deps: SealerDependencies, later: (ms: number) => void): { work(): Promise<void>; force(): void; release(): Promise<void> } {
  const context: Context = { ...deps, stored: createLogRecords(deps.records), lease: createLease(deps) };
  let state: State | undefined;
  let forced = false;

  const work = async (): Promise<void> => {
    if (deps.signer.status().kind === 'refused' || (await context.lease.hold()) === undefined) {
      state = undefined;
      return;
    }
    if (!state) {
      const opened: State = { ...(await openLog(context.stored)), checkpoint: await context.stored.checkpoint() };
      if (!(await signCheckpoint(opened, context))) return;
      state = opened;
    }
    for (let fence = await context.lease.hold(); fence !== undefined; fence = await context.lease.hold()) {
      if (!(await sealNext(state, fence, context))) break;
    }
    const wait = dueIn(state, context, forced);
    if (wait > 0) return wait === Number.POSITIVE_INFINITY ? undefined : later(wait);
    forced = false;
    await signCheckpoint(state, context);
  };
  return {
    force: () => {
      forced = true;
    },
    release: () => context.lease.release().catch(deps.report),
    // What is in memory after a fault may be ahead of what is stored.
    work: () =>
      work().catch((fault: unknown) => {
        state = undefined;
        deps.report(fault);
      }),
  };
}

/** Milliseconds until the next checkpoint: a grown log's soon, an unchanged one's as a heartbeat when its time has come. */
function dueIn({ tree, checkpoint }: State, { clock, config }: Context, forced: boolean): number {
  const age = clock() - (checkpoint?.signedAt ?? Number.NEGATIVE_INFINITY);
  if (tree.size > (checkpoint?.size ?? 0)) return forced ? 0 : Math.max(0, config.CHECKPOINT_INTERVAL_MS - age);
  return checkpoint && age >= HEARTBEAT_MS ? 0 : Number.POSITIVE_INFINITY;
}

/** False when the signer refused. An empty log has nothing to sign. */
async function signCheckpoint(state: State, { signer, anchors, clock, report, signed: told, log, stored }: Context): Promise<boolean> {
  const status = signer.status();
  const { size } = state.tree;
  if (size === 0 && status.kind === 'ready' && status.size === 0) return true;
  const entries = (from: number, to: number) => storedEntries(stored, from, to);
  const rows = createRowChain({ log, stored });
  const revision = await stored.checkpointRevision();
  const past = (at: number) => rootAt(at, stored.tile);
  const signed = await signer.sign({
    size,
    root: state.tree.root(),
    published: state.checkpoint?.note,
    entries,
    rows,
    rootAt: past,
    head: stored.head,
  });
  if (signed.kind === 'overtaken') throw overtaken();
  if (signed.kind === 'refused') {
    report(new AssentError('unavailable', signed.reason));
    return false;
  }
  const { cosignerKey } = signer;
  const next: CheckpointRecord = { size, note: signed.note, signedAt: clock(), ...(cosignerKey === undefined ? {} : { witnesses: [cosignerKey] }) };
  const name = { recordKind: kinds.checkpoint, id: kinds.checkpoint };
  // A process that slept here does not put its checkpoint in the place of a later one.
  if (!(await writeRecords(log, { ...name, revision }, [{ kind: 'put', ...name, value: next }]))) throw overtaken();
  state.checkpoint = next;
  told(next);
  const results = await Promise.allSettled(anchors.map((anchor) => anchor.anchor(next)));
  for (const result of results) if (result.status === 'rejected') report(result.reason);
  return true;
}

function overtaken(): AssentError {
  return new AssentError('conflict', 'Another process has sealed and signed more.');
}
