/**
 * Work that waits for a replica set which is choosing a primary, instead of ending with a sentence about it.
 *
 * Invariant: what will not pass by itself, and a set of which no member answers at all, is not waited for.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { translate, willPass } from './faults.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/** `work` is told the number of its attempt, from 0, and may be run again after it has done all or half of what it does. */
export async function patiently<T>(patienceMs: number, work: (attempt: number) => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (!willPass(error) || performance.now() > deadline) throw translate(error);
    }
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
    await sleep(randomInt(pause / 2, pause + 1));
  }
}
