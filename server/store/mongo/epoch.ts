/**
 * The consent epoch as a majority has it now. While another primary may be about, the read is linearizable: a primary that has been deposed
 * without knowing it cannot answer, so a withdrawal accepted by its successor is not missed.
 * https://www.mongodb.com/docs/manual/reference/read-concern-linearizable/
 *
 * Invariant: an answer is of a moment after the question. Questions that wait share the next read.
 */
import type { Connection } from './connection.ts';
import { EPOCH_COUNTERS, epochFrom } from './documents.ts';
import { promptly, unavailable } from './faults.ts';

export type EpochReader = () => Promise<number>;

const LONGEST_MS = 2_000;

export function createEpochReader({ collections, topology }: Connection): EpochReader {
  let running: Promise<unknown> = Promise.resolve();
  let waiting: Promise<number> | undefined;

  function begin(): Promise<number> {
    waiting = undefined;
    const read = readEpoch();
    running = read;
    return read;
  }

  async function readEpoch(): Promise<number> {
    const level = topology.isSettled() ? 'majority' : 'linearizable';
    const find = () => collections.counters.find(EPOCH_COUNTERS, { readConcern: { level }, maxTimeMS: LONGEST_MS }).toArray();
    const epoch = epochFrom(await promptly(find));
    if (epoch === undefined) throw unavailable('The database has no consent epoch.');
    return epoch;
  }

  return () => (waiting ??= running.then(begin, begin));
}
