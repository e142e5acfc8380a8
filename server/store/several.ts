/**
 * What "several types as one list" means, for every engine alike: rows of all types in one order, ties by type and id. A place in the list
 * names its row as `Type/id`, and its sort values without the prefixes, which differ from type to type.
 *
 * Invariant: the list of all types is their own lists merged; what precedes a place in the list precedes it in each of them.
 */
import { compareKeys } from '../search/expression.ts';
import { comparePositions, type KeyPosition } from './key-order.ts';
import type { Meter } from './meter.ts';
import type { FindResult, Order, Position, Query, SeveralQuery } from './port.ts';
import { createTrace, type Trace } from './trace.ts';

export type Part = SeveralQuery['parts'][number];

/** One row of a type's own list, as it stands in the list of all: what the list is merged by. */
export type Placed<T> = { readonly place: Position; readonly part: Part; readonly found: T };

/** The query of one type's own list, from behind the place on. `limit`: how many of its rows are likely to be asked for. */
export function queryOfPart(part: Part, { after, reversed, limit, parts }: SeveralQuery): Query {
  const { type, where, scope, order } = part;
  const likely = parts.length < 3 ? limit : Math.max(4, Math.ceil((2 * limit) / parts.length));
  const place = after && { after: placeIn(part, after) };
  return { type, where, scope, order, limit: likely, ...(reversed === undefined ? {} : { reversed }), ...place };
}

const BEFORE_ALL = '';
const BEHIND_ALL = '\u{10FFFF}';

/** Of another type all or nothing of what ties with the place lies behind it, in either direction. */
function placeIn({ type, order }: Part, { sort, id: name }: Position): Position {
  const slash = name.indexOf('/');
  const difference = compareKeys(type, name.slice(0, slash));
  const id = difference === 0 ? name.slice(slash + 1) : difference > 0 ? BEFORE_ALL : BEHIND_ALL;
  if (order.by === 'instant' || typeof sort === 'number') return { sort, id };
  const inPart = (value: string | null, prefix: string): string | null => (value === null ? null : prefix + value);
  return { sort: order.keys.map(({ prefix }, i) => inPart(sort[i] ?? null, prefix)), id };
}

/** A row of a type's own list in the list of all. */
export function placeOf({ type, order }: Part, { sort, id }: Position): Position {
  const name = `${type}/${id}`;
  if (order.by === 'instant' || typeof sort === 'number') return { sort, id: name };
  return { sort: order.keys.map(({ prefix }, i) => sort[i]?.slice(prefix.length) ?? null), id: name };
}

/** Which of two places comes first. All parts have one order but for the prefixes. */
export function comparePlaces(order: Order, reversed: boolean | undefined): (a: Position, b: Position) => number {
  if (order.by === 'keys') {
    const compare = comparePositions(order, reversed);
    return (a, b) => compare(a as KeyPosition, b as KeyPosition);
  }
  const sign = (order.direction === 'oldest-first') === (reversed ?? false) ? 1 : -1;
  return (a, b) => sign * (Number(b.sort) - Number(a.sort) || compareKeys(a.id, b.id));
}

/** What each type's own walk does, where the query is to be explained. The meter is that of all types; each counts its own rows and time. */
export type PartTraces = {
  /** What reads for this part, with its own trace. */
  reading<T extends { readonly trace?: Trace }>(reader: T, part: Part): T;
  charging(meter: Meter, part: Part): Meter;
  spent(part: Part, ms: number): void;
  withTraces(result: FindResult): FindResult;
};

/** `thread`: as in a trace. */
export function createPartTraces(thread: string, { explain, budget, parts }: SeveralQuery): PartTraces {
  const own = new Map(explain ? parts.map((part) => [part, { trace: createTrace(thread, budget), walked: 0, ms: 0 }]) : []);
  return {
    reading(reader, part) {
      const kept = own.get(part);
      return kept ? { ...reader, trace: kept.trace } : reader;
    },
    charging(meter, part) {
      const kept = own.get(part);
      if (!kept) return meter;
      const note = kept.trace.pace(undefined);
      return {
        ...meter,
        charge(rows, effort) {
          kept.walked += rows;
          note(kept.walked, kept.walked);
          return meter.charge(rows, effort);
        },
      };
    },
    spent(part, ms) {
      const kept = own.get(part);
      if (kept) kept.ms += ms;
    },
    withTraces(result) {
      if (!explain || result.kind === 'stale') return result;
      const traces = [...own].map(([{ type }, { trace, ms }]) => {
        const done = trace.done();
        return { type, ...done, ms: { ...done.ms, walk: Math.max(0, ms - done.ms.plan) } };
      });
      return { ...result, parts: traces };
    },
  };
}
