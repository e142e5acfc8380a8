/**
 * Where checkpoints are anchored: one port, several at once, each failing alone. ledger.md §5
 * Invariant: an anchor only ever hears of larger trees; what it has taken for safe is never taken back.
 */

export type Anchored = {
  readonly size: number;
  /** ms since 1970. */
  readonly at: number;
};

export type Anchor = {
  readonly name: string;
  /** Takes the signed checkpoint, soon: whether it is safe there `latest` says. May be called again with the same one. */
  anchor(checkpoint: { readonly size: number; readonly note: string }): Promise<void>;
  /** The largest tree that is safe there. */
  latest(): Promise<Anchored | undefined>;
};
