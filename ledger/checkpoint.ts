/**
 * Checkpoints of the log: its size and root, as a signed note. https://c2sp.org/tlog-checkpoint
 * Invariant: whatever does not have exactly the specified form is malformed.
 */
import { fromBase64 } from './encoding.ts';
import { HASH_BYTES } from './hash.ts';
import { type NoteSigner, parseNote, type Signed, type VerifierKey, verifyNote } from './note.ts';
import { isSize } from './proof.ts';

export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Uint8Array };

export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
}

export function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): string {
  const text = checkpointText(checkpoint);
  return `${text}\n${signers.map((signer) => signer.line(text)).join('')}`;
}

/** Extension lines are refused unless `extended`: nobody can audit them. */
export function parseCheckpoint(text: string, { extended = false } = {}): Checkpoint | undefined {
  const [origin = '', digits = '', encoded = '', ...rest] = text.split('\n');
  const isEnded = rest.pop() === '' && (rest.length === 0 || (extended && !rest.includes('')));
  const root = fromBase64(encoded);
  const size = Number(digits);
  if (origin === '' || !isEnded || !/^(0|[1-9]\d*)$/.test(digits) || !isSize(size) || root?.length !== HASH_BYTES) return undefined;
  return { origin, size, root };
}

export type OpenedCheckpoint =
  | { readonly kind: 'signed'; readonly checkpoint: Checkpoint; readonly by: readonly Signed[] }
  | { readonly kind: 'malformed' | 'forged' | 'unsigned' };

export function openCheckpoint(note: string, keys: readonly VerifierKey[]): OpenedCheckpoint {
  const parsed = parseNote(note);
  const checkpoint = parsed && parseCheckpoint(parsed.text);
  if (!parsed || !checkpoint) return { kind: 'malformed' };
  const verdict = verifyNote(parsed, keys);
  return verdict.kind === 'signed' ? { kind: 'signed', checkpoint, by: verdict.by } : verdict;
}
