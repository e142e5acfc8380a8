/** A caller is who a token we signed says it is, and only while the registration it was issued under stands. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadSigningKey } from '../../server/authz/signing-keys.ts';
import { createAuthenticator } from '../../server/authz/token.ts';
import { type AuthorizationBench, createAuthorizationBench } from '../support/authorization.ts';

let bench: AuthorizationBench;
beforeEach(async () => {
  bench = await createAuthorizationBench();
});
afterEach(() => bench.app.close());

const whoami = (token: string, headers: Record<string, string> = {}) => bench.call('GET', '/whoami', { token, headers });
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

describe('a token of ours', () => {
  test('says who calls, for whom and for what', async () => {
    const client = await bench.register({ client_id: 'insurer', choosesIds: true });
    const answer = await whoami(await bench.token(client, 'system/Observation.rs'));
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      client: 'insurer',
      actor: 'Organization/insurer',
      purpose: 'HPAYMT',
      scopes: [{ context: 'system', type: 'Observation', letters: 'rs' }],
      admin: false,
      choosesIds: true,
    });
  });

  test('takes nothing from headers a caller can invent', async () => {
    const token = await bench.token(await bench.register(), 'system/*.rs');
    const invented = {
      'x-purpose-of-use': 'ETREAT',
      'purpose-of-use': 'TREAT',
      'x-actor': 'Organization/hospital',
      'x-provenance': '{"agent":[]}',
      'x-forwarded-user': 'admin',
    };
    expect((await whoami(token, invented)).text).toBe((await whoami(token)).text);
  });

  test('dies with its ten minutes, also when it is remembered', async () => {
    const token = await bench.token(await bench.register(), 'system/*.rs');
    const { iat, exp } = claimsOf(token) as { iat: number; exp: number };
    expect(exp - iat).toBe(600);
    expect((await whoami(token)).status).toBe(200);
    bench.clock.advance(599_000);
    expect((await whoami(token)).status).toBe(200);
    bench.clock.advance(2_000);
    expect((await whoami(token)).status).toBe(401);
  });

  test.each([
    ['removed', () => bench.clients.remove('c', 'first-start')],
    [
      'changed',
      () => bench.clients.replace('c', { client_name: 'C', scope: 'system/*.rs', actor: 'Organization/other', purposes: ['TREAT'] }, 'first-start'),
    ],
  ])('dies on the next request after its client was %s, here and in another process', async (_, change) => {
    await bench.register({ client_id: 'c' });
    const token = await bench.token('c', 'system/*.rs');
    const second = await createAuthorizationBench({ shared: bench.store });
    for (const process of [bench, second]) expect((await process.call('GET', '/whoami', { token })).status).toBe(200);
    await change();
    for (const process of [bench, second]) expect((await process.call('GET', '/whoami', { token })).status).toBe(401);
    await second.app.close();
  });

  test('outlives the changes of other clients', async () => {
    const token = await bench.token(await bench.register(), 'system/*.rs');
    expect((await whoami(token)).status).toBe(200);
    await bench.clients.remove(await bench.register(), 'first-start');
    expect((await whoami(token)).status).toBe(200);
  });

  test('is understood by another process on the same database, which has the same key', async () => {
    const second = await createAuthorizationBench({ shared: bench.store });
    expect((await second.call('GET', '/auth/jwks')).text).toBe((await bench.call('GET', '/auth/jwks')).text);
    await second.app.close();
  });
});

describe('what is not a token of ours is refused', () => {
  type Forged = { readonly claims: Record<string, unknown>; readonly ours: KeyObject; readonly kid: string; readonly publicPem: string };
  const sign = (claims: Record<string, unknown>, key: KeyObject | Uint8Array, header: { alg: string; typ?: string; kid?: string }) =>
    new SignJWT(claims).setProtectedHeader(header).sign(key);
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const rs256 = { alg: 'RS256', typ: 'at+jwt' };

  const forgeries: readonly [string, (forged: Forged) => string | Promise<string>][] = [
    ['alg none', ({ claims }) => new UnsecuredJWT(claims).encode()],
    [
      'alg none with our type',
      ({ claims }) =>
        `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`,
    ],
    ['HS256 keyed with our public key', ({ claims, publicPem }) => sign(claims, Buffer.from(publicPem), { alg: 'HS256', typ: 'at+jwt' })],
    ["a stranger's key", ({ claims, kid }) => sign(claims, stranger.privateKey, { ...rs256, kid })],
    ['our key with RS512', ({ claims, ours }) => sign(claims, ours, { alg: 'RS512', typ: 'at+jwt' })],
    ['another type of token', ({ claims, ours }) => sign(claims, ours, { alg: 'RS256', typ: 'JWT' })],
    ['no type', ({ claims, ours }) => sign(claims, ours, { alg: 'RS256' })],
    ['another issuer', ({ claims, ours }) => sign({ ...claims, iss: 'https://elsewhere.example.org' }, ours, rs256)],
    ['an issuer that starts like ours', ({ claims, ours }) => sign({ ...claims, iss: 'https://fhir.example.org.evil.example' }, ours, rs256)],
    ['another audience', ({ claims, ours }) => sign({ ...claims, aud: 'https://fhir.example.org/other' }, ours, rs256)],
    ['expired', ({ claims, ours }) => sign({ ...claims, exp: Number(claims['iat']) - 1 }, ours, rs256)],
    ['no expiry', ({ claims: { exp: _, ...claims }, ours }) => sign(claims, ours, rs256)],
    ['no actor', ({ claims: { actor: _, ...claims }, ours }) => sign(claims, ours, rs256)],
    ['an actor that is no text', ({ claims, ours }) => sign({ ...claims, actor: ['Organization/hospital'] }, ours, rs256)],
    ['a generation nobody has', ({ claims, ours }) => sign({ ...claims, reg: 'x' }, ours, rs256)],
  ];

  test.each(forgeries)('%s', async (_, forge) => {
    const token = await bench.token(await bench.register(), 'system/*.rs');
    const { privateJwk, publicPem, kid } = await loadSigningKey(bench.store.records);
    const ours = createPrivateKey({ key: privateJwk as JsonWebKey, format: 'jwk' });
    const claims = claimsOf(token);
    // The control: the same claims, signed as we sign them, are accepted.
    expect((await whoami(await sign(claims, ours, rs256))).status).toBe(200);
    expect(createPublicKey(publicPem).asymmetricKeyType).toBe('rsa');
    const answer = await whoami(await forge({ claims, ours, kid, publicPem }));
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
    expect(answer.json).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ code: 'login' }] });
  });

  test.each([
    ['nothing', undefined],
    ['another scheme', 'Basic YTpi'],
    ['no token', 'Bearer '],
    ['two tokens', 'Bearer a.b.c d.e.f'],
    ['a flood', `Bearer ${'a'.repeat(5000)}.${'b'.repeat(5000)}.c`],
  ])('%s', async (_, authorization) => {
    expect((await bench.call('GET', '/whoami', { headers: authorization === undefined ? {} : { authorization } })).status).toBe(401);
  });

  test('a token in the query or the body', async () => {
    const token = await bench.token(await bench.register(), 'system/*.rs');
    expect((await bench.call('GET', `/whoami?access_token=${token}`)).status).toBe(401);
  });

  test('a changed signature, also after the good one was remembered', async () => {
    const token = await bench.token(await bench.register(), 'system/*.rs');
    expect((await whoami(token)).status).toBe(200);
    const at = token.lastIndexOf('.') + 10;
    expect((await whoami(token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1))).status).toBe(401);
  });
});

describe('the memory of verified tokens', () => {
  const caller = { client: 'c', actor: 'Organization/1', purpose: 'TREAT', scopes: [], admin: false, choosesIds: false, tokenId: 't' };
  const rig = (capacity: number) => {
    const calls = { verify: 0, generation: 0 };
    const state = { epoch: 1, generation: 'g' as string | undefined };
    const authenticator = createAuthenticator({
      grantStands: async () => true,
      verify: () => {
        calls.verify++;
        return { caller, generation: 'g', expires: 1_000 };
      },
      epoch: async () => state.epoch,
      generationOf: async () => {
        calls.generation++;
        return state.generation;
      },
      clock: () => 0,
      capacity,
    });
    return { calls, state, use: (name: string) => authenticator.authenticate({ headers: { authorization: `Bearer ${name}.b.c` } }) };
  };

  test('verifies once, and looks at the registration once per epoch', async () => {
    const { calls, state, use } = rig(10);
    for (let i = 0; i < 5; i++) await use('a');
    expect(calls).toEqual({ verify: 1, generation: 1 });
    state.epoch = 2;
    for (let i = 0; i < 5; i++) await use('a');
    expect(calls).toEqual({ verify: 1, generation: 2 });
  });

  test('never forgets a removal, whatever the order', async () => {
    const { state, use } = rig(10);
    await use('a');
    state.epoch = 2;
    state.generation = undefined;
    await expect(use('a')).rejects.toThrow('access token');
    await expect(use('a')).rejects.toThrow('access token');
    await expect(use('b')).rejects.toThrow('access token');
  });

  test('stays within its bounds', async () => {
    const { calls, use } = rig(10);
    for (let i = 0; i < 100; i++) await use(`t${i}`);
    await use('t99');
    expect(calls.verify).toBe(100);
    await use('t0');
    expect(calls.verify).toBe(101);
  });
});
