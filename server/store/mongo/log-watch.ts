/**
 * Tells of log rows that any process has committed, through a change stream. https://www.mongodb.com/docs/manual/changeStreams/
 *
 * Invariant: a wake-up carries nothing and promises nothing. Rows are found by reading the log after a stored position, on a tick as well, so
 * a stream that is late, broken, forbidden or unsupported costs time only.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChangeStream } from 'mongodb';
import type { Connection } from './connection.ts';
import type { LogDocument } from './documents.ts';
import { translate } from './faults.ts';

export type LogWatch = {
  /** `report` is told once when wake-ups fail, and again only after they have worked in between. */
  watch(wake: () => void, report: (fault: unknown) => void): void;
  close(): Promise<void>;
};

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
/** How long MongoDB holds a question that has no answer yet: so long a stream may outlive its engine. */
const HELD_MS = 1_000;
/** Rows being numbered are updates; only the names of new ones travel. */
const PIPELINE = [{ $match: { operationType: 'insert' } }, { $project: { _id: 1 } }];

export function createLogWatch({ collections: { log } }: Connection): LogWatch {
  const closing = new AbortController();
  const { signal } = closing;
  const streams = new Set<ChangeStream<LogDocument>>();

  async function follow(woken: () => void): Promise<void> {
    const stream = log.watch(PIPELINE, { maxAwaitTimeMS: HELD_MS });
    streams.add(stream);
    try {
      while (await stream.hasNext()) {
        await stream.next();
        woken();
      }
    } finally {
      streams.delete(stream);
      await stream.close().catch(() => undefined);
    }
  }

  async function keepFollowing(wake: () => void, report: (fault: unknown) => void): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    let reported = false;
    const woken = (): void => {
      pause = FIRST_PAUSE_MS;
      reported = false;
      wake();
    };
    while (!signal.aborted) {
      try {
        await follow(woken);
      } catch (error) {
        if (!signal.aborted && !reported) report(translate(error));
        reported = true;
      }
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
  }

  return {
    watch: (wake, report) => void keepFollowing(wake, report),
    close: async () => {
      closing.abort();
      await Promise.all([...streams].map((stream) => stream.close().catch(() => undefined)));
    },
  };
}
