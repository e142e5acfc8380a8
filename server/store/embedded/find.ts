/**
 * Finds and counts: walk the driver's entries in result order, check the rest of the criteria, stop at the limit.
 *
 * Invariant: a row is answered exactly if the query's expression and its scope hold for it; the work is bounded by the row budget.
 * Callers have compared the scope's epoch in the same transaction.
 */
import type { Expression } from '../../search/expression.ts';
import { isIndexed } from '../driver.ts';
import type { CountResult, FindResult, Position, Query, StoredResource } from '../port.ts';
import { checkOf, collect, inOrder, pick, wholeOf } from './candidates.ts';
import { type Database, one } from './database.ts';
import { type Found, inKeyOrder, OVER_BUDGET } from './key-order.ts';
import { resourceAt } from './rows.ts';
import { walkType } from './walk.ts';

/** Rows to walk before a query is refused: some hundred milliseconds. */
const DEFAULT_BUDGET = 50_000;

export function findRows(database: Database, query: Query): FindResult {
  const budget = query.budget ?? DEFAULT_BUDGET;
  let walked = 0;
  const charge = (count: number): boolean => (walked += count) <= budget;
  const rows: StoredResource[] = [];
  let last: Position | undefined;
  for (const found of query.order.by === 'key' ? inKeyOrder(database, query, charge) : inInstantOrder(database, query, charge)) {
    // A full page is an answer even over budget: whether more follows is left to the next page.
    if (rows.length >= query.limit) return { kind: 'rows', rows, next: last, walked };
    if (found === OVER_BUDGET) return { kind: 'budget', walked };
    rows.push(found.entry.row ?? resourceAt(database, found.entry.rid));
    last = { sort: found.sort, id: found.entry.id };
  }
  return { kind: 'rows', rows, next: undefined, walked };
}

function* inInstantOrder(database: Database, query: Query, charge: (count: number) => boolean): Generator<Found> {
  const { after } = query;
  const place = after && { sort: 0 - Number(after.sort ?? 0), id: after.id };
  const { entries, accept } = inOrder(database, query, place);
  for (const entry of entries) {
    if (!charge(1)) yield OVER_BUDGET;
    if (accept(entry)) yield { entry, sort: 0 - entry.sort };
  }
}

type CountQuery = Pick<Query, 'type' | 'where' | 'scope' | 'budget'>;

export function countRows(database: Database, query: CountQuery, cap = Number.POSITIVE_INFINITY): CountResult {
  const { type, budget = DEFAULT_BUDGET } = query;
  const whole = wholeOf(query.where, query.scope);
  if (whole.kind === 'none' || cap <= 0) return { kind: 'count', total: 0 };
  const quick = countInIndex(database, type, whole, cap);
  if (quick !== undefined) return { kind: 'count', total: quick };
  const choice = pick(database, type, whole);
  const check = checkOf(choice ? choice.rest : whole);
  const everything = { type, backward: false, after: undefined, ...check };
  let walked = 0;
  let total = 0;
  for (const entry of choice ? collect(database, type, choice, { ...check, deleted: false }) : walkType(database, everything)) {
    if (++walked > budget) return { kind: 'budget', walked };
    if (check.accept(entry) && ++total >= cap) break;
  }
  return { kind: 'count', total };
}

/** What one index range answers alone: all of a type, or one key. */
function countInIndex({ statement }: Database, type: string, whole: Expression, cap: number): number | undefined {
  const most = Number.isFinite(cap) ? cap : -1;
  if (whole.kind === 'all')
    return one<[number]>(statement('SELECT count(*) FROM (SELECT 1 FROM resources WHERE type = ? AND deleted = 0 LIMIT ?)'), type, most)?.[0];
  if (whole.kind !== 'any' || whole.keys.size !== 1) return undefined;
  const [key = ''] = whole.keys;
  if (!isIndexed(key)) return undefined;
  return one<[number]>(statement('SELECT count(*) FROM (SELECT 1 FROM keys WHERE type = ? AND key = ? LIMIT ?)'), type, key, most)?.[0];
}
