/** Holds the sealer's lease and renews it in time. The fencing number tells whether someone else held it in between. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { LogStore } from './log-port.ts';

const LEASE_MS = 15_000;

export type Lease = {
  /** The fencing number, or undefined while another process holds it. */
  hold(): Promise<number | undefined>;
  /** The next process need not wait until it runs out. */
  release(): Promise<void>;
};

export function createLease({ log, clock }: { readonly log: Pick<LogStore, 'lease'>; readonly clock: Clock }): Lease {
  const holder = randomBytes(8).toString('hex');
  let held: { readonly fence: number; readonly renewAt: number } | undefined;
  return {
    async hold() {
      const now = clock();
      if (held && now < held.renewAt) return held.fence;
      const fence = await log.lease('sealer', holder, LEASE_MS);
      held = fence === undefined ? undefined : { fence, renewAt: now + LEASE_MS / 3 };
      return fence;
    },
    async release() {
      if (held) await log.lease('sealer', holder, 0);
      held = undefined;
    },
  };
}
