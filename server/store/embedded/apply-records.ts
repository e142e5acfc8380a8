/** Record writes inside the writer's transaction. An expired record is absent, also to guards, and is cleared away little by little. */
import { randomInt } from 'node:crypto';
import { unpackKeys } from '../packed-keys.ts';
import { type Database, many, one } from './database.ts';
import type { RecordPut } from './jobs.ts';

type Name = { readonly recordKind: string; readonly id: string };
type Row = { readonly rid: number; readonly revision: number; readonly expired: boolean; readonly lookup: string };

const PURGE_SLICE = 200;

/** The record's revision, or null when there is none. */
export function revisionOf(database: Database, name: Name, now: number): number | null {
  const row = find(database, name, now);
  return !row || row.expired ? null : row.revision;
}

/** The new revision. */
export function putRecord(database: Database, put: RecordPut, now: number): number {
  const { statement } = database;
  const { recordKind, id, value, lookup, expires } = put;
  const old = find(database, put, now);
  // A record made anew starts anywhere, so that a revision seen before it was deleted never fits again.
  const revision = !old || old.expired ? randomInt(1, 2 ** 47) : old.revision + 1;
  if (!old) {
    const insert = 'INSERT INTO records (kind, id, revision, expires, lookup, value) VALUES (?, ?, ?, ?, ?, ?)';
    statement(insert).run(recordKind, id, revision, expires, lookup, value);
  } else {
    const update = 'UPDATE records SET revision = ?, expires = ?, lookup = ?, value = ? WHERE rid = ?';
    statement(update).run(revision, expires, lookup, value, old.rid);
  }
  if (old?.lookup === lookup) return revision;
  if (old) dropLookups(database, put, old.lookup);
  for (const key of new Set(unpackKeys(lookup))) statement('INSERT INTO record_lookup VALUES (?, ?, ?)').run(recordKind, key, id);
  return revision;
}

/** Whether there was such a record. */
export function deleteRecord(database: Database, name: Name, now: number): boolean {
  const old = find(database, name, now);
  if (!old) return false;
  database.statement('DELETE FROM records WHERE rid = ?').run(old.rid);
  dropLookups(database, name, old.lookup);
  return !old.expired;
}

export function purgeExpired(database: Database, now: number): void {
  const expired = database.statement(`SELECT kind, id FROM records WHERE expires <= ? LIMIT ${PURGE_SLICE}`);
  for (const [recordKind, id] of many<[string, string]>(expired, now)) deleteRecord(database, { recordKind, id }, now);
}

function find({ statement }: Database, { recordKind, id }: Name, now: number): Row | undefined {
  const row = one<[number, number, number | null, string]>(
    statement('SELECT rid, revision, expires, lookup FROM records WHERE kind = ? AND id = ?'),
    recordKind,
    id,
  );
  return row && { rid: row[0], revision: row[1], expired: row[2] !== null && row[2] <= now, lookup: row[3] };
}

function dropLookups({ statement }: Database, { recordKind, id }: Name, lookup: string): void {
  for (const key of unpackKeys(lookup)) statement('DELETE FROM record_lookup WHERE kind = ? AND lookup = ? AND id = ?').run(recordKind, key, id);
}
