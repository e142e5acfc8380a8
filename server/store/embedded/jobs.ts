/** What the main thread asks of the writer thread, in forms that are cheap to send: flat rows, packed keys, JSON text. */
import type { ErrorCode } from '../../errors.ts';
import type { Guard, LogRow, NewLogRow } from '../port.ts';
import type { ResourceColumns } from './rows.ts';

export type ResourceJob = ResourceColumns;

/** `value`: JSON text, or bytes. `lookup`: packed like keys. */
export type RecordPut = {
  readonly recordKind: string;
  readonly id: string;
  readonly value: string | Uint8Array;
  readonly lookup: string;
  readonly expires: number | null;
};
export type RecordDelete = { readonly recordKind: string; readonly id: string; readonly value?: undefined };

export type CommitJob = {
  readonly kind: 'commit';
  readonly guards: readonly Guard[];
  readonly resources: readonly ResourceJob[];
  readonly records: readonly (RecordPut | RecordDelete)[];
  readonly log: readonly NewLogRow[];
  readonly erase: readonly { readonly type: string; readonly id: string }[];
  readonly redact: readonly LogRow[];
  readonly bumpEpoch: boolean;
};

export type Job =
  /** Answered with the index of the first guard that failed, or COMMITTED. */
  | CommitJob
  /** Answered with the new revision, or null: conflict. `revision`: see RecordStore.put. */
  | { readonly kind: 'put'; readonly put: RecordPut; readonly revision: number | null | undefined }
  /** Answered with whether there was such a record. */
  | { readonly kind: 'delete'; readonly recordKind: string; readonly id: string }
  /** Answered with the fencing number, or null. */
  | { readonly kind: 'lease'; readonly name: string; readonly holder: string; readonly ttlMs: number }
  /** Answered with the number of rows written; null: the guard was not met; false: somebody else rewrote keys meanwhile. Of those nothing is written. */
  | { readonly kind: 'reindex'; readonly type: string; readonly rows: readonly ReindexRow[]; readonly guard: Guard | undefined }
  /** Answered with another number whenever another connection has committed since. */
  | { readonly kind: 'written-by-others' }
  /** Answered with true after a real commit. */
  | { readonly kind: 'check' };

/** `from`: the packed keys that the new ones were computed from. */
export type ReindexRow = readonly [id: string, version: string, sort: number, keys: string, from: string];

export const COMMITTED = -1;

/** `cause` is the database's own word for it: never a value. */
export type Failure = { readonly failed: ErrorCode; readonly cause: string };
export type Answer = number | boolean | null | Failure;

/** `now`: the clock's time when the batch was sent; the writer has no clock of its own. */
export type Batch = { readonly jobs: readonly Job[]; readonly now: number };
export type ToWriter = Batch | 'close';
/** One for all batches the writer took together, in order. */
export type FromWriter = 'ready' | readonly Answer[];
