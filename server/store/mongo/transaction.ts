/**
 * One transaction, retried as a whole when MongoDB says that it may be. https://www.mongodb.com/docs/manual/core/transactions-in-applications/
 *
 * Invariant: work is run again only when the attempt before it is known to have left nothing; a commit whose outcome stays unknown is an error.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientSession } from 'mongodb';
import { type Connection, DURABLE } from './connection.ts';
import { hasLabel, isDuplicate, translate, unavailable } from './faults.ts';

/** `attempt` counts from 0. */
export type Work<T> = (session: ClientSession, attempt: number) => Promise<T>;

/** Losing a race costs a few milliseconds; being without a primary must not cost the caller's patience. */
const PATIENCE_MS = 5_000;
const COMMIT_PATIENCE_MS = 3_000;
const LONGEST_PAUSE_MS = 100;

export async function transact<T>({ client }: Connection, work: Work<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let attempt = 0; ; attempt++) {
    const session = client.startSession();
    try {
      session.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: DURABLE, readPreference: 'primary' });
      const result = await work(session, attempt);
      await commit(session);
      return result;
    } catch (error) {
      if (session.inTransaction()) await session.abortTransaction().catch(() => undefined);
      if (!mayRetry(error) || performance.now() > deadline) throw translate(error);
    } finally {
      await session.endSession();
    }
    await sleep(randomInt(1, Math.min(LONGEST_PAUSE_MS, 4 * 2 ** attempt)));
  }
}

/** A key that someone else has just used shows up as a duplicate; the next attempt reads it. */
function mayRetry(error: unknown): boolean {
  return hasLabel(error, 'TransientTransactionError') || isDuplicate(error);
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
