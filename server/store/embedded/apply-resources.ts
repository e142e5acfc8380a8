/** Writes one version: the row, what it supersedes, and the difference between the old and new index entries. Inside the writer's transaction. */
import { decidingPart } from '../deciding-keys.ts';
import { isIndexed } from '../driver.ts';
import { unpackKeys } from '../packed-keys.ts';
import { noteDeciding } from './class-changes.ts';
import { type Database, one } from './database.ts';
import { compressBody } from './history-body.ts';
import type { ReindexRow, ResourceJob } from './jobs.ts';
import { COLUMNS, type ResourceColumns } from './rows.ts';

type Indexed = { readonly type: string; readonly id: string; readonly rid: number };
type Content = { readonly sort: number; readonly deleted: number; readonly keys: string };

const GONE: Content = { sort: 0, deleted: 1, keys: '' };

export function writeResource(database: Database, job: ResourceJob): void {
  const { statement } = database;
  const [type, id, version, updated, sort, deleted, keys, body] = job;
  const old = one<readonly [...ResourceColumns, number]>(statement(`SELECT ${COLUMNS}, rid FROM resources WHERE type = ? AND id = ?`), type, id);
  if (!old) {
    const { lastInsertRowid } = statement(`INSERT INTO resources (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`).run(...job);
    index(database, { type, id, rid: Number(lastInsertRowid) }, { before: GONE, after: { sort, deleted, keys } });
    return;
  }
  const rid = old[8];
  const before = { sort: old[4], deleted: old[5], keys: old[6] };
  statement(`INSERT INTO history (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`).run(...(old.slice(0, 7) as string[]), compressBody(old[7]));
  statement('UPDATE resources SET version = ?, updated = ?, sort = ?, deleted = ?, keys = ?, body = ? WHERE rid = ?').run(
    version,
    updated,
    sort,
    deleted,
    keys,
    body,
    rid,
  );
  index(database, { type, id, rid }, { before, after: { sort, deleted, keys } });
}

/** Every version, with its index entries. The connection overwrites what it deletes. */
export function eraseResource(database: Database, type: string, id: string): void {
  const { statement } = database;
  const row = one<[number, number, number, string]>(statement('SELECT rid, sort, deleted, keys FROM resources WHERE type = ? AND id = ?'), type, id);
  if (!row) return;
  const [rid, sort, deleted, keys] = row;
  index(database, { type, id, rid }, { before: { sort, deleted, keys }, after: GONE });
  statement('DELETE FROM history WHERE type = ? AND id = ?').run(type, id);
  statement('DELETE FROM resources WHERE rid = ?').run(rid);
}

/**
 * Rewrites the keys of live resources that are still at the version they were computed from; the number that changed. False, and nothing is
 * written: one of them has other keys by now than those they were computed from.
 */
export function rewriteKeys(database: Database, type: string, rows: readonly ReindexRow[]): number | false {
  const { statement } = database;
  const select = statement('SELECT rid, version, sort, deleted, keys FROM resources WHERE type = ? AND id = ?');
  const live = rows.flatMap((fresh) => {
    const row = one<[number, string, number, number, string]>(select, type, fresh[0]);
    return row && row[1] === fresh[1] && row[3] === 0 ? [{ fresh, row }] : [];
  });
  if (live.some(({ fresh, row }) => row[4] !== fresh[4])) return false;
  let written = 0;
  for (const { fresh, row } of live) {
    const [id, , sort, keys] = fresh;
    const [rid, , oldSort, deleted, oldKeys] = row;
    if (oldSort === sort && oldKeys === keys) continue;
    statement('UPDATE resources SET sort = ?, keys = ? WHERE rid = ?').run(sort, keys, rid);
    index(database, { type, id, rid }, { before: { sort: oldSort, deleted, keys: oldKeys }, after: { sort, deleted, keys } });
    written++;
  }
  return written;
}

function index(database: Database, { type, id, rid }: Indexed, { before, after }: { before: Content; after: Content }): void {
  const { statement } = database;
  const old = entriesOf(before);
  const fresh = entriesOf(after);
  const moved = before.sort !== after.sort;
  for (const key of old) {
    if (moved || !fresh.has(key)) statement('DELETE FROM keys WHERE type = ? AND key = ? AND sort = ? AND id = ?').run(type, key, before.sort, id);
  }
  const added = [...fresh].filter((key) => moved || !old.has(key));
  for (let at = 0; at < added.length; at += MOST_TOGETHER) {
    const some = added.slice(at, at + MOST_TOGETHER);
    statement(INSERTS[some.length] as string).run(type, after.sort, id, rid, ...some);
  }
  keepDeciding(database, { type, rid }, { before, after });
}

/** Of live resources alone, as in the index. */
function keepDeciding(database: Database, { type, rid }: Omit<Indexed, 'id'>, { before, after }: { before: Content; after: Content }): void {
  const { statement } = database;
  const [old, fresh] = [before, after].map(({ deleted, keys }) => (deleted === 1 ? undefined : decidingPart(keys)));
  if (fresh === old) return;
  if (old !== undefined) noteDeciding(database, type);
  if (fresh === undefined) statement('DELETE FROM deciding WHERE rid = ?').run(rid);
  else statement('INSERT OR REPLACE INTO deciding VALUES (?, ?)').run(rid, fresh);
}

const MOST_TOGETHER = 16;

/**
 * Statements for so many keys, because a statement costs more than the row it inserts. OR FAIL: a failure undoes the whole job, so SQLite need not
 * be ready to undo the one statement.
 */
const INSERTS: readonly string[] = Array.from({ length: MOST_TOGETHER + 1 }, (_, count) => {
  const rows = Array.from({ length: count }, (_, i) => `(?1, ?${i + 5}, ?2, ?3, ?4)`);
  return `INSERT OR FAIL INTO keys VALUES ${rows.join(', ')}`;
});

/** A deletion is in no index. */
function entriesOf({ deleted, keys }: Content): ReadonlySet<string> {
  return new Set(deleted === 1 ? [] : unpackKeys(keys).filter(isIndexed));
}
