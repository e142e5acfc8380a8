/**
 * What anchoring needs of a store: the committed log rows, the lease, and commits of records alone. Every engine's ResourceStore fits;
 * nothing here can reach a resource.
 */
import type { LogRow, RecordWrite } from '../store/port.ts';

/** The compare-and-swap of the log: the record is at this revision; null: it does not exist yet. */
export type RecordGuard = { readonly kind: 'record'; readonly recordKind: string; readonly id: string; readonly revision: number | null };

export type LogRows = { readLog(from: number, limit: number): Promise<readonly LogRow[]> };

export type LogStore = LogRows & {
  lease(name: string, holder: string, ttlMs: number): Promise<number | undefined>;
  commit(writes: {
    readonly guards: readonly RecordGuard[];
    readonly resources: readonly never[];
    readonly records: readonly RecordWrite[];
    readonly log: readonly never[];
    readonly bumpEpoch: false;
  }): Promise<{ readonly kind: 'committed' } | { readonly kind: 'conflict' }>;
};

/** Writes records together, if the guard is met. Resolves with whether it was. */
export async function writeRecords(log: LogStore, guard: Omit<RecordGuard, 'kind'>, records: readonly RecordWrite[]): Promise<boolean> {
  const guards = [{ kind: 'record' as const, ...guard }];
  return (await log.commit({ guards, resources: [], records, log: [], bumpEpoch: false })).kind === 'committed';
}

const SLICE = 1000;

/** Log rows [from, to), in order; ends early where one is missing. */
export async function* rowsBetween(log: LogRows, from: number, to: number): AsyncGenerator<LogRow> {
  for (let at = from; at < to; ) {
    const rows = await log.readLog(at, Math.min(SLICE, to - at));
    if (rows.length === 0 || rows.some(({ index }, i) => index !== at + i)) return;
    yield* rows;
    at += rows.length;
  }
}
