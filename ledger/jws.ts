/**
 * Detached compact JWS over a text: ES256 and EdDSA with Ed25519. RFC 7515 §5.2 and appendix F, RFC 7518 §3.4, RFC 8037
 * Invariant: the key decides the algorithm, the header may only agree with it; no header that asks for special treatment is accepted.
 */
import { type JsonWebKey, verify } from 'node:crypto';
import { fromBase64Url } from './encoding.ts';
import { publicKeyOfJwk } from './public-keys.ts';

export type DetachedJws = { readonly kid: string; readonly alg: string; readonly header: string; readonly signature: Uint8Array };

export function parseDetachedJws(jws: string): DetachedJws | undefined {
  const [header = '', payload, encoded = '', ...more] = jws.split('.');
  const bytes = fromBase64Url(header);
  const signature = fromBase64Url(encoded);
  if (payload !== '' || more.length > 0 || !bytes || !signature) return undefined;
  const fields = parseHeader(bytes.toString('utf8'));
  if (!fields || typeof fields['kid'] !== 'string' || typeof fields['alg'] !== 'string') return undefined;
  if ('crit' in fields || 'b64' in fields) return undefined;
  return { kid: fields['kid'], alg: fields['alg'], header, signature };
}

function parseHeader(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** A key that is not usable verifies nothing. */
export function verifyDetachedJws({ alg, header, signature }: DetachedJws, payload: string, jwk: JsonWebKey): boolean {
  const input = Buffer.from(`${header}.${Buffer.from(payload, 'utf8').toString('base64url')}`, 'ascii');
  try {
    const key = publicKeyOfJwk(jwk);
    if (jwk.kty === 'EC' && jwk.crv === 'P-256' && alg === 'ES256') return verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, signature);
    return jwk.kty === 'OKP' && jwk.crv === 'Ed25519' && alg === 'EdDSA' && verify(null, input, key, signature);
  } catch {
    return false;
  }
}
