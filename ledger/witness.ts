/**
 * What a witness is asked, and how it decides. https://c2sp.org/tlog-witness
 *
 * Invariants: a checkpoint is accepted only if a key of its log signed it and it begins with the whole tree accepted last; the rules are
 * here without any IO, so that whoever keeps the state cannot get them wrong.
 */
import { type Checkpoint, parseCheckpoint } from './checkpoint-text.ts';
import { fromBase64 } from './encoding.ts';
import { HASH_BYTES, sameBytes } from './hash.ts';
import { type Note, parseNote, type VerifierKey, verifyNote } from './note.ts';
import { isSize, verifyConsistency } from './proof.ts';

/** `proof`: RFC 6962 §2.1.2, from the tree of `oldSize` to the one of the checkpoint. `note`: the checkpoint, signed. */
export type AddCheckpoint = { readonly oldSize: number; readonly proof: readonly Uint8Array[]; readonly note: string };

/** Of a log that a witness has cosigned. */
export type TreeHead = { readonly size: number; readonly root: Uint8Array };

const MOST_PROOF_LINES = 63;

export function writeAddCheckpoint({ oldSize, proof, note }: AddCheckpoint): string {
  return `old ${oldSize}\n${proof.map((hash) => `${Buffer.from(hash).toString('base64')}\n`).join('')}\n${note}`;
}

/** undefined: it is not in form. */
export function readAddCheckpoint(body: string): AddCheckpoint | undefined {
  const at = body.indexOf('\n\n');
  const [first = '', ...hashes] = at < 0 ? [] : body.slice(0, at).split('\n');
  const digits = /^old (0|[1-9]\d*)$/.exec(first)?.[1];
  const proof = hashes.map(fromBase64);
  if (digits === undefined || !isSize(Number(digits)) || proof.length > MOST_PROOF_LINES) return undefined;
  if (!proof.every((hash) => hash?.length === HASH_BYTES)) return undefined;
  return { oldSize: Number(digits), proof: proof as readonly Uint8Array[], note: body.slice(at + 2) };
}

export type WitnessVerdict =
  | { readonly kind: 'consistent'; readonly checkpoint: Checkpoint; readonly text: string }
  | { readonly kind: 'malformed' | 'unknown-log' | 'unsigned' | 'too-small' | 'other-root' | 'inconsistent' }
  /** What the witness has cosigned last is not the tree the proof begins with. */
  | { readonly kind: 'conflict'; readonly size: number };

/** `logs`: keys of all logs that are witnessed. `latest`: what was cosigned last of the log with this origin. */
export function judgeCheckpoint(
  { oldSize, proof, note }: AddCheckpoint,
  { logs, latest }: { readonly logs: readonly VerifierKey[]; readonly latest: (origin: string) => TreeHead | undefined },
): WitnessVerdict {
  const parsed = parseNote(note);
  // A log’s extension lines are its own affair: what is cosigned is that it only grows.
  const checkpoint = parsed && parseCheckpoint(parsed.text, { extended: true });
  if (!parsed || !checkpoint) return { kind: 'malformed' };
  const { origin, size, root } = checkpoint;
  const keys = logs.filter(({ name }) => name === origin);
  if (keys.length === 0) return { kind: 'unknown-log' };
  if (!isSigned(parsed, keys)) return { kind: 'unsigned' };
  if (oldSize > size) return { kind: 'too-small' };
  const known = latest(origin);
  if ((known?.size ?? 0) !== oldSize) return { kind: 'conflict', size: known?.size ?? 0 };
  if (known && size === oldSize && !sameBytes(known.root, root)) return { kind: 'other-root' };
  const isConsistent = oldSize === 0 ? proof.length === 0 : known && verifyConsistency({ oldSize, oldRoot: known.root, size, root }, proof);
  return isConsistent ? { kind: 'consistent', checkpoint, text: parsed.text } : { kind: 'inconsistent' };
}

function isSigned(note: Note, keys: readonly VerifierKey[]): boolean {
  return verifyNote(note, keys).kind === 'signed';
}
