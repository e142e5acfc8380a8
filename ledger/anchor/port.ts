/**
 * Where checkpoints are anchored: one port, several at once, each failing alone. ledger.md §5
 * Invariant: an anchor only ever hears of larger trees; what it has taken is never taken back.
 */

export type Anchored = {
  readonly size: number;
  /** ms since 1970. */
  readonly at: number;
};

export type Anchor = {
  readonly name: string;
  /** Resolves once the signed checkpoint is safe there. May be called again with the same one. */
  anchor(checkpoint: { readonly size: number; readonly note: string }): Promise<void>;
  /** The largest tree anchored so far. */
  latest(): Promise<Anchored | undefined>;
};
