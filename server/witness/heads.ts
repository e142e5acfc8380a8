/**
 * What this witness has cosigned last of each log. https://c2sp.org/tlog-witness
 *
 * Invariants: a head is on the disk before it is cosigned; it only ever takes the place of the one it was checked against, so that of two
 * requests at once, also to two processes, one is told of the other's.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TreeHead } from '../../ledger/witness.ts';

export type WitnessedHead = TreeHead & {
  /** The checkpoint as its log signed it. */
  readonly note: string;
};

export type Heads = {
  latest(origin: string): WitnessedHead | undefined;
  /** False: the head is no longer the one of `oldSize` (0: none). */
  advance(origin: string, oldSize: number, head: WitnessedHead): boolean;
  close(): void;
};

type Row = { readonly size: number; readonly root: Uint8Array; readonly note: string };

/** Throws when the folder cannot be written. */
export function openHeads(folder: string): Heads {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'witness.sqlite');
  const database = new DatabaseSync(file, { timeout: 10_000 });
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec('CREATE TABLE IF NOT EXISTS heads (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL) STRICT');
  chmodSync(file, 0o600);
  const latest = database.prepare('SELECT size, root, note FROM heads WHERE origin = ?');
  const insert = database.prepare('INSERT INTO heads (size, root, note, origin) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
  const update = database.prepare('UPDATE heads SET size = ?, root = ?, note = ? WHERE origin = ? AND size = ?');
  return {
    latest: (origin) => latest.get(origin) as Row | undefined,
    advance(origin, oldSize, { size, root, note }) {
      const values = [size, root, note, origin] as const;
      return (oldSize === 0 && insert.run(...values).changes === 1) || update.run(...values, oldSize).changes === 1;
    },
    close: () => database.close(),
  };
}
