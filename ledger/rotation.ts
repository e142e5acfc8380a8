/**
 * A log's key, replaced by another: a note that both sign, as an entry of the log whose checkpoints the new one signs from then on. ledger.md §2,
 * https://c2sp.org/signed-note
 *
 * Invariants: who trusts the old key is led to the new one by the old key's own signature, and nobody is led to a key whose holder did not sign;
 * it says up to which size the old key has signed, so that whatever it signs later is known to be forged.
 */
import { fromBase64 } from './encoding.ts';
import { HASH_BYTES } from './hash.ts';
import { type NoteSigner, parseNote, parseVerifierKey, type VerifierKey, verifyNote } from './note.ts';
import { isSize } from './proof.ts';

export type Rotation = {
  readonly from: VerifierKey;
  readonly to: VerifierKey;
  /** Of the last tree that `from` signed. */
  readonly size: number;
  readonly root: Uint8Array;
};

const TITLE = 'assent-key-rotation-1';

/** Both keys have the log's name. */
export function writeRotation({ from, to, size, root }: { from: NoteSigner; to: NoteSigner } & Pick<Rotation, 'size' | 'root'>): string {
  const keys = [from, to].map(({ verifierKey }) => `${verifierKey.text}\n`).join('');
  const text = `${TITLE}\n${keys}${size}\n${Buffer.from(root).toString('base64')}\n`;
  return `${text}\n${from.line(text)}${to.line(text)}`;
}

/** Undefined unless it has exactly this form and both signatures hold: the old key's, then the new one's. */
export function readRotation(note: string): Rotation | undefined {
  const parsed = parseNote(note);
  const [title, old = '', next = '', digits = '', encoded = '', end, ...more] = parsed?.text.split('\n') ?? [];
  const [from, to, root, size] = [parseVerifierKey(old), parseVerifierKey(next), fromBase64(encoded), Number(digits)];
  const formed = title === TITLE && end === '' && more.length === 0 && /^(0|[1-9]\d*)$/.test(digits) && isSize(size) && root?.length === HASH_BYTES;
  if (!parsed || !formed || from?.use !== 'note' || to?.use !== 'note' || from.name !== to.name || from.id === to.id) return undefined;
  const lines = parsed.signatures.map(({ name, id }) => `${name} ${id}`);
  if (lines.length !== 2 || lines[0] !== `${from.name} ${from.id}` || lines[1] !== `${to.name} ${to.id}`) return undefined;
  const verdict = verifyNote(parsed, [from, to]);
  return verdict.kind === 'signed' && verdict.by.length === 2 ? { from, to, size, root } : undefined;
}

/** What the log calls it. */
export function rotationReference({ to }: Pick<Rotation, 'to'>): string {
  return `LogKey/${to.id}`;
}
