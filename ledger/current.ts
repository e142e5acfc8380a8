/**
 * What a logged root of the map of Consents (map-root.ts) proves about the Consents in a receipt: that no entry had taken the place of one, or which
 * had. ledger.md §3, §6
 *
 * Invariants: the key under which the map is asked is the leaf that the receipt proves; what is said to have taken its place is in the log where it is
 * said to be; nothing is said about an entry that the root is not about.
 */
import { fromBase64 } from './encoding.ts';
import { commitmentOf, type PrivateEntry } from './entry.ts';
import { digestOf, leafHash } from './hash.ts';
import { lookUp } from './map.ts';
import { MAP_REFERENCE, mapRootText, upToOf } from './map-root.ts';
import type { CurrentPiece } from './receipt-format.ts';
import { canonical, refute, requireSalt } from './receipt-log.ts';

export type Current = {
  readonly upTo: number;
  /** Of the root. */
  readonly entry: PrivateEntry;
  /** For each Consent, in order: the index of the entry that took its place, if any had. */
  readonly replacedAt: readonly (number | undefined)[];
  /** Leaves that the log has to hold besides. */
  readonly leaves: ReadonlyMap<number, Uint8Array>;
};

/** `consents`: their entries. Throws Refuted. What it rests on is still to be found in the log: `entry` and `leaves`. */
export function readCurrent({ upTo, root, entry, proofs }: CurrentPiece, consents: readonly PrivateEntry[]): Current {
  const named = { ...entry, reference: MAP_REFERENCE };
  if (upToOf(named) !== upTo || upTo > entry.index) refute('The root of the map of Consents is of something else.');
  if (entry.digest !== digestOf(mapRootText({ upTo, root })))
    refute('The root of the map of Consents is not the one in the log: its digest differs.');
  requireSalt(entry);
  if (proofs.length === 0 || proofs.length !== consents.length) refute('The map of Consents does not speak of every Consent in it.');
  const leaves = new Map<number, Uint8Array>();
  const replacedAt = consents.map((consent, i) => {
    if (consent.index >= upTo) refute(`The map of Consents is older than ${consent.reference}.`);
    const { proof = '', next } = proofs[i] ?? {};
    const key = leafHash(canonical(() => commitmentOf(consent)));
    const answer = lookUp(fromBase64(proof) ?? Buffer.alloc(0), { root: fromBase64(root) ?? Buffer.alloc(0), key });
    if (!answer) refute(`The map of Consents does not show what it is said to show of ${consent.reference}.`);
    if ((answer.kind === 'present') !== (next !== undefined))
      refute(`What took the place of ${consent.reference} is told otherwise by the map of Consents.`);
    if (answer.kind === 'absent' || next === undefined) return undefined;
    if (next <= consent.index || next >= upTo) refute(`What took the place of ${consent.reference} cannot stand where it is said to stand.`);
    leaves.set(next, answer.value);
    return next;
  });
  return { upTo, entry: named, replacedAt, leaves };
}
