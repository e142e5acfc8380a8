/**
 * In the place of node:crypto where the verifier runs in a browser: what hashes and verifies, by @noble/curves and @noble/post-quantum. A page opened from a file has no
 * other that answers at once.
 * Invariant: holds what OpenSSL holds, but for Ed25519 keys of small order, which no honest signer has: those sign nothing here.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import { Buffer } from './buffer.ts';

export type JsonWebKey = { readonly kty?: string; readonly crv?: string; readonly x?: string; readonly y?: string };
export type KeyObject = { readonly holds: (message: Uint8Array, signature: Uint8Array) => boolean; equals(other: KeyObject): boolean };

const KEY_BYTES = 32;
const ML_DSA_44_KEY_BYTES = 1312;

export function hash(_algorithm: string, data: Uint8Array | string, encoding: string): Uint8Array | string {
  const bytes = Buffer.from(sha256(typeof data === 'string' ? new TextEncoder().encode(data) : data));
  return encoding === 'buffer' ? bytes : bytes.toString(encoding);
}

type KeyInput = { readonly key: Uint8Array; readonly format: 'der' } | { readonly key: JsonWebKey; readonly format: 'jwk' };

/** Throws where it is no key. */
export function createPublicKey({ key, format }: KeyInput): KeyObject {
  if (format === 'der') return key.length > ML_DSA_44_KEY_BYTES ? mlDsaKey(key.subarray(-ML_DSA_44_KEY_BYTES)) : edKey(key.subarray(-KEY_BYTES));
  const [x, y] = [Buffer.from(key.x ?? '', 'base64url'), Buffer.from(key.y ?? '', 'base64url')];
  if (key.kty === 'OKP') return edKey(x);
  const point = Buffer.concat([Buffer.from([0x04]), x, y]);
  p256.Point.fromBytes(point);
  return keyOf(point, (message, signature) => p256.verify(signature, message, point, { lowS: false }));
}

function edKey(bytes: Uint8Array): KeyObject {
  return keyOf(bytes, (message, signature) => ed25519.verify(signature, message, bytes, { zip215: false }));
}

function mlDsaKey(bytes: Uint8Array): KeyObject {
  return keyOf(bytes, (message, signature) => ml_dsa44.verify(signature, message, bytes));
}

const raw = new WeakMap<KeyObject, Uint8Array>();

function keyOf(bytes: Uint8Array, holds: KeyObject['holds']): KeyObject {
  const key: KeyObject = { holds, equals: (other) => Buffer.compare(bytes, raw.get(other) ?? new Uint8Array()) === 0 };
  raw.set(key, bytes);
  return key;
}

export function verify(_algorithm: string | null, message: Uint8Array, key: KeyObject | { readonly key: KeyObject }, signature: Uint8Array): boolean {
  return ('key' in key ? key.key : key).holds(message, signature);
}

function absent(): never {
  throw new Error('This page holds no secret and signs nothing.');
}
export { absent as createPrivateKey, absent as randomBytes, absent as sign };
