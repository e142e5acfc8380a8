/**
 * All that an aggregate keeps: what it took last from each log, its own entries, tiles and checkpoint, and what is on its way to a chain. ledger.md §5
 *
 * Invariants: a round is one commit, its signed checkpoint among it, so a process that is killed has made it whole or not at all; entries are only ever
 * added; one process at a time.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { emptyOutbox, type Outbox, type OutboxStore } from '../../ledger/anchor/evm/outbox.ts';
import { HASH_BYTES } from '../../ledger/hash.ts';
import type { GrownTile, ReadTile } from '../../ledger/tree.ts';
import type { TreeHead } from '../../ledger/witness.ts';

/** What was taken of a log. `entry`: its checkpoint as it stands in the aggregate. */
export type Taken = TreeHead & { readonly origin: string; readonly entry: string };

export type Round = {
  readonly taken: readonly Taken[];
  readonly tiles: readonly GrownTile[];
  /** The aggregate’s signed checkpoint over them, and its size. */
  readonly checkpoint: SignedCheckpoint;
};

export type SignedCheckpoint = { readonly size: number; readonly note: string };

export type AggregateStore = {
  /** What was taken of this log last. */
  latest(origin: string): TreeHead | undefined;
  checkpoint(): SignedCheckpoint | undefined;
  /** The newest entry of this log among the first `size`. */
  newest(origin: string, size: number): { readonly index: number; readonly entry: string } | undefined;
  readonly tile: ReadTile;
  commit(round: Round): void;
  outbox(name: string): OutboxStore;
  close(): void;
};

const TABLES = `
  CREATE TABLE IF NOT EXISTS heads (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, origin TEXT NOT NULL, entry TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS entries_of ON entries (origin, number);
  CREATE TABLE IF NOT EXISTS tiles (level INTEGER, number INTEGER, hashes BLOB NOT NULL, PRIMARY KEY (level, number)) STRICT;
  CREATE TABLE IF NOT EXISTS checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS outbox (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;`;

/** Throws Error when the folder cannot be written, or another process has it. */
export function openAggregateStore(folder: string): AggregateStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'aggregate.sqlite');
  const database = openAlone(file);
  chmodSync(file, 0o600);
  const read = readsOf(database);
  return {
    latest: (origin) => read.head.get(origin) as TreeHead | undefined,
    checkpoint: () => read.checkpoint.get() as SignedCheckpoint | undefined,
    newest: (origin, size) => read.newest.get(origin, size) as { readonly index: number; readonly entry: string } | undefined,
    async tile(level, index, width) {
      const { hashes } = (read.tile.get(level, index) as { readonly hashes: Uint8Array } | undefined) ?? {};
      return hashes && hashes.length >= width * HASH_BYTES ? hashes.subarray(0, width * HASH_BYTES) : undefined;
    },
    commit: committing(database),
    outbox: (name) => outboxIn(database, name),
    close: () => database.close(),
  };
}

function openAlone(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 1000 });
  try {
    database.exec(`PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; ${TABLES}`);
    return database;
  } catch (cause) {
    database.close();
    throw new Error(`${file} cannot be used: another process has it, or it cannot be written.`, { cause });
  }
}

function readsOf(database: DatabaseSync) {
  return {
    head: database.prepare('SELECT size, root FROM heads WHERE origin = ?'),
    checkpoint: database.prepare('SELECT size, note FROM checkpoint'),
    newest: database.prepare('SELECT number AS "index", entry FROM entries WHERE origin = ? AND number < ? ORDER BY number DESC LIMIT 1'),
    tile: database.prepare('SELECT hashes FROM tiles WHERE level = ? AND number = ?'),
  };
}

function committing(database: DatabaseSync): (round: Round) => void {
  const head = database.prepare('INSERT OR REPLACE INTO heads (origin, size, root) VALUES (?, ?, ?)');
  const entry = database.prepare('INSERT INTO entries (number, origin, entry) VALUES (?, ?, ?)');
  const tile = database.prepare('INSERT OR REPLACE INTO tiles (level, number, hashes) VALUES (?, ?, ?)');
  const checkpoint = database.prepare('INSERT OR REPLACE INTO checkpoint (one, size, note) VALUES (1, ?, ?)');
  return ({ taken, tiles, checkpoint: { size, note } }) => {
    database.exec('BEGIN IMMEDIATE');
    try {
      for (const [i, { origin, size: entries, root, entry: text }] of taken.entries()) {
        head.run(origin, entries, root);
        entry.run(size - taken.length + i, origin, text);
      }
      for (const { level, index, hashes } of tiles) tile.run(level, index, hashes);
      checkpoint.run(size, note);
      database.exec('COMMIT');
    } catch (fault) {
      database.exec('ROLLBACK');
      throw fault;
    }
  };
}

/** One process, so nobody else changes it. */
function outboxIn(database: DatabaseSync, name: string): OutboxStore {
  const read = database.prepare('SELECT value FROM outbox WHERE name = ?');
  const write = database.prepare('INSERT OR REPLACE INTO outbox (name, value) VALUES (?, ?)');
  return {
    async read() {
      const { value } = (read.get(name) as { readonly value: string } | undefined) ?? {};
      return value === undefined ? emptyOutbox : (JSON.parse(value) as Outbox);
    },
    async replace(_before, next) {
      write.run(name, JSON.stringify(next));
      return true;
    },
  };
}
