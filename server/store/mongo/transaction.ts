/**
 * One transaction, retried as a whole when MongoDB says that it may be. https://www.mongodb.com/docs/manual/core/transactions-in-applications/
 *
 * Invariant: work is run again only when the attempt before it is known to have left nothing; a commit whose outcome stays unknown is an error,
 * and nothing is begun again after the deadline, when whoever asked has been told that it failed.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientSession } from 'mongodb';
import { type Connection, DURABLE } from './connection.ts';
import { hasLabel, isDuplicate, isTooLargeForCache, translate, unavailable } from './faults.ts';

/** `attempt` counts from 0. */
export type Work<T> = (session: ClientSession, attempt: number) => Promise<T>;

const COMMIT_PATIENCE_MS = 3_000;
const LONGEST_PAUSE_MS = 100;

/** `deadline`: by the clock of `performance.now()`. Losing a race costs a few milliseconds, an election seconds. */
export async function transact<T>({ client }: Connection, deadline: number, work: Work<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const session = client.startSession();
    try {
      session.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: DURABLE, readPreference: 'primary' });
      const result = await work(session, attempt);
      await commit(session);
      await session.endSession();
      return result;
    } catch (error) {
      const ended = abandon(session);
      // Where nobody answers, an abort waits as long as everything else.
      if (!mayRetry(error) || performance.now() > deadline) throw translate(error);
      await ended;
    }
    await sleep(randomInt(1, Math.min(LONGEST_PAUSE_MS, 4 * 2 ** attempt)));
  }
}

async function abandon(session: ClientSession): Promise<void> {
  if (session.inTransaction()) await session.abortTransaction().catch(() => undefined);
  await session.endSession().catch(() => undefined);
}

/** A key that someone else has just used shows up as a duplicate; the next attempt reads it. */
function mayRetry(error: unknown): boolean {
  return (hasLabel(error, 'TransientTransactionError') && !isTooLargeForCache(error)) || isDuplicate(error);
}

async function commit(session: ClientSession): Promise<void> {
  const deadline = performance.now() + COMMIT_PATIENCE_MS;
  for (;;) {
    try {
      return await session.commitTransaction();
    } catch (error) {
      if (!hasLabel(error, 'UnknownTransactionCommitResult')) throw error;
      if (performance.now() > deadline) throw unavailable('MongoDB did not confirm a commit in time; it may still take effect.', error);
    }
  }
}
