/**
 * Whether the index and the deciding keys beside it are those of the rows: searches rest on them alone, so an entry that somebody put there by hand shows
 * what its row does not permit. Reads a type from end to end: for a process of its own.
 */
import { decidingPart } from '../deciding-keys.ts';
import { isIndexed } from '../driver.ts';
import { unpackKeys } from '../packed-keys.ts';
import { type Database, many, one } from './database.ts';

type Columns = readonly [id: string, sort: number, deleted: number, keys: string, deciding: string | null];

/** Ids of those whose index is not as their rows say, at most so many. */
export function misindexed(database: Database, type: string, most: number): string[] {
  const found = new Set(strays(database, type, most));
  let entries = 0;
  for (const row of rowsOf(database, type)) {
    const [id, , deleted, keys, deciding] = row;
    entries += indexedIn(row).size;
    if (deciding !== (deleted === 1 ? null : decidingPart(keys))) found.add(id);
  }
  const [stored = 0] = one<[number]>(database.statement('SELECT count(*) FROM keys WHERE type = ?'), type) ?? [];
  // Every entry there is was one of its row’s: as many as there should be are all there should be.
  if (stored !== entries && found.size < most) for (const id of incomplete(database, type)) found.add(id);
  return [...found].slice(0, most);
}

const SLICE = 1000;

function* rowsOf({ statement }: Database, type: string): Generator<Columns> {
  const columns = 'r.id, r.sort, r.deleted, r.keys, d.keys FROM resources r INDEXED BY resources_id LEFT JOIN deciding d ON d.rid = r.rid';
  const slice = statement(`SELECT ${columns} WHERE r.type = ? AND r.id > ? ORDER BY r.id LIMIT ${SLICE}`);
  for (let after = ''; ; ) {
    const rows = many<Columns>(slice, type, after);
    yield* rows;
    const last = rows.at(-1);
    if (!last) return;
    [after] = last;
  }
}

function indexedIn([, , deleted, keys]: Columns): ReadonlySet<string> {
  return new Set(deleted === 1 ? [] : unpackKeys(keys).filter(isIndexed));
}

/** Of entries that no live row has: keys stand in a row one to a line, escaped. */
function strays({ statement }: Database, type: string, most: number): string[] {
  const line = "char(10) || replace(replace(k.key, '\\', '\\\\'), char(10), '\\n') || char(10)";
  const isOf = `r.type = k.type AND r.id = k.id AND r.sort = k.sort AND r.deleted = 0 AND instr(char(10) || r.keys, ${line}) > 0`;
  const sql = `SELECT DISTINCT k.id FROM keys k LEFT JOIN resources r ON r.rid = k.rid WHERE k.type = ? AND coalesce(${isOf}, 0) = 0 LIMIT ?`;
  return many<[string]>(statement(sql), type, most).map(([id]) => id);
}

function* incomplete(database: Database, type: string): Generator<string> {
  const seek = database.statement('SELECT count(*) FROM keys WHERE type = ? AND key = ? AND sort = ? AND id = ?');
  for (const row of rowsOf(database, type)) {
    const [id, sort] = row;
    if ([...indexedIn(row)].some((key) => one<[number]>(seek, type, key, sort, id)?.[0] !== 1)) yield id;
  }
}
