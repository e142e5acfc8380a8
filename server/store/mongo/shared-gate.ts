/**
 * What makes MongoDB notice that one transaction relied on a record which another one changed, where nearly every transaction relies on it: a
 * few documents, one of which the first changes and all of which the second changes. As the epoch gate, and beside it: a commit of many
 * resources does not give way to withdrawals because of a record that hardly ever changes.
 *
 * Invariant: of a commit that relied on such a record and one that changed it, the first is before the second, or was judged again.
 */
import type { ClientSession } from 'mongodb';
import { randomInt } from 'node:crypto';
import type { WriteSet } from '../port.ts';
import type { Collections, Connection } from './connection.ts';
import { isDuplicate } from './faults.ts';

export type SharedGate = {
  pass(inSession: Collections, session: ClientSession): Promise<void>;
  close(inSession: Collections, session: ClientSession): Promise<void>;
};

/** What runs side by side in one process never meets: a long transaction would always lose. */
const LANES = ['small', 'large', 'reindex'] as const;
const EACH = 16;
const idsOf = (lane: string): string[] => Array.from({ length: EACH }, (_, i) => `shared-gate ${lane} ${i}`);
const IDS = LANES.flatMap(idsOf);

/** They are there before anybody uses them: one that a transaction makes is not seen by another. */
export async function prepareSharedGate({ collections }: Connection): Promise<void> {
  const updates = IDS.map((_id) => ({ updateOne: { filter: { _id }, update: { $setOnInsert: { value: 0 } }, upsert: true } }));
  await collections.counters.bulkWrite(updates, { ordered: false }).catch((error: unknown) => {
    // Another process makes them at this moment.
    if (!isDuplicate(error)) throw error;
  });
}

export function createSharedGate(lane: (typeof LANES)[number]): SharedGate {
  const _id = idsOf(lane)[randomInt(EACH)] ?? '';
  return {
    pass: async ({ counters }, session) => void (await counters.updateOne({ _id }, { $inc: { value: 1 } }, { session })),
    close: async ({ counters }, session) => void (await counters.updateMany({ _id: { $in: IDS } }, { $inc: { value: 1 } }, { session })),
  };
}

export function changesShared({ records }: WriteSet): boolean {
  return records.some((record) => record.kind === 'put' && record.shared === true);
}

export function reliesOnShared({ guards }: WriteSet): boolean {
  return guards.some((guard) => guard.kind === 'record' && guard.shared === true);
}
