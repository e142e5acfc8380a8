/**
 * What anchoring needs of a store: the committed log rows, the lease, and commits of records alone, or with the one row that anchoring adds to the
 * log itself: a root of the map of Consents, or a new key of the log. Every engine's ResourceStore fits; nothing here can reach a resource.
 */
import { type LogEntry, logRow } from '../../ledger/entry.ts';
import { type MAP_REFERENCE, mapRootEntry, type MapRoot } from '../../ledger/map-root.ts';
import type { LogRow, RecordWrite } from '../store/port.ts';

/** The compare-and-swap of the log: the record is at this revision; null: it does not exist yet. */
export type RecordGuard = { readonly kind: 'record'; readonly recordKind: string; readonly id: string; readonly revision: number | null };

export type LogRows = { readLog(from: number, limit: number): Promise<readonly LogRow[]> };

/** As logRow names it. */
type MapRow = { readonly key: `${typeof MAP_REFERENCE} map-root ${string}`; readonly entry: string };

/** As logRow names it. */
type RotationRow = { readonly key: `LogKey/${string} log-key-rotated ${string}`; readonly entry: string };

export type LogStore = LogRows & {
  lease(name: string, holder: string, ttlMs: number): Promise<number | undefined>;
  commit(writes: {
    readonly guards: readonly RecordGuard[];
    readonly resources: readonly never[];
    readonly records: readonly RecordWrite[];
    readonly log: readonly (MapRow | RotationRow)[];
    readonly bumpEpoch: false;
  }): Promise<{ readonly kind: 'committed' } | { readonly kind: 'conflict' }>;
};

/** Writes records together, if the guard is met. Resolves with whether it was. */
export async function writeRecords(log: LogStore, guard: Omit<RecordGuard, 'kind'>, records: readonly RecordWrite[]): Promise<boolean> {
  const guards = [{ kind: 'record' as const, ...guard }];
  return (await log.commit({ guards, resources: [], records, log: [], bumpEpoch: false })).kind === 'committed';
}

/** Writes a record and, with it, the row of a root of the map; `at`: ISO instant. Resolves with whether the guard was met. */
export async function writeMapRoot(
  log: LogStore,
  guard: Omit<RecordGuard, 'kind'>,
  { root, at, record }: { readonly root: MapRoot; readonly at: string; readonly record: RecordWrite },
): Promise<boolean> {
  const row = logRow(mapRootEntry(root, at)) as MapRow;
  const guards = [{ kind: 'record' as const, ...guard }];
  return (await log.commit({ guards, resources: [], records: [record], log: [row], bumpEpoch: false })).kind === 'committed';
}

/** Writes the statement by which the log's key is replaced and, with it, its row. Resolves with whether the guard was met. */
export async function writeRotation(
  log: LogStore,
  guard: Omit<RecordGuard, 'kind'>,
  { entry, record }: { readonly entry: LogEntry; readonly record: RecordWrite },
): Promise<boolean> {
  const row = logRow(entry) as RotationRow;
  const guards = [{ kind: 'record' as const, ...guard }];
  return (await log.commit({ guards, resources: [], records: [record], log: [row], bumpEpoch: false })).kind === 'committed';
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
