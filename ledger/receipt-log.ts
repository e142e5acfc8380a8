/**
 * What every proof in a file rests on: a signed checkpoint of a log, and that the log holds some entries. ledger.md §6
 * Invariant: whatever does not hold refutes the whole file.
 */
import { openCheckpoint, parseNote, parseVerifierKey } from './checkpoint.ts';
import { fromBase64, fromBase64Url } from './encoding.ts';
import { commitmentOf, type PrivateEntry, SALT_BYTES } from './entry.ts';
import { HASH_BYTES, leafHash, sameBytes } from './hash.ts';
import { rootOfJoint } from './proof.ts';

export class Refuted extends Error {}

export function refute(reason: string): never {
  throw new Refuted(reason);
}

export type Log = { readonly origin: string; readonly key: string; readonly size: number; readonly root: Uint8Array };

/** `trust`: as of verifyReceipt. */
export function openLog({ log, checkpoint: note }: { readonly log: string; readonly checkpoint: string }, trust: readonly string[] | undefined): Log {
  const key = parseVerifierKey(log) ?? refute('The log’s key is not a verifier key.');
  if (trust && !trust.includes(log)) refute('The log is none of those trusted.');
  const opened = openCheckpoint(note, [key]);
  if (opened.kind !== 'signed') refute(`The checkpoint is ${opened.kind}.`);
  // A signature nobody here can check would be a place to hide a change.
  if (parseNote(note)?.signatures.length !== opened.by.length) refute('The checkpoint carries a signature of an unknown key.');
  if (opened.checkpoint.origin !== key.name) refute('The checkpoint is of another log.');
  return { ...opened.checkpoint, key: key.text };
}

export function requireSalt({ salt }: Pick<PrivateEntry, 'salt'>): void {
  if (fromBase64Url(salt)?.length !== SALT_BYTES) refute('A salt is not 32 bytes.');
}

/** `proof`: base64 hashes that lead from the entries to the root, from left to right. */
export function requireInclusion(proof: readonly string[], { size, root }: Log, entries: readonly PrivateEntry[]): void {
  const leaves = new Map(entries.map((entry) => [entry.index, leafHash(commitmentOf(entry))]));
  if (leaves.size !== entries.length) refute('Two pieces claim one place in the log.');
  const hashes = proof.map((text) => fromBase64(text) ?? refute('A hash of the proof is not base64.'));
  if (hashes.some(({ length }) => length !== HASH_BYTES)) refute('A hash of the proof is not 32 bytes.');
  const computed = rootOfJoint(leaves, size, hashes);
  if (!computed || !sameBytes(computed, root)) refute('The log does not hold this: the proof does not lead to the signed root.');
}
