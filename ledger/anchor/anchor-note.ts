/**
 * A log's own word where one of its trees is anchored: a note that the log's key signs, for receipts. ledger.md §5, §6, https://c2sp.org/signed-note
 *
 * Invariants: no byte about a place stands in a receipt without a signature over it; the text can never be taken for a checkpoint, so whoever has one
 * signed for a tree that is none has nothing: the tree counts only where the log's checkpoint continues it.
 */
import { fromBase64 } from '../encoding.ts';
import { HASH_BYTES } from '../hash.ts';
import { parseNote, type VerifierKey, verifyNote } from '../note.ts';
import { isSize } from '../proof.ts';
import { parsePlace, type Place, placeLine } from './place.ts';

export type AnchoredTree = { readonly size: number; readonly root: Uint8Array; readonly place: Place };

const TITLE = 'assent-anchor-1';

export function anchorText({ size, root, place }: AnchoredTree): string {
  return `${TITLE}\n${size}\n${Buffer.from(root).toString('base64')}\n${placeLine(place)}\n`;
}

/** Undefined: it has not exactly this form. */
export function parseAnchorText(text: string): AnchoredTree | undefined {
  const [title, digits = '', encoded = '', line = '', end, ...more] = text.split('\n');
  const [size, root, place] = [Number(digits), fromBase64(encoded), parsePlace(line)];
  const formed = title === TITLE && end === '' && more.length === 0 && /^[1-9]\d*$/.test(digits) && isSize(size);
  return formed && root?.length === HASH_BYTES && place ? { size, root, place } : undefined;
}

/** Undefined unless it has exactly this form and exactly one signature, by one of these keys. */
export function readAnchorNote(note: string, keys: readonly VerifierKey[]): AnchoredTree | undefined {
  const parsed = parseNote(note);
  const signed = parsed?.signatures.length === 1 && verifyNote(parsed, keys).kind === 'signed';
  return parsed && signed ? parseAnchorText(parsed.text) : undefined;
}
