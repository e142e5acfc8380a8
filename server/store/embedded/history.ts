/**
 * Versions in the order they were written. The newest version of a resource is its row in `resources`; older ones are in `history`, so a
 * resource that never changed costs nothing here.
 *
 * Invariant: a version is answered only if the scope holds for it and for the resource's newest content.
 */
import { compareKeys, type Expression } from '../../search/expression.ts';
import { holdsPacked } from '../packed-check.ts';
import type { HistoryQuery, HistoryResult, StoredResource } from '../port.ts';
import { type Database, many, one } from './database.ts';
import { expandBody } from './history-body.ts';
import { resourceAt, toResource } from './rows.ts';
import { merge } from './walk.ts';

/** Versions to walk in one call, and bodies to expand: ten milliseconds at most, as nothing else runs meanwhile. */
const BUDGET = 1_000;
const MOST_BODIES = 100;
/** Of many types most give few of a page's versions, so slices begin small. */
const FIRST_SLICE = 16;
const LARGEST_SLICE = 256;
const EARLIEST = -Number.MAX_SAFE_INTEGER;
const LATEST = Number.MAX_SAFE_INTEGER;

/** `key` is the row number in its table. `updated` is negated, as stored. */
type Version = {
  readonly table: 'resources' | 'history';
  readonly key: number;
  readonly type: string;
  readonly id: string;
  readonly version: string;
  readonly updated: number;
  readonly deleted: boolean;
  readonly keys: string;
};
type Place = Pick<Version, 'type' | 'id' | 'version' | 'updated'>;

export function findVersions(database: Database, query: HistoryQuery): HistoryResult {
  const { bodies = true, budget = BUDGET } = query;
  const limit = bodies ? Math.min(query.limit, MOST_BODIES) : query.limit;
  const mayRead = reader(database, query.scope);
  const isCurrent = currency(database, query);
  const rows: StoredResource[] = [];
  let last: Version | undefined;
  let walked = 0;
  for (const version of versions(database, query)) {
    if (last && (rows.length >= limit || walked >= budget)) return { kind: 'rows', rows, next: placeOf(last), walked };
    walked++;
    last = version;
    if (!mayRead(version) || !isCurrent(version)) continue;
    rows.push(load(database, version, bodies));
  }
  return { kind: 'rows', rows, next: undefined, walked };
}

function placeOf({ type, id, version, updated }: Version): NonNullable<HistoryQuery['after']> {
  return { lastUpdated: 0 - updated, type, id, version };
}

function reader(database: Database, scope: HistoryQuery['scope']): (version: Version) => boolean {
  if (scope === 'internal') return () => true;
  const whereOf = remembered(scope.where);
  const newestHolds = rememberedById((type, id) => holdsPacked(whereOf(type), id, newestKeys(database, type, id)));
  return ({ table, type, id, keys }) => {
    const where = whereOf(type);
    if (where.kind === 'all') return true;
    if (where.kind === 'none' || !holdsPacked(where, id, keys)) return false;
    return table === 'resources' || newestHolds(type, id);
  };
}

function rememberedById<T>(work: (type: string, id: string) => T): (type: string, id: string) => T {
  const known = new Map<string, T>();
  return (type, id) => {
    const key = `${type}/${id}`;
    const found = known.get(key) ?? work(type, id);
    known.set(key, found);
    return found;
  };
}

function remembered(where: (type: string) => Expression): (type: string) => Expression {
  const known = new Map<string, Expression>();
  return (type) => {
    const found = known.get(type) ?? where(type);
    known.set(type, found);
    return found;
  };
}

function newestKeys({ statement }: Database, type: string, id: string): string {
  const row = one<[string]>(statement('SELECT keys FROM resources WHERE type = ? AND id = ?'), type, id);
  if (!row) throw new Error('A superseded version has no newest one.');
  return row[0];
}

/** What was replaced before the span began was not current in it; a replacement the scope hides has not happened. */
function currency({ statement }: Database, { at, scope }: HistoryQuery): (version: Version) => boolean {
  if (!at) return () => true;
  const upTo = 'WHERE type = ?1 AND id = ?2 AND updated >= ?3';
  const sql = `SELECT updated, keys FROM resources ${upTo} UNION ALL SELECT updated, keys FROM history ${upTo} ORDER BY updated`;
  // Negated, as stored: the newest one shown that is not younger than the span's beginning.
  const newestBefore = rememberedById((type, id) => {
    for (const row of statement(sql).iterate(type, id, 0 - at.from)) {
      const [updated, keys] = row as unknown as readonly [number, string];
      if (scope === 'internal' || holdsPacked(scope.where(type), id, keys)) return updated;
    }
    return LATEST;
  });
  return ({ type, id, updated, deleted }) => {
    if (0 - updated > at.from) return true;
    return deleted ? 0 - updated === at.from : newestBefore(type, id) >= updated;
  };
}

