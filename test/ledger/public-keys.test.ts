/** Keys that were imported before are found again, and never another one in their place. */
import { generateKeyPairSync, type JsonWebKey, sign, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { publicKeyOfJwk, publicKeyOfSpki } from '../../ledger/public-keys.ts';

describe('public keys', () => {
  it('are each its own, also when there are more than are kept', () => {
    const keys = Array.from({ length: 1_100 }, () => {
      const { publicKey, privateKey } = generateKeyPairSync('ed25519');
      return {
        jwk: publicKey.export({ format: 'jwk' }),
        spki: publicKey.export({ format: 'der', type: 'spki' }),
        of: sign(null, Buffer.from('text'), privateKey),
      };
    });
    const holds = ({ jwk, of }: (typeof keys)[number]) => verify(null, Buffer.from('text'), publicKeyOfJwk(jwk), of);
    expect([keys.every(holds), keys.toReversed().every(holds)]).toEqual([true, true]);
    expect(keys.slice(0, 100).every(({ spki, of }) => verify(null, Buffer.from('text'), publicKeyOfSpki(spki), of))).toBe(true);
    const [first, second] = keys;
    expect(publicKeyOfJwk(first?.jwk ?? {}).equals(publicKeyOfJwk(second?.jwk ?? {}))).toBe(false);
    expect(publicKeyOfJwk(second?.jwk ?? {})).toBe(publicKeyOfJwk({ ...second?.jwk }));
  });

  it('of a kind that no receipt is signed with are each its own as well', () => {
    const [one, other] = [1, 2].map(() => generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }));
    expect(publicKeyOfJwk(one ?? {}).equals(publicKeyOfJwk(other ?? {}))).toBe(false);
  });

  it('are none where they are not on the curve, however often they are asked for and whatever was there before', () => {
    const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
    publicKeyOfJwk(jwk);
    const wrong: readonly JsonWebKey[] = [{ ...jwk, y: String(jwk.x) }, { ...jwk, crv: 'P-384' }, { ...jwk, kty: 'OKP' }, { kty: 'EC' }];
    for (const each of [...wrong, ...wrong]) expect(() => publicKeyOfJwk(each)).toThrow();
    expect(() => publicKeyOfSpki(Buffer.alloc(44))).toThrow();
  });
});
