/**
 * The RS256 key that signs access tokens, made at the first start and shared by every process through the RecordStore.
 * https://www.rfc-editor.org/rfc/rfc9068
 *
 * Whoever can read the database can sign tokens: the store is therefore part of the trusted base, as it is for every record in it.
 * It cannot forge a Consent, whose signatures are made elsewhere, nor the log, whose key is not kept here.
 */
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import type { RecordStore } from '../store/port.ts';

const KIND = 'token-signing-key';
/** A fixed id: of several processes that start at once, one writes and all the others read. */
const ID = '1';

export type SigningKey = {
  readonly kid: string;
  readonly privateJwk: JsonWebKey & { readonly kid: string; readonly alg: 'RS256'; readonly use: 'sig' };
  readonly publicPem: string;
};

export async function loadSigningKey(records: RecordStore): Promise<SigningKey> {
  const stored = await records.get(KIND, ID);
  if (stored) return fromJwk(stored.value as JsonWebKey);
  const { privateKey } = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true });
  const jwk = await exportJWK(privateKey);
  await records.put(KIND, ID, jwk as { [member: string]: unknown }, { revision: null });
  const kept = await records.get(KIND, ID);
  if (!kept) throw new Error('The token signing key could not be kept.');
  return fromJwk(kept.value as JsonWebKey);
}

async function fromJwk(jwk: JsonWebKey): Promise<SigningKey> {
  const { kty, n, e } = jwk;
  const kid = await calculateJwkThumbprint({ kty: String(kty), n: String(n), e: String(e) });
  const publicPem = createPublicKey({ key: { kty: String(kty), n: String(n), e: String(e) }, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  return { kid, privateJwk: { ...jwk, kid, alg: 'RS256', use: 'sig' }, publicPem: String(publicPem) };
}
