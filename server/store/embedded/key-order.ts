/**
 * Order by keys: the keys of a parameter are ordered by its value, so either a selective driver is collected and sorted, or the first
 * parameter's own keys are walked and filtered, what is equal there being sorted by the others (storage.md §1). Resources without such a
 * key are walked in id order. Where there are keys of what matches alone, they are walked in place of the parameter's own.
 *
 * Invariant: each resource comes once, at its least (ascending) or greatest (descending) key with the prefix.
 */
import { compareKeys, type Expression, successor } from '../../search/expression.ts';
import { type Choice, isIndexed } from '../driver.ts';
import {
  comparePositions,
  type Heads,
  type KeyOrder,
  type KeyPosition,
  keyPlace,
  keySortedAs,
  positionOf,
  sortedAs,
  sortKeyOf,
} from '../key-order.ts';
import { holdsPacked } from '../packed-check.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { Query, SortKey } from '../port.ts';
import { checkOf, collect, noting, pick, sizeOf, type Through, wholeOf } from './candidates.ts';
import type { Database } from './database.ts';
import { packedKeys } from './rows.ts';
import { type Charge, type Entry, merge, OVER_BUDGET, walkIds, walkKey, walkType } from './walk.ts';

export type Found = { readonly entry: Entry; readonly sort: number | readonly (string | null)[] } | typeof OVER_BUDGET;

/** Above this many entries, walking the parameter's keys beats sorting. */
const MOST_SORTED = 2_000;
/** Walking keys of matches alone costs more than sorting so few of them, or so many times fewer than there are such keys. */
const FEW_SORTED = 100;
const SOME_SORTED = 900;
const FEWER = 8;
/** Of more, those without a value are found sooner by id. */
const MOST_LACKING = 5_000;
/** Of more resources with one and the same key, those that follow are found sooner by id than among all of them. */
const MOST_OF_ONE_KEY = 20_000;

export function inKeyOrder(database: Database, query: Query, charge: Charge): { readonly found: Iterable<Found> } & Through {
  const order = query.order as KeyOrder;
  const whole = wholeOf(query.where, query.scope);
  const choice = pick(database, query.type, whole, { sized: order.keys[0]?.within === undefined ? MOST_SORTED : SOME_SORTED });
  const ordering = { order, after: keyPlace(query.after), reversed: query.reversed ?? false, charge };
  // Packed keys are needed for the sort value even where nothing is left to check.
  if (choice && isSorted(database, query.type, { choice, order })) {
    database.trace?.way('collected and sorted');
    const check = checkOf(database, choice.rest, 'all');
    const entries = collect(database, query.type, choice, { ...check, deleted: query.deleted ?? false });
    return { found: sorted(entries, { ...ordering, accept: check.accept }), choice, all: true };
  }
  return { found: alongKeys(database, query.type, { whole, ordering }), choice, all: false };
}

/** Whether all of a choice are sorted. */
function isSorted(database: Database, type: string, { choice, order }: { readonly choice: Choice; readonly order: KeyOrder }): boolean {
  const within = order.keys[0]?.within;
  if (within === undefined) return choice.size <= MOST_SORTED;
  if (choice.size <= FEW_SORTED || choice.size > SOME_SORTED) return choice.size <= FEW_SORTED;
  const most = FEWER * choice.size;
  return sizeOf(database, type, { kind: 'range', from: within, to: successor(within) }, most) === most;
}

type Along = { readonly whole: Expression; readonly ordering: Omit<Ordering, 'accept' | 'whole'> };

function* alongKeys(database: Database, type: string, { whole, ordering }: Along): Generator<Found> {
  const plainly = ({ id, keys }: Entry): boolean => holdsPacked(whole, id, keys ?? '');
  const accept = database.trace ? noting(plainly, database.trace) : plainly;
  const [lead] = ordering.order.keys;
  database.trace?.chose(undefined);
  database.trace?.way(lead ? 'walked along the sort parameter' : 'walked by id');
  if (!lead || (isIndexed(lead.prefix) && lead.prefix !== '')) return yield* walkOrder(database, type, { ...ordering, whole, accept });
  const check = checkOf(database, whole, 'all');
  const entries = walkType(database, { type, backward: false, after: undefined, ...check });
  yield* sorted(entries, { ...ordering, accept: check.accept });
}

