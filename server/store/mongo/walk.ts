/**
 * Walks over index entries in result order: first a page of whole documents, which mostly is all that is needed, then documents without
 * their bodies until the caller has enough.
 *
 * Invariant: every filter fixes the leading index field to given keys, so the index yields the order and nothing is sorted.
 */
import type { Filter } from 'mongodb';
import type { ResourceDocument, Row } from './documents.ts';
import { KEY_INDEX, type Reader } from './reader.ts';

/** `id` is the document's `_id`. */
export type Place = { readonly d: number; readonly _id: string };

export type Walk = {
  /** Index keys, type and all; a resource with several of them comes once. */
  readonly keys: readonly string[];
  readonly oldestFirst: boolean;
  readonly after: Place | undefined;
  /** How many whole documents to begin with. */
  readonly first: number;
};

export const KEYS_ONLY = { _id: 1, i: 1, d: 1, f: 1 } as const;
export const DECIDING_ONLY = { _id: 1, c: 1 } as const;
/** Index keys are never read back. */
export const WHOLE = { k: 0 } as const;
/** For what is decided by keys alone. */
export const WITHOUT_TEXT = { k: 0, b: 0 } as const;
const BATCH = 256;

export async function* walkKeys(reader: Reader, walk: Walk): AsyncGenerator<Row> {
  let place = walk.after;
  let left = walk.first;
  for (const { filter, sort } of left > 0 ? segments(walk, place) : []) {
    const options = { hint: KEY_INDEX, sort, limit: left, batchSize: left + 1, projection: WHOLE };
    const rows = await reader.resources(filter, options).toArray();
    yield* rows;
    left -= rows.length;
    place = rows.at(-1) ?? place;
    if (left === 0) break;
  }
  if (left > 0) return;
  for (const { filter, sort } of segments(walk, place)) {
    yield* reader.resources(filter, { hint: KEY_INDEX, sort, projection: KEYS_ONLY, batchSize: BATCH });
  }
}

type Segment = { readonly filter: Filter<ResourceDocument>; readonly sort: Record<string, 1 | -1> };

/**
 * What follows a place: the rest of its instant, then what lies beyond. Two ranges of one index, where a disjunction would have to be planned.
 * The first is in order of id alone: told to order by the instant too, which is fixed, MongoDB would sort.
 */
function segments({ keys, oldestFirst }: Walk, after: Place | undefined): Segment[] {
  const k = keyFilter(keys);
  const id = oldestFirst ? -1 : 1;
  const sort = { d: oldestFirst ? 1 : -1, _id: id } as const;
  if (!after) return [{ filter: { k }, sort }];
  const { d, _id } = after;
  return [
    { filter: { k, d: { $eq: d }, _id: oldestFirst ? { $lt: _id } : { $gt: _id } }, sort: { _id: id } },
    { filter: { k, d: oldestFirst ? { $gt: d } : { $lt: d } }, sort },
  ];
}

export function keyFilter(keys: readonly string[]): { $eq: string } | { $in: string[] } {
  const [only] = keys;
  return keys.length === 1 && only !== undefined ? { $eq: only } : { $in: [...keys] };
}
