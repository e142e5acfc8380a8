/**
 * Public keys as what verifies with them wants them. To import one takes half as long as to verify a signature, so the last ones are kept.
 * Invariant: a key is kept under all that it is made of, so another one is never found in its place; what is no key is not kept.
 */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';

const MOST_KEPT = 1_000;
const kept = new Map<string, KeyObject>();

function keptAs(name: string, create: () => KeyObject): KeyObject {
  const found = kept.get(name);
  if (found) return found;
  const key = create();
  const [oldest] = kept.size < MOST_KEPT ? [] : kept.keys();
  if (oldest !== undefined) kept.delete(oldest);
  kept.set(name, key);
  return key;
}

/** RFC 5280 §4.1, SubjectPublicKeyInfo. Throws Error where it is no key. */
export function publicKeyOfSpki(spki: Buffer): KeyObject {
  return keptAs(spki.toString('base64'), () => createPublicKey({ key: spki, format: 'der', type: 'spki' }));
}

/** RFC 7517. Throws Error where it is no key. */
export function publicKeyOfJwk(jwk: JsonWebKey): KeyObject {
  const { kty, crv, x, y, n, e } = jwk;
  return keptAs(JSON.stringify([kty, crv, x, y, n, e]), () => createPublicKey({ key: { ...jwk }, format: 'jwk' }));
}
