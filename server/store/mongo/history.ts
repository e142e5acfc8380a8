/**
 * Versions in the order they were written. The newest version of a resource is its document in `resources`; older ones are in `history`, so
 * a resource that never changed costs nothing there.
 *
 * Invariant: a version is answered only if the scope holds for it and for the resource's newest content.
 */
import { AssentError } from '../../errors.ts';
import { compareKeys, type Expression } from '../../search/expression.ts';
import { holdsPacked } from '../packed-check.ts';
import type { HistoryQuery, HistoryResult, StoredResource } from '../port.ts';
import { byId, byIds, type HistoryDocument, resourceId, toResource } from './documents.ts';
import type { Reader } from './reader.ts';

/** Versions to walk in one call. */
const BUDGET = 2_000;
const SLICE = 128;
/** Without bodies they are small. Nothing else runs while a slice is judged. */
const BARE_SLICE = 1_000;

type Version = Pick<HistoryDocument, '_id' | 't' | 'i' | 'v' | 'u' | 'd' | 'del' | 'f' | 'b'> & { readonly newest: boolean };

export async function findVersions(reader: Reader, query: HistoryQuery): Promise<HistoryResult> {
  const { limit, budget = BUDGET } = query;
  const mayRead = judge(reader, query);
  const rows: StoredResource[] = [];
  let last: Version | undefined;
  let walked = 0;
  for await (const slice of slices(reader, query)) {
    if (query.signal?.aborted) throw new AssentError('abandoned');
    const readable = await mayRead(slice);
    for (const version of slice) {
      if (last && (rows.length >= limit || walked >= budget)) return { kind: 'rows', rows, next: placeOf(last), walked };
      walked++;
      last = version;
      if (readable(version)) rows.push(query.bodies === false ? bare(version) : toResource(version));
    }
  }
  return { kind: 'rows', rows, next: undefined, walked };
}

function placeOf({ u, t, i, v }: Version): NonNullable<HistoryQuery['after']> {
  return { lastUpdated: u, type: t, id: i, version: v };
}

function bare({ t, i, v, u, del }: Version): StoredResource {
  return { type: t, id: i, version: v, lastUpdated: u, instant: u, deleted: del, body: '', keys: [] };
}

type Judge = (slice: readonly Version[]) => Promise<(version: Version) => boolean>;

function judge(reader: Reader, { scope, at }: HistoryQuery): Judge {
  const whereOf = remembered(scope === 'internal' ? undefined : scope.where);
  const replacedBy = at && replacements(reader, { by: at.from, whereOf });
  return async (slice) => {
    const newest = scope === 'internal' ? undefined : await newestKeys(reader, slice);
    const replaced = await replacedBy?.(slice);
    return (version) => {
      const { t, i, f, newest: isNewest } = version;
      const where = whereOf(t);
      if (where && !holdsPacked(where, i, f)) return false;
      const keys = newest?.get(resourceId(t, i));
      if (where && !isNewest && (keys === undefined || !holdsPacked(where, i, keys))) return false;
      return !at || version.u > at.from || (version.del ? version.u === at.from : !replaced?.(version));
    };
  };
}

type WhereOf = (type: string) => Expression | undefined;

function remembered(where: ((type: string) => Expression) | undefined): WhereOf {
  const known = new Map<string, Expression>();
  return (type) => {
    const found = known.get(type) ?? where?.(type);
    if (found) known.set(type, found);
    return found;
  };
}

async function newestKeys(reader: Reader, slice: readonly Version[]): Promise<ReadonlyMap<string, string>> {
  const ids = new Set(slice.filter(({ newest }) => !newest).map(({ t, i }) => resourceId(t, i)));
  const keys = new Map<string, string>();
  if (ids.size === 0) return keys;
  const newest = reader.resources(byIds(ids), { hint: '_id_', projection: { _id: 1, f: 1 } });
  for await (const { _id, f } of newest) keys.set(_id, f);
  return keys;
}

/** Whether a version was replaced by then; a replacement the scope hides has not happened. Each resource is looked at once. */
function replacements(reader: Reader, { by, whereOf }: { readonly by: number; readonly whereOf: WhereOf }): Judge {
  const latest = new Map<string, number>();
  const note = ({ t, i, u, f }: Pick<Version, 't' | 'i' | 'u' | 'f'>): void => {
    const where = whereOf(t);
    if (where && !holdsPacked(where, i, f)) return;
    const id = resourceId(t, i);
    latest.set(id, Math.max(u, latest.get(id) ?? u));
  };
  const options = { projection: { t: 1, i: 1, u: 1, f: 1 }, batchSize: BARE_SLICE };
  return async (slice) => {
    const asked = slice.filter(({ t, i, u, newest, del }) => u <= by && !newest && !del && !latest.has(resourceId(t, i)));
    for (const [type, ids] of byType(asked)) {
      const filter = { t: type, i: { $in: [...ids] }, u: { $lte: by } };
      for await (const version of reader.history(filter, { hint: 't_i_u_v', ...options })) note(version);
      const current = { ...byIds([...ids].map((id) => resourceId(type, id))), u: { $lte: by } };
      for await (const version of reader.resources(current, { hint: '_id_', ...options })) note(version);
    }
    return ({ t, i, u }) => (latest.get(resourceId(t, i)) ?? u) > u;
  };
}

