/**
 * Secrets are long and random; the limit keeps a guesser from costing us work without end. It counts in this process, over all who guess: where a
 * guesser comes from is what they say.
 */
import type { Clock } from '../clock.ts';
import { AssentError } from '../errors.ts';

const WINDOW_MS = 60_000;

export type GuessLimit = {
  /** Throws AssentError('rate-limited') once there were too many failures within a minute. */
  check(): void;
  failed(): void;
  /** Does what a guesser could try: `forbidden` counts as a failure. */
  around<T>(work: () => Promise<T>): Promise<T>;
};

export function createGuessLimit(clock: Clock, most = 10): GuessLimit {
  let failures: number[] = [];
  const check = (): void => {
    failures = failures.filter((at) => at > clock() - WINDOW_MS);
    if (failures.length >= most) throw new AssentError('rate-limited', [], { retryAfter: WINDOW_MS / 1000 });
  };
  const failed = (): void => void failures.push(clock());
  return {
    check,
    failed,
    async around(work) {
      check();
      try {
        return await work();
      } catch (error) {
        if (error instanceof AssentError && error.code === 'forbidden') failed();
        throw error;
      }
    },
  };
}
