/**
 * Finds in several types as one list: each type's own walk in the list's order, merged, so that no more is read of any than the page needs.
 *
 * Invariant: one snapshot and one row budget for all types together; a type of which nothing is stored costs no command of its own.
 */
import { createMeter, type Meter } from '../meter.ts';
import type { FindResult, Position, SeveralQuery, Total } from '../port.ts';
import { comparePlaces, createPartTraces, type Part, type PartTraces, type Placed, placeOf, queryOfPart } from '../several.ts';
import { createTally } from '../tally.ts';
import { type Found, OVER_BUDGET, wholeOf } from './candidates.ts';
import type { Row } from './documents.ts';
import { count, inOrderOf, load, paceOf } from './find.ts';
import { aim } from './aim.ts';
import type { Reader } from './reader.ts';

type Item = Placed<Exclude<Found, typeof OVER_BUDGET>> | typeof OVER_BUDGET;

export async function findSeveral(reader: Reader, query: SeveralQuery): Promise<FindResult> {
  const parts = await storedOf(reader, query.parts);
  const traces = createPartTraces('main thread and replica set', { ...query, parts });
  return traces.withTraces(await findIn(reader, { ...query, parts }, traces));
}

async function findIn(reader: Reader, query: SeveralQuery, traces: PartTraces): Promise<FindResult> {
  const meter = createMeter(query.budget, paceOf(reader, query.signal));
  const rows: Row[] = [];
  let first: Position | undefined;
  let last: Position | undefined;
  let next: Position | undefined;
  for await (const item of query.limit === 0 ? [] : merged(reader, query, { meter, traces })) {
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
  return { ...page, total: all ? exactly(rows.length) : await totalOf(reader, query, { meter: meter.another(query.total.budget), traces }) };
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

type Measured = { readonly meter: Meter; readonly traces: PartTraces };
type Walk = { readonly items: AsyncGenerator<Item>; readonly spent: (ms: number) => void };
type Head = { readonly item: Item; readonly walk: Walk };

/** The walks of all parts as one; those that were not walked to their end are closed, and their cursors with them. */
async function* merged(reader: Reader, query: SeveralQuery, measured: Measured): AsyncGenerator<Item> {
  const [lead] = query.parts;
  if (!lead) return;
  const compare = comparePlaces(lead.order, query.reversed);
  const isBefore = (a: Item, b: Item): boolean => b !== OVER_BUDGET && (a === OVER_BUDGET || compare(a.place, b.place) < 0);
  const walks = query.parts.map(
    (part): Walk => ({ items: walkPart(reader, { part, query, ...measured }), spent: (ms) => measured.traces.spent(part, ms) }),
  );
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
    await Promise.all(walks.map(({ items }) => items.return(undefined)));
  }
}

async function advance(walk: Walk): Promise<Head[]> {
  const began = performance.now();
  const { done, value } = await walk.items.next();
  walk.spent(performance.now() - began);
  return done ? [] : [{ item: value, walk }];
}

type Walking = Measured & { readonly part: Part; readonly query: SeveralQuery };

async function* walkPart(reader: Reader, { part, query, meter, traces }: Walking): AsyncGenerator<Item> {
  const own = queryOfPart(part, query);
  const aimed = await aim(traces.reading(reader, part), own.type, wholeOf(own.where, own.scope));
  const { found } = await inOrderOf(aimed, own, traces.charging(meter, part).charge);
  for await (const one of found) {
    if (one === OVER_BUDGET) yield one;
    else yield { found: one, part, place: placeOf(part, { sort: one.sort, id: one.row.i }) };
  }
}

function exactly(count: number): Total {
  return { count, exact: true };
}

/** As far as the budget goes. */
async function totalOf(reader: Reader, { parts, total: counting }: SeveralQuery, { meter, traces }: Measured): Promise<Total> {
  const tally = createTally(counting?.naming);
  for (const part of parts) {
    const { type, where, scope } = part;
    const aimed = await aim(traces.reading(reader, part), type, wholeOf(where, scope));
    const counted = await count(aimed, { type, where, scope, ...counting }, traces.charging(meter, part));
    if (counted.kind === 'stale') continue;
    tally.addAll(counted);
    if (counted.kind === 'budget') return tally.total(false);
  }
  return tally.total(true);
}
