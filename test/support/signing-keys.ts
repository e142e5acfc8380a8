/** Real keys for tests of signatures, with JWS made by hand so that every wrong spelling can be made too. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { SigningKey } from '../../server/consent/keys.ts';

export type TestKey = SigningKey & {
  readonly privateKey: KeyObject;
  /** Compact JWS over the text: detached, or with its payload. */
  jws(text: string, options?: JwsOptions): string;
};

export type JwsOptions = { readonly attached?: boolean; readonly header?: Readonly<Record<string, unknown>>; readonly by?: KeyObject };

const base64url = (text: string) => Buffer.from(text, 'utf8').toString('base64url');

export function testKey(
  owner: string,
  role: SigningKey['role'],
  { curve = 'P-256', ...more }: { readonly curve?: 'P-256' | 'Ed25519' } & Partial<Pick<SigningKey, 'logged' | 'revoked'>> = {},
): TestKey {
  const { privateKey, publicKey } = curve === 'P-256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  const jwk = publicKey.export({ format: 'jwk' }) as unknown as SigningKey['jwk'];
  const kid = createHash('sha256').update(JSON.stringify(jwk)).digest('base64url');
  const alg = curve === 'P-256' ? 'ES256' : 'EdDSA';
  return {
    kid,
    owner,
    role,
    jwk,
    privateKey,
    logged: { registered: 0 },
    unchanged: { kind: 'record', recordKind: 'key-event', id: `${kid}.000001`, revision: null },
    ...more,
    jws(text, { attached = false, header = {}, by = privateKey } = {}) {
      const head = base64url(JSON.stringify({ alg, kid, ...header }));
      const input = Buffer.from(`${head}.${base64url(text)}`);
      const signature = curve === 'P-256' ? sign('sha256', input, { key: by, dsaEncoding: 'ieee-p1363' }) : sign(null, input, by);
      return `${head}.${attached ? base64url(text) : ''}.${signature.toString('base64url')}`;
    },
  };
}
