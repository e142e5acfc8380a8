/**
 * Checkpoints of the log: its size and root, as a signed note. https://c2sp.org/tlog-checkpoint
 * Invariant: whatever does not have exactly the specified form is malformed.
 */
import { type Checkpoint, checkpointText, parseCheckpoint } from './checkpoint-text.ts';
import { type NoteSigner, parseNote, type Signed, type VerifierKey, verifyNote } from './note.ts';

export function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): string {
  const text = checkpointText(checkpoint);
  return `${text}\n${signers.map((signer) => signer.line(text)).join('')}`;
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
