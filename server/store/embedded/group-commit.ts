/**
 * Many jobs, one transaction, one flush to disk; each job in a savepoint of its own.
 * https://www.sqlite.org/lang_savepoint.html
 *
 * Invariant: a job is answered with success only after the commit that holds it; a job that fails takes no other with it.
 */
import { AssentError } from '../../errors.ts';
import { applyJob } from './apply.ts';
import { purgeExpired } from './apply-records.ts';
import type { Database } from './database.ts';
import type { Answer, Failure, Job } from './jobs.ts';

export type TimedJob = { readonly job: Job; readonly now: number };

export function createGroupCommit(database: Database): (jobs: readonly TimedJob[]) => readonly Answer[] {
  const { statement, connection } = database;
  const purge = purger(database);

  function together(jobs: readonly TimedJob[]): readonly Answer[] | Failure {
    try {
      statement('BEGIN IMMEDIATE').run();
      const answers = jobs.map(apart);
      purge(jobs.at(-1)?.now ?? 0);
      statement('COMMIT').run();
      return answers;
    } catch (error) {
      if (connection.isTransaction) statement('ROLLBACK').run();
      return failureOf(error);
    }
  }

  function apart({ job, now }: TimedJob): Answer {
    statement('SAVEPOINT job').run();
    try {
      return applyJob(database, job, now);
    } catch (error) {
      // Some faults (a full disk) end the whole transaction: then there is nothing to go back to.
      if (!connection.isTransaction) throw error;
      statement('ROLLBACK TO job').run();
      return failureOf(error);
    } finally {
      if (connection.isTransaction) statement('RELEASE job').run();
    }
  }

  return (jobs) => {
    const answers = together(jobs);
    if (!('failed' in answers)) return answers;
    if (jobs.length === 1) return [answers];
    // The transaction was lost with everything in it. One by one, only those that cannot be written fail.
    return jobs.map((job) => {
      const alone = together([job]);
      return 'failed' in alone ? alone : (alone[0] ?? null);
    });
  };
}

const PURGE_EVERY_MS = 10_000;

function purger(database: Database): (now: number) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (now) => {
    if (now - last < PURGE_EVERY_MS) return;
    last = now;
    purgeExpired(database, now);
  };
}

const CONSTRAINT = 19;

/** The database could not write: unavailable. It was asked for something impossible: internal. Its messages name columns, never values. */
function failureOf(error: unknown): Failure {
  if (error instanceof AssentError) return { failed: error.code, cause: error.message };
  if (!(error instanceof Error) || !('errcode' in error)) return { failed: 'internal', cause: error instanceof Error ? error.name : 'unknown' };
  return { failed: (Number(error.errcode) & 0xff) >= CONSTRAINT ? 'internal' : 'unavailable', cause: error.message };
}
