/**
 * Versions, newest first. The newest version of a resource is its row in `resources`; older ones are in `history`, so a resource that never
 * changed costs nothing here.
 *
 * Invariant: a version is answered only if the scope holds for it and for the resource's newest content.
 */
import { compareKeys, type Expression, holds } from '../../search/expression.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { FindResult, HistoryQuery, Position, StoredResource } from '../port.ts';
import { type Database, many, one } from './database.ts';
import { expandBody } from './history-body.ts';
import { resourceAt, toResource } from './rows.ts';
import { merge } from './walk.ts';

const BUDGET = 50_000;
const SLICE = 256;

/** `key` is the row number in its table. `updated` is negated, as stored. */
type Version = {
  readonly table: 'resources' | 'history';
  readonly key: number;
  readonly type: string;
  readonly id: string;
  readonly version: string;
  readonly updated: number;
  readonly keys: string;
};
type Place = Pick<Version, 'type' | 'id' | 'version' | 'updated'>;

export function findVersions(database: Database, query: HistoryQuery): FindResult {
  const mayRead = reader(database, query.scope);
  const rows: StoredResource[] = [];
  let next: Position | undefined;
  let walked = 0;
  for (const version of versions(database, query)) {
    if (query.since !== undefined && -version.updated < query.since) break;
    if (rows.length >= query.limit) return { kind: 'rows', rows, next, walked };
    if (++walked > BUDGET) return { kind: 'budget', walked };
    if (query.version !== undefined && version.version !== query.version) continue;
    if (!mayRead(version)) continue;
    rows.push(load(database, version));
    next = { sort: 0 - version.updated, id: version.id };
  }
  return { kind: 'rows', rows, next: undefined, walked };
}

function reader(database: Database, scope: HistoryQuery['scope']): (version: Version) => boolean {
  if (scope === 'internal') return () => true;
  const wheres = new Map<string, Expression>();
  const whereOf = (type: string): Expression => {
    const where = wheres.get(type) ?? scope.where(type);
    wheres.set(type, where);
    return where;
  };
  return ({ table, type, id, keys }) => {
    const where = whereOf(type);
    if (!holds(where, id, unpackKeys(keys))) return false;
    return table === 'resources' || holds(where, id, unpackKeys(newestKeys(database, type, id)));
  };
}

function newestKeys({ statement }: Database, type: string, id: string): string {
  const row = one<[string]>(statement('SELECT keys FROM resources WHERE type = ? AND id = ?'), type, id);
  if (!row) throw new Error('A superseded version has no newest one.');
  return row[0];
}

function versions(database: Database, query: HistoryQuery): Generator<Version> {
  const { before } = query;
  const after = before && { ...before, updated: 0 - before.lastUpdated };
  const types = query.type === undefined ? typesIn(database) : [query.type];
  const walks = types.flatMap((type) => {
    const walk = { type, id: query.id, after };
    return [walkVersions(database, 'resources', walk), walkVersions(database, 'history', walk)];
  });
  return merge(walks, compareVersions);
}

type Walk = { readonly type: string; readonly id: string | undefined; readonly after: Place | undefined };

function* walkVersions({ statement }: Database, table: Version['table'], { type, id, after }: Walk): Generator<Version> {
  const key = table === 'resources' ? 'rid' : 'hid';
  const one = id === undefined ? '' : 'AND id = ?';
  const sql = `SELECT ${key}, id, version, updated, keys FROM ${table} WHERE type = ? ${one} AND (updated, id, version) > (?, ?, ?)
    ORDER BY updated, id, version LIMIT ${SLICE}`;
  let place = startOf(type, after);
  for (;;) {
    const bound = [type, ...(id === undefined ? [] : [id]), place.updated, place.id, place.version];
    const rows = many<[number, string, string, number, string]>(statement(sql), ...bound);
    for (const [key, id, version, updated, keys] of rows) yield { table, key, type, id, version, updated, keys };
    const last = rows.at(-1);
    if (!last || rows.length < SLICE) return;
    place = { type, id: last[1], version: last[2], updated: last[3] };
  }
}

/** Where a type's walk begins so that it continues after `after` in the order of all types. */
function startOf(type: string, after: Place | undefined): Place {
  if (!after) return { type, id: '', version: '', updated: -Number.MAX_SAFE_INTEGER };
  const difference = compareKeys(type, after.type);
  if (difference === 0) return after;
  // A type that sorts before has had all of this instant; one that sorts behind still has all of it to come.
  return { type, id: difference < 0 ? '\u{10FFFF}' : '', version: '', updated: after.updated };
}

function compareVersions(a: Place, b: Place): number {
  return a.updated - b.updated || compareKeys(a.type, b.type) || compareKeys(a.id, b.id) || compareKeys(a.version, b.version);
}

/** One seek for each type there is. */
function typesIn({ statement }: Database): string[] {
  const next = statement('SELECT min(type) FROM resources WHERE type > ?');
  const types: string[] = [];
  for (let type = one<[string | null]>(next, '')?.[0]; typeof type === 'string'; type = one<[string | null]>(next, type)?.[0]) types.push(type);
  return types;
}

function load(database: Database, { table, key, type, id, version, updated, keys }: Version): StoredResource {
  if (table === 'resources') return resourceAt(database, key);
  const row = one<[number, number, Uint8Array]>(database.statement('SELECT sort, deleted, body FROM history WHERE hid = ?'), key);
  if (!row) throw new Error('An index entry names a version that is not there.');
  return toResource([type, id, version, updated, row[0], row[1], keys, expandBody(row[2])]);
}
