/**
 * What a job is: work that outlives its request, kept as a record, and what its handler is given. fhir.md §1 (respond-async), §3
 *
 * Invariant: a handler may be run again from its last saved checkpoint, by any process; what it does twice must do no harm.
 */
import type { Issue } from '../errors.ts';
import type { RecordValue } from '../store/port.ts';

/** Anything JSON can say. */
export type JobInput = RecordValue;

export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

/** Texts by name, each as the ids of its chunks in order. */
export type Files = Readonly<Record<string, readonly string[]>>;

export type Job = {
  readonly id: string;
  readonly kind: string;
  /** Who may see it: an opaque word of whoever submitted it. */
  readonly owner: string;
  readonly state: JobState;
  /** For people, at most some words. */
  readonly progress: string;
  /** ms since 1970. */
  readonly submitted: number;
  readonly updated: number;
  /** When the record and its results go; undefined while there is work to do. */
  readonly expires: number | undefined;
  /** What the handler returned, of a job that is done. */
  readonly result: RecordValue | undefined;
  readonly files: Files;
  /** Of one that failed: never data, only words of ours. */
  readonly fault: { readonly code: string; readonly issues: readonly Issue[] } | undefined;
};

export type JobContext = {
  /** What was saved last, by this run or an earlier one. */
  readonly checkpoint: RecordValue | undefined;
  /** Durable when it resolves, with what was written before. Throws when this run is over: cancelled, stopping, or taken over by another process. */
  save(checkpoint: RecordValue, progress?: string): Promise<void>;
  /** Told to whoever asks; kept with the next heartbeat. */
  progress(text: string): void;
  /** Appends to a text of the result. Throws AssentError('too-costly') beyond the size limit. */
  write(file: string, text: string): Promise<void>;
  /** Aborted when this run is over. */
  readonly cancelled: AbortSignal;
};

export type JobHandler = {
  run(input: JobInput, context: JobContext): Promise<RecordValue>;
  /** Asked before the run and with every heartbeat: false ends the job for good. */
  mayRun?(input: JobInput): Promise<boolean>;
};
