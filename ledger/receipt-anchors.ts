/**
 * What stands in a receipt of places outside the log: that an aggregate holds a checkpoint of it, and where that is anchored; or where the log itself is.
 * aggregate.ts, anchor/anchor-note.ts, ledger.md §6
 * Invariant: an anchor in a receipt covers what the receipt is about, or refutes it: nobody takes an anchor for more than it is.
 */
import { areOneHistory, aggregateKey, openPiece } from './aggregate.ts';
import { readAnchorNote } from './anchor/anchor-note.ts';
import type { Place } from './anchor/place.ts';
import type { Checkpoint } from './checkpoint-text.ts';
import { fromBase64 } from './encoding.ts';
import type { PrivateEntry } from './entry.ts';
import { digestOf } from './hash.ts';
import { parseVerifierKey, type VerifierKey } from './note.ts';
import { type AnchorPin, isPinned, type Policy } from './policy.ts';
import type { AggregateAnchorPiece, AnchorPiece, OwnAnchorPiece } from './receipt-format.ts';
import { type Log, refute } from './receipt-log.ts';

export type Anchor = {
  /** The log’s tree that it covers. */
  readonly member: Checkpoint;
  /** The tree that is at the place: that one, or the aggregate’s. */
  readonly anchored: Checkpoint;
  /** undefined: nowhere but in the aggregate. */
  readonly place: Place | undefined;
  /** The authority’s reply, where `place` is a stamp. */
  readonly stamp: Uint8Array | undefined;
  /** The aggregate’s key, as text, and the index of its entry; undefined: the log is anchored by itself. */
  readonly aggregate: { readonly key: string; readonly index: number } | undefined;
};

/** `entries`: what the receipt is about, and what that rests on. */
export function readAnchors(pieces: readonly AnchorPiece[], log: Log, entries: readonly PrivateEntry[]): readonly Anchor[] {
  if (pieces.length === 0) return [];
  const keys = log.keys.flatMap((text) => parseVerifierKey(text) ?? []);
  return pieces.map((piece) => {
    const anchor = 'anchor' in piece ? ownAnchor(piece, log, keys) : throughAggregate(piece, keys);
    if (!areOneHistory(anchor.member, log, piece.consistency))
      refute(`${anchor.aggregate ? 'The checkpoint in the aggregate' : 'What is anchored'} is of another history of this log.`);
    if (entries.some(({ index }) => index >= anchor.member.size))
      refute(`${anchor.aggregate ? 'The checkpoint in the aggregate' : 'What is anchored'} is older than what is to be proven.`);
    return anchor;
  });
}

function throughAggregate(piece: AggregateAnchorPiece, keys: readonly VerifierKey[]): Anchor {
  const key = aggregateKey(piece.aggregate) ?? refute('The key of an aggregate is not a verifier key.');
  const opened = openPiece(piece, key, keys);
  if (typeof opened === 'string') refute(opened);
  const { aggregate, member, place, stamp } = opened;
  return { member, anchored: aggregate, place, stamp, aggregate: { key: key.text, index: piece.index } };
}

function ownAnchor({ anchor, stamp: encoded }: OwnAnchorPiece, { origin }: Log, keys: readonly VerifierKey[]): Anchor {
  const { size, root, place } = readAnchorNote(anchor, keys) ?? refute('Where the log is anchored is not told in its own name.');
  const stamp = encoded === undefined ? undefined : fromBase64(encoded);
  if ((place.kind === 'rfc3161' ? place.digest : undefined) !== (stamp && digestOf(stamp)) || (encoded !== undefined && !stamp))
    refute('The time-stamp is not the one that the log names.');
  const tree = { origin, size, root };
  return { member: tree, anchored: tree, place, stamp, aggregate: undefined };
}

type Sentences = { readonly proven: readonly string[]; readonly notProven: readonly string[] };

/** What the reader demands. `aggregate`: the key of one that they know, as text; `witnessed`: somebody whom they know has cosigned the log. */
type Demanded = { readonly aggregate: string | undefined; readonly policy: Policy | undefined; readonly witnessed: boolean };

export function anchorSentences(anchors: readonly Anchor[], { aggregate: pinned, policy, witnessed }: Demanded): Sentences {
  if (pinned !== undefined && !anchors.some(({ aggregate }) => aggregate?.key === pinned)) refute('No aggregate that you know holds it.');
  const pins = policy?.anchors ?? [];
  requirePinned(pins, anchors);
  const unknown = anchors.some(({ aggregate }) => aggregate && aggregate.key !== pinned);
  const other = witnessed || anchors.some(({ aggregate }) => aggregate) ? undefined : otherLogSentence(anchors, pins);
  return {
    proven: [...new Set(anchors.flatMap((anchor) => heldSentence(anchor) ?? []))],
    notProven: [
      ...(unknown ? ['That nobody was shown another log: the aggregate that holds this one is not one you pinned (--aggregate).'] : []),
      ...anchors.flatMap((anchor) => placeSentence(anchor) ?? []),
      ...(other === undefined ? [] : [other]),
    ],
  };
}

/** Each of them is met, or it is refuted. */
export function requirePinned(pins: readonly AnchorPin[], anchors: readonly Pick<Anchor, 'place'>[]): void {
  const unmet = pins.some((pin) => !anchors.some(({ place }) => place && isPinned(place, pin)));
  if (unmet) refute('It is not anchored in each place that the policy demands.');
}

function heldSentence({ member, anchored, aggregate }: Anchor): string | undefined {
  if (!aggregate) return undefined;
  return `The first ${member.size} entries of the log, what is proven here among them, are entry ${aggregate.index} of the aggregate ${anchored.origin}, under its checkpoint of ${anchored.size} entries signed by ${aggregate.key}.`;
}

/** What is said of the place and the file alone does not prove. */
export function placeSentence({ place, aggregate, member }: Anchor): string | undefined {
  if (place?.kind === 'evm') {
    const where = `transaction ${place.transaction} in block ${place.block}, contract ${place.contract}. Any node of that chain can tell (--rpc).`;
    if (aggregate) return `That the aggregate’s root is in EVM chain ${place.chainId}, as it says: ${where}`;
    return `That the root over the log’s first ${member.size} entries is in EVM chain ${place.chainId}, as the log says: ${where}`;
  }
  if (!place) return undefined;
  if (aggregate)
    return 'When the aggregate’s checkpoint existed: the time-stamp in it is to be held against its authority’s certificates (--authority).';
  return `When the log’s first ${member.size} entries existed: the time-stamp in it is to be held against its authority’s certificates (--authority).`;
}

export const CHAIN_NOT_ASKED = 'That nobody was shown another log: the chain was not asked (--rpc).';

/** What the log’s own anchors leave open; undefined: there is none. */
function otherLogSentence(anchors: readonly Anchor[], pins: readonly AnchorPin[]): string | undefined {
  const chains = anchors.flatMap(({ place }) => (place?.kind === 'evm' ? [place] : []));
  if (chains.some((place) => pins.some((pin) => isPinned(place, pin)))) return CHAIN_NOT_ASKED;
  if (chains.length > 0)
    return 'That nobody was shown another log: the contract that holds this one is not one you pinned (a line `anchor` of --trust).';
  return anchors.length === 0 ? undefined : 'That nobody was shown another log: time-stamps can be had for any number of them.';
}
