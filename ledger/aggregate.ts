/**
 * A log of other logs’ checkpoints: one root over many, and for each of them the proof that it is in. ledger.md §5
 *
 * An entry of the aggregate is a member’s checkpoint, text and signatures, as the member signed it; the aggregate’s own checkpoint is an ordinary one, and
 * where it is anchored stands in it as an extension line (anchor/place.ts).
 *
 * Invariants: nobody can put a checkpoint in a member’s name that the member did not sign; a proof holds of other members nothing but hashes.
 */
import { parsePlace, type Place } from './anchor/place.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint-text.ts';
import { fromBase64 } from './encoding.ts';
import { digestOf, HASH_BYTES, leafHash, sha256 } from './hash.ts';
import { type Note, parseNote, parseVerifierKey, signatureLine, type VerifierKey, verifyNote } from './note.ts';
import { verifyConsistency, verifyInclusion } from './proof.ts';
import { type AggregatePiece, isAggregatePiece, isText, listOf, readWhole, shape } from './receipt-format.ts';

/** What an aggregate publishes for one member: under its newest checkpoint first, then for each place that is an anchor. `log`: its verifier key. */
export type AggregateProof = { readonly format: typeof AGGREGATE_FORMAT; readonly log: string; readonly pieces: readonly AggregatePiece[] };

export const AGGREGATE_FORMAT = 'assent-aggregate-1';

const isProof = shape({ format: isText, log: isText, pieces: listOf(isAggregatePiece) });

/** Where it stands under the aggregate’s URL, and in its folder. */
export const proofName = (origin: string): string => `proof/${sha256(origin).toString('hex')}`;

export function writeAggregateProof({ log, pieces }: Omit<AggregateProof, 'format'>): string {
  const written = pieces.map(({ checkpoint, index, member, inclusion, stamp }) => ({
    checkpoint,
    index,
    member,
    inclusion,
    ...(stamp === undefined ? {} : { stamp }),
  }));
  return JSON.stringify({ format: AGGREGATE_FORMAT, log, pieces: written });
}

/** A sentence where the text is none. */
export function readAggregateProof(text: string): AggregateProof | string {
  const is = (value: unknown): value is AggregateProof => isProof(value);
  return readWhole(text, { format: AGGREGATE_FORMAT, what: 'a proof by an aggregate', is });
}

/** A member’s checkpoint as an entry: with the signatures of these keys alone, which do not change when it is cosigned. */
export function memberEntry({ text, signatures }: Note, keys: readonly VerifierKey[]): string {
  const own = keys.flatMap((key) => signatures.find(({ name, id }) => name === key.name && id === key.id) ?? []);
  return `${text}\n${own.map(signatureLine).join('')}`;
}

export type Aggregated = {
  readonly aggregate: Checkpoint;
  readonly member: Checkpoint;
  /** undefined: nowhere but in the aggregate. */
  readonly place: Place | undefined;
  /** The authority’s reply, where `place` is a stamp. */
  readonly stamp: Uint8Array | undefined;
};

/** `key`: the aggregate’s; `members`: keys the member’s log has had. A sentence where it proves nothing. */
export function openPiece(piece: AggregatePiece, key: VerifierKey, members: readonly VerifierKey[]): Aggregated | string {
  const note = signedNote(piece.checkpoint, [key]);
  const lines = note?.text.split('\n') ?? [];
  const aggregate = note && parseCheckpoint(note.text, { extended: true });
  if (!aggregate || aggregate.origin !== key.name || lines.length > 5) return 'The aggregate’s checkpoint is none, or not signed by it.';
  const place = lines.length === 5 ? parsePlace(lines[3] ?? '') : undefined;
  if (lines.length === 5 && !place) return 'The aggregate’s checkpoint says something unknown.';
  const member = parseCheckpoint(signedNote(piece.member, members)?.text ?? '');
  if (!member || member.origin !== members[0]?.name) return 'What is in the aggregate is no checkpoint that this log signed.';
  const proof = hashesIn(piece.inclusion);
  const leaf = leafHash(Buffer.from(piece.member));
  if (!proof || !verifyInclusion({ leaf, index: piece.index, size: aggregate.size, root: aggregate.root }, proof))
    return 'The aggregate does not hold this checkpoint: the proof does not lead to its root.';
  const stamp = piece.stamp === undefined ? undefined : fromBase64(piece.stamp);
  if ((place?.kind === 'rfc3161' ? place.digest : undefined) !== (stamp && digestOf(stamp)) || (piece.stamp !== undefined && !stamp))
    return 'The time-stamp is not the one that the aggregate’s checkpoint names.';
  return { aggregate, member, place, stamp };
}

/** In which every signature is by one of the keys, and there is one. */
function signedNote(text: string, keys: readonly VerifierKey[]): Note | undefined {
  const note = parseNote(text);
  const verdict = note && verifyNote(note, keys);
  return verdict?.kind === 'signed' && verdict.by.length === note?.signatures.length ? note : undefined;
}

/** Whether one of two trees begins with the whole of the other. */
export function areOneHistory(one: Checkpoint, other: Checkpoint, consistency: readonly string[]): boolean {
  const [older, newer] = one.size <= other.size ? [one, other] : [other, one];
  const proof = hashesIn(consistency);
  return proof !== undefined && verifyConsistency({ oldSize: older.size, oldRoot: older.root, size: newer.size, root: newer.root }, proof);
}

function hashesIn(texts: readonly string[]): readonly Uint8Array[] | undefined {
  const hashes = texts.flatMap((text) => fromBase64(text) ?? []);
  return hashes.length === texts.length && hashes.every(({ length }) => length === HASH_BYTES) ? hashes : undefined;
}

/** undefined where the text is no key that signs checkpoints. */
export function aggregateKey(text: string): VerifierKey | undefined {
  const key = parseVerifierKey(text);
  return key?.use === 'note' ? key : undefined;
}
