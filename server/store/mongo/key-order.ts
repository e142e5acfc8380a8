/**
 * Order by keys. MongoDB cannot walk a multikey index by one of its keys in both directions, so the criteria's own documents are collected
 * without their bodies and ordered here as they come, within the row budget: no sort of all of them holds up others.
 *
 * Invariant: each resource comes once, at its least (ascending) or greatest (descending) key with the prefix; those without come last.
 */
import { setImmediate } from 'node:timers/promises';
import { comparePositions, type KeyOrder, type KeyPosition, keyPlace, positionOf } from '../key-order.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { Query } from '../port.ts';
import type { Aimed } from './aim.ts';
import { type Charge, collect, everyRow, type Found, matches, OVER_BUDGET, pick, wholeOf } from './candidates.ts';
import type { Row } from './documents.ts';
import { createHeap } from './heap.ts';

/** Rows that are taken before others have their turn. */
const AT_ONCE = 500;

export async function* inKeyOrder(reader: Aimed, query: Query, charge: Charge): AsyncGenerator<Found> {
  const order = query.order as KeyOrder;
  const { type } = query;
  const after = keyPlace(query.after);
  const compare = comparePositions(order, query.reversed);
  const whole = wholeOf(query.where, query.scope);
  const choice = await pick(reader, type, whole);
  reader.trace?.way('collected and sorted');
  const found = createHeap<{ row: Row; place: KeyPosition }>((a, b) => compare(a.place, b.place));
  for await (const row of choice ? collect(reader, type, choice, query.deleted ?? false) : everyRow(reader, type)) {
    if (!charge(1)) return yield OVER_BUDGET;
    if (!matches(choice ? choice.rest : whole, row, reader.trace)) continue;
    const place = positionOf(row.i, order.keys.length === 0 ? [] : unpackKeys(row.f), order);
    if (!after || compare(place, after) > 0) found.push({ row, place });
  }
  for (let taken = 1; ; taken++) {
    const first = found.pop();
    if (!first) return;
    yield { row: first.row, sort: first.place.sort };
    if (taken % AT_ONCE === 0) await setImmediate();
  }
}
