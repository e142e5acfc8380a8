/** Does one job inside the writer's transaction. Guards are checked before anything is written, so a refused write set leaves nothing to undo. */
import { AssentError } from '../../errors.ts';
import { all, and, any } from '../../search/expression.ts';
import type { Guard, LogRow, NewLogRow } from '../port.ts';
import { deleteRecord, putRecord, revisionOf } from './apply-records.ts';
import { eraseResource, rewriteKeys, writeResource } from './apply-resources.ts';
import { carriers } from './carriers.ts';
import { type Database, one, readEpoch } from './database.ts';
import { findRows } from './find.ts';
import { type Answer, COMMITTED, type CommitJob, type Job } from './jobs.ts';

export function applyJob(database: Database, job: Job, now: number): Answer {
  switch (job.kind) {
    case 'commit':
      return commit(database, job, now);
    case 'put': {
      const fits = job.revision === undefined || revisionOf(database, job.put, now) === job.revision;
      return fits ? putRecord(database, job.put, now) : null;
    }
    case 'delete':
      return deleteRecord(database, job, now);
    case 'lease':
      return takeLease(database, job, now);
    case 'reindex':
      return job.guard && !isMet(database, job.guard, now) ? null : rewriteKeys(database, job.type, job.rows);
    case 'written-by-others':
      // Of this connection, which all of the server's own commits are made on. https://www.sqlite.org/pragma.html#pragma_data_version
      return one<[number]>(database.statement('PRAGMA data_version'))?.[0] ?? null;
    case 'check':
      // Another value each time: SQLite does not write a row that stays the same, and then nothing would have been tried.
      database.statement("INSERT INTO meta VALUES ('checks', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1").run();
      return true;
  }
}

function commit(database: Database, { guards, resources, records, log, erase, redact, bumpEpoch }: CommitJob, now: number): number {
  const failed = guards.findIndex((guard) => !isMet(database, guard, now));
  if (failed >= 0) return failed;
  for (const resource of resources) writeResource(database, resource);
  for (const { type, id } of erase) eraseResource(database, type, id);
  for (const write of records) {
    if (write.value === undefined) deleteRecord(database, write, now);
    else putRecord(database, write, now);
  }
  for (const row of redact) redactRow(database, row);
  for (const row of log) numberRow(database, row);
  if (bumpEpoch) database.statement("UPDATE meta SET value = value + 1 WHERE name = 'epoch'").run();
  return COMMITTED;
}

function isMet(database: Database, guard: Guard, now: number): boolean {
  switch (guard.kind) {
    case 'version': {
      const found = one<[string]>(database.statement('SELECT version FROM resources WHERE type = ? AND id = ?'), guard.type, guard.id);
      return (found?.[0] ?? null) === guard.version;
    }
    case 'no-match':
      return hasNoMatch(database, guard);
    case 'unused':
      return isUnused(database, guard);
    case 'epoch':
      return readEpoch(database) === guard.epoch;
    case 'record':
      return revisionOf(database, guard, now) === guard.revision;
  }
}

/** A scope that has gone stale proves nothing: not met. */
function hasNoMatch(database: Database, { type, where, scope }: Guard & { kind: 'no-match' }): boolean {
  if (scope !== 'internal' && scope.epoch !== readEpoch(database)) return false;
  const found = findRows(database, { type, where, scope, order: { by: 'instant', direction: 'newest-first' }, limit: 1 });
  if (found.kind === 'budget') throw new AssentError('too-costly');
  return found.kind === 'rows' && found.rows.length === 0;
}

function isUnused(database: Database, { key, types, allowed }: Guard & { kind: 'unused' }): boolean {
  const scopes = new Map(allowed.map((one) => [one.type, one]));
  return carriers(database, key, types).every((type) => {
    const { where, scope } = scopes.get(type) ?? { where: all, scope: 'internal' as const };
    return hasNoMatch(database, { kind: 'no-match', type, where: and([any([key]), where]), scope });
  });
}

/** Numbers have no gaps: the next one is taken in the transaction that uses it. */
function numberRow({ statement }: Database, { key, entry }: NewLogRow): void {
  statement('INSERT INTO log SELECT coalesce(max(idx) + 1, 0), ?, ? FROM log WHERE true ON CONFLICT (key) DO NOTHING').run(key, entry);
}

function redactRow({ statement }: Database, { index, key, entry }: LogRow): void {
  const { changes } = statement('UPDATE log SET key = ?, entry = ? WHERE idx = ?').run(key, entry, index);
  if (changes !== 1) throw new AssentError('internal', 'There is no such log row.');
}

/** The holder keeps its number while it renews in time; a new holder, or a late one, gets a larger one. */
function takeLease({ statement }: Database, { name, holder, ttlMs }: Job & { kind: 'lease' }, now: number): number | null {
  const row = one<[string, number, number]>(statement('SELECT holder, expires, fence FROM lease WHERE name = ?'), name);
  const valid = row !== undefined && row[1] > now;
  if (valid && row[0] !== holder) return null;
  const fence = valid ? row[2] : (row?.[2] ?? 0) + 1;
  statement('INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)').run(name, holder, now + ttlMs, fence);
  return fence;
}

/** Whoever opens the folder is its only process: what an earlier one held is over. */
export function endLeases({ statement }: Database): void {
  statement('UPDATE lease SET expires = 0').run();
}
