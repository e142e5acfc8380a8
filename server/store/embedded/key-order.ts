/**
 * Order by a key: the keys of a parameter are ordered by its value, so either a selective driver is collected and sorted, or the parameter's
 * own keys are walked and filtered (storage.md §1). Resources without such a key follow in id order.
 *
 * Invariant: each resource comes once, at its least (ascending) or greatest (descending) key with the prefix.
 */
import { compareKeys, holds, successor } from '../../search/expression.ts';
import { isIndexed } from '../driver.ts';
import { comparePositions, type KeyOrder, sortKeyOf } from '../key-order.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { Position, Query } from '../port.ts';
import { checkOf, collect, pick, wholeOf } from './candidates.ts';
import { type Database, one } from './database.ts';
import { type Entry, walkIds, walkKey, walkType } from './walk.ts';

export const OVER_BUDGET = 'over-budget';
export type Found = { readonly entry: Entry; readonly sort: number | string | undefined } | typeof OVER_BUDGET;
export type Charge = (count: number) => boolean;

/** Above this many entries, walking the parameter's keys beats sorting. */
const MOST_SORTED = 2_000;

export function* inKeyOrder(database: Database, query: Query, charge: Charge): Generator<Found> {
  const order = query.order as KeyOrder;
  const whole = wholeOf(query.where, query.scope);
  const choice = pick(database, query.type, whole, true);
  // Packed keys are needed for the sort value even where nothing is left to check.
  if (choice && choice.size <= MOST_SORTED) {
    const check = { ...checkOf(choice.rest), keys: true };
    const entries = collect(database, query.type, choice, { ...check, deleted: query.deleted ?? false });
    return yield* sorted(entries, { order, after: query.after, charge, accept: check.accept });
  }
  const accept = ({ id, keys }: Entry): boolean => holds(whole, id, unpackKeys(keys ?? ''));
  if (isIndexed(order.prefix) && order.prefix !== '') return yield* walkKeys(database, query, { order, charge, accept });
  const check = { ...checkOf(whole), keys: true };
  const entries = walkType(database, { type: query.type, backward: false, after: undefined, ...check });
  yield* sorted(entries, { order, after: query.after, charge, accept: check.accept });
}

type Sorting = {
  readonly order: KeyOrder;
  readonly after: Position | undefined;
  readonly charge: Charge;
  readonly accept: (entry: Entry) => boolean;
};

function* sorted(entries: Iterable<Entry>, { order, after, charge, accept }: Sorting): Generator<Found> {
  const found: { entry: Entry; sort: string | undefined }[] = [];
  for (const entry of entries) {
    if (!charge(1)) return yield OVER_BUDGET;
    if (!accept(entry)) continue;
    const sort = sortKeyOf(keysOf(entry), order);
    if (!after || comparePositions({ sort, id: entry.id }, after, order) > 0) found.push({ entry, sort });
  }
  yield* found.sort((a, b) => comparePositions({ sort: a.sort, id: a.entry.id }, { sort: b.sort, id: b.entry.id }, order));
}

type Walking = Omit<Sorting, 'after'>;

function* walkKeys(database: Database, { type, after }: Query, { order, charge, accept }: Walking): Generator<Found> {
  const descending = order.direction === 'descending';
  const start = after && { key: after.sort as string | undefined, id: after.id };
  const inMissing = start !== undefined && start.key === undefined;
  for (const key of inMissing ? [] : keysInOrder(database, type, order, start?.key)) {
    const group = [...walkKey(database, key, { type, backward: false, after: undefined, keys: false, having: [] })];
    if (!charge(group.length)) return yield OVER_BUDGET;
    group.sort((a, b) => (descending ? compareKeys(b.id, a.id) : compareKeys(a.id, b.id)));
    for (const bare of group) {
      if (start?.key === key && (descending ? compareKeys(bare.id, start.id) >= 0 : compareKeys(bare.id, start.id) <= 0)) continue;
      const entry = { ...bare, keys: packedKeys(database, bare.rid) };
      if (accept(entry) && sortKeyOf(keysOf(entry), order) === key) yield { entry, sort: key };
    }
  }
  for (const entry of walkIds(database, { type, backward: descending, after: inMissing && start ? { sort: 0, id: start.id } : undefined })) {
    if (!charge(1)) return yield OVER_BUDGET;
    if (accept(entry) && sortKeyOf(keysOf(entry), order) === undefined) yield { entry, sort: undefined };
  }
}

/** The keys in use with this prefix, in order, beginning with `from` itself. */
function* keysInOrder({ statement }: Database, type: string, { prefix, direction }: KeyOrder, from: string | undefined): Generator<string> {
  const end = successor(prefix);
  if (direction === 'ascending') {
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

function packedKeys({ statement }: Database, rid: number): string {
  return one<[string]>(statement('SELECT keys FROM resources WHERE rid = ?'), rid)?.[0] ?? '';
}

function keysOf({ row, keys }: Entry): readonly string[] {
  return row?.keys ?? unpackKeys(keys ?? '');
}
