/**
 * Finds in several types as one list: each type's own walk in the list's order, merged, so that no more is read of any than the page needs.
 *
 * Invariant: one snapshot and one row budget for all types together; a type of which nothing is stored costs one seek.
 */
import { createMeter, type Meter, type Pace } from '../meter.ts';
import type { FindResult, Position, SeveralQuery, Total } from '../port.ts';
import { comparePlaces, createPartTraces, type Part, type PartTraces, type Placed, placeOf, queryOfPart } from '../several.ts';
import { createTally } from '../tally.ts';
import type { Database } from './database.ts';
import { count, inOrderOf } from './find.ts';
import type { Found } from './key-order.ts';
import { typesIn } from './history.ts';
import { resourcesOf } from './rows.ts';
import { type Entry, merge, OVER_BUDGET } from './walk.ts';

type Row = Exclude<Found, typeof OVER_BUDGET>;
/** Out of budget comes before everything else: the list ends there. */
type Item = Placed<Row> | typeof OVER_BUDGET;

/** `thread`: where it runs, in words. */
export function findSeveral(database: Database, query: SeveralQuery, pace?: Pace, thread = 'main thread'): FindResult {
  const stored = new Set(typesIn(database));
  const parts = query.parts.filter(({ type, scope }) => stored.has(type) && (scope === 'internal' || scope.where.kind !== 'none'));
  const traces = createPartTraces(thread, { ...query, parts });
  return traces.withTraces(findIn(database, { ...query, parts }, { pace, traces }));
}

type Running = { readonly pace: Pace | undefined; readonly traces: PartTraces };

function findIn(database: Database, query: SeveralQuery, { pace, traces }: Running): FindResult {
  const meter = createMeter(query.budget, pace);
  const taken: Entry[] = [];
  let first: Position | undefined;
  let last: Position | undefined;
  const page = (next: Position | undefined): FindResult => {
    const found = { kind: 'rows' as const, rows: resourcesOf(database, taken, true), first, next, walked: meter.walked() };
    const shown = next || query.after || query.limit === 0 ? undefined : taken.length;
    return query.total
      ? {
          ...found,
          total: shown === undefined ? totalOf(database, query, { meter: meter.another(query.total.budget), traces }) : exactly(shown),
        }
      : found;
  };
  if (query.limit === 0) return page(undefined);
  for (const item of merged(database, query, { meter, traces })) {
    // A full page is an answer even over budget: whether more follows is left to the next page.
    if (taken.length >= query.limit) return page(last);
    if (item === OVER_BUDGET) return { kind: 'budget', walked: meter.walked(), by: [] };
    taken.push(item.found.entry);
    last = item.place;
    first ??= last;
  }
  return page(undefined);
}

type Measured = { readonly meter: Meter; readonly traces: PartTraces };

function merged(database: Database, query: SeveralQuery, measured: Measured): Iterable<Item> {
  const [lead] = query.parts;
  if (!lead) return [];
  const compare = comparePlaces(lead.order, query.reversed);
  const walks = query.parts.map((part) => timed(walkPart(database, { part, query, ...measured }), (ms) => measured.traces.spent(part, ms)));
  return merge<Item>(walks, (a, b) => (a === OVER_BUDGET ? -1 : b === OVER_BUDGET ? 1 : compare(a.place, b.place)));
}

/** Its own time, and not that of the walks beside it. */
function* timed<T>(walk: Generator<T>, spent: (ms: number) => void): Generator<T> {
  try {
    for (;;) {
      const began = performance.now();
      const next = walk.next();
      spent(performance.now() - began);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    walk.return(undefined);
  }
}

type Walking = Measured & { readonly part: Part; readonly query: SeveralQuery };

function* walkPart(database: Database, { part, query, meter, traces }: Walking): Generator<Item> {
  for (const found of inOrderOf(traces.reading(database, part), queryOfPart(part, query), traces.charging(meter, part).charge).found) {
    if (found === OVER_BUDGET) yield found;
    else yield { found, part, place: placeOf(part, { sort: found.sort, id: found.entry.id }) };
  }
}

function exactly(count: number): Total {
  return { count, exact: true };
}

/** As far as the budget goes. */
function totalOf(database: Database, { parts, total: counting }: SeveralQuery, { meter, traces }: Measured): Total {
  const tally = createTally(counting?.naming);
  for (const part of parts) {
    const { type, where, scope } = part;
    const counted = count(traces.reading(database, part), { type, where, scope, ...counting }, traces.charging(meter, part));
    if (counted.kind === 'stale') continue;
    tally.addAll(counted);
    if (counted.kind === 'budget') return tally.total(false);
  }
  return tally.total(true);
}
