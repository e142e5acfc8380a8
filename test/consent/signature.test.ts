import { constants, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isSignedBy, parseJws, payloadText } from '../../server/consent/signature.ts';
import { testKey } from '../support/signing-keys.ts';

const text = '{"consent":"一 ü","n":1}';
const encode = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const refused = expect.objectContaining({ code: 'invalid-signature', status: 422 }) as Error;

describe.each(['P-256', 'Ed25519'] as const)('%s', (curve) => {
  const key = testKey('Patient/1', 'patient', { curve });
  const jws = key.jws(text);
  const [header = '', , signature = ''] = jws.split('.');

  test('the signature of this text by this key, and of nothing else', () => {
    const parsed = parseJws(jws);
    expect(parsed).toMatchObject({ kid: key.kid, payload: '' });
    expect([
      isSignedBy(parsed, key, text),
      isSignedBy(parsed, key, `${text} `),
      isSignedBy(parsed, testKey('Patient/1', 'patient', { curve }), text),
    ]).toEqual([true, false, false]);
  });

  test('no other spelling of it', () => {
    const spellings = [
      `${header}..${signature}=`,
      `${header}..${signature}\n`,
      ` ${jws}`,
      `${header}==..${signature}`,
      `${header}..${Buffer.from(signature, 'base64url').toString('base64')}==`,
      `${header}.${signature}`,
      `${jws}.`,
      `${header}..`,
      `${header}..${signature.slice(0, -4)}`,
      `..${signature}`,
      '',
      // The last character of 64 bytes in base64url carries 4 unused bits.
      `${header}..${signature.slice(0, -1)}${signature.endsWith('A') ? 'B' : signature.slice(-1) === 'Q' ? 'R' : signature.slice(-1) === 'g' ? 'h' : 'x'}`,
    ];
    for (const spelling of spellings) expect(() => parseJws(spelling), spelling).toThrowError(refused);
  });

  test.each([
    ['b64', { b64: false, crit: ['b64'] }],
    ['crit', { crit: ['exp'], exp: 1 }],
    ['jwk', { jwk: key.jwk }],
    ['jku', { jku: 'https://evil.example/jwks' }],
    ['x5u', { x5u: 'https://evil.example/cert' }],
    ['a key id that is no text', { kid: ['x'] }],
    ['an algorithm that is no text', { alg: null }],
  ])('a header with %s is refused', (_name, more) => {
    expect(() => parseJws(key.jws(text, { header: more }))).toThrowError(refused);
  });

  test.each(['none', 'HS256', 'ES384', 'RS256', 'es256', curve === 'P-256' ? 'EdDSA' : 'ES256'])('alg %s is not this key’s', (alg) => {
    expect(isSignedBy(parseJws(key.jws(text, { header: { alg } })), key, text)).toBe(false);
  });

  test('an HMAC keyed with the public key, the oldest confusion', () => {
    const head = encode({ alg: 'HS256', kid: key.kid });
    const mac = createHmac('sha512', key.jwk.x)
      .update(`${head}.${encode(text)}`)
      .digest('base64url');
    expect(isSignedBy(parseJws(`${head}..${mac}`), key, text)).toBe(false);
  });

  test('all zeros and all ones', () => {
    for (const byte of [0, 255]) {
      const forged = parseJws(`${header}..${Buffer.alloc(64, byte).toString('base64url')}`);
      expect(isSignedBy(forged, key, text)).toBe(false);
    }
  });

  test('an attached payload is given back byte for byte, or not at all', () => {
    expect(payloadText(parseJws(key.jws(text, { attached: true })))).toBe(text);
    expect(payloadText(parseJws(jws))).toBeUndefined();
    const broken = `${header}.${Buffer.from([0xff, 0xfe]).toString('base64url')}.${signature}`;
    expect(payloadText(parseJws(broken))).toBeUndefined();
  });
});

test('a DER signature is not a JWS signature', () => {
  const key = testKey('Patient/1', 'patient');
  const head = encode({ alg: 'ES256', kid: key.kid });
  const der = sign('sha256', Buffer.from(`${head}.${encode(text)}`), key.privateKey).toString('base64url');
  expect(() => parseJws(`${head}..${der}`)).toThrowError(refused);
});

test('an RSA signature under an elliptic key id', () => {
  const key = testKey('Patient/1', 'patient');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const head = encode({ alg: 'RS256', kid: key.kid });
  const rsa = sign('sha256', Buffer.from(head), { key: privateKey, padding: constants.RSA_PKCS1_PADDING }).subarray(0, 64);
  expect(isSignedBy(parseJws(`${head}..${rsa.toString('base64url')}`), key, text)).toBe(false);
});
