/**
 * The whole embedded data set, row by row, to be copied elsewhere, beside a running server or without one. Nothing is changed.
 *
 * Invariants: what is read inside `frozen` is of one moment; once the folder is held, no server writes to it until the dump is closed.
 */
import { existsSync } from 'node:fs';
import type { StatementSync } from 'node:sqlite';
import { AssentError } from '../../errors.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { DataSet, Section } from '../transfer.ts';
import { type Database, databasePath, many, one, openDatabase, readEpoch } from './database.ts';
import { createFollower, type Follower, toLogRow, toVersion } from './follow.ts';
import { lockForCopy, tryLockFolder } from './lock.ts';
import { requireCurrent } from './migrations.ts';
import { COLUMNS, type ResourceColumns, toResource } from './rows.ts';

export type Dump = DataSet &
  Follower & {
    count(section: Section): number;
    /** Takes the folder, so that no server starts on it; false: one runs. Throws AssentError('unavailable') when it is of another version by now. */
    hold(): boolean;
    /** Everything `work` reads is of one moment. The write-ahead log grows meanwhile. */
    frozen<T>(work: () => Promise<T>): Promise<T>;
    close(): void;
  };

/** Throws AssentError('unavailable') with a sentence: nothing there, somebody copies it already, another version. */
export function openDump(dataDir: string): Dump {
  if (!existsSync(databasePath(dataDir))) throw new AssentError('unavailable', `There is no database in ${dataDir}.`);
  const unlock = lockForCopy(dataDir);
  try {
    return assemble(dataDir, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

function assemble(dataDir: string, unlock: () => void): Dump {
  const database = openDatabase(dataDir, 'read-only');
  const { connection } = database;
  let release: (() => void) | undefined;
  requireCurrent(connection);
  return {
    ...read(database),
    ...createFollower(database),
    hold() {
      release ??= tryLockFolder(dataDir);
      if (release) requireCurrent(connection);
      return release !== undefined;
    },
    frozen: (work) => frozen(database, work),
    close() {
      connection.close();
      release?.();
      unlock();
    },
  };
}

async function frozen<T>(database: Database, work: () => Promise<T>): Promise<T> {
  database.connection.exec('BEGIN');
  try {
    // The moment is that of the first read.
    readEpoch(database);
    return await work();
  } finally {
    database.connection.exec('COMMIT');
  }
}

const LIVE = '(expires IS NULL OR expires > ?)';

type RecordColumns = readonly [kind: string, id: string, revision: number, expires: number | null, lookup: string, value: string | Uint8Array];

function read(database: Database): DataSet & Pick<Dump, 'count'> {
  const { statement } = database;
  return {
    counters: async () => ({
      epoch: readEpoch(database),
      fences: many<[string, number]>(statement('SELECT name, fence FROM lease ORDER BY name')).map(([name, fence]) => ({ name, fence })),
    }),
    count: (section) => one<[number]>(statement(`SELECT count(*) FROM ${section}`))?.[0] ?? 0,
    resources: () => slices(statement(`SELECT ${COLUMNS} FROM resources ORDER BY type, id`), [], (row: ResourceColumns) => toResource(row)),
    history: () => slices(statement(`SELECT ${COLUMNS} FROM history ORDER BY type, id, updated, version`), [], toVersion),
    log: () => slices(statement('SELECT idx, key, entry FROM log ORDER BY idx'), [], toLogRow),
    records: (now) =>
      slices(
        statement(`SELECT kind, id, revision, expires, lookup, value FROM records WHERE ${LIVE} ORDER BY kind, id`),
        [now],
        ([kind, id, revision, expires, lookup, value]: RecordColumns) => ({ kind, id, revision, expires, lookup: unpackKeys(lookup), value }),
      ),
  };
}

const MOST_ROWS = 500;
/** By what the columns of a slice hold: a slice is one message to the other engine. */
const MOST_CHARACTERS = 4_000_000;

async function* slices<Row extends readonly unknown[], T>(
  statement: StatementSync,
  parameters: readonly number[],
  make: (row: Row) => T,
): AsyncGenerator<readonly T[]> {
  let slice: T[] = [];
  let characters = 0;
  for (const row of statement.iterate(...parameters) as unknown as Iterable<Row>) {
    slice.push(make(row));
    for (const column of row) if (typeof column === 'string' || column instanceof Uint8Array) characters += column.length;
    if (slice.length < MOST_ROWS && characters < MOST_CHARACTERS) continue;
    yield slice;
    slice = [];
    characters = 0;
  }
  if (slice.length > 0) yield slice;
}
