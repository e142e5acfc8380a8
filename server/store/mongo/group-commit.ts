/**
 * Many write sets, one transaction: a majority's confirmation costs milliseconds, which those who wait together share. Large write sets
 * go alone and beside, so that a record being loaded does not hold up the audit of reads.
 *
 * Invariant: a write set is answered with success only after the commit that holds it; one that fails takes no other with it.
 */
import type { Clock } from '../../clock.ts';
import type { CommitResult, WriteSet } from '../port.ts';
import { applyWriteSets } from './apply.ts';
import { marksOf } from './astray.ts';
import type { Connection } from './connection.ts';
import { createEpochGate, type EpochGate } from './epoch-gate.ts';
import { unavailable } from './faults.ts';
import { transact } from './transaction.ts';

export type Committer = {
  commit(writes: WriteSet): Promise<CommitResult>;
  /** Takes no more, and waits for what is under way. */
  close(): Promise<void>;
};

type Waiting = { readonly writes: WriteSet; readonly resolve: (result: CommitResult) => void; readonly reject: (error: unknown) => void };

const MOST_TOGETHER = 200;
/** Resources of one group; a write set with more than this goes alone. */
const MOST_RESOURCES = 50;
const MOST_BYTES = 4_000_000;

export function createCommitter({ connection, clock }: { readonly connection: Connection; readonly clock: Clock }): Committer {
  const run =
    (gate: EpochGate) =>
    async (sets: readonly WriteSet[]): Promise<readonly CommitResult[]> => {
      const results = await transact(connection, (session, attempt) => applyWriteSets({ connection, session, now: clock(), attempt, gate }, sets));
      const written = sets.flatMap(({ resources }, i) => (results[i]?.kind === 'committed' ? resources : []));
      connection.marks.add(written.flatMap(marksOf));
      return results;
    };
  const lanes = { small: createLane(run(createEpochGate({ closes: true }))), large: createLane(run(createEpochGate({ closes: false }))) };
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

function createLane(run: (sets: readonly WriteSet[]) => Promise<readonly CommitResult[]>): Lane {
  const queue: Waiting[] = [];
  let working: Promise<void> | undefined;

  async function work(): Promise<void> {
    // Those who ask in the same turn go together.
    await Promise.resolve();
    while (queue.length > 0) await settle(takeGroup(queue));
    working = undefined;
  }

  async function settle(group: readonly Waiting[]): Promise<void> {
    try {
      const results = await run(group.map(({ writes }) => writes));
      for (const [i, { resolve }] of group.entries()) resolve(results[i] as CommitResult);
    } catch (error) {
      const [only] = group;
      if (group.length === 1) only?.reject(error);
      // One by one, only those that cannot be written fail. Where nothing can be, waiting for each in turn helps nobody.
      else if (isUnavailable(error)) for (const { reject } of group) reject(error);
      else for (const one of group) await settle([one]);
    }
  }

  return {
    submit: (writes) =>
      new Promise((resolve, reject) => {
        queue.push({ writes, resolve, reject });
        working ??= work();
      }),
    idle: async () => {
      while (working) await working;
    },
  };
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
