/** The mark of a database into which a data set is being copied: a counter, so that no schema is needed for it. */
import type { Db } from 'mongodb';
import { AssentError } from '../../errors.ts';
import type { Connection } from './connection.ts';
import type { Counter } from './documents.ts';

const MARK = 'copy-unfinished';

/** ms since 1970; undefined: nothing is unfinished. */
export async function unfinishedSince(database: Db): Promise<number | undefined> {
  return (await database.collection<Counter>('counters').findOne({ _id: MARK }))?.value;
}

/** Throws AssentError('unavailable') with the remedy. */
export async function requireFinished(database: Db): Promise<void> {
  if ((await unfinishedSince(database)) === undefined) return;
  throw new AssentError('unavailable', 'A copy into this database has not finished. Run `npm run assent -- copy` again, with --restart.');
}

/** Instead of an earlier mark. Resolves with what to take it away with. */
export async function markUnfinished({ collections }: Connection, now: number): Promise<number> {
  await collections.counters.replaceOne({ _id: MARK }, { value: now }, { upsert: true });
  return now;
}

/** May be repeated. Throws AssentError('unavailable') when another copy has begun since: the mark is no longer ours. */
export async function unmark({ collections, database }: Connection, marked: number): Promise<void> {
  await collections.counters.deleteOne({ _id: MARK, value: marked });
  if ((await unfinishedSince(database)) !== undefined)
    throw new AssentError('unavailable', 'Another copy into this database has begun meanwhile; this one ends.');
}
