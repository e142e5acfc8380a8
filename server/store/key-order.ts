/** What "by keys" means, for every engine alike: which of a resource's keys it is sorted by, and which of two positions comes first. */
import { compareKeys } from '../search/expression.ts';
import type { Order, Position, SortKey } from './port.ts';

export type KeyOrder = Order & { readonly by: 'keys' };
export type KeyPosition = { readonly sort: readonly (string | null)[]; readonly id: string };

/** Behind whatever stands for a number, in what a key of a range is sorted by. */
const OF_RANGE = '~';

/** What keys begin with: those that say a number, and those that say a range of them. */
export type Heads = Pick<SortKey, 'prefix'> & { readonly ranges?: string | undefined };

/** What a key is sorted by, with this prefix; undefined: the order is by other keys. */
export function sortedAs(key: string, { prefix, ranges }: Heads, as = prefix): string | undefined {
  if (key.startsWith(prefix)) return as === prefix ? key : as + key.slice(prefix.length);
  return ranges !== undefined && key.startsWith(ranges) ? as + key.slice(ranges.length) + OF_RANGE : undefined;
}

/** The key that is sorted so. */
export function keySortedAs(sorted: string, { prefix, ranges }: Heads, as = prefix): string {
  const value = sorted.slice(as.length);
  return ranges !== undefined && value.endsWith(OF_RANGE) ? ranges + value.slice(0, -OF_RANGE.length) : prefix + value;
}

/** By the least (ascending) or greatest (descending); null: there is none. */
export function sortKeyOf(keys: readonly string[], by: SortKey): string | null {
  let best: string | null = null;
  for (const key of keys) {
    const sorted = sortedAs(key, by);
    if (sorted === undefined) continue;
    const difference = best === null ? -1 : compareKeys(sorted, best);
    if (by.direction === 'ascending' || best === null ? difference < 0 : difference > 0) best = sorted;
  }
  return best;
}

export function positionOf(id: string, keys: readonly string[], order: KeyOrder): KeyPosition {
  return { sort: order.keys.map((by) => sortKeyOf(keys, by)), id };
}

/** Those without a key come last in both directions; ties by id. `reversed`: from the end. */
export function comparePositions({ keys, ids }: KeyOrder, reversed: boolean | undefined): (a: KeyPosition, b: KeyPosition) => number {
  const sign = reversed ? -1 : 1;
  return (a, b) => {
    for (const [i, { direction }] of keys.entries()) {
      const difference = compareValues(a.sort[i] ?? null, b.sort[i] ?? null, direction);
      if (difference !== 0) return sign * difference;
    }
    const difference = compareKeys(a.id, b.id);
    return ids === 'ascending' ? sign * difference : -sign * difference;
  };
}

function compareValues(a: string | null, b: string | null, direction: SortKey['direction']): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const difference = compareKeys(a, b);
  return direction === 'ascending' ? difference : -difference;
}

/** The place to go on from; a link of another order is none of ours, so the shapes agree. */
export function keyPlace(after: Position | undefined): KeyPosition | undefined {
  return after && typeof after.sort !== 'number' ? { sort: after.sort, id: after.id } : undefined;
}
