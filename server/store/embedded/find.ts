/**
 * Finds and counts: walk the driver's entries in result order, check the rest of the criteria, stop at the limit.
 *
 * Invariant: a row is answered exactly if the query's expression and its scope hold for it; the work is bounded by the row budget.
 * Callers have compared the scope's epoch in the same transaction.
 */
import type { Expression } from '../../search/expression.ts';
import { headsOf, isIndexed } from '../driver.ts';
import type { CountQuery, CountResult, FindResult, OverBudget, Position, Query, StoredResource, Total } from '../port.ts';
import { createMeter, type Meter, type Pace } from '../meter.ts';
import { checkOf, collect, inOrder, pick, wholeOf } from './candidates.ts';
import { type Database, one } from './database.ts';
import { type Found, inKeyOrder } from './key-order.ts';
import { keysAt, resourceAt } from './rows.ts';
import { type Charge, OVER_BUDGET, walkType } from './walk.ts';

export function findRows(database: Database, query: Query, pace?: Pace): FindResult {
  const meter = createMeter(query.budget, pace);
  const rows: StoredResource[] = [];
  let first: Position | undefined;
  let last: Position | undefined;
  const page = (next: Position | undefined): FindResult => {
    const found = { kind: 'rows' as const, rows, first, next, walked: meter.walked() };
    return query.total ? { ...found, total: totalOf(database, query, { rows: next ? undefined : rows.length, meter }) } : found;
  };
  for (const found of inOrderOf(database, query, meter.charge)) {
    // A full page is an answer even over budget: whether more follows is left to the next page.
    if (rows.length >= query.limit) return page(last);
    if (found === OVER_BUDGET) return overBudget(database, query, meter);
    const end = database.trace?.begin('load');
    rows.push(found.entry.row ?? (query.bodies === false ? keysAt : resourceAt)(database, found.entry.rid));
    end?.();
    last = { sort: found.sort, id: found.entry.id };
    first ??= last;
  }
  return page(undefined);
}

/** What matches, in the query's order, from its place on. */
export function inOrderOf(database: Database, query: Query, charge: Charge): Generator<Found> {
  return query.order.by === 'keys' ? inKeyOrder(database, query, charge) : inInstantOrder(database, query, charge);
}

function* inInstantOrder(database: Database, query: Query, charge: Charge): Generator<Found> {
  const after = query.after && { sort: 0 - Number(query.after.sort), id: query.after.id };
  const { entries, accept, charged } = inOrder(database, query, { after, charge });
  for (const entry of entries) {
    if (entry === OVER_BUDGET || (!charged && !charge(1))) yield OVER_BUDGET;
    else if (accept(entry)) yield { entry, sort: 0 - entry.sort };
  }
}

/** What is on the first and only page needs no counting. */
function totalOf(database: Database, query: Query, page: { readonly rows: number | undefined; readonly meter: Meter }): Total {
  if (page.rows !== undefined && !query.after) return { count: page.rows, exact: true };
  const counted = count(database, query, page.meter.another(query.total?.budget));
  return { count: counted.kind === 'stale' ? 0 : counted.total, exact: counted.kind === 'count' };
}

function overBudget(database: Database, { type, where, scope }: CountQuery, meter: Meter): OverBudget {
  return { kind: 'budget', walked: meter.walked(), by: headsOf(pick(database, type, wholeOf(where, scope))) };
}

export function countRows(database: Database, query: CountQuery, { cap, pace }: { cap?: number | undefined; pace?: Pace } = {}): CountResult {
  return count(database, query, createMeter(query.budget, pace), cap);
}

export function count(database: Database, query: CountQuery, meter: Meter, cap = Number.POSITIVE_INFINITY): CountResult {
  const { type } = query;
  const whole = wholeOf(query.where, query.scope);
  if (whole.kind === 'none' || cap <= 0) return { kind: 'count', total: 0 };
  const quick = countInIndex(database, { type, whole, cap }, meter);
  database.trace?.way(quick === undefined ? 'all matches counted' : 'counted in the index alone');
  if (quick !== undefined) return { kind: 'count', total: quick };
  const choice = pick(database, type, whole);
  const check = checkOf(choice ? choice.rest : whole, database.trace);
  const everything = { type, backward: false, after: undefined, ...check };
  let total = 0;
  for (const entry of choice ? collect(database, type, choice, { ...check, deleted: false }) : walkType(database, everything)) {
    if (!meter.charge(1)) return { ...overBudget(database, query, meter), total };
    if (check.accept(entry) && ++total >= cap) break;
  }
  return { kind: 'count', total };
}

/** Index entries that SQLite counts in the time of one row that is looked at. */
const COUNTED_AS_ONE = 100;
const COUNTED_AT_ONCE = 20_000;

/** What one index range answers alone: all of a type, or one key. A first part of it tells whether it is long. */
function countInIndex(
  { statement }: Database,
  { type, whole, cap }: { readonly type: string; readonly whole: Expression; readonly cap: number },
  { allow }: Meter,
): number | undefined {
  const key = whole.kind === 'any' && whole.keys.size === 1 ? [...whole.keys][0] : undefined;
  if (whole.kind !== 'all' && (key === undefined || !isIndexed(key))) return undefined;
  const from = key === undefined ? 'resources WHERE type = ? AND deleted = 0' : 'keys WHERE type = ? AND key = ?';
  const counted = statement(`SELECT count(*) FROM (SELECT 1 FROM ${from} LIMIT ?)`);
  const upTo = (most: number): number => one<[number]>(counted, ...(key === undefined ? [type, most] : [type, key, most]))?.[0] ?? 0;
  const some = upTo(Math.min(cap, COUNTED_AT_ONCE));
  if (some < COUNTED_AT_ONCE || cap <= COUNTED_AT_ONCE) return some;
  allow(COUNTED_AT_ONCE / COUNTED_AS_ONE);
  // Longer than a reader of short queries may take: it has been handed on, or there is nobody to hand it to.
  allow(Number.POSITIVE_INFINITY);
  return upTo(Number.isFinite(cap) ? cap : -1);
}