function versions(database: Database, query: HistoryQuery): Generator<Version> {
  const { after, direction = 'newest-first' } = query;
  const backward = direction === 'oldest-first';
  const place = after && { ...after, updated: 0 - after.lastUpdated };
  const bounds = { first: query.at === undefined ? EARLIEST : 0 - query.at.to, last: query.since === undefined ? LATEST : 0 - query.since };
  const walks = typesOf(database, query).flatMap((type) => {
    const walk = { type, id: query.id, version: query.version, after: place, backward, bounds };
    return [walkVersions(database, 'resources', walk), walkVersions(database, 'history', walk)];
  });
  return merge(walks, backward ? (a, b) => compareVersions(b, a) : compareVersions);
}

type Walk = {
  readonly type: string;
  readonly id: string | undefined;
  readonly version: string | undefined;
  readonly after: Place | undefined;
  /** Oldest first. */
  readonly backward: boolean;
  /** Both ends included, negated as stored: `first` is the newest. */
  readonly bounds: { readonly first: number; readonly last: number };
};

function* walkVersions({ statement }: Database, table: Version['table'], walk: Walk): Generator<Version> {
  const { type, id, version, backward, bounds } = walk;
  const key = table === 'resources' ? 'rid' : 'hid';
  const exact = [...(id === undefined ? [] : [id]), ...(version === undefined ? [] : [version])];
  const one = `${id === undefined ? '' : 'AND id = ?'} ${version === undefined ? '' : 'AND version = ?'}`;
  const beyond = backward
    ? '(updated, id, version) < (?, ?, ?) AND updated >= ? ORDER BY updated DESC, id DESC, version DESC'
    : '(updated, id, version) > (?, ?, ?) AND updated <= ? ORDER BY updated, id, version';
  const sql = `SELECT ${key}, id, version, updated, deleted, keys FROM ${table} WHERE type = ? ${one} AND ${beyond} LIMIT ?`;
  let place = startOf(walk);
  for (let size = FIRST_SLICE; ; size = Math.min(size * 4, LARGEST_SLICE)) {
    const bound = [type, ...exact, place.updated, place.id, place.version, backward ? bounds.first : bounds.last, size];
    const rows = many<[number, string, string, number, number, string]>(statement(sql), ...bound);
    for (const [key, id, version, updated, deleted, keys] of rows) yield { table, key, type, id, version, updated, deleted: deleted === 1, keys };
    const last = rows.at(-1);
    if (!last || rows.length < size) return;
    place = { type, id: last[1], version: last[2], updated: last[3] };
  }
}

const LEAST = { id: '', version: '' };
const GREATEST = { id: '\u{10FFFF}', version: '\u{10FFFF}' };

/** Where a type's walk begins so that it continues after `after` in the order of all types. */
function startOf({ type, after, backward, bounds }: Walk): Place {
  if (!after) return backward ? { type, ...GREATEST, updated: bounds.last } : { type, ...LEAST, updated: bounds.first };
  const difference = compareKeys(type, after.type);
  if (difference === 0) return after;
  // A type that sorts before has had all of this instant; one that sorts behind still has all of it to come. Backward it is the other way.
  return { type, ...(difference < 0 ? GREATEST : LEAST), updated: after.updated };
}

function compareVersions(a: Place, b: Place): number {
  return a.updated - b.updated || compareKeys(a.type, b.type) || compareKeys(a.id, b.id) || compareKeys(a.version, b.version);
}

function typesOf(database: Database, { type, types }: HistoryQuery): readonly string[] {
  if (type !== undefined) return [type];
  const there = typesIn(database);
  return types ? there.filter((each) => types.includes(each)) : there;
}

/** One seek for each type there is. */
export function typesIn({ statement }: Database): string[] {
  const next = statement('SELECT min(type) FROM resources WHERE type > ?');
  const types: string[] = [];
  for (let type = one<[string | null]>(next, '')?.[0]; typeof type === 'string'; type = one<[string | null]>(next, type)?.[0]) types.push(type);
  return types;
}

function load(database: Database, { table, key, type, id, version, updated, deleted, keys }: Version, bodies: boolean): StoredResource {
  if (!bodies) return { type, id, version, lastUpdated: 0 - updated, instant: 0 - updated, deleted, body: '', keys: [] };
  if (table === 'resources') return resourceAt(database, key);
  const row = one<[number, number, Uint8Array]>(database.statement('SELECT sort, deleted, body FROM history WHERE hid = ?'), key);
  if (!row) throw new Error('An index entry names a version that is not there.');
  return toResource([type, id, version, updated, row[0], row[1], keys, expandBody(row[2])]);
}
