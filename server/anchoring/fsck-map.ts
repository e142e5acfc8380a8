/**
 * Every logged root of the map of Consents made again from rows and public entries. ledger.md §3
 * Invariant: rows are taken in order, each once; what is erased keeps its reference and its leaf, so the map comes out the same.
 */
import { isErased, type LogEntry } from '../../ledger/entry.ts';
import { digestOf, leafHash } from '../../ledger/hash.ts';
import { createMap } from '../../ledger/map.ts';
import { mapRootOf, mapRootText, upToOf } from '../../ledger/map-root.ts';
import type { ReadRow } from './fsck-rows.ts';

/** Resolves with sentences about what is wrong. `entries`: the public ones of these rows. */
export type MapCheck = { take(rows: readonly ReadRow[], entries: readonly Uint8Array[]): readonly string[] };

type Replaced = { readonly at: number; readonly key: Uint8Array; readonly value: Uint8Array };

export function createMapCheck(): MapCheck {
  const map = createMap();
  const newest = new Map<string, Uint8Array>();
  let waiting: Replaced[] = [];
  let known = -1;

  const take = (reference: string, at: number, leaf: Uint8Array): void => {
    const key = newest.get(reference);
    if (key) waiting.push({ at, key, value: leaf });
    newest.set(reference, leaf);
  };
  const rootAt = (upTo: number): string => {
    const rest = waiting.findIndex(({ at }) => at >= upTo);
    const due = rest === -1 ? waiting : waiting.slice(0, rest);
    for (const { key, value } of due) map.set(key, value);
    waiting = rest === -1 ? [] : waiting.slice(rest);
    return digestOf(mapRootText(mapRootOf(upTo, map.root())));
  };
  const check = (entry: LogEntry, index: number): string[] => {
    const upTo = upToOf(entry);
    if (upTo === undefined || upTo > index || upTo <= known)
      return [`Entry ${index}: a root of the map of Consents must be about more entries than the one before, and about those before it alone.`];
    known = upTo;
    return rootAt(upTo) === entry.digest ? [] : [`Entry ${index}: the root of the map of Consents after ${upTo} entries is another.`];
  };
  return {
    take: (rows, entries) =>
      rows.flatMap(({ index, row }, i) => {
        if (!row) return [];
        if (!isErased(row) && row.kind === 'map-root') return check(row, index);
        if (row.reference.startsWith('Consent/')) take(row.reference, index, leafHash(entries[i] ?? Buffer.alloc(0)));
        return [];
      }),
  };
}
