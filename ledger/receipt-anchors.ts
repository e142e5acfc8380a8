/**
 * What stands in a receipt of places outside the log: that an aggregate holds a checkpoint of it, and where that is anchored. aggregate.ts, ledger.md §6
 * Invariant: an anchor in a receipt covers what the receipt is about, or refutes it: nobody takes an anchor for more than it is.
 */
import { type Aggregated, aggregateKey, areOneHistory, openPiece } from './aggregate.ts';
import type { PrivateEntry } from './entry.ts';
import { parseVerifierKey } from './note.ts';
import type { AnchorPiece } from './receipt-format.ts';
import { type Log, refute } from './receipt-log.ts';

/** `key`: the aggregate’s, as text; `index`: of its entry. */
export type Anchor = Aggregated & { readonly key: string; readonly index: number };

/** `entries`: what the receipt is about, and what that rests on. */
export function readAnchors(pieces: readonly AnchorPiece[], log: Log, entries: readonly PrivateEntry[]): readonly Anchor[] {
  const keys = log.keys.flatMap((text) => parseVerifierKey(text) ?? []);
  return pieces.map((piece) => {
    const key = aggregateKey(piece.aggregate) ?? refute('The key of an aggregate is not a verifier key.');
    const opened = openPiece(piece, key, keys);
    if (typeof opened === 'string') refute(opened);
    if (!areOneHistory(opened.member, log, piece.consistency)) refute('The checkpoint in the aggregate is of another history of this log.');
    if (entries.some(({ index }) => index >= opened.member.size)) refute('The checkpoint in the aggregate is older than what is to be proven.');
    return { ...opened, key: key.text, index: piece.index };
  });
}

/** `pinned`: the key of an aggregate that the reader knows, as text. */
export function anchorSentences(
  anchors: readonly Anchor[],
  pinned: string | undefined,
): { readonly proven: readonly string[]; readonly notProven: readonly string[] } {
  if (pinned !== undefined && !anchors.some(({ key }) => key === pinned)) refute('No aggregate that you know holds it.');
  const unknown = anchors.some(({ key }) => key !== pinned);
  return {
    proven: [...new Set(anchors.map(heldSentence))],
    notProven: [
      ...(unknown ? ['That nobody was shown another log: the aggregate that holds this one is not one you pinned (--aggregate).'] : []),
      ...anchors.flatMap((anchor) => placeSentence(anchor) ?? []),
    ],
  };
}

function heldSentence({ member, aggregate, index, key }: Anchor): string {
  return `The first ${member.size} entries of the log, what is proven here among them, are entry ${index} of the aggregate ${aggregate.origin}, under its checkpoint of ${aggregate.size} entries signed by ${key}.`;
}

/** What the aggregate says and the file alone does not prove. */
export function placeSentence({ place }: Anchor): string | undefined {
  if (place?.kind === 'evm')
    return `That the aggregate’s root is in EVM chain ${place.chainId}, as it says: transaction ${place.transaction} in block ${place.block}, contract ${place.contract}. Any node of that chain can tell (--rpc).`;
  return place && 'When the aggregate’s checkpoint existed: the time-stamp in it is to be held against its authority’s certificates (--authority).';
}
