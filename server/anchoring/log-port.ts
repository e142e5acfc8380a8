/**
 * What anchoring needs of a store: the committed log rows, the lease, and commits of records alone. Every engine's ResourceStore fits;
 * nothing here can reach a resource.
 */
import type { LogRow, RecordWrite } from '../store/port.ts';

/** The record does not exist yet: the compare-and-swap of the log. */
type AbsentGuard = { readonly kind: 'record'; readonly recordKind: string; readonly id: string; readonly revision: null };

export type LogRows = { readLog(from: number, limit: number): Promise<readonly LogRow[]> };

export type LogStore = LogRows & {
  lease(name: string, holder: string, ttlMs: number): Promise<number | undefined>;
  commit(writes: {
    readonly guards: readonly AbsentGuard[];
    readonly resources: readonly never[];
    readonly records: readonly RecordWrite[];
    readonly log: readonly never[];
    readonly bumpEpoch: false;
  }): Promise<{ readonly kind: 'committed' } | { readonly kind: 'conflict' }>;
};

/** Writes records together, if none with this id exists. Resolves with whether it did. */
export async function insertRecords(
  log: LogStore,
  guard: { readonly recordKind: string; readonly id: string } | undefined,
  records: readonly RecordWrite[],
): Promise<boolean> {
  const guards = guard ? [{ kind: 'record' as const, ...guard, revision: null }] : [];
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
