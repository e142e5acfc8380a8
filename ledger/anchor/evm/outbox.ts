/**
 * What is on its way to the chain, kept so that whoever goes on after a crash knows it. ledger.md §5
 *
 * PENDING (nothing `sent`) → SUBMITTED (`sent`) → INCLUDED (`sent.included`) → FINAL (`final`); a reorganization takes INCLUDED back to SUBMITTED,
 * a transaction that is stuck is sent again with a higher fee under the same nonce.
 *
 * Invariants: a transaction is kept before it is sent; while one is on its way no other is made; `final` only grows.
 */
import type { Fees, Signed } from './transaction.ts';

export type Attempt = Signed & { readonly fee: string; readonly tip: string | null; readonly at: number };

export type Included = { readonly hash: string; readonly block: number; readonly blockHash: string };

export type Sent = {
  readonly size: number;
  /** base64 */
  readonly root: string;
  readonly seq: number;
  readonly nonce: number;
  /** For which it is signed; absent where an earlier server kept it. */
  readonly chainId?: number;
  /** One transaction and those that were to take its place: any of them may be the one. */
  readonly attempts: readonly Attempt[];
  readonly included: Included | null;
};

/** `chainId`: absent where an earlier server kept it. */
export type Final = Included & { readonly size: number; readonly root: string; readonly seq: number; readonly at: number; readonly chainId?: number };

export type Outbox = { readonly sent: Sent | null; readonly final: Final | null };

export const emptyOutbox: Outbox = { sent: null, final: null };

/** One outbox, durable once `replace` has resolved. */
export type OutboxStore = {
  read(): Promise<Outbox>;
  /** False: another process has changed it since it was read. */
  replace(before: Outbox, next: Outbox): Promise<boolean>;
};

export function attemptOf(signed: Signed, { fee, tip }: Fees, at: number): Attempt {
  return { ...signed, fee: String(fee), tip: tip === undefined ? null : String(tip), at };
}

export function feesOf({ fee, tip }: Attempt): Fees {
  return { fee: BigInt(fee), tip: tip === null ? undefined : BigInt(tip) };
}
