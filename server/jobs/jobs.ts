/**
 * The job runner: takes queued jobs, a few at a time, runs their handlers, and lets whoever submitted them see how they stand.
 * fhir.md §3
 *
 * Invariants: of several processes one runs a job, until its hold on the job runs out; a job whose process was killed goes on from its last
 * checkpoint; to anyone but its owner a job is not there.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore, RecordValue } from '../store/port.ts';
import type { Job, JobHandler } from './job.ts';
import { createJobRecords, isOpen, type JobRecords, type Kept, type KeptJob } from './job-records.ts';
import { readFile } from './result.ts';
import { HOLD_MS, runJob, type Running, type Schedule } from './run.ts';

export type ListedJob = Pick<Job, 'id' | 'kind' | 'state' | 'progress' | 'submitted' | 'updated' | 'fault'>;

export type Jobs = {
  /** Before `start`. */
  handle(kind: string, handler: JobHandler): void;
  /** Resolves with the job's id once it will be run whatever happens. Throws AssentError('rate-limited') when the owner has too many under way. */
  submit(job: { readonly kind: string; readonly owner: string; readonly input: RecordValue }): Promise<string>;
  /** Undefined: there is none, or it is not this owner's. */
  find(id: string, owner: string): Promise<Job | undefined>;
  /** Of everybody, for operators: newest first, without what they were asked for and what they found. */
  list(limit: number): Promise<readonly ListedJob[]>;
  /** One text of a result; undefined when it is gone. */
  read(job: Job, file: string): Promise<string | undefined>;
  /** Whether there was a job to cancel. One that is over is forgotten. */
  cancel(id: string, owner: string): Promise<boolean>;
  /** The results of all jobs are gone when it resolves. */
  dropResults(): Promise<void>;
  start(): void;
  /** Resolves when nothing runs any more; what was under way is queued. */
  stop(): Promise<void>;
};

export type JobsDependencies = {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** No other process can be at work: what looks held is not. */
  readonly alone: boolean;
  readonly limits: {
    readonly atOnce: number;
    /** How long results are kept. */
    readonly keepMs: number;
    readonly resultBytes: number;
    /** Under way for one owner. */
    readonly perOwner: number;
  };
  /** Told of faults that are no one's answer. */
  readonly report: (fault: unknown) => void;
};

/** How often jobs of other processes, and those that wait, are looked for. */
const TICK_MS = 1_000;
/** More than enough to find one that can be taken. */
const LOOKED_AT = 50;
/** Runs that saved nothing: whatever ends them would end the next. */
const MOST_VAIN = 5;

export function createJobs(deps: JobsDependencies): Jobs {
  const { clock, limits } = deps;
  const records = createJobRecords(deps.records);
  const handlers = new Map<string, JobHandler>();
  const running = new Map<string, Running>();
  const taking = createTaking(deps, { records, handlers, running });

  async function found(id: string, owner: string): Promise<KeptJob | undefined> {
    const job = await records.get(id);
    return job?.kept.owner === owner ? job : undefined;
  }

  return {
    handle: (kind, handler) => void handlers.set(kind, handler),
    async submit({ kind, owner, input }) {
      if ((await records.open(limits.perOwner, owner)).length >= limits.perOwner)
        throw new AssentError('rate-limited', `No more than ${limits.perOwner} jobs may be under way for one caller.`, { retryAfter: 10 });
      const id = randomBytes(16).toString('hex');
      await records.add(id, queued({ kind, owner, now: clock() }), input);
      taking.look();
      return id;
    },
    async find(id, owner) {
      const job = await found(id, owner);
      return job && job.kept.state !== 'cancelled' ? shown(job) : undefined;
    },
    list: (limit) => listed(records, limit),
    read: (job, file) => readFile(records, job.files, file),
    async cancel(id, owner) {
      for (;;) {
        const job = await found(id, owner);
        if (!job || job.kept.state === 'cancelled') return false;
        const over: Kept = { ...job.kept, state: 'cancelled', files: {}, result: undefined, checkpoint: undefined, updated: clock() };
        if (!(await records.put(job, over, clock() + limits.keepMs))) continue;
        running.get(id)?.end('cancelled');
        return true;
      }
    },
    dropResults: () => records.dropResults(),
    start: taking.start,
    stop: taking.stop,
  };
}

