/**
 * What makes MongoDB notice that one transaction relied on the epoch which another one moved: a few documents, one of which the first changes
 * and all of which the second changes. Processes use different ones, so that those who only rely on it seldom meet.
 *
 * Invariant: of a commit that relied on the epoch and one in a small group that moved it, the log has the first before the second, or the
 * first was judged again. Commits of many resources do not close the gate, as they would hold up every read for as long as they take, and
 * move a counter of their own, as they would hold up every withdrawal; what takes a permission away is small. Where a commit of many
 * resources relied on the epoch and it moves meanwhile, that one gives way, for as long as its patience lasts.
 */
import { randomInt } from 'node:crypto';
import type { ClientSession } from 'mongodb';
import type { Collections, Connection } from './connection.ts';
import { EPOCH, EPOCH_OF_LARGE } from './documents.ts';
import { isDuplicate } from './faults.ts';

export type EpochGate = {
  /** Whether commits that move the epoch close it. */
  readonly closes: boolean;
  pass(inSession: Collections, session: ClientSession): Promise<void>;
  close(inSession: Collections, session: ClientSession): Promise<void>;
  /** Moves the epoch; two that move it wait for one another only if both close the gate or both do not. */
  move(inSession: Collections, session: ClientSession, by: number): Promise<void>;
};

const IDS = Array.from({ length: 8 }, (_, i) => `epoch-gate ${i}`);

/** They are there before anybody uses them: one that a transaction makes is not seen by another. */
export async function prepareEpochGate({ collections }: Connection): Promise<void> {
  const updates = IDS.map((_id) => ({ updateOne: { filter: { _id }, update: { $setOnInsert: { value: 0 } }, upsert: true } }));
  await collections.counters.bulkWrite(updates, { ordered: false }).catch((error: unknown) => {
    // Another process makes them at this moment.
    if (!isDuplicate(error)) throw error;
  });
}

export function createEpochGate({ closes }: Pick<EpochGate, 'closes'>): EpochGate {
  const _id = IDS[randomInt(IDS.length)] ?? '';
  return {
    closes,
    pass: async ({ counters }, session) => void (await counters.updateOne({ _id }, { $inc: { value: 1 } }, { session })),
    move: async ({ counters }, session, by) =>
      void (await counters.updateOne({ _id: closes ? EPOCH : EPOCH_OF_LARGE }, { $inc: { value: by } }, { session, upsert: !closes })),
    close: async ({ counters }, session) => void (await counters.updateMany({ _id: { $in: IDS } }, { $inc: { value: 1 } }, { session })),
  };
}
