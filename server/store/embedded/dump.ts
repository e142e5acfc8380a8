/**
 * The whole embedded data set, row by row, to be copied elsewhere. Nothing is changed.
 *
 * Invariant: what is read is of one moment: the folder is held for as long as the dump is open, so no server runs on it meanwhile.
 */
import { existsSync } from 'node:fs';
import type { StatementSync } from 'node:sqlite';
import { AssentError } from '../../errors.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { DataSet, Section } from '../transfer.ts';
import { type Database, databasePath, many, one, openDatabase, readEpoch } from './database.ts';
import { expandBody } from './history-body.ts';
import { lockFolder } from './lock.ts';
import { requireCurrent } from './migrations.ts';
import { type ResourceColumns, toResource } from './rows.ts';

export type Dump = DataSet & { count(section: Section): number; close(): void };

/** Throws AssentError('unavailable') with a sentence: nothing there, a server runs on it, another version. */
export function openDump(dataDir: string): Dump {
  if (!existsSync(databasePath(dataDir))) throw new AssentError('unavailable', `There is no database in ${dataDir}.`);
  const release = lockFolder(dataDir);
  try {
    const database = openDatabase(dataDir, 'read-only');
    requireCurrent(database.connection);
    const close = (): void => {
      database.close();
      release();
    };
    return { ...read(database), close };
  } catch (error) {
    release();
    throw error;
  }
}

const COLUMNS = 'type, id, version, updated, sort, deleted, keys, body';
const LIVE = '(expires IS NULL OR expires > ?)';

type HistoryColumns = readonly [...(string | number)[], Uint8Array];
type LogColumns = readonly [index: number, key: string, entry: string];
type RecordColumns = readonly [kind: string, id: string, revision: number, expires: number | null, lookup: string, value: string | Uint8Array];

function read(database: Database): Omit<Dump, 'close'> {
  const { statement } = database;
  return {
    counters: async () => ({
      epoch: readEpoch(database),
      fences: many<[string, number]>(statement('SELECT name, fence FROM lease ORDER BY name')).map(([name, fence]) => ({ name, fence })),
    }),
    count: (section) => one<[number]>(statement(`SELECT count(*) FROM ${section}`))?.[0] ?? 0,
    resources: () => slices(statement(`SELECT ${COLUMNS} FROM resources ORDER BY type, id`), [], (row: ResourceColumns) => toResource(row)),
    history: () => slices(statement(`SELECT ${COLUMNS} FROM history ORDER BY type, id, updated, version`), [], toVersion),
    log: () => slices(statement('SELECT idx, key, entry FROM log ORDER BY idx'), [], ([index, key, entry]: LogColumns) => ({ index, key, entry })),
    records: (now) =>
      slices(
        statement(`SELECT kind, id, revision, expires, lookup, value FROM records WHERE ${LIVE} ORDER BY kind, id`),
        [now],
        ([kind, id, revision, expires, lookup, value]: RecordColumns) => ({ kind, id, revision, expires, lookup: unpackKeys(lookup), value }),
      ),
  };
}

function toVersion(row: HistoryColumns): ReturnType<typeof toResource> {
  return toResource([...row.slice(0, 7), expandBody(row[7] as Uint8Array)] as unknown as ResourceColumns);
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
