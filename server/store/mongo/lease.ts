/** Leases: one command decides who holds it. Clocks of machines may differ; the number tells a late holder apart from the one after it. */
import type { Clock } from '../../clock.ts';
import type { Connection } from './connection.ts';
import { isDuplicate, promptly } from './faults.ts';

type Asked = { readonly name: string; readonly holder: string; readonly ttlMs: number };

/** The holder keeps its number while it renews in time; a new holder, or a late one, gets a larger one. Undefined: held by another. */
export async function takeLease({ collections }: Connection, clock: Clock, { name, holder, ttlMs }: Asked): Promise<number | undefined> {
  const now = clock();
  const late = { $lte: [{ $ifNull: ['$expires', now] }, now] };
  const fence = { $cond: [late, { $add: [{ $ifNull: ['$fence', 0] }, 1] }, '$fence'] };
  const free = { _id: name, $or: [{ holder }, { expires: { $lte: now } }] };
  const taken = { $set: { fence, holder: { $literal: holder }, expires: now + ttlMs } };
  return promptly(async () => {
    try {
      return (await collections.leases.findOneAndUpdate(free, [taken], { upsert: true, returnDocument: 'after' }))?.fence;
    } catch (error) {
      // It is there and not free, so the upsert ran into it.
      if (isDuplicate(error)) return undefined;
      throw error;
    }
  });
}
