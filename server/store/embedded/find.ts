/**
 * Finds and counts: walk the driver's entries in result order, check the rest of the criteria, stop at the limit.
 *
 * Invariant: a row is answered exactly if the query's expression and its scope hold for it; the work is bounded by the row budget.
 * Callers have compared the scope's epoch in the same transaction.
 */
import { type Choice, type Driver, headsOf, isIndexed } from '../driver.ts';
import type { Counting, CountQuery, CountResult, FindResult, OverBudget, Position, Query, Total } from '../port.ts';
import { createMeter, type Meter, type Pace } from '../meter.ts';
import { createTally, isMore } from '../tally.ts';
import { checkOf, collect, EFFORT_OF_FEW, pick, readFor, sizeOf, type Through, wholeOf } from './candidates.ts';
import { type ClassCount, classCountOf, classedKeysOf, countClasses, effortExpected } from './count-classes.ts';
import { type Database, one } from './database.ts';
import { inOrder, type Ordered } from './in-order.ts';
import { type Found, inKeyOrder } from './key-order.ts';
import { resourcesOf } from './rows.ts';
import { type Charge, COUNTED_AS_ONE, type Entry, OVER_BUDGET, walkType } from './walk.ts';

export function findRows(database: Database, query: Query, pace?: Pace): FindResult {
  const { limit, total } = query;
  const meter = createMeter(query.budget, pace);
  const taken: Entry[] = [];
  const tally = createTally(total?.naming);
  let [first, last, next]: (Position | undefined)[] = [];
  const page = (counted: Total | undefined): FindResult => {
    const end = database.trace?.begin('load');
    const rows = resourcesOf(database, taken, query.bodies !== false);
    end?.();
    const found = { kind: 'rows' as const, rows, first, next, walked: meter.walked() };
    return counted ? { ...found, total: counted } : found;
  };
  const apart = (): Total | undefined => total && totalApart(database, query, { meter: meter.another(total.budget), through });
  let counting: Meter | undefined;
  const { found, ...through } = inOrderOf(database, query, (walked) => (counting ?? meter).charge(walked));
  for (const one of found) {
    if (taken.length >= limit && !counting) {
      next = last;
      // A full page is an answer even over budget: whether more follows is left to the next page.
      if (!total || query.after || one === OVER_BUDGET || !through.all || isCountedApart(database, query, through)) return page(apart());
      counting = meter.another(total.budget);
      expect(database, counting, { type: query.type, choice: through.choice, counting: total });
    }
    if (one === OVER_BUDGET) return counting ? page(tally.total(false)) : overBudget(database, query, meter);
    tally.add(one.entry.row?.keys ?? one.entry.keys);
    if (counting && isMore(tally, total)) return page(tally.total(false));
    if (counting) continue;
    taken.push(one.entry);
    last = { sort: one.sort, id: one.entry.id };
    first ??= last;
  }
  // What is on the first and only page, or was gone on with behind it, is all there is.
  return page(query.after ? apart() : total && tally.total(true));
}

/** Whether to count all is quicker than to go on with the walk. */
function isCountedApart(database: Database, { total, ...query }: Query, { choice }: Through): boolean {
  if (countInIndex(database, { ...query, ...total })) return true;
  const check = checkOf(database, choice ? choice.rest : wholeOf(query.where, query.scope), readFor(total));
  return classedKeysOf(database, { choice, check }) !== undefined;
}

/** What matches, in the query's order, from its place on. */
export function inOrderOf(database: Database, query: Query, charge: Charge): { readonly found: Iterable<Found> } & Through {
  if (query.order.by === 'keys') return inKeyOrder(database, query, charge);
  const after = query.after && { sort: 0 - Number(query.after.sort), id: query.after.id };
  const { choice, all, ...ordered } = inOrder(database, query, { after, charge });
  return { found: inInstantOrder(ordered, charge), choice, all };
}

function* inInstantOrder({ entries, accept, charged }: Omit<Ordered, keyof Through>, charge: Charge): Generator<Found> {
  for (const entry of entries) {
    if (entry === OVER_BUDGET || (!charged && !charge(entry.passed ?? 1))) yield OVER_BUDGET;
    else if (accept(entry)) yield { entry, sort: 0 - entry.sort };
  }
}

type Apart = { readonly meter: Meter; readonly through: Through };

function totalApart(database: Database, { type, where, scope, total }: Query, { meter, through }: Apart): Total {
  const counted = count(database, { type, where, scope, ...total }, meter, { through });
  if (counted.kind === 'stale') return { count: 0, exact: false };
  return { count: counted.total, exact: counted.kind === 'count', ...(counted.named && { named: counted.named }) };
}

/** So many entries are worth looking at before a walk to see whether it is long. */
const LOOKED_AHEAD = 5_000;

/**
 * Before a walk is gone on with to its end: what turns out long is begun again elsewhere. A choice that was the only one has not been measured: it has
 * at least as many rows as its longest key; several may have the same.
 */
function expect(database: Database, meter: Meter, { type, choice, counting, effort = 1 }: Expected): void {
  if (!choice) return;
  const { most = Number.POSITIVE_INFINITY } = counting;
  const least = choice.size > 0 ? choice.size : Math.max(0, ...keysOf(choice).map((key) => sizeOf(database, type, key, LOOKED_AHEAD)));
  meter.expect(Math.min(least, most) * effort);
}

