/**
 * Jobs as records: one of kind `job` for what it is and where it stands, one for its input, one for each chunk of its result.
 *
 * Invariant: every change of a job is made at the revision it was read at. That is the fence: a process that slept while another took its
 * job over cannot write to it any more, and chunks carry the number of their run.
 */
import type { RecordStore, RecordValue } from '../store/port.ts';
import type { Job } from './job.ts';

const JOB = 'job';
const INPUT = 'job-input';
const CHUNK = 'job-result';
/** Finds jobs with work to do. */
const OPEN = 'open';
const MOST_JOBS = 10_000;

export type Kept = Omit<Job, 'id' | 'expires'> & {
  readonly checkpoint: RecordValue | undefined;
  /** The process that runs it, and until when nobody else may. */
  readonly holder: string;
  readonly heldUntil: number;
  /** Runs so far, and those since something was saved. */
  readonly runs: number;
  readonly vain: number;
};

export type KeptJob = { readonly id: string; readonly revision: number; readonly kept: Kept; readonly expires: number | undefined };

export type JobRecords = {
  get(id: string): Promise<KeptJob | undefined>;
  /** The job as it is after; undefined: somebody else changed it. */
  put(before: KeptJob, kept: Kept, expires?: number): Promise<KeptJob | undefined>;
  add(id: string, kept: Kept, input: RecordValue): Promise<void>;
  input(id: string): Promise<RecordValue | undefined>;
  open(limit: number, owner?: string): Promise<readonly KeptJob[]>;
  /** As many as are kept, which is not for long. */
  all(): Promise<readonly KeptJob[]>;
  putChunk(id: string, bytes: Uint8Array, expires: number): Promise<void>;
  chunk(id: string): Promise<Uint8Array | undefined>;
  /** Every result and the inputs of jobs that are over. */
  dropResults(): Promise<void>;
};

export function isOpen({ state }: Pick<Kept, 'state'>): boolean {
  return state === 'queued' || state === 'running';
}

export function createJobRecords(records: RecordStore): JobRecords {
  const lookupOf = (kept: Kept): readonly string[] => (isOpen(kept) ? [OPEN, `${OPEN}:${kept.owner}`] : []);
  return {
    async get(id) {
      const found = await records.get(JOB, id);
      return found && kept(found);
    },
    async put({ id, revision }, next, expires) {
      const lookup = lookupOf(next);
      const done = await records.put(JOB, id, written(next), { revision, lookup, ...(expires === undefined ? {} : { expires }) });
      if (done.kind === 'conflict') return undefined;
      // What was asked may name people: it is kept no longer than it is needed.
      if (!isOpen(next)) await records.delete(INPUT, id);
      return { id, revision: done.revision, kept: next, expires };
    },
    async add(id, first, input) {
      await records.put(INPUT, id, input);
      await records.put(JOB, id, written(first), { revision: null, lookup: lookupOf(first) });
    },
    input: async (id) => (await records.get(INPUT, id))?.value,
    async open(limit, owner) {
      const lookup = owner === undefined ? OPEN : `${OPEN}:${owner}`;
      return (await records.list(JOB, { lookup, limit })).map(kept);
    },
    all: async () => (await records.list(JOB, { limit: MOST_JOBS })).map(kept),
    async putChunk(id, bytes, expires) {
      await records.put(CHUNK, id, bytes, { expires });
    },
    chunk: async (id) => (await records.get(CHUNK, id))?.value as Uint8Array | undefined,
    async dropResults() {
      for (let some = await records.list(CHUNK, { limit: 1 }); some.length > 0; some = await records.list(CHUNK, { limit: 1 }))
        for (const { id } of some) await records.delete(CHUNK, id);
    },
  };
}

/** As JSON keeps it: what is undefined is not there. */
function written(value: Kept): RecordValue {
  return JSON.parse(JSON.stringify(value)) as RecordValue;
}

function kept(record: {
  readonly id: string;
  readonly value: RecordValue;
  readonly revision: number;
  readonly expires: number | undefined;
}): KeptJob {
  const { id, revision, expires } = record;
  return { id, revision, expires, kept: record.value as unknown as Kept };
}