type Ordering = {
  readonly order: KeyOrder;
  readonly after: KeyPosition | undefined;
  readonly reversed: boolean;
  readonly charge: Charge;
  readonly accept: (entry: Entry) => boolean;
  /** What `accept` asks; undefined: it may be anything. */
  readonly whole?: Expression;
};

function* sorted(entries: Iterable<Entry>, { order, after, reversed, charge, accept }: Ordering): Generator<Found> {
  const compare = comparePositions(order, reversed);
  const found: { entry: Entry; place: KeyPosition }[] = [];
  for (const entry of entries) {
    if (!charge(entry.passed ?? 1)) return yield OVER_BUDGET;
    if (!accept(entry)) continue;
    const place = positionOf(entry.id, keysOf(entry), order);
    if (!after || compare(place, after) > 0) found.push({ entry, place });
  }
  found.sort((a, b) => compare(a.place, b.place));
  for (const { entry, place } of found) yield { entry, sort: place.sort };
}

/** Group by group of the first sort key; those without it before or after all others. */
function* walkOrder(database: Database, type: string, ordering: Ordering): Generator<Found> {
  const { order, after, reversed } = ordering;
  const [lead] = order.keys;
  if (!lead) return yield* walkMissing(database, type, ordering);
  const from = after?.sort[0];
  if (reversed && (from === undefined || from === null)) yield* walkMissing(database, type, ordering);
  if (reversed || from !== null)
    for (const key of sortedKeys(database, type, { lead, from: from ?? undefined, reversed })) {
      const next = key === from ? ordering : { ...ordering, after: undefined };
      yield* walkGroup(database, { type, lead, key }, next);
    }
  if (!reversed) yield* walkMissing(database, type, from === null ? ordering : { ...ordering, after: undefined });
}

/** What the walked keys begin with. */
function walkedBy({ prefix, ranges, within, rangesWithin }: SortKey): Heads {
  return within === undefined ? { prefix, ranges } : { prefix: within, ranges: rangesWithin };
}

type Sorting = { readonly lead: SortKey; readonly from: string | undefined; readonly reversed: boolean };

/** What is sorted by, in order, beginning with `from` itself. */
function* sortedKeys(database: Database, type: string, { lead, from, reversed }: Sorting): Generator<string> {
  const forward = (lead.direction === 'ascending') !== reversed;
  const compare = forward ? compareKeys : (a: string, b: string): number => compareKeys(b, a);
  const heads = walkedBy(lead);
  const along = (prefix: string | undefined): Generator<string>[] => {
    if (prefix === undefined) return [];
    // Of the same value a range and a number lie next to each other: what comes before is left out below.
    const start = from === undefined ? undefined : keySortedAs(from, { prefix, ranges: heads.ranges && prefix }, lead.prefix);
    return [keysInOrder(database, type, { prefix, forward, from: start })];
  };
  const sortedOf = (key: string): string => sortedAs(key, heads, lead.prefix) ?? key;
  for (const key of merge([...along(heads.prefix), ...along(heads.ranges)], (a, b) => compare(sortedOf(a), sortedOf(b)))) {
    const sorted = sortedOf(key);
    if (from === undefined || compare(sorted, from) >= 0) yield sorted;
  }
}

type Group = { readonly type: string; readonly lead: SortKey; readonly key: string };

