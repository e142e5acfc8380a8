/**
 * Walks over index entries in result order. Entries are fetched in growing slices, each continuing strictly after the last entry of
 * the one before, so many walks can be merged and any can be left at any time.
 */
import type { SQLInputValue } from 'node:sqlite';
import { compareKeys } from '../../search/expression.ts';
import type { StoredResource } from '../port.ts';
import { type Database, many, one } from './database.ts';

/**
 * One live resource found through an index. `keys` are packed: those the walk was told to read; null when the resource has none of the keys of one of
 * `having`.
 */
export type Entry = {
  readonly sort: number;
  readonly id: string;
  readonly rid: number;
  readonly keys: string | null;
  readonly row?: StoredResource;
  /** Of no resource: it stands for those that the index alone told apart, and says how many rows that is worth. */
  readonly passed?: number;
};

/** Counts rows towards the budget; false: it is used up. */
export type Charge = (count: number) => boolean;
export const OVER_BUDGET = 'over-budget';

export type Place = { readonly sort: number; readonly id: string };

export type Walk = {
  readonly type: string;
  readonly backward: boolean;
  readonly after: Place | undefined;
  /** Nothing outside is looked at. */
  readonly within?: Within | undefined;
} & Reading;

/** Of `sort`, ends included. */
export type Within = { readonly from: number; readonly to: number };

export type Reading = {
  /** Which keys are needed: the few that decide lie close together, to read all costs a look-up of the resource. */
  readonly keys: 'none' | 'deciding' | 'all';
  /** Criteria to check by seeking in the index: at least one key of each. */
  readonly having: readonly (readonly string[])[];
};

type EntryRow = readonly [sort: number, id: string, rid: number, keys: string | null];

/** Index entries that SQLite counts in the time of one row that is looked at. */
export const COUNTED_AS_ONE = 100;
/** To seek a key, in entries that are counted: hundreds of alternatives take their time where none of them has anything. */
export const SOUGHT = 100;
const FIRST_SLICE = 16;
const FIRST_OF_SPAN = 64;
const LARGEST_SLICE = 1_024;
const FIRST_COMPARED = 64;
const MOST_COMPARED = 4_096;
/** Entries that SQLite compares in the time of one row that is looked at. */
const COMPARED_AS_ONE = 10;
const EVERYWHERE: Within = { from: -Number.MAX_SAFE_INTEGER, to: Number.MAX_SAFE_INTEGER };
const BEHIND_ALL = '\u{10FFFF}';

/** Newest first, or the exact reversal when `backward`. */
export function* walkKey(database: Database, key: string, walk: Walk): Generator<Entry> {
  if (walk.having.length > 0) return yield* walkBoth(database, key, walk);
  yield* slices(database, KEY_WALKS[walk.keys][walk.backward ? 'backward' : 'forward'], { bound: [walk.type, key], walk });
}

/** Every entry with a key in from ≤ key < to, by key: a resource comes once for each key it has there. */
export function* walkRange(database: Database, { from, to }: Span, walk: Omit<Walk, 'backward' | 'after'>): Generator<Entry> {
  database.counted?.(SOUGHT);
  const sql = `SELECT k.sort, k.id, k.rid, ${keysColumn(walk)} FROM keys k WHERE k.type = ? AND k.key >= ? AND k.key < ?`;
  for (const row of database.statement(sql).iterate(...walk.having.flat(), walk.type, from, to)) yield toEntry(row as unknown as EntryRow);
}

type Span = { readonly from: string; readonly to: string };

/** The same in the order of walkKey. Each slice looks at all index entries of the span, and at no resource before it is its turn: for spans that are not long. */
export function* walkSpan(database: Database, { from, to }: Span, walk: Walk): Generator<Entry> {
  const span = `SELECT k.type, k.sort, k.id, k.rid FROM keys k WHERE k.type = ? AND k.key >= ? AND k.key < ? AND ${beyond(walk.backward)} LIMIT ?`;
  const sql = `WITH k AS MATERIALIZED (${span}) SELECT k.sort, k.id, k.rid, ${keysColumn(walk)} FROM k`;
  yield* slices(database, sql, { bound: [walk.type, from, to], walk, having: walk.having.flat(), first: FIRST_OF_SPAN });
}

export function* walkType(database: Database, walk: Walk): Generator<Entry> {
  const sql = `SELECT k.sort, k.id, k.rid, ${keysColumn(walk)} FROM resources k WHERE k.type = ? AND k.deleted = 0 AND ${beyond(walk.backward)} LIMIT ?`;
  yield* slices(database, sql, { bound: [...walk.having.flat(), walk.type], walk });
}

const KEYS = {
  none: "''",
  deciding: '(SELECT d.keys FROM deciding d WHERE d.rid = k.rid)',
  all: '(SELECT r.keys FROM resources r WHERE r.rid = k.rid)',
} as const;

function keysColumn({ keys, having }: Reading): string {
  const value = KEYS[keys];
  return having.length === 0 ? value : `CASE WHEN ${seeks(having)} THEN ${value} END`;
}

/** The commonest walks: the same text, not another one that is equal, is found at once among the statements. */
const KEY_WALKS = Object.fromEntries(
  (['none', 'deciding', 'all'] as const).map((keys) => {
    const sqlOf = (backward: boolean): string =>
      `SELECT k.sort, k.id, k.rid, ${KEYS[keys]} FROM keys k WHERE k.type = ? AND k.key = ? AND ${beyond(backward)} LIMIT ?`;
    return [keys, { forward: sqlOf(false), backward: sqlOf(true) }];
  }),
) as Record<Reading['keys'], { readonly forward: string; readonly backward: string }>;

