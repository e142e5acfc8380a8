/**
 * What has changed in the embedded database since one last looked, beside the process that writes to it. No row bears the number of its
 * commit, so it follows from what is never taken back: rows of `resources`, `history` and `log` get ever growing numbers and are never
 * removed; a resource that is changed leaves a row in `history`; a record that is changed gets another revision.
 *
 * Invariant: rounds one after the other, the last of them while nobody writes, give all that is stored, as it is then. Each page is
 * a read of its own, so that a long round does not keep the write-ahead log from being reused.
 */
import type { StatementSync } from 'node:sqlite';
import { unpackKeys } from '../packed-keys.ts';
import type { LogRow, StoredResource } from '../port.ts';
import type { Change, RawRecord, RecordName } from '../transfer.ts';
import { type Database, many, one } from './database.ts';
import { expandBody } from './history-body.ts';
import { COLUMNS, type ResourceColumns, toResource } from './rows.ts';

export type Follower = {
  /** What has changed since the round before; the first gives everything. Records that have expired by `now` are left out, unless one that had not is known. */
  round(now: number): Iterable<Change>;
  /** How many rows the next round will bring about, records apart. */
  behind(): number;
};

const MOST_ROWS = 500;
/** By what the columns of a page hold: a page is one message to the other engine. */
const MOST_CHARACTERS = 4_000_000;
const BEFORE_ALL = -1;

/** The last row numbers that were given out. */
type Places = { resources: number; history: number; log: number };

export function createFollower(database: Database): Follower {
  const { statement, connection } = database;
  // Names of patients are in it: a file without a name, gone with the process.
  connection.exec('PRAGMA temp_store = FILE; CREATE TEMP TABLE seen (rid INTEGER PRIMARY KEY, kind TEXT, id TEXT, revision INTEGER)');
  const places: Places = { resources: BEFORE_ALL, history: BEFORE_ALL, log: BEFORE_ALL };
  const last = (column: string, table: string) => one<[number | null]>(statement(`SELECT max(${column}) FROM ${table}`))?.[0] ?? BEFORE_ALL;
  return {
    behind: () => last('rid', 'resources') + last('hid', 'history') + last('idx', 'log') - places.resources - places.history - places.log,
    *round(now) {
      // First of all: what is changed after this is of the next round, whatever this one has already read of it.
      const history = last('hid', 'history');
      const again = places.resources !== BEFORE_ALL;
      yield* resources(database, places, history);
      for (const { rows } of pages(statement(HISTORY), { from: places.history, parameters: [history] }, toVersion))
        yield { section: 'history', rows, again: false };
      places.history = history;
      for (const page of pages(statement(LOG), { from: places.log, parameters: [] }, toLogRow)) {
        yield { section: 'log', rows: page.rows, again: false };
        places.log = page.last;
      }
      yield* records(database, now, again);
    },
  };
}

const HISTORY = `SELECT ${COLUMNS}, hid FROM history WHERE hid > ?1 AND hid <= ?2 ORDER BY hid`;
const LOG = 'SELECT idx, key, entry, idx FROM log WHERE idx > ?1 ORDER BY idx';
const CREATED = `SELECT ${COLUMNS}, rid FROM resources WHERE rid > ?1 ORDER BY rid`;
const CHANGED = `SELECT ${COLUMNS}, rid FROM resources r WHERE rid > ?1 AND rid <= ?2 AND rid IN
  (SELECT r2.rid FROM history h CROSS JOIN resources r2 ON r2.type = h.type AND r2.id = h.id WHERE h.hid > ?3 AND h.hid <= ?4) ORDER BY rid`;

function* resources({ statement }: Database, places: Places, history: number): Generator<Change> {
  const known = places.resources;
  if (known !== BEFORE_ALL) {
    const parameters = [known, places.history, history];
    for (const { rows } of pages(statement(CHANGED), { from: BEFORE_ALL, parameters }, toCurrent)) yield { section: 'resources', rows, again: true };
  }
  for (const page of pages(statement(CREATED), { from: known, parameters: [] }, toCurrent)) {
    yield { section: 'resources', rows: page.rows, again: false };
    places.resources = page.last;
  }
}