async function listed(records: JobRecords, limit: number): Promise<readonly ListedJob[]> {
  const jobs = (await records.all()).toSorted((a, b) => b.kept.submitted - a.kept.submitted).slice(0, limit);
  return jobs.map(({ id, kept: { kind, state, progress, submitted, updated, fault } }) => ({ id, kind, state, progress, submitted, updated, fault }));
}

type Parts = { readonly records: JobRecords; readonly handlers: ReadonlyMap<string, JobHandler>; readonly running: Map<string, Running> };

/** Looks for jobs when there may be some, one look at a time. */
function createTaking(
  deps: JobsDependencies,
  parts: Parts,
): { readonly look: () => void; readonly start: () => void; readonly stop: () => Promise<void> } {
  const { schedule, limits, report } = deps;
  const { records, running } = parts;
  const holder = randomBytes(8).toString('hex');
  let open = false;
  let looking: Promise<void> | undefined;
  let cancelTick: (() => void) | undefined;

  async function lookNow(): Promise<void> {
    const waiting = (await records.open(LOOKED_AT)).filter((job) => isFree(job, { ...deps, ...parts, holder }));
    for (const job of waiting.sort((a, b) => a.kept.submitted - b.kept.submitted)) {
      if (!open || running.size >= limits.atOnce) return;
      const run = await take(job, { ...deps, ...parts, holder });
      if (!run) continue;
      running.set(job.id, run);
      void run.ended.catch(report).finally(() => {
        running.delete(job.id);
        look();
      });
    }
  }

  function look(): void {
    if (!open || looking || running.size >= limits.atOnce) return;
    looking = lookNow()
      .catch(report)
      .finally(() => {
        looking = undefined;
      });
  }

  const tick = (): void => {
    cancelTick = schedule(TICK_MS, () => {
      tick();
      look();
    });
  };

  return {
    look,
    start() {
      open = true;
      tick();
      look();
    },
    async stop() {
      open = false;
      cancelTick?.();
      await looking;
      for (const run of running.values()) run.end('stopping');
      await Promise.allSettled([...running.values()].map(({ ended }) => ended));
    },
  };
}

/** `holder`: the name of this process. */
type Taker = Omit<JobsDependencies, 'records'> & Parts & { readonly holder: string };

/** Held by this process: in its hands. Held by an earlier one that is no more: free at once where no other can be. */
function isFree({ id, kept }: KeptJob, { running, handlers, clock, alone, holder }: Taker): boolean {
  if (running.has(id) || !handlers.has(kept.kind)) return false;
  return kept.heldUntil <= clock() || (alone && kept.state === 'running' && kept.holder !== holder);
}

/** Undefined: somebody else was first, or it is given up. */
async function take(job: KeptJob, deps: Taker): Promise<Running | undefined> {
  const { records, handlers, clock, limits, holder } = deps;
  const { kind, runs, vain } = job.kept;
  const handler = handlers.get(kind);
  if (!handler) return undefined;
  if (vain >= MOST_VAIN) {
    await records.put(job, { ...job.kept, state: 'failed', fault: { code: 'internal', issues: [] }, updated: clock() }, clock() + limits.keepMs);
    return undefined;
  }
  const mine: Kept = { ...job.kept, state: 'running', holder, heldUntil: clock() + HOLD_MS, runs: runs + 1, vain: vain + 1, updated: clock() };
  const taken = await records.put(job, mine);
  return taken && runJob({ ...deps, handler }, taken);
}

function queued({ kind, owner, now }: { readonly kind: string; readonly owner: string; readonly now: number }): Kept {
  return {
    kind,
    owner,
    state: 'queued',
    progress: 'waiting',
    submitted: now,
    updated: now,
    result: undefined,
    files: {},
    fault: undefined,
    checkpoint: undefined,
    holder: '',
    heldUntil: 0,
    runs: 0,
    vain: 0,
  };
}

function shown({ id, expires, kept }: KeptJob): Job {
  const { kind, owner, state, progress, submitted, updated, result, files, fault } = kept;
  return { id, kind, owner, state, progress: isOpen(kept) ? progress : '', submitted, updated, expires, result, files, fault };
}
