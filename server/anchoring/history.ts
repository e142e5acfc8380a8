/**
 * How the log grew, from the log itself: some of its rows, by when they were recorded. Nothing is kept for it.
 * Invariant: only times and numbers of entries leave this file.
 */
import { parseRow } from '../../ledger/entry.ts';
import type { LogRows } from './log-port.ts';
import type { LogRecords } from './log-records.ts';

/** The log had `value` entries at `at` (ms since 1970). */
export type Growth = { readonly at: number; readonly value: number };

export type LogHistory = {
  /** In the order of time, from `since` (absent: the first entry) to the newest; at most `most` points. */
  growth(asked: { readonly since?: number | undefined; readonly most: number }): Promise<readonly Growth[]>;
};

export function createLogHistory({ log, stored }: { readonly log: LogRows; readonly stored: Pick<LogRecords, 'head'> }): LogHistory {
  const recordedAt = async (index: number): Promise<number> => {
    const [row] = await log.readLog(index, 1);
    return row ? Date.parse(parseRow(row.entry).occurredAt) : Number.POSITIVE_INFINITY;
  };
  /** The first entry recorded then or later. */
  const firstSince = async (since: number, head: number): Promise<number> => {
    let [low, high] = [0, head];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((await recordedAt(middle)) < since) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    async growth({ since, most }) {
      const head = await stored.head();
      const first = since === undefined ? 0 : await firstSince(since, head);
      const count = Math.min(most, head - first);
      const step = count > 1 ? (head - 1 - first) / (count - 1) : 0;
      const indexes = Array.from({ length: Math.max(0, count) }, (_, i) => Math.round(first + i * step));
      return Promise.all(indexes.map(async (index) => ({ at: await recordedAt(index), value: index + 1 })));
    },
  };
}
