/**
 * Work that waits for a replica set which is choosing a primary, instead of ending with a sentence about it.
 *
 * Invariant: what will not pass by itself is not waited for.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { translate, willPass } from './faults.ts';

export type Patience = {
  readonly ms: number;
  /** Which faults are waited out; absent: those of a set that has been seen. */
  readonly passes?: (error: unknown) => boolean;
  /** Told before each pause. */
  readonly waiting?: () => void;
};

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/** `work` is told the number of its attempt, from 0, and may be run again after it has done all or half of what it does. */
export async function patiently<T>({ ms, passes = willPass, waiting }: Patience, work: (attempt: number) => Promise<T>): Promise<T> {
  const deadline = performance.now() + ms;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (!passes(error) || performance.now() > deadline) throw translate(error);
    }
    waiting?.();
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
    await sleep(randomInt(pause / 2, pause + 1));
  }
}
