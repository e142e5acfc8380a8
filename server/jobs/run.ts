/**
 * One run of one job: its handler, its heartbeat, and what is written down when it ends.
 *
 * Invariant: nothing is written to a job that another process has taken or its owner has cancelled; then the run is over and told so.
 */
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { RecordValue } from '../store/port.ts';
import type { JobContext, JobHandler } from './job.ts';
import type { JobRecords, Kept, KeptJob } from './job-records.ts';
import { createResultWriter } from './result.ts';

/** Calls back once after so many ms; the function returned prevents it. */
export type Schedule = (ms: number, run: () => void) => () => void;

export type Running = {
  /** Why it shall end: it is over for good, or this process stops and another run will go on. */
  end(reason: Reason): void;
  readonly ended: Promise<void>;
};

type Reason = 'cancelled' | 'stopping' | 'lost' | 'forbidden';

export const HOLD_MS = 15_000;
/** Before what is unavailable is tried again. */
const PAUSE_MS = 5_000;

type Dependencies = {
  readonly records: JobRecords;
  readonly handler: JobHandler;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly limits: { readonly keepMs: number; readonly resultBytes: number };
  readonly report: (fault: unknown) => void;
};

export function runJob(deps: Dependencies, taken: KeptJob): Running {
  const aborting = new AbortController();
  let reason: Reason | undefined;
  const end = (why: Reason): void => {
    reason ??= why;
    aborting.abort();
  };
  const hold = createHold(deps, taken, { end, isOver: () => reason === 'cancelled' || reason === 'lost' });
  const ended = work(deps, taken, { hold, signal: aborting.signal, reasonOf: () => reason, end });
  return { end, ended };
}

type Hold = {
  /** Changes the job, if it is still ours. */
  write(change: Partial<Kept>): Promise<void>;
  /** The last change of this run. */
  finish(change: Partial<Kept>, expires?: number): Promise<void>;
  current(): Kept;
};

/** Writes one after the other, each at the revision the one before left. */
function createHold(
  { records, clock }: Dependencies,
  taken: KeptJob,
  { end, isOver }: { readonly end: (reason: Reason) => void; readonly isOver: () => boolean },
): Hold {
  let job = taken;
  let last: Promise<unknown> = Promise.resolve();
  let finished = false;
  const now = async (change: Partial<Kept>, expires?: number): Promise<void> => {
    if (isOver()) return;
    const next = await records.put(job, { ...job.kept, heldUntil: clock() + HOLD_MS, updated: clock(), ...change }, expires);
    if (next) job = next;
    else end('lost');
  };
  const inTurn = (writing: () => Promise<void>): Promise<void> => {
    const written = last.then(writing);
    last = written.catch(() => undefined);
    return written;
  };
  return {
    write: (change) => inTurn(async () => (finished ? undefined : now(change))),
    finish: (change, expires) =>
      inTurn(async () => {
        finished = true;
        await now(change, expires);
      }),
    current: () => job.kept,
  };
}

type Work = {
  readonly hold: Hold;
  readonly signal: AbortSignal;
  readonly reasonOf: () => Reason | undefined;
  readonly end: (reason: Reason) => void;
};

async function work(deps: Dependencies, { id, kept }: KeptJob, { hold, signal, reasonOf, end }: Work): Promise<void> {
  const { records, handler, clock, limits } = deps;
  const expires = () => clock() + limits.keepMs;
  const results = createResultWriter({ records, prefix: `${id}/${kept.runs}`, files: kept.files, mostBytes: limits.resultBytes, expires });
  const input = (await records.input(id)) ?? null;
  let progress = kept.progress;
  const stopBeating = beat(deps, { input, hold, end, progress: () => progress });
  const context: JobContext = {
    checkpoint: kept.checkpoint,
    async save(checkpoint, text) {
      progress = text ?? progress;
      signal.throwIfAborted();
      await hold.write({ checkpoint, files: await results.flush(), progress, vain: 0 });
      signal.throwIfAborted();
    },
    progress: (text) => {
      progress = text;
    },
    write: results.write,
    cancelled: signal,
  };
  try {
    if (!(await mayRun(handler, input))) end('forbidden');
    signal.throwIfAborted();
    const result = await handler.run(input, context);
    if (!(await mayRun(handler, input))) end('forbidden');
    if (reasonOf() === 'forbidden') throw new AssentError('forbidden');
    await hold.finish({ state: 'done', result, files: await results.flush(), checkpoint: undefined }, expires());
  } catch (error) {
    await conclude(deps, { hold, reason: reasonOf() }, error);
  } finally {
    stopBeating();
  }
}

async function mayRun({ mayRun: ask }: JobHandler, input: RecordValue): Promise<boolean> {
  return ask ? ask(input) : true;
}

/** How a run that did not come to its end is written down. */
async function conclude(
  { clock, limits, report }: Dependencies,
  { hold, reason }: { readonly hold: Hold; readonly reason: Reason | undefined },
  error: unknown,
): Promise<void> {
  switch (reason) {
    case 'cancelled':
    case 'lost':
      return;
    case 'stopping':
      // Not its fault: the next run may be the first again.
      await hold.finish({ state: 'queued', holder: '', heldUntil: 0, vain: Math.max(0, hold.current().vain - 1) });
      return;
    case 'forbidden':
    case undefined:
      break;
  }
  const known = error instanceof AssentError && reason === undefined ? error : new AssentError(reason === undefined ? 'internal' : 'forbidden');
  if (known.code === 'unavailable') {
    await hold.finish({ state: 'queued', holder: '', heldUntil: clock() + PAUSE_MS });
    return;
  }
  if (known.code === 'internal') report(error);
  const fault = { code: known.code, issues: known.issues };
  await hold.finish({ state: 'failed', fault, files: {}, checkpoint: undefined }, clock() + limits.keepMs);
}

type Beating = { readonly input: RecordValue; readonly hold: Hold; readonly end: (reason: Reason) => void; readonly progress: () => string };

/** Renews the hold in time, asks whether the job may go on, and tells how far it is. */
function beat({ handler, schedule, report }: Dependencies, { input, hold, end, progress }: Beating): () => void {
  let stopped = false;
  let cancel: (() => void) | undefined;
  const once = async (): Promise<void> => {
    if (!(await mayRun(handler, input))) end('forbidden');
    else if (!stopped) await hold.write({ progress: progress() });
  };
  const next = (): void => {
    cancel = schedule(HOLD_MS / 3, () => {
      if (stopped) return;
      next();
      void once().catch(report);
    });
  };
  next();
  return () => {
    stopped = true;
    cancel?.();
  };
}
