/**
 * Many write sets, one transaction: a majority's confirmation costs milliseconds, which those who wait together share. Large write sets
 * go alone and beside, so that a record being loaded does not hold up the audit of reads.
 *
 * Invariant: a write set is answered with success only after the commit that holds it; one that fails takes no other with it. Whoever asks has an
 * answer within ANSWER_MS, a large write set within that and some milliseconds more for each resource once its turn has come: where the outcome is
 * not known by then it is `unavailable`, nothing is begun again for it, and who asks again is kept from writing twice by the version or
 * key that the write set relies on.
 */
import type { Clock } from '../../clock.ts';
import type { CommitResult, WriteSet } from '../port.ts';
import { applyWriteSets } from './apply.ts';
import { marksOf } from './astray.ts';
import { type Connection, SOCKET_MS } from './connection.ts';
import { createEpochGate, type EpochGate } from './epoch-gate.ts';
import { ANSWER_MS, inTime, LATE, unavailable } from './faults.ts';
import { createSharedGate, type SharedGate } from './shared-gate.ts';
import { transact, type Work } from './transaction.ts';

export type Committer = {
  commit(writes: WriteSet): Promise<CommitResult>;
  /** Takes no more, and waits for what is under way. */
  close(): Promise<void>;
};

/** `since`: by the clock of `performance.now()`. */
type Waiting = {
  readonly writes: WriteSet;
  readonly since: number;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
};

const MOST_TOGETHER = 200;
/** Resources of one group; a write set with more than this goes alone. */
const MOST_RESOURCES = 50;
const MOST_BYTES = 4_000_000;
/** More patience for each resource of a large write set, as it takes longer without anything being wrong; MongoDB ends a transaction after a minute. */
const RESOURCE_MS = 10;
const LONGEST_MS = 65_000;
const LEAST_MS = 1_500;
/** Nothing is begun again so late that its outcome could hardly be known in time. */
const LAST_ATTEMPT_MS = 1_000;

/**
 * By then a commit that was given up is over: whatever carried it was destroyed for its silence. The driver itself may never say so: it waits for the
 * bytes to be taken also where the connection they were given to is gone (writeCommand of mongodb 7.9).
 */
const OVER_MS = SOCKET_MS + 5_000;

type Committing = { readonly connection: Connection; readonly clock: Clock; readonly overMs?: number };

export function createCommitter({ connection, clock, overMs = OVER_MS }: Committing): Committer {
  const run =
    (gate: EpochGate, shared: SharedGate) =>
    async (sets: readonly WriteSet[], deadline: number): Promise<readonly CommitResult[]> => {
      const apply: Work<readonly CommitResult[]> = (session, attempt) =>
        applyWriteSets({ connection, session, now: clock(), attempt, gate, shared }, sets);
      const results = await transact(connection, deadline, apply);
      const written = sets.flatMap(({ resources }, i) => (results[i]?.kind === 'committed' ? resources : []));
      connection.marks.add(written.flatMap(marksOf));
      return results;
    };
  const lanes = {
    small: createLane(run(createEpochGate({ closes: true }), createSharedGate('small')), overMs),
    large: createLane(run(createEpochGate({ closes: false }), createSharedGate('large')), overMs),
  };
  let closed = false;
  return {
    commit: (writes) => {
      if (closed) return Promise.reject(unavailable('The store is closed.'));
      return lanes[isLarge(writes) ? 'large' : 'small'].submit(writes);
    },
    close: async () => {
      closed = true;
      await Promise.all([lanes.small.idle(), lanes.large.idle()]);
    },
  };
}

type Lane = { submit(writes: WriteSet): Promise<CommitResult>; idle(): Promise<void> };

type Run = (sets: readonly WriteSet[], deadline: number) => Promise<readonly CommitResult[]>;

function createLane(run: Run, overMs: number): Lane {
  const queue: Waiting[] = [];
  let working: Promise<void> | undefined;
  let late = false;

  async function work(): Promise<void> {
    // Those who ask in the same turn go together.
    await Promise.resolve();
    while (queue.length > 0) await settle(takeGroup(queue));
    working = undefined;
  }

  async function settle(group: readonly Waiting[]): Promise<void> {
    const patience = patienceFor(group);
    const running = run(
      group.map(({ writes }) => writes),
      performance.now() + patience - LAST_ATTEMPT_MS,
    );
    try {
      const results = await inTime(running, patience);
      if (results === LATE) return await giveUp(group, running);
      for (const [i, { resolve }] of group.entries()) resolve(results[i] as CommitResult);
    } catch (error) {
      const [only] = group;
      if (group.length === 1) only?.reject(error);
      // One by one, only those that cannot be written fail. Where nothing can be, waiting for each in turn helps nobody.
      else if (isUnavailable(error)) for (const { reject } of group) reject(error);
      else for (const one of group) await settle([one]);
    }
  }

  /** Until it has ended nothing else is begun: as long as MongoDB does not answer this, it would not answer that. */
  async function giveUp(group: readonly Waiting[], running: Promise<unknown>): Promise<void> {
    late = true;
    for (const { reject } of group) reject(unavailable('MongoDB did not confirm a commit in time; it may still take effect.'));
    for (const { reject } of queue.splice(0)) reject(notBegun());
    await inTime(
      running.catch(() => undefined),
      overMs,
    );
    late = false;
  }

  return {
    submit: (writes) =>
      new Promise((resolve, reject) => {
        if (late) return reject(notBegun());
        queue.push({ writes, since: performance.now(), resolve, reject });
        working ??= work();
      }),
    idle: async () => {
      while (working) await working;
    },
  };
}

function notBegun(): Error {
  return unavailable('MongoDB is not answering; nothing was written.');
}

function patienceFor(group: readonly Waiting[]): number {
  const [first] = group;
  if (!first) return ANSWER_MS;
  if (isLarge(first.writes)) return Math.min(ANSWER_MS + RESOURCE_MS * first.writes.resources.length, LONGEST_MS);
  // Time in the queue counts, except for what a commit needs on a busy machine.
  return Math.max(ANSWER_MS - (performance.now() - first.since), LEAST_MS);
}

function isUnavailable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'unavailable';
}

function takeGroup(queue: Waiting[]): Waiting[] {
  let resources = 0;
  let bytes = 0;
  let length = 0;
  for (const { writes } of queue) {
    resources += writes.resources.length;
    bytes += sizeOf(writes);
    if (length > 0 && (length >= MOST_TOGETHER || resources > MOST_TOGETHER || bytes > MOST_BYTES)) break;
    length++;
  }
  return queue.splice(0, length);
}

function isLarge(writes: WriteSet): boolean {
  return writes.resources.length > MOST_RESOURCES || sizeOf(writes) > MOST_BYTES;
}

function sizeOf({ resources }: WriteSet): number {
  return resources.reduce((sum, { body }) => sum + body.length, 0);
}
