/**
 * Signatures over consent statements, withdrawals and statements about keys, each as one text: a compact JWS (ES256, EdDSA; RFC 7515, appendix F:
 * detached payload), or by a passkey a WebAuthn assertion whose challenge is the SHA-256 of what is signed (ledger/webauthn.ts).
 *
 * Invariants: the algorithm follows from the registered key, never from the header alone; one signature has one spelling; a passkey signs by assertions
 * only and any other key by JWS only, so neither stands in for the other.
 */
import { createPublicKey, verify } from 'node:crypto';
import { sha256 } from '../../ledger/hash.ts';
import { type Assertion, assertionHolds, assertionText, originOf, parseAssertion } from '../../ledger/webauthn.ts';
import { AssentError } from '../errors.ts';
import type { SigningKey } from './keys.ts';

const algorithmOf = { 'P-256': 'ES256', Ed25519: 'EdDSA' } as const;
const SIGNATURE_BYTES = 64;
const LONGEST = 16_384;

export type ParsedJws = { readonly kid: string; readonly alg: string; readonly header: string; readonly payload: string; readonly signature: Buffer };

/** `kid`: what the key is looked up by; a passkey by its credential. */
export type ParsedAssertion = { readonly kid: string; readonly payload: ''; readonly assertion: Assertion };
export type ParsedSignature = ParsedJws | ParsedAssertion;

/** Throws AssentError('invalid-signature'). */
export function parseSignature(signature: string): ParsedSignature {
  if (!signature.startsWith('{')) return parseJws(signature);
  const assertion = parseAssertion(signature);
  if (!assertion) throw new AssentError('invalid-signature', NO_ASSERTION);
  return { kid: PASSKEY + assertion.id, payload: '', assertion };
}

/** Before the id of a credential: no kid (a thumbprint) looks so. */
export const PASSKEY = 'passkey:';
const NO_ASSERTION = 'A passkey’s signature is needed as JSON of a WebAuthn assertion: id, authenticatorData, clientDataJSON, signature.';

/** The one spelling of what a browser's authenticator answered (AuthenticationResponseJSON). Throws AssentError('invalid-signature'). */
export function webauthnSignature(answer: string): string {
  try {
    const text = assertionText(JSON.parse(answer));
    if (text !== undefined) return text;
  } catch {
    // No JSON: refused like any other that is none.
  }
  throw new AssentError('invalid-signature', NO_ASSERTION);
}

/** Whether this is the key that a signature names. */
export function isNamedIn({ kid }: Pick<ParsedSignature, 'kid'>, key: Pick<SigningKey, 'kid' | 'passkey'>): boolean {
  return kid === (key.passkey ? PASSKEY + key.passkey.credentialId : key.kid);
}

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

type Key = Pick<SigningKey, 'jwk' | 'passkey'>;

/**
 * Whether this key made this signature over the text. `audience`: the server it is meant for, on whose pages an assertion must have been made; absent:
 * the text names it.
 */
export function isSignedBy(parsed: ParsedSignature, key: Key, text: string, audience?: string): boolean {
  if (!('assertion' in parsed)) return !key.passkey && isJwsBy(parsed, key, text);
  if (key.passkey?.credentialId !== parsed.assertion.id) return false;
  const origin = originOf(audience ?? audienceOf(text));
  if (origin === undefined) return false;
  return assertionHolds(parsed.assertion, key.jwk, { challenge: sha256(text), origin, rpId: key.passkey.rpId });
}

function audienceOf(text: string): string {
  const { audience } = JSON.parse(text) as { readonly audience?: unknown };
  return typeof audience === 'string' ? audience : '';
}

function isJwsBy({ alg, header, signature }: ParsedJws, key: Key, text: string): boolean {
  if (alg !== algorithmOf[key.jwk.crv]) return false;
  const input = Buffer.from(`${header}.${Buffer.from(text, 'utf8').toString('base64url')}`);
  const publicKey = createPublicKey({ key: key.jwk, format: 'jwk' });
  if (alg === 'ES256') return verify('sha256', input, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature);
  return verify(null, input, publicKey, signature);
}

/** The text a JWS carries; undefined for a detached one or one whose payload is not UTF-8 in canonical base64url. */
export function payloadText({ payload }: Pick<ParsedSignature, 'payload'>): string | undefined {
  const bytes = payload === '' ? undefined : strictBase64url(payload);
  const text = bytes?.toString('utf8');
  return text !== undefined && Buffer.from(text, 'utf8').equals(bytes as Buffer) ? text : undefined;
}

function strictBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return text !== '' && bytes.toString('base64url') === text ? bytes : undefined;
}