/** Parameters: the keys of each. */
function seeks(having: Reading['having']): string {
  const seek = (some: readonly string[]): string =>
    `EXISTS (SELECT 1 FROM keys h WHERE h.type = k.type AND h.key IN (${some.map(() => '?').join()}) AND h.sort = k.sort AND h.id = k.id)`;
  return having.map(seek).join(' AND ');
}

function toEntry([sort, id, rid, keys]: EntryRow): Entry {
  return { sort, id, rid, keys };
}

/** Parameters: the place to go on from, and the `sort` to end with. */
function beyond(backward: boolean): string {
  return backward
    ? '(k.sort, k.id) < (?, ?) AND k.sort >= ? ORDER BY k.sort DESC, k.id DESC'
    : '(k.sort, k.id) > (?, ?) AND k.sort <= ? ORDER BY k.sort, k.id';
}

function endsOf({ backward, after, within = EVERYWHERE }: Walk): { readonly start: Place; readonly last: number } {
  const [start, last] = backward ? [{ sort: within.to, id: BEHIND_ALL }, within.from] : [{ sort: within.from, id: '' }, within.to];
  return { start: after && isFurther(after, start, backward) ? after : start, last };
}

function isFurther(place: Place, than: Place, backward: boolean): boolean {
  return backward ? compareEntries(place, than) < 0 : compareEntries(place, than) > 0;
}

type Slicing = { readonly bound: readonly SQLInputValue[]; readonly walk: Walk; readonly having?: readonly string[]; readonly first?: number };

function* slices(database: Database, sql: string, { bound, walk, having = [], first = FIRST_SLICE }: Slicing): Generator<Entry> {
  const { start: begin, last } = endsOf(walk);
  let start = begin;
  for (let size = first; ; size = Math.min(size * 4, LARGEST_SLICE)) {
    database.counted?.(SOUGHT);
    const rows = database.statement(sql).all(...bound, start.sort, start.id, last, size, ...having) as unknown as EntryRow[];
    for (const row of rows) yield toEntry(row);
    const end = rows.at(-1);
    if (!end || rows.length < size) return;
    start = { sort: end[0], id: end[1] };
  }
}

/**
 * What has the key and one of each of `having`, compared in the index alone: of what has the one and not the other no resource is looked at. Where there are
 * more than a few, each part of them begins where all have an entry left.
 */
function* walkBoth(database: Database, key: string, walk: Walk): Generator<Entry> {
  const { type, backward, having } = walk;
  const [past, upTo] = backward ? ['<', '>='] : ['>', '<='];
  const order = backward ? 'ORDER BY k.sort DESC, k.id DESC' : 'ORDER BY k.sort, k.id';
  const end = database.statement(`SELECT k.sort, k.id FROM keys k WHERE k.type = ? AND k.key = ? AND ${beyond(walk.backward)} LIMIT 1 OFFSET ?`);
  const found = database.statement(`SELECT k.sort, k.id, k.rid, ${keysColumn({ ...walk, having: [] })} FROM keys k
    WHERE k.type = ? AND k.key = ? AND (k.sort, k.id) ${past} (?, ?) AND (k.sort, k.id) ${upTo} (?, ?) AND ${seeks(having)} ${order}`);
  const { start: begin, last } = endsOf(walk);
  const each = `SELECT k.sort, k.id, k.rid, ${keysColumn(walk)} FROM keys k WHERE k.type = ? AND k.key = ? AND ${beyond(walk.backward)} LIMIT ?`;
  const few = many<EntryRow>(database.statement(each), ...having.flat(), type, key, begin.sort, begin.id, last, FIRST_COMPARED);
  for (const row of few) yield toEntry(row);
  let start: Place = { sort: few.at(-1)?.[0] ?? begin.sort, id: few.at(-1)?.[1] ?? begin.id };
  if (few.length < FIRST_COMPARED) return;
  for (let size = 4 * FIRST_COMPARED; ; size = Math.min(size * 4, MOST_COMPARED)) {
    const from = furthest(database, walk, { start, last });
    if (!from) return;
    const reached = one<[number, string]>(end, type, key, from.sort, from.id, last, size - 1);
    const [sort, id] = reached ?? [last, backward ? '' : BEHIND_ALL];
    for (const row of many<EntryRow>(found, type, key, from.sort, from.id, sort, id, ...having.flat())) yield toEntry(row);
    yield { sort, id, rid: -1, keys: null, passed: size / COMPARED_AS_ONE };
    if (!reached) return;
    start = { sort, id };
  }
}

/** The place just before which each of `having` has nothing more to pass; undefined: one of them has nothing left. */
function furthest(database: Database, walk: Walk, { start, last }: { readonly start: Place; readonly last: number }): Place | undefined {
  const { type, backward, having } = walk;
  const next = database.statement(`SELECT k.sort FROM keys k WHERE k.type = ? AND k.key = ? AND ${beyond(walk.backward)} LIMIT 1`);
  let place = start;
  for (const some of having) {
    const sorts = some.flatMap((key) => one<[number]>(next, type, key, start.sort, start.id, last) ?? []);
    if (sorts.length === 0) return undefined;
    const first = backward ? { sort: Math.max(...sorts), id: BEHIND_ALL } : { sort: Math.min(...sorts), id: '' };
    if (isFurther(first, place, backward)) place = first;
  }
  return place;
}

/** Live resources in id order, from just after `after`. */
export function* walkIds(database: Database, { type, backward, after }: Omit<Walk, keyof Reading>): Generator<Entry> {
  const beyond = backward ? 'id < ? ORDER BY id DESC' : 'id > ? ORDER BY id';
  const sql = `SELECT sort, id, rid, keys FROM resources WHERE type = ? AND deleted = 0 AND ${beyond} LIMIT ${LARGEST_SLICE}`;
  let place = after?.id ?? (backward ? BEHIND_ALL : '');
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
