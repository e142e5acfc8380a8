/** What "by a key" means, for every engine alike: which of a resource's keys it is sorted by, and which of two positions comes first. */
import { compareKeys } from '../search/expression.ts';
import type { Order, Position } from './port.ts';

export type KeyOrder = Order & { readonly by: 'key' };

/** The least (ascending) or greatest (descending) key with the order's prefix; undefined: there is none. */
export function sortKeyOf(keys: readonly string[], { prefix, direction }: KeyOrder): string | undefined {
  let best: string | undefined;
  for (const key of keys) {
    if (!key.startsWith(prefix)) continue;
    const difference = best === undefined ? -1 : compareKeys(key, best);
    if (direction === 'ascending' || best === undefined ? difference < 0 : difference > 0) best = key;
  }
  return best;
}

/** Those without a key come last in both directions; ties by id, in the order's direction. */
export function comparePositions(a: Position, b: Position, { direction }: KeyOrder): number {
  if (a.sort === undefined || b.sort === undefined) {
    if (a.sort !== b.sort) return a.sort === undefined ? 1 : -1;
  } else {
    const difference = compareKeys(String(a.sort), String(b.sort));
    if (difference !== 0) return direction === 'ascending' ? difference : -difference;
  }
  const ids = compareKeys(a.id, b.id);
  return direction === 'ascending' ? ids : -ids;
}
