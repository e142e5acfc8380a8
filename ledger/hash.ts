/**
 * Leaf and node hashes of the log. RFC 6962 §2.1
 * Invariant: a leaf (0x00 ‖ entry) can never be passed off as a node (0x01 ‖ left ‖ right), nor the other way round.
 */
import { hash } from 'node:crypto';

export const HASH_BYTES = 32;

export function sha256(data: Uint8Array | string): Buffer {
  return hash('sha256', data, 'buffer');
}

/** The digest that log entries carry: base64url SHA-256 of exact bytes (of UTF-8 where a text is given). */
export function digestOf(data: Uint8Array | string): string {
  return hash('sha256', data, 'base64url');
}

/** MTH of no entries. */
export const emptyRoot: Uint8Array = sha256('');

export function leafHash(entry: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(entry.length + 1);
  input[0] = 0x00;
  input.set(entry, 1);
  return sha256(input);
}

// One input buffer for all nodes: filled and hashed before anything else can run.
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 0x01);

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES) throw new RangeError('A node hash is made from two hashes of 32 bytes.');
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
