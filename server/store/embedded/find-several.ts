/**
 * Finds in several types as one list: each type's own walk in the list's order, merged, so that no more is read of any than the page needs.
 *
 * Invariant: one snapshot and one row budget for all types together; a type of which nothing is stored costs one seek.
 */
import { createMeter, type Meter, type Pace } from '../meter.ts';
import type { Counting, FindResult, Position, SeveralQuery, StoredResource, Total } from '../port.ts';
import { comparePlaces, type Part, type Placed, placeOf, queryOfPart } from '../several.ts';
import { createTally } from '../tally.ts';
import type { Database } from './database.ts';
import { count, inOrderOf } from './find.ts';
import type { Found } from './key-order.ts';
import { typesIn } from './history.ts';
import { resourceAt } from './rows.ts';
import { merge, OVER_BUDGET } from './walk.ts';

type Row = Exclude<Found, typeof OVER_BUDGET>;
/** Out of budget comes before everything else: the list ends there. */
type Item = Placed<Row> | typeof OVER_BUDGET;

export function findSeveral(database: Database, query: SeveralQuery, pace?: Pace): FindResult {
  const meter = createMeter(query.budget, pace);
  const stored = new Set(typesIn(database));
  const parts = query.parts.filter(({ type, scope }) => stored.has(type) && (scope === 'internal' || scope.where.kind !== 'none'));
  const rows: StoredResource[] = [];
  let first: Position | undefined;
  let last: Position | undefined;
  const page = (next: Position | undefined): FindResult => {
    const found = { kind: 'rows' as const, rows, first, next, walked: meter.walked() };
    const shown = next || query.after || query.limit === 0 ? undefined : rows.length;
    return query.total
      ? {
          ...found,
          total: shown === undefined ? totalOf(database, { parts, counting: query.total }, meter.another(query.total.budget)) : exactly(shown),
        }
      : found;
  };
  if (query.limit === 0) return page(undefined);
  for (const item of merged(database, { ...query, parts }, meter)) {
    // A full page is an answer even over budget: whether more follows is left to the next page.
    if (rows.length >= query.limit) return page(last);
    if (item === OVER_BUDGET) return { kind: 'budget', walked: meter.walked(), by: [] };
    const { entry } = item.found;
    rows.push(entry.row ?? resourceAt(database, entry.rid));
    last = item.place;
    first ??= last;
  }
  return page(undefined);
}

function merged(database: Database, query: SeveralQuery, meter: Meter): Iterable<Item> {
  const [lead] = query.parts;
  if (!lead) return [];
  const compare = comparePlaces(lead.order, query.reversed);
  const walks = query.parts.map((part) => walkPart(database, { part, query, meter }));
  return merge<Item>(walks, (a, b) => (a === OVER_BUDGET ? -1 : b === OVER_BUDGET ? 1 : compare(a.place, b.place)));
}

type Walking = { readonly part: Part; readonly query: SeveralQuery; readonly meter: Meter };

function* walkPart(database: Database, { part, query, meter }: Walking): Generator<Item> {
  for (const found of inOrderOf(database, queryOfPart(part, query), meter.charge).found) {
    if (found === OVER_BUDGET) yield found;
    else yield { found, part, place: placeOf(part, { sort: found.sort, id: found.entry.id }) };
  }
}

function exactly(count: number): Total {
  return { count, exact: true };
}

/** As far as the budget goes. */
function totalOf(database: Database, { parts, counting }: { readonly parts: readonly Part[]; readonly counting: Counting }, meter: Meter): Total {
  const tally = createTally(counting.naming);
  for (const { type, where, scope } of parts) {
    const counted = count(database, { type, where, scope, ...counting }, meter);
    if (counted.kind === 'stale') continue;
    tally.addAll(counted);
    if (counted.kind === 'budget') return tally.total(false);
  }
  return tally.total(true);
}