function* walkGroup(database: Database, { type, lead, key }: Group, ordering: Ordering): Generator<Found> {
  const { order, after, reversed, charge, accept } = ordering;
  const alone = order.keys.length === 1;
  const isOfGroup = (entry: Entry): boolean => accept(entry) && sortKeyOf(keysOf(entry), lead) === key;
  const stored = keySortedAs(key, walkedBy(lead), lead.prefix);
  const entries = walkKey(database, stored, { type, backward: false, after: undefined, keys: alone ? 'none' : 'all', having: [] });
  if (!alone) return yield* sorted(entries, { ...ordering, accept: isOfGroup });
  if (sizeOf(database, type, { kind: 'keys', keys: [stored] }, MOST_OF_ONE_KEY) === MOST_OF_ONE_KEY)
    return yield* walkById(database, type, { ...ordering, accept: isOfGroup, sort: [key] });
  const group: Entry[] = [];
  for (const entry of entries) {
    if (!charge(1)) return yield OVER_BUDGET;
    group.push(entry);
  }
  // Only the id tells them apart: the keys are read of as many as it takes to fill the page.
  const sign = (order.ids === 'descending') === reversed ? 1 : -1;
  for (const bare of group.sort((a, b) => sign * compareKeys(a.id, b.id))) {
    if (after && sign * compareKeys(bare.id, after.id) <= 0) continue;
    const entry = { ...bare, keys: packedKeys(database, bare.rid) };
    if (isOfGroup(entry)) yield { entry, sort: [key] };
  }
}

/** Those that have no key of the first kind; of an order by id alone, all. */
function* walkMissing(database: Database, type: string, ordering: Ordering): Generator<Found> {
  const { order, accept } = ordering;
  const [lead, ...others] = order.keys;
  const lacks = (entry: Entry): boolean => accept(entry) && (!lead || sortKeyOf(keysOf(entry), lead) === null);
  const choice = ordering.whole && pick(database, type, ordering.whole, { sized: MOST_LACKING });
  if (choice && choice.size <= MOST_LACKING) {
    const found = collect(database, type, choice, { keys: 'all', having: [], deleted: false });
    return yield* sorted(found, { ...ordering, accept: lacks });
  }
  if (others.length === 0) return yield* walkById(database, type, { ...ordering, accept: lacks, sort: lead ? [null] : [] });
  yield* sorted(walkIds(database, { type, backward: false, after: undefined }), { ...ordering, accept: lacks });
}

/** In order of id, which is all that tells them apart. */
function* walkById(
  database: Database,
  type: string,
  { sort, ...ordering }: Ordering & { readonly sort: readonly (string | null)[] },
): Generator<Found> {
  const { order, after, reversed, charge, accept } = ordering;
  const start = after && { sort: 0, id: after.id };
  for (const entry of walkIds(database, { type, backward: (order.ids === 'descending') !== reversed, after: start })) {
    if (!charge(1)) return yield OVER_BUDGET;
    if (accept(entry)) yield { entry, sort };
  }
}

type KeyWalk = { readonly prefix: string; readonly forward: boolean; readonly from: string | undefined };

/** The keys in use with this prefix, in order, beginning with `from` itself. */
function* keysInOrder({ statement }: Database, type: string, { prefix, forward, from }: KeyWalk): Generator<string> {
  const end = successor(prefix);
  if (forward) {
    const first = statement('SELECT min(key) FROM keys WHERE type = ? AND key >= ? AND key < ?');
    const later = statement('SELECT min(key) FROM keys WHERE type = ? AND key > ? AND key < ?');
    for (let key = only(first.get(type, from ?? prefix, end)); key !== null; key = only(later.get(type, key, end))) yield key;
  } else {
    const first = statement('SELECT max(key) FROM keys WHERE type = ? AND key >= ? AND key <= ?');
    const later = statement('SELECT max(key) FROM keys WHERE type = ? AND key >= ? AND key < ?');
    for (let key = only(first.get(type, prefix, from ?? end)); key !== null; key = only(later.get(type, prefix, key))) yield key;
  }
}

function only(row: unknown): string | null {
  return (row as [string | null])[0];
}

function keysOf({ row, keys }: Entry): readonly string[] {
  return row?.keys ?? unpackKeys(keys ?? '');
}
