/**
 * The log: commits insert rows without a number, whoever reads numbers what is waiting. RFC 6962 needs numbers without gaps.
 *
 * Rows wait in the order of `o`, a timestamp of the primary that MongoDB fills in as it inserts: greater than that of every row whose commit was
 * acknowledged before, on whichever member. Numbers are given by one ordered bulk write, one row at a time: number n+1 only after n was given.
 * Each write names a row that still waits, and its number is unique in an index; a row that another process has numbered meanwhile, or a
 * number it has given away, is refused, which ends the whole bulk write. So several processes may number at once, and one that was
 * paused in the middle and goes on much later can neither fork the log nor leave a gap nor hold anybody up: its first write is refused.
 * The unique index is the fence, and the number itself is what grows.
 *
 * Invariant: the numbers in the log are 0..n-1, each once; a numbered row never changes, but for an erasure, which puts another under its number.
 */
import type { LogRow } from '../port.ts';
import type { Connection } from './connection.ts';
import { guarded, isDuplicate, isInvalid, unavailable } from './faults.ts';

export type Log = { read(from: number, limit: number): Promise<readonly LogRow[]> };

const SLICE = 1_000;
const MOST_ATTEMPTS = 1_000;

export function createLog(connection: Connection): Log {
  const numbering = onceAtATime(() => numberAll(connection));
  return {
    read: (from, limit) =>
      guarded(async () => {
        if (limit <= 0) return [];
        await numbering();
        return readNumbered(connection, from, limit);
      }),
  };
}

async function readNumbered(connection: Connection, from: number, limit: number): Promise<readonly LogRow[]> {
  const options = { hint: 'n', sort: { n: 1 }, limit, projection: { entry: 1, n: 1 } } as const;
  const found = await connection.collections.log.find({ n: { $gte: from } }, options).toArray();
  // A row that was erased while we read may be met twice: as it was and as it is now.
  if (new Set(found.map(({ n }) => n)).size < found.length) return readNumbered(connection, from, limit);
  return found.map(({ _id, entry, n }) => ({ index: n ?? -1, key: _id, entry }));
}

/** A call shares the run that has not begun, never one that has: it may have looked already. */
function onceAtATime(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  let waiting: Promise<void> | undefined;
  const begin = (): Promise<void> => {
    waiting = undefined;
    running = run();
    return running;
  };
  return () => (waiting ??= running.then(begin, begin));
}

async function numberAll(connection: Connection): Promise<void> {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    if (await numberSlice(connection)) return;
  }
  throw unavailable('The log could not be numbered.');
}

/** Whether nothing is left. */
async function numberSlice({ collections: { log } }: Connection): Promise<boolean> {
  // The last number comes first: one that is out of date is refused as taken, while rows that are out of date could leave a gap.
  const [last] = await log.find({ n: { $gte: 0 } }, { hint: 'n', sort: { n: -1 }, limit: 1, projection: { n: 1 } }).toArray();
  const waiting = await log.find({ p: true }, { hint: 'waiting', sort: { o: 1 }, limit: SLICE, projection: { _id: 1 } }).toArray();
  if (waiting.length === 0) return true;
  const next = (last?.n ?? -1) + 1;
  try {
    const writes = waiting.map(({ _id }, i) => ({
      // An upsert: where no such row waits, it would make one without an entry, which the schema refuses, and the bulk write stops.
      updateOne: { filter: { _id, p: true as const }, update: { $set: { n: next + i }, $unset: { p: '' as const } }, upsert: true },
    }));
    await log.bulkWrite(writes, { ordered: true });
    return waiting.length < SLICE;
  } catch (error) {
    if (isDuplicate(error) || isInvalid(error)) return false;
    throw error;
  }
}
