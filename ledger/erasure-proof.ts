/**
 * The file that stands in the place of a receipt whose ground was erased: the tombstone, and that the log holds it. ledger.md §1, §6
 *
 * Invariant: as of a receipt, every character is bound to the checkpoint’s root or to its signature; it holds nothing of what was erased.
 */
import { erasureDigest, isErases } from './entry.ts';
import { ENTRY_MEMBERS, isText, listOf, ON_LOG, type OnLog, onLog, type ReceiptEntry, readWhole, shape } from './receipt-format.ts';
import type { Policy } from './policy.ts';
import { logSentences, openLog, refute, requireInclusion, requireSalt, type SignedWith } from './receipt-log.ts';

export const ERASURE_FORMAT = 'assent-erasure-1';

export type ErasureProof = OnLog & {
  readonly format: typeof ERASURE_FORMAT;
  /** What was erased: `Consent/x`. */
  readonly reference: string;
  /** The tombstone. */
  readonly entry: ReceiptEntry;
  /** base64 hashes that lead from the tombstone to the checkpoint's root, from left to right. */
  readonly proof: readonly string[];
};

export type ErasureVerdict = {
  readonly kind: 'erased';
  readonly proven: readonly string[];
  readonly notProven: readonly string[];
  readonly log: SignedWith;
};

export function writeErasureProof({ reference, entry, proof, ...rest }: Omit<ErasureProof, 'format'>): string {
  return JSON.stringify({ format: ERASURE_FORMAT, ...onLog(rest), reference, entry, proof });
}

const isErasureProof = shape(
  {
    format: isText,
    log: isText,
    checkpoint: isText,
    reference: isText,
    entry: shape({ ...ENTRY_MEMBERS, erases: isErases }),
    proof: listOf(isText),
  },
  ON_LOG,
);

/** A sentence where the text is none. */
export function readErasureProof(text: string): ErasureProof | string {
  return readWhole(text, { format: ERASURE_FORMAT, what: 'a proof of erasure', is: (value): value is ErasureProof => isErasureProof(value) });
}

/** Throws Refuted. */
export function verifyErasureProof({ reference, entry, proof, ...rest }: ErasureProof, policy: Policy | undefined): ErasureVerdict {
  const log = openLog(rest, policy);
  const { erases = [], index, kind, digest, occurredAt } = entry;
  if (kind !== 'erasure') refute('Its log entry is of something else than an erasure.');
  if (digest !== erasureDigest(erases)) refute('The entries it names are not those in the log: the digest differs.');
  if (erases.some((erased) => erased >= index)) refute('It names an entry that was logged after it.');
  requireSalt(entry);
  requireInclusion(proof, log, [{ ...entry, reference }]);
  const checkpoint = logSentences(log, policy);
  const entries = erases.length === 1 ? 'Entry' : 'Entries';
  return {
    kind: 'erased',
    log,
    proven: [
      `${entries} ${erases.join(', ')} about ${reference} ${erases.length === 1 ? 'was' : 'were'} erased for ever: logged as entry ${index}, ${occurredAt}.`,
      `This stood in the log ${log.origin} when it had ${log.size} entries, under a checkpoint signed by ${log.key}.`,
      ...checkpoint.proven,
    ],
    notProven: [
      ...checkpoint.notProven,
      'What the erased entries said: nobody can prove that from the log any more. A receipt made before still does.',
      'That the times stated are right: they are the server’s own.',
    ],
  };
}
