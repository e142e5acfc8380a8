/** Between rows of the database and the port's StoredResource. */
import { compareKeys } from '../../search/expression.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { StoredResource } from '../port.ts';
import { type Database, many, one } from './database.ts';

export type ResourceColumns = readonly [
  type: string,
  id: string,
  version: string,
  updated: number,
  sort: number,
  deleted: number,
  keys: string,
  body: string,
];

/** Of `resources` and `history`, in the order of ResourceColumns. */
export const COLUMNS = 'type, id, version, updated, sort, deleted, keys, body';
const WITHOUT_BODY = "type, id, version, updated, sort, deleted, keys, ''";

export function toResource([type, id, version, updated, sort, deleted, keys, body]: ResourceColumns): StoredResource {
  // 0 - x, not -x: -0 would not be the 0 that was stored.
  return { type, id, version, lastUpdated: 0 - updated, instant: 0 - sort, deleted: deleted === 1, body, keys: unpackKeys(keys) };
}

export function resourceAt(database: Database, rid: number): StoredResource {
  const [row] = resourcesOf(database, [{ rid }], true);
  return row as StoredResource;
}

/** `row`: read already. */
type Found = { readonly rid: number; readonly row?: StoredResource };

/** What entries found, in their order, read in one statement. Without `bodies`, which may be many pages of the database, their texts are empty. */
export function resourcesOf({ statement }: Database, entries: readonly Found[], bodies: boolean): StoredResource[] {
  const rids = entries.flatMap(({ row, rid }) => (row ? [] : [rid]));
  const sql = `SELECT ${bodies ? COLUMNS : WITHOUT_BODY}, rid FROM resources WHERE rid IN (SELECT value FROM json_each(?))`;
  const rows = rids.length === 0 ? [] : many<readonly [...ResourceColumns, number]>(statement(sql), JSON.stringify(rids));
  const found = new Map(rows.map((columns) => [columns[8], columns]));
  return entries.map(({ row, rid }) => {
    const columns = found.get(rid);
    if (!row && !columns) throw new Error('An index entry names a row that is not there.');
    return row ?? toResource(columns as unknown as ResourceColumns);
  });
}

/** Live resources without their keys, newest first. */
export function textsOf({ statement }: Database, type: string, ids: readonly string[]): StoredResource[] {
  const columns = COLUMNS.replace('keys', "''");
  const named = 'type = ? AND id IN (SELECT value FROM json_each(?))';
  const rows = many<ResourceColumns>(
    statement(`SELECT ${columns} FROM resources INDEXED BY resources_id WHERE ${named} AND deleted = 0`),
    type,
    JSON.stringify(ids),
  );
  return rows.map(toResource).sort((a, b) => b.instant - a.instant || compareKeys(a.id, b.id));
}

/** All its keys, packed. */
export function packedKeys({ statement }: Database, rid: number): string {
  return one<[string]>(statement('SELECT keys FROM resources WHERE rid = ?'), rid)?.[0] ?? '';
}

/** Bytes of text that are read without knowing whether they will be told: the time more of them took would say that something is there. */
const READ_AT_ONCE = 8192;

/** The newest version of one resource and the epoch, read in one statement and so of one moment. `whole`: false where its text is still to be read. */
export function newestAndEpoch(
  { statement }: Database,
  type: string,
  id: string,
): { readonly epoch: number; readonly resource: StoredResource | undefined; readonly whole: boolean } {
  const short = `CASE WHEN octet_length(body) <= ${READ_AT_ONCE} THEN body END`;
  const columnsOf = COLUMNS.replace('body', short);
  const sql = `SELECT m.value, ${columnsOf} FROM meta m LEFT JOIN resources ON type = ? AND id = ? WHERE m.name = 'epoch'`;
  const row = one<readonly [number, ...ResourceColumns]>(statement(sql), type, id);
  const [epoch = 0, ...columns] = row ?? [];
  return { epoch, resource: columns[0] === null ? undefined : toResource(columns as unknown as ResourceColumns), whole: columns[7] !== null };
}

/** Undefined: it is not the newest version any more. */
export function textOf({ statement }: Database, { type, id, version }: StoredResource): string | undefined {
  return one<readonly [string]>(statement('SELECT body FROM resources WHERE type = ? AND id = ? AND version = ?'), type, id, version)?.[0];
}

/** The newest version, a deletion included, with its row number. */
export function newestOf({ statement }: Database, type: string, id: string): { readonly rid: number; readonly resource: StoredResource } | undefined {
  const row = one<readonly [...ResourceColumns, number]>(statement(`SELECT ${COLUMNS}, rid FROM resources WHERE type = ? AND id = ?`), type, id);
  return row && { rid: row[8], resource: toResource(row as unknown as ResourceColumns) };
}
