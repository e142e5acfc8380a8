/**
 * Compact JWS over consent statements and withdrawals: ES256 and EdDSA, nothing else. https://www.rfc-editor.org/rfc/rfc7515 (appendix F:
 * detached payload)
 *
 * Invariant: the algorithm follows from the registered key, never from the header alone; one signature has one spelling.
 */
import { createPublicKey, verify } from 'node:crypto';
import { AssentError } from '../errors.ts';
import type { SigningKey } from './keys.ts';

const algorithmOf = { 'P-256': 'ES256', Ed25519: 'EdDSA' } as const;
const SIGNATURE_BYTES = 64;
const LONGEST = 16_384;

export type ParsedJws = { readonly kid: string; readonly alg: string; readonly header: string; readonly payload: string; readonly signature: Buffer };

/** Throws AssentError('invalid-signature'). The payload of a detached JWS is ''. */
export function parseJws(jws: string): ParsedJws {
  const parts = jws.length > LONGEST ? [] : jws.split('.');
  const [header = '', payload = '', encoded = ''] = parts;
  const signature = strictBase64url(encoded);
  const bytes = strictBase64url(header);
  if (parts.length !== 3 || !bytes || signature?.length !== SIGNATURE_BYTES) throw malformed();
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw malformed();
  }
  const { alg, kid, ...more } = (parsed ?? {}) as Record<string, unknown>;
  // Anything else in the header (b64, crit, jwk, x5u …) could change what is signed or by whom.
  if (typeof alg !== 'string' || typeof kid !== 'string' || Object.keys(more).some((name) => name !== 'typ')) throw malformed();
  return { kid, alg, header, payload, signature };
}

function malformed(): AssentError {
  return new AssentError('invalid-signature', 'A signature is needed as compact JWS with alg and kid in its header, and nothing else.');
}

/** Whether this key made this signature over the text. */
export function isSignedBy({ alg, header, signature }: ParsedJws, key: Pick<SigningKey, 'jwk'>, text: string): boolean {
  if (alg !== algorithmOf[key.jwk.crv]) return false;
  const input = Buffer.from(`${header}.${Buffer.from(text, 'utf8').toString('base64url')}`);
  const publicKey = createPublicKey({ key: key.jwk, format: 'jwk' });
  if (alg === 'ES256') return verify('sha256', input, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature);
  return verify(null, input, publicKey, signature);
}

/** The text a JWS carries; undefined for a detached one or one whose payload is not UTF-8 in canonical base64url. */
export function payloadText({ payload }: ParsedJws): string | undefined {
  const bytes = payload === '' ? undefined : strictBase64url(payload);
  const text = bytes?.toString('utf8');
  return text !== undefined && Buffer.from(text, 'utf8').equals(bytes as Buffer) ? text : undefined;
}

function strictBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return text !== '' && bytes.toString('base64url') === text ? bytes : undefined;
}