/** Rows that are gone or are somebody else's by now, each with the row that its name has now, if any. By row number: both tables are walked once. */
const STALE = `SELECT s.rid, s.kind, s.id, (SELECT n.rid FROM records n WHERE n.kind = s.kind AND n.id = s.id)
  FROM temp.seen s LEFT JOIN records r ON r.rid = s.rid WHERE r.rid IS NULL OR r.kind <> s.kind OR r.id <> s.id`;
/** A row that has become somebody else's since is left for the next round, which finds it stale first. */
const DIFFERENT = `SELECT r.kind, r.id, r.revision, r.expires, r.lookup, r.value, r.rid
  FROM records r LEFT JOIN temp.seen s ON s.rid = r.rid
  WHERE r.rid > ?1 AND s.revision IS NOT r.revision
    AND (s.rid IS NULL AND (r.expires IS NULL OR r.expires > ?2) OR s.kind = r.kind AND s.id = r.id) ORDER BY r.rid`;

type StaleColumns = readonly [rid: number, kind: string, id: string, now: number | null];

function* records({ statement }: Database, now: number, again: boolean): Generator<Change> {
  const forget = statement('DELETE FROM temp.seen WHERE rid = ?');
  const stale = many<StaleColumns>(statement(STALE));
  for (let at = 0; at < stale.length; at += MOST_ROWS) {
    const page = stale.slice(at, at + MOST_ROWS);
    yield { section: 'records', gone: page.flatMap(([, kind, id, elsewhere]): RecordName[] => (elsewhere === null ? [{ kind, id }] : [])) };
    for (const [rid, , , elsewhere] of page) {
      forget.run(rid);
      // The name came again under another number: whichever of the two was given last, it is given once more.
      if (elsewhere !== null) forget.run(elsewhere);
    }
  }
  for (const { rows } of pages(statement(DIFFERENT), { from: BEFORE_ALL, parameters: [now] }, toRecord)) {
    yield { section: 'records', rows: rows.map(({ record }) => record), again };
    for (const { rid, record } of rows)
      statement('INSERT OR REPLACE INTO temp.seen VALUES (?, ?, ?, ?)').run(rid, record.kind, record.id, record.revision);
  }
}

type Numbered = readonly [...(string | number | null | Uint8Array)[], number];
type Range = { readonly from: number; readonly parameters: readonly number[] };

/** The statement's last column is the number it goes by, its first parameter where to go on. */
function* pages<Row extends readonly unknown[], T>(
  statement: StatementSync,
  { from, parameters }: Range,
  make: (row: Row) => T,
): Generator<{ readonly rows: readonly T[]; readonly last: number }> {
  for (let last = from; ; ) {
    const rows: T[] = [];
    let characters = 0;
    for (const row of statement.iterate(last, ...parameters) as unknown as Iterable<Numbered>) {
      rows.push(make(row as unknown as Row));
      last = row.at(-1) as number;
      for (const column of row) if (typeof column === 'string' || column instanceof Uint8Array) characters += column.length;
      if (rows.length >= MOST_ROWS || characters >= MOST_CHARACTERS) break;
    }
    if (rows.length === 0) return;
    yield { rows, last };
  }
}

type HistoryColumns = readonly [...(string | number)[], Uint8Array, number];
type LogColumns = readonly [index: number, key: string, entry: string];
type RecordColumns = readonly [string, string, number, number | null, string, string | Uint8Array, number];

function toCurrent(row: ResourceColumns): StoredResource {
  return toResource(row);
}

export function toVersion(row: HistoryColumns | readonly [...(string | number)[], Uint8Array]): StoredResource {
  return toResource([...row.slice(0, 7), expandBody(row[7] as Uint8Array)] as unknown as ResourceColumns);
}

export function toLogRow([index, key, entry]: LogColumns): LogRow {
  return { index, key, entry };
}

function toRecord([kind, id, revision, expires, lookup, value, rid]: RecordColumns): { readonly record: RawRecord; readonly rid: number } {
  return { record: { kind, id, revision, expires, lookup: unpackKeys(lookup), value }, rid };
}