function keysOf({ drivers }: Choice): readonly Driver[] {
  return drivers.flatMap((driver): Driver[] => (driver.kind === 'keys' ? driver.keys.map((key) => ({ kind: 'keys', keys: [key] })) : []));
}

type Expected = {
  readonly type: string;
  readonly choice: Choice | undefined;
  readonly counting: Counting;
  readonly effort?: number;
};

function overBudget(database: Database, { type, where, scope }: CountQuery, meter: Meter): OverBudget {
  return { kind: 'budget', walked: meter.walked(), by: headsOf(pick(database, type, wholeOf(where, scope))) };
}

export function countRows(database: Database, query: CountQuery, { cap, pace }: { cap?: number | undefined; pace?: Pace } = {}): CountResult {
  return count(database, query, createMeter(query.budget, pace), { cap });
}

/** `through`: what a walk of the same rows went through. */
type Counted = { readonly cap?: number | undefined; readonly through?: Through };

export function count(database: Database, query: CountQuery, meter: Meter, { cap = Number.POSITIVE_INFINITY, through }: Counted = {}): CountResult {
  const { type, naming } = query;
  const tally = createTally(naming);
  const whole = wholeOf(query.where, query.scope);
  if (whole.kind === 'none' || cap <= 0) return { kind: 'count', ...tally.counted() };
  const indexed = countInIndex(database, query);
  database.trace?.way(indexed ? 'counted in the index alone' : 'all matches counted');
  if (indexed) return { kind: 'count', total: indexed(cap, meter) };
  const choice = through?.all ? through.choice : pick(database, type, whole);
  const check = checkOf(database, choice ? choice.rest : whole, readFor(query));
  const byClass = classCountOf(database, type, { choice, check });
  if (byClass) return countedByClass(database, query, { byClass, choice, meter, cap });
  const effort = check.keys === 'all' ? 1 : EFFORT_OF_FEW;
  expect(database, meter, { type, choice, counting: { most: Math.min(cap, query.most ?? cap) }, effort });
  const everything = { type, backward: false, after: undefined, ...check };
  for (const entry of choice ? collect(database, type, choice, { ...check, deleted: false }) : walkType(database, everything)) {
    if (!meter.charge(entry.passed ?? 1, effort)) return { ...overBudget(database, query, meter), ...tally.counted() };
    if (!check.accept(entry)) continue;
    tally.add(entry.row?.keys ?? entry.keys);
    if (tally.count() >= cap) break;
    if (isMore(tally, query)) return { ...overBudget(database, query, meter), ...tally.counted() };
  }
  return { kind: 'count', ...tally.counted() };
}

type ByClass = { readonly byClass: ClassCount; readonly choice: Choice | undefined; readonly meter: Meter; readonly cap: number };

function countedByClass(database: Database, query: CountQuery, { byClass, choice, meter, cap }: ByClass): CountResult {
  const { type, naming, most = Number.POSITIVE_INFINITY } = query;
  const counting = { most: Math.min(cap, most) };
  const effort = effortExpected(byClass, counting.most);
  if (effort !== undefined) meter.expect(effort);
  else if (choice) expect(database, meter, { type, choice, counting, effort: EFFORT_OF_FEW });
  // One more than the most says that there are more.
  const { over, ...counted } = countClasses(database, byClass, { meter, most: Math.min(cap, most + 1), naming });
  return over || counted.total > most ? { ...overBudget(database, query, meter), ...counted } : { kind: 'count', ...counted };
}

const COUNTED_AT_ONCE = 20_000;

/** What one index range answers alone, all of a type or one key, and nothing has to be said of: how to. A first part of it tells whether it is long. */
function countInIndex({ statement }: Database, { type, where, scope, naming }: CountQuery): ((cap: number, meter: Meter) => number) | undefined {
  const whole = wholeOf(where, scope);
  const key = whole.kind === 'any' && whole.keys.size === 1 ? [...whole.keys][0] : undefined;
  if (naming !== undefined || (whole.kind !== 'all' && (key === undefined || !isIndexed(key)))) return undefined;
  const from = key === undefined ? 'resources WHERE type = ? AND deleted = 0' : 'keys WHERE type = ? AND key = ?';
  const counted = statement(`SELECT count(*) FROM (SELECT 1 FROM ${from} LIMIT ?)`);
  const upTo = (most: number): number => one<[number]>(counted, ...(key === undefined ? [type, most] : [type, key, most]))?.[0] ?? 0;
  return (cap, { allow }) => {
    const some = upTo(Math.min(cap, COUNTED_AT_ONCE));
    if (some < COUNTED_AT_ONCE || cap <= COUNTED_AT_ONCE) return some;
    allow(COUNTED_AT_ONCE / COUNTED_AS_ONE);
    // Longer than a reader of short queries may take: it has been handed on, or there is nobody to hand it to.
    allow(Number.POSITIVE_INFINITY);
    return upTo(Number.isFinite(cap) ? cap : -1);
  };
}