function byType(versions: readonly Version[]): ReadonlyMap<string, ReadonlySet<string>> {
  const types = new Map<string, Set<string>>();
  for (const { t, i } of versions) types.set(t, (types.get(t) ?? new Set()).add(i));
  return types;
}

/** Both collections, merged, a slice at a time. */
async function* slices(reader: Reader, query: HistoryQuery): AsyncGenerator<readonly Version[]> {
  const { after: from, direction = 'newest-first', bodies = true } = query;
  const forward = direction === 'newest-first';
  let after: Place | undefined = from && { u: from.lastUpdated, t: from.type, i: from.id, v: from.version };
  const size = Math.min(query.limit + 1, bodies ? SLICE : BARE_SLICE);
  const projection = bodies ? {} : { projection: { b: 0, k: 0 } };
  for (;;) {
    const filter = filterOf(query, after);
    const options = { sort: forward ? SORT : REVERSED, hint: hintOf(query), limit: size, batchSize: size + 1, ...projection };
    const current = await reader.resources({ ...shardOf(query), ...filter }, options).toArray();
    const older = await reader.history(filter, options).toArray();
    // Beyond the end of a full slice the other collection may have versions that come first: only what is certain is given out.
    const both = [...current.map((document) => versionOf(document, true)), ...older.map((document) => versionOf(document, false))];
    const merged = both.sort(forward ? compareVersions : (a, b) => compareVersions(b, a)).slice(0, size);
    const last = merged.at(-1);
    if (!last) return;
    yield merged;
    if (merged.length < size) return;
    after = last;
  }
}

/** `b` is not there when it was not asked for. */
function versionOf(document: Omit<HistoryDocument, 'b'> & { readonly b?: string }, newest: boolean): Version {
  return { ...document, b: document.b ?? '', newest };
}

type Place = Pick<Version, 'u' | 't' | 'i' | 'v'>;

const SORT = { u: -1, t: 1, i: 1, v: 1 } as const;
const REVERSED = { u: 1, t: -1, i: -1, v: -1 } as const;

/** The versions of one resource are asked of the shard that has it: `resources` is spread by `s` and `_id`, `history` by the `i` in every such filter. */
function shardOf({ type, id }: HistoryQuery): Partial<ReturnType<typeof byId>> {
  return type === undefined || id === undefined ? {} : byId(resourceId(type, id));
}

/** Fits both collections: they share these fields. */
type Filtering = { readonly t?: string | { $in: string[] }; readonly i?: string; readonly v?: string; readonly $and?: object[] };

function hintOf({ type, id }: HistoryQuery): string {
  if (type === undefined) return 'u_t_i_v';
  return id === undefined ? 't_u_i_v' : 't_i_u_v';
}

function filterOf(query: HistoryQuery, after: Place | undefined): Filtering {
  const { type, types, id, version, since, at, direction = 'newest-first' } = query;
  const fixed = { ...(type !== undefined && { t: type }), ...(id !== undefined && { i: id }), ...(version !== undefined && { v: version }) };
  const among = type === undefined && types ? { t: { $in: [...types] } } : {};
  const bounds = [
    ...(since === undefined ? [] : [{ u: { $gte: since } }]),
    ...(at === undefined ? [] : [{ u: { $lte: at.to } }]),
    ...(after ? beyond(after, direction === 'newest-first') : []),
  ];
  return { ...fixed, ...among, ...(bounds.length > 0 && { $and: bounds }) };
}

function beyond({ u, t, i, v }: Place, forward: boolean): object[] {
  const [earlier, notLater, greater] = forward ? (['$lt', '$lte', '$gt'] as const) : (['$gt', '$gte', '$lt'] as const);
  const later = [{ u: { [earlier]: u } }, { u, t: { [greater]: t } }, { u, t, i: { [greater]: i } }, { u, t, i, v: { [greater]: v } }];
  return [{ u: { [notLater]: u } }, { $or: later }];
}

function compareVersions(a: Place, b: Place): number {
  return b.u - a.u || compareKeys(a.t, b.t) || compareKeys(a.i, b.i) || compareKeys(a.v, b.v);
}
