/**
 * Versions, newest first. The newest version of a resource is its document in `resources`; older ones are in `history`, so a resource that
 * never changed costs nothing there.
 *
 * Invariant: a version is answered only if the scope holds for it and for the resource's newest content.
 */
import { compareKeys, type Expression, holds } from '../../search/expression.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { FindResult, HistoryQuery, Position, StoredResource } from '../port.ts';
import { type HistoryDocument, resourceId, toResource } from './documents.ts';
import type { Reader } from './reader.ts';

const BUDGET = 50_000;
const SLICE = 128;

type Version = Pick<HistoryDocument, '_id' | 't' | 'i' | 'v' | 'u' | 'd' | 'del' | 'f' | 'b'> & { readonly newest: boolean };

export async function findVersions(reader: Reader, query: HistoryQuery): Promise<FindResult> {
  const mayRead = judge(reader, query.scope);
  const rows: StoredResource[] = [];
  let next: Position | undefined;
  let walked = 0;
  for await (const slice of slices(reader, query)) {
    const readable = await mayRead(slice);
    for (const version of slice) {
      if (query.since !== undefined && version.u < query.since) return { kind: 'rows', rows, next: undefined, walked };
      if (rows.length >= query.limit) return { kind: 'rows', rows, next, walked };
      if (++walked > BUDGET) return { kind: 'budget', walked };
      if (!readable(version)) continue;
      rows.push(toResource(version));
      next = { sort: version.u, id: version.i };
    }
  }
  return { kind: 'rows', rows, next: undefined, walked };
}

type Judge = (slice: readonly Version[]) => Promise<(version: Version) => boolean>;

function judge(reader: Reader, scope: HistoryQuery['scope']): Judge {
  if (scope === 'internal') return async () => () => true;
  const wheres = new Map<string, Expression>();
  const whereOf = (type: string): Expression => {
    const where = wheres.get(type) ?? scope.where(type);
    wheres.set(type, where);
    return where;
  };
  return async (slice) => {
    const newest = await newestKeys(reader, slice);
    return ({ t, i, f, newest: isNewest }) => {
      const where = whereOf(t);
      if (!holds(where, i, unpackKeys(f))) return false;
      if (isNewest) return true;
      const keys = newest.get(resourceId(t, i));
      return keys !== undefined && holds(where, i, unpackKeys(keys));
    };
  };
}

async function newestKeys(reader: Reader, slice: readonly Version[]): Promise<ReadonlyMap<string, string>> {
  const ids = new Set(slice.filter(({ newest }) => !newest).map(({ t, i }) => resourceId(t, i)));
  const keys = new Map<string, string>();
  if (ids.size === 0) return keys;
  const newest = reader.resources({ _id: { $in: [...ids] } }, { hint: '_id_', projection: { _id: 1, f: 1 } });
  for await (const { _id, f } of newest) keys.set(_id, f);
  return keys;
}

/** Both collections, merged, a slice at a time. */
async function* slices(reader: Reader, query: HistoryQuery): AsyncGenerator<readonly Version[]> {
  let after: Place | undefined = query.before && { u: query.before.lastUpdated, t: query.before.type, i: query.before.id, v: query.before.version };
  const size = Math.min(query.limit + 1, SLICE);
  for (;;) {
    const filter = filterOf(query, after);
    const options = { sort: SORT, hint: hintOf(query), limit: size, batchSize: size + 1 };
    const current = (await reader.resources({ ...shardOf(query), ...filter }, options).toArray()).map((document) => ({ ...document, newest: true }));
    const older = (await reader.history(filter, options).toArray()).map((document) => ({ ...document, newest: false }));
    // Beyond the end of a full slice the other collection may have versions that come first: only what is certain is given out.
    const merged = [...current, ...older].sort(compareVersions).slice(0, size);
    const last = merged.at(-1);
    if (!last) return;
    yield merged;
    if (merged.length < size) return;
    after = last;
  }
}

type Place = Pick<Version, 'u' | 't' | 'i' | 'v'>;

const SORT = { u: -1, t: 1, i: 1, v: 1 } as const;

/** The versions of one resource are asked of the shard that has it: `resources` is spread by `_id`, `history` by the `i` in every such filter. */
function shardOf({ type, id }: HistoryQuery): { readonly _id?: string } {
  return type === undefined || id === undefined ? {} : { _id: resourceId(type, id) };
}

/** Fits both collections: they share these fields. */
type Filtering = { readonly t?: string; readonly i?: string; readonly v?: string; readonly $and?: object[] };

function hintOf({ type, id }: HistoryQuery): string {
  if (type === undefined) return 'u_t_i_v';
  return id === undefined ? 't_u_i_v' : 't_i_u_v';
}

function filterOf({ type, id, version }: HistoryQuery, after: Place | undefined): Filtering {
  const fixed = { ...(type !== undefined && { t: type }), ...(id !== undefined && { i: id }), ...(version !== undefined && { v: version }) };
  if (!after) return fixed;
  const { u, t, i, v } = after;
  const beyond = [{ u: { $lt: u } }, { u, t: { $gt: t } }, { u, t, i: { $gt: i } }, { u, t, i, v: { $gt: v } }];
  return { ...fixed, $and: [{ u: { $lte: u } }, { $or: beyond }] };
}

function compareVersions(a: Place, b: Place): number {
  return b.u - a.u || compareKeys(a.t, b.t) || compareKeys(a.i, b.i) || compareKeys(a.v, b.v);
}
