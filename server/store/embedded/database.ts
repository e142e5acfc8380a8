/**
 * One connection to the embedded database, with its statements prepared once. https://www.sqlite.org/wal.html
 *
 * Invariant: a connection that may write is in WAL mode with synchronous=FULL, so an acknowledged commit is on the disk;
 * a connection that is not so is not handed out.
 */
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { AssentError } from '../../errors.ts';
import type { Trace } from '../trace.ts';

export type Database = {
  readonly connection: DatabaseSync;
  /** Prepared once per text; rows come back as arrays. */
  statement(sql: string): StatementSync;
  close(): void;
  /** Whoever may write may read what is undone again. */
  readonly mode: Mode;
  /** Of the query that is being run, where it wants to be explained. */
  readonly trace?: Trace;
  /** Told of index entries that were counted to choose by: work that takes the thread's time as rows do. */
  readonly counted?: (entries: number) => void;
};

export type Mode = 'read-write' | 'read-only';

const CACHE_KIB = 32_768;

/** Throws AssentError('unavailable') when there is nothing to read, or durability cannot be had. */
export function openDatabase(dataDir: string, mode: Mode): Database {
  const path = databasePath(dataDir);
  if (mode === 'read-only' && !existsSync(path)) throw new AssentError('unavailable', `There is no database in ${dataDir}.`);
  if (mode === 'read-write') createPrivately(dataDir, path);
  const connection = new DatabaseSync(path, { readOnly: mode === 'read-only', timeout: 10_000 });
  connection.exec(`PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY`);
  if (mode === 'read-write') makeDurable(connection);
  const statements = new Map<string, StatementSync>();
  const statement = (sql: string): StatementSync => {
    let prepared = statements.get(sql);
    if (!prepared) {
      prepared = connection.prepare(sql);
      prepared.setReturnArrays(true);
      statements.set(sql, prepared);
    }
    return prepared;
  };
  return { connection, mode, statement, close: () => connection.close() };
}

/** Runs `work` in one read transaction: everything it reads is of one moment. `work` must not wait. */
export function snapshot<T>({ statement }: Database, work: () => T): T {
  statement('BEGIN').run();
  try {
    return work();
  } finally {
    statement('COMMIT').run();
  }
}

export function readEpoch({ statement }: Database): number {
  return one<[number]>(statement("SELECT value FROM meta WHERE name = 'epoch'"))?.[0] ?? 0;
}

type Value = string | number | null | Uint8Array;

/** First row, as an array typed by its statement; undefined when there is none. */
export function one<Row extends readonly unknown[]>(statement: StatementSync, ...parameters: readonly Value[]): Row | undefined {
  return statement.get(...parameters) as unknown as Row | undefined;
}

export function many<Row extends readonly unknown[]>(statement: StatementSync, ...parameters: readonly Value[]): Row[] {
  return statement.all(...parameters) as unknown as Row[];
}

export function databasePath(dataDir: string): string {
  return join(dataDir, 'assent.sqlite');
}

/** Records of patients: readable by the server's own user only. SQLite gives its side files the same mode. */
function createPrivately(dataDir: string, path: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  closeSync(openSync(path, 'a', 0o600));
}

function makeDurable(connection: DatabaseSync): void {
  // What is deleted or replaced is overwritten: an erasure leaves nothing in pages that are used again some day.
  // Checkpoints are run by the writer after it has acknowledged, not inside a commit.
  connection.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 67108864',
  );
  const journal = connection.prepare('PRAGMA journal_mode').get()?.['journal_mode'];
  const synchronous = connection.prepare('PRAGMA synchronous').get()?.['synchronous'];
  if (journal === 'wal' && synchronous === 2) return;
  connection.close();
  throw new AssentError('unavailable', 'The data folder cannot keep a write-ahead log on disk; commits would not be durable.');
}
