/**
 * Finds in several types as one list: each type's own walk in the list's order, merged, so that no more is read of any than the page needs.
 *
 * Invariant: one snapshot and one row budget for all types together; a type of which nothing is stored costs no command of its own.
 */
import { createMeter, type Meter } from '../meter.ts';
import type { Counting, FindResult, Position, SeveralQuery, Total } from '../port.ts';
import { comparePlaces, type Part, type Placed, placeOf, queryOfPart } from '../several.ts';
import { createTally } from '../tally.ts';
import { type Found, OVER_BUDGET, wholeOf } from './candidates.ts';
import type { Row } from './documents.ts';
import { count, inOrderOf, load, paceOf } from './find.ts';
import { aim } from './aim.ts';
import type { Reader } from './reader.ts';

type Item = Placed<Exclude<Found, typeof OVER_BUDGET>> | typeof OVER_BUDGET;

export async function findSeveral(reader: Reader, query: SeveralQuery): Promise<FindResult> {
  const meter = createMeter(query.budget, paceOf(reader, query.signal));
  const parts = await storedOf(reader, query.parts);
  const rows: Row[] = [];
  let first: Position | undefined;
  let last: Position | undefined;
  let next: Position | undefined;
  for await (const item of query.limit === 0 ? [] : merged(reader, { ...query, parts }, meter)) {
    // A full page is an answer even over budget: whether more follows is left to the next page.
    if (rows.length >= query.limit) next = last;
    if (next) break;
    if (item === OVER_BUDGET) return { kind: 'budget', walked: meter.walked(), by: [] };
    rows.push(item.found.row);
    last = item.place;
    first ??= last;
  }
  const page = { kind: 'rows' as const, rows: await load(reader, rows, true), first, next, walked: meter.walked() };
  if (!query.total) return page;
  const all = !next && !query.after && query.limit > 0;
  return { ...page, total: all ? exactly(rows.length) : await totalOf(reader, { parts, counting: query.total }, meter.another(query.total.budget)) };
}

/** Asking which there are is worth it for more types than these. */
const FEW = 8;

/** Parts of which the caller may see something, and of which something is stored. */
async function storedOf(reader: Reader, parts: readonly Part[]): Promise<readonly Part[]> {
  const open = parts.filter(({ where, scope }) => wholeOf(where, scope).kind !== 'none');
  if (open.length <= FEW) return open;
  const stored = new Set<string>();
  const options = { hint: 't_u_i_v', sort: { t: 1 }, limit: 1, projection: { _id: 0, t: 1 } } as const;
  for (let last = ''; ; ) {
    const [next] = await reader.resources({ t: { $gt: last } }, options).toArray();
    if (!next) return open.filter(({ type }) => stored.has(type));
    stored.add(next.t);
    last = next.t;
  }
}

type Head = { readonly item: Item; readonly walk: AsyncGenerator<Item> };

/** The walks of all parts as one; those that were not walked to their end are closed, and their cursors with them. */
async function* merged(reader: Reader, query: SeveralQuery, meter: Meter): AsyncGenerator<Item> {
  const [lead] = query.parts;
  if (!lead) return;
  const compare = comparePlaces(lead.order, query.reversed);
  const isBefore = (a: Item, b: Item): boolean => b !== OVER_BUDGET && (a === OVER_BUDGET || compare(a.place, b.place) < 0);
  const walks = query.parts.map((part) => walkPart(reader, { part, query, meter }));
  try {
    const heads: Head[] = [];
    for (const walk of walks) heads.push(...(await advance(walk)));
    while (heads.length > 0) {
      let least = 0;
      for (let i = 1; i < heads.length; i++) if (isBefore((heads[i] as Head).item, (heads[least] as Head).item)) least = i;
      const head = heads[least] as Head;
      yield head.item;
      heads.splice(least, 1, ...(await advance(head.walk)));
    }
  } finally {
    await Promise.all(walks.map((walk) => walk.return(undefined)));
  }
}

async function advance(walk: AsyncGenerator<Item>): Promise<Head[]> {
  const { done, value } = await walk.next();
  return done ? [] : [{ item: value, walk }];
}

type Walking = { readonly part: Part; readonly query: SeveralQuery; readonly meter: Meter };

async function* walkPart(reader: Reader, { part, query, meter }: Walking): AsyncGenerator<Item> {
  const own = queryOfPart(part, query);
  const aimed = await aim(reader, own.type, wholeOf(own.where, own.scope));
  const { found } = await inOrderOf(aimed, own, meter.charge);
  for await (const one of found) {
    if (one === OVER_BUDGET) yield one;
    else yield { found: one, part, place: placeOf(part, { sort: one.sort, id: one.row.i }) };
  }
}

function exactly(count: number): Total {
  return { count, exact: true };
}

/** As far as the budget goes. */
async function totalOf(
  reader: Reader,
  { parts, counting }: { readonly parts: readonly Part[]; readonly counting: Counting },
  meter: Meter,
): Promise<Total> {
  const tally = createTally(counting.naming);
  for (const { type, where, scope } of parts) {
    const counted = await count(await aim(reader, type, wholeOf(where, scope)), { type, where, scope, ...counting }, meter);
    if (counted.kind === 'stale') continue;
    tally.addAll(counted);
    if (counted.kind === 'budget') return tally.total(false);
  }
  return tally.total(true);
}
