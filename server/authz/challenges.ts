/**
 * Challenges for authenticators: random, for one use, one purpose and a few minutes. https://www.w3.org/TR/webauthn-3/ §13.4.3
 *
 * Invariant: whoever asks for one leaves nothing in the store, so asking costs an attacker no space; that it was used is remembered, by every process
 * on the database, for as long as it would be taken.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { RecordStore } from '../store/port.ts';

const USED = 'used-challenge';
const LIFETIME_MS = 5 * 60_000;
const RANDOM_BYTES = 16;
const TIME_BYTES = 6;
const SEAL_BYTES = 32;

export type Challenges = {
  /** base64url. `use`: what an answer to it does. */
  issue(use: string): string;
  /** One of ours, for this use, not run out. */
  isOpen(challenge: string, use: string): boolean;
  /** Whether this call is the one that uses it. */
  use(challenge: string): Promise<boolean>;
};

export function createChallenges({
  records,
  clock,
  secret,
}: {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly secret: Uint8Array;
}): Challenges {
  const sealOf = (head: Uint8Array, use: string) => createHmac('sha256', secret).update(head).update(use).digest();
  return {
    issue(use) {
      const head = Buffer.concat([randomBytes(RANDOM_BYTES), Buffer.alloc(TIME_BYTES)]);
      head.writeUIntBE(clock() + LIFETIME_MS, RANDOM_BYTES, TIME_BYTES);
      return Buffer.concat([head, sealOf(head, use)]).toString('base64url');
    },
    isOpen(challenge, use) {
      const bytes = Buffer.from(challenge, 'base64url');
      if (bytes.length !== RANDOM_BYTES + TIME_BYTES + SEAL_BYTES || bytes.toString('base64url') !== challenge) return false;
      const head = bytes.subarray(0, RANDOM_BYTES + TIME_BYTES);
      return timingSafeEqual(sealOf(head, use), bytes.subarray(head.length)) && clock() < expiryOf(head);
    },
    async use(challenge) {
      const done = await records.put(USED, challenge, true, { revision: null, expires: expiryOf(Buffer.from(challenge, 'base64url')) });
      return done.kind === 'written';
    },
  };
}

function expiryOf(head: Buffer): number {
  return head.readUIntBE(RANDOM_BYTES, TIME_BYTES);
}
