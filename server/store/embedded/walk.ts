/**
 * Walks over index entries in result order. Entries are fetched in growing slices, each continuing strictly after the last entry of
 * the one before, so many walks can be merged and any can be left at any time.
 */
import type { SQLInputValue } from 'node:sqlite';
import { compareKeys } from '../../search/expression.ts';
import type { StoredResource } from '../port.ts';
import { type Database, many } from './database.ts';

/**
 * One live resource found through an index. `keys` are packed: those the walk was told to read; null when the resource has none of the keys of one of
 * `having`.
 */
export type Entry = { readonly sort: number; readonly id: string; readonly rid: number; readonly keys: string | null; readonly row?: StoredResource };

/** Counts rows towards the budget; false: it is used up. */
export type Charge = (count: number) => boolean;
export const OVER_BUDGET = 'over-budget';

export type Place = { readonly sort: number; readonly id: string };

export type Walk = {
  readonly type: string;
  readonly backward: boolean;
  readonly after: Place | undefined;
} & Reading;

export type Reading = {
  /** Which keys are needed: the few that decide lie close together, to read all costs a look-up of the resource. */
  readonly keys: 'none' | 'deciding' | 'all';
  /** Criteria to check by seeking in the index: at least one key of each. */
  readonly having: readonly (readonly string[])[];
};

type EntryRow = readonly [sort: number, id: string, rid: number, keys: string | null];

const FIRST_SLICE = 16;
const LARGEST_SLICE = 1_024;
const START: Place = { sort: -Number.MAX_SAFE_INTEGER, id: '' };
const END: Place = { sort: Number.MAX_SAFE_INTEGER, id: '' };

/** Newest first, or the exact reversal when `backward`. */
export function* walkKey(database: Database, key: string, walk: Walk): Generator<Entry> {
  const beyond = walk.backward ? '(k.sort, k.id) < (?, ?) ORDER BY k.sort DESC, k.id DESC' : '(k.sort, k.id) > (?, ?) ORDER BY k.sort, k.id';
  const sql = `SELECT k.sort, k.id, k.rid, ${keysColumn(walk)} FROM keys k WHERE k.type = ? AND k.key = ? AND ${beyond} LIMIT ?`;
  yield* slices(database, sql, [...walk.having.flat(), walk.type, key], walk);
}

/** Every entry with a key in from ≤ key < to, by key: a resource comes once for each key it has there. */
export function* walkRange(database: Database, { from, to }: { from: string; to: string }, walk: Omit<Walk, 'backward' | 'after'>): Generator<Entry> {
  const sql = `SELECT k.sort, k.id, k.rid, ${keysColumn(walk)} FROM keys k WHERE k.type = ? AND k.key >= ? AND k.key < ?`;
  for (const row of database.statement(sql).iterate(...walk.having.flat(), walk.type, from, to)) yield toEntry(row as unknown as EntryRow);
}

const KEYS = {
  none: "''",
  deciding: '(SELECT d.keys FROM deciding d WHERE d.rid = k.rid)',
  all: '(SELECT r.keys FROM resources r WHERE r.rid = k.rid)',
} as const;

function keysColumn({ keys, having }: Reading): string {
  const value = KEYS[keys];
  const seeks = having.map(
    (some) => `EXISTS (SELECT 1 FROM keys h WHERE h.type = k.type AND h.key IN (${some.map(() => '?').join()}) AND h.sort = k.sort AND h.id = k.id)`,
  );
  return seeks.length === 0 ? value : `CASE WHEN ${seeks.join(' AND ')} THEN ${value} END`;
}

function toEntry([sort, id, rid, keys]: EntryRow): Entry {
  return { sort, id, rid, keys };
}

export function* walkType(database: Database, walk: Walk): Generator<Entry> {
  const beyond = walk.backward ? '(sort, id) < (?, ?) ORDER BY sort DESC, id DESC' : '(sort, id) > (?, ?) ORDER BY sort, id';
  const sql = `SELECT sort, id, rid, ${keysColumn(walk)} FROM resources k WHERE type = ? AND deleted = 0 AND ${beyond} LIMIT ?`;
  yield* slices(database, sql, [...walk.having.flat(), walk.type], walk);
}

function* slices(database: Database, sql: string, bound: readonly SQLInputValue[], { backward, after }: Walk): Generator<Entry> {
  let place = after ?? (backward ? END : START);
  for (let size = FIRST_SLICE; ; size = Math.min(size * 4, LARGEST_SLICE)) {
    const rows = database.statement(sql).all(...bound, place.sort, place.id, size) as unknown as EntryRow[];
    for (const row of rows) yield toEntry(row);
    const last = rows.at(-1);
    if (!last || rows.length < size) return;
    place = { sort: last[0], id: last[1] };
  }
}

/** Live resources in id order, from just after `after`. */
export function* walkIds(database: Database, { type, backward, after }: Omit<Walk, keyof Reading>): Generator<Entry> {
  const beyond = backward ? 'id < ? ORDER BY id DESC' : 'id > ? ORDER BY id';
  const sql = `SELECT sort, id, rid, keys FROM resources WHERE type = ? AND deleted = 0 AND ${beyond} LIMIT ${LARGEST_SLICE}`;
  let place = after?.id ?? (backward ? '\u{10FFFF}' : '');
  for (;;) {
    const rows = many<EntryRow>(database.statement(sql), type, place);
    for (const row of rows) yield toEntry(row);
    const last = rows.at(-1);
    if (!last || rows.length < LARGEST_SLICE) return;
    place = last[1];
  }
}

/** Newest first, ids ascending. */
export function compareEntries(a: Place, b: Place): number {
  return a.sort - b.sort || compareKeys(a.id, b.id);
}

/** One ordered walk out of several; equal items of different walks stay apart. */
export function* merge<T>(walks: readonly Generator<T>[], compare: (a: T, b: T) => number): Generator<T> {
  const heads = walks.flatMap((walk) => advance(walk));
  while (heads.length > 0) {
    let least = 0;
    for (let i = 1; i < heads.length; i++) if (compare((heads[i] as Head<T>).item, (heads[least] as Head<T>).item) < 0) least = i;
    const head = heads[least] as Head<T>;
    yield head.item;
    const [next] = advance(head.walk);
    if (next) heads[least] = next;
    else heads.splice(least, 1);
  }
}

type Head<T> = { readonly item: T; readonly walk: Generator<T> };

function advance<T>(walk: Generator<T>): Head<T>[] {
  const { done, value } = walk.next();
  return done ? [] : [{ item: value as T, walk }];
}
