/** The token endpoint: who gets a token, for which scopes and purposes, and what its answers look like. */
import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Answer, type AuthorizationBench, basic, createAuthorizationBench } from '../support/authorization.ts';

let bench: AuthorizationBench;
beforeEach(async () => {
  bench = await createAuthorizationBench();
});
afterEach(() => bench.app.close());

const refused = (answer: Answer, status: number, error: string) => {
  expect([answer.status, answer.json['error']], answer.text).toEqual([status, error]);
  expect(answer.json['access_token']).toBeUndefined();
};

describe('a secret', () => {
  test('gets a token that is for no cache', async () => {
    const answer = await bench.requestToken({ scope: 'system/*.rs' }, basic(await bench.register()));
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ token_type: 'Bearer', expires_in: 600, scope: 'system/*.rs' });
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
  });

  test('works where it holds every printable character', async () => {
    const secret = 'a:b%c+d e&f=g"h\\i~';
    const id = await bench.register({ client_id: 'a.b_c~d', client_secret: secret });
    expect((await bench.requestToken({ scope: 'system/*.rs' }, basic(id, secret))).status).toBe(200);
  });

  test('is not stored', async () => {
    const id = await bench.register({ client_secret: 'never to be seen again' });
    const stored = JSON.stringify(await bench.store.records.list('client'));
    expect(stored).toContain(id);
    expect(stored).not.toContain('never to be seen again');
  });

  test.each([
    ['a wrong secret', 'another secret entirely'],
    ['the beginning of the secret', 'a secret of some lengt'],
  ])('%s is refused', async (_, secret) => {
    refused(await bench.requestToken({ scope: 'system/*.rs' }, basic(await bench.register(), secret)), 401, 'invalid_client');
  });

  test('the stored hash is not a secret', async () => {
    const id = await bench.register();
    const [, hash = ''] = /"hash":"([^"]+)"/.exec(JSON.stringify(await bench.store.records.list('client'))) ?? [];
    expect(hash).toMatch(/^scrypt/);
    refused(await bench.requestToken({ scope: 'system/*.rs' }, basic(id, hash)), 401, 'invalid_client');
  });

  test('an unknown client is refused', async () => {
    refused(await bench.requestToken({ scope: 'system/*.rs' }, basic('nobody')), 401, 'invalid_client');
  });

  test('a removed client is refused', async () => {
    const id = await bench.register();
    expect((await bench.requestToken({ scope: 'system/*.rs' }, basic(id))).status).toBe(200);
    await bench.clients.remove(id, 'first-start');
    refused(await bench.requestToken({ scope: 'system/*.rs' }, basic(id)), 401, 'invalid_client');
  });

  test('no credential, or one in the body, is refused', async () => {
    const id = await bench.register();
    refused(await bench.requestToken({ scope: 'system/*.rs', client_id: id }), 401, 'invalid_client');
    expect((await bench.requestToken({ scope: 'system/*.rs', client_id: id, client_secret: 'a secret of some length' })).status).not.toBe(200);
  });
});

describe('scopes', () => {
  test.each([
    ['none', undefined],
    ['an empty one', ''],
    ['more letters only', 'system/Patient.cud'],
    ['admin', 'admin'],
    ['those of a person', 'patient/*.rs user/*.rs'],
    ['words that are not ours', 'openid offline_access'],
    ['letters out of order', 'system/*.sr'],
    ['a good one beside letters out of order', 'system/*.rs system/Patient.sr'],
    ['a query with a chain', 'system/Observation.rs?subject.name=x'],
    ['a query that says how to answer', 'system/Observation.rs?_include=Observation:subject'],
  ])('%s: invalid_scope, never an empty token', async (_, scope) => {
    const id = await bench.register({ scope: 'system/*.rs patient/*.rs user/*.rs' });
    refused(await bench.requestToken(scope === undefined ? {} : { scope }, basic(id)), 400, 'invalid_scope');
  });

  test('that reach further than the registration are cut down to it, in the answer and in the token', async () => {
    const id = await bench.register({ scope: 'system/Patient.rs system/Observation.r' });
    const answer = await bench.requestToken({ scope: 'system/*.cruds admin' }, basic(id));
    expect(answer.json['scope']).toBe('system/Patient.rs system/Observation.r');
    const who = await bench.call('GET', '/whoami', { token: String(answer.json['access_token']) });
    expect(who.json).toMatchObject({
      admin: false,
      scopes: [
        { type: 'Patient', letters: 'rs' },
        { type: 'Observation', letters: 'r' },
      ],
    });
  });
});

describe('purpose of use', () => {
  const purposeOf = async (token: string) => (await bench.call('GET', '/whoami', { token })).json['purpose'];

  test('is the first registered one, or another registered one', async () => {
    const id = await bench.register();
    expect(await purposeOf(await bench.token(id, 'system/*.rs'))).toBe('HPAYMT');
    expect(await purposeOf(await bench.token(id, 'system/*.rs', { purpose_of_use: 'TREAT' }))).toBe('TREAT');
  });

  test.each(['ETREAT', 'treat', '', 'TREAT HPAYMT', '__proto__'])('%j outside the registration is refused', async (purpose) => {
    refused(await bench.requestToken({ scope: 'system/*.rs', purpose_of_use: purpose }, basic(await bench.register())), 400, 'invalid_request');
  });

  test('given twice is refused', async () => {
    const answer = await bench.call('POST', '/auth/token', {
      body: 'grant_type=client_credentials&scope=system/*.rs&purpose_of_use=TREAT&purpose_of_use=HPAYMT',
      headers: { ...basic(await bench.register()), 'content-type': 'application/x-www-form-urlencoded' },
    });
    refused(answer, 400, 'invalid_request');
  });

  test('in a header or in the query means nothing', async () => {
    const id = await bench.register();
    const answer = await bench.call('POST', '/auth/token?purpose_of_use=TREAT&scope=admin', {
      body: 'grant_type=client_credentials&scope=system/*.rs',
      headers: { ...basic(id), 'content-type': 'application/x-www-form-urlencoded', 'x-purpose-of-use': 'TREAT', 'purpose-of-use': 'TREAT' },
    });
    expect(await purposeOf(String(answer.json['access_token']))).toBe('HPAYMT');
  });
});

describe('an assertion', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwks = {
    keys: [
      { ...ec.publicKey.export({ format: 'jwk' }), kid: 'e' },
      { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'r' },
    ],
  };
  const now = () => Math.floor(bench.clock.now() / 1000);
  const claimsFor = (client: string) => ({ iss: client, sub: client, aud: bench.endpoints.token, jti: randomUUID(), exp: now() + 240 });
  const sign = (claims: Record<string, unknown>, header: Record<string, unknown> = {}, key: KeyObject = ec.privateKey) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'ES384', kid: 'e', typ: 'JWT', ...header }).sign(key);
  const present = (assertion: string, process = bench, headers: Record<string, string> = {}) =>
    process.requestToken(
      { scope: 'system/*.rs', client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: assertion },
      headers,
    );

  let client: string;
  beforeEach(async () => {
    client = await bench.register({ jwks });
  });

  test.each([
    ['ES384', 'e', ec.privateKey],
    ['RS384', 'r', rsa.privateKey],
  ])('signed with %s gets a token', async (alg, kid, key) => {
    expect((await present(await sign(claimsFor(client), { alg, kid }, key))).status).toBe(200);
  });

  test('for the issuer gets a token too', async () => {
    expect((await present(await sign({ ...claimsFor(client), aud: bench.endpoints.issuer }))).status).toBe(200);
  });

  test('works once, also where the second use is in another process or both come at once', async () => {
    const second = await createAuthorizationBench({ shared: bench.store });
    const assertion = await sign(claimsFor(client));
    expect((await present(assertion)).status).toBe(200);
    refused(await present(assertion), 401, 'invalid_client');
    refused(await present(assertion, second), 401, 'invalid_client');
    const race = await sign(claimsFor(client));
    const answers = await Promise.all([bench, second, bench, second].map((process) => present(race, process)));
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 401, 401, 401]);
    await second.app.close();
  });

  test.each<[string, (id: string) => Promise<string> | string]>([
    ['for another server', (id) => sign({ ...claimsFor(id), aud: 'https://elsewhere.example.org/auth/token' })],
    ['for our FHIR base', (id) => sign({ ...claimsFor(id), aud: bench.endpoints.fhir })],
    ['of more than five minutes', (id) => sign({ ...claimsFor(id), exp: now() + 3000 })],
    ['expired', (id) => sign({ ...claimsFor(id), exp: now() - 60 })],
    ['without expiry', (id) => sign({ ...claimsFor(id), exp: undefined })],
    ['without jti', (id) => sign({ ...claimsFor(id), jti: undefined })],
    ['by another issuer', (id) => sign({ ...claimsFor(id), iss: 'another' })],
    ['about another client', (id) => sign({ ...claimsFor(id), sub: 'another' })],
    ["by a stranger's key", (id) => sign(claimsFor(id), {}, generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey)],
    ['without a signature', (id) => new UnsecuredJWT(claimsFor(id)).encode()],
    ['with RS256', (id) => sign(claimsFor(id), { alg: 'RS256', kid: 'r' }, rsa.privateKey)],
    ['with a jku of its own', (id) => sign(claimsFor(id), { jku: 'https://evil.example.org/jwks' })],
  ])('%s is refused', async (_, make) => {
    const answer = await present(await make(client));
    expect([400, 401]).toContain(answer.status);
    expect(answer.json['access_token']).toBeUndefined();
  });

  test('for another server is refused also when that server is named as Host', async () => {
    const assertion = await sign({ ...claimsFor(client), aud: 'http://elsewhere.example.org/auth/token' });
    refused(await present(assertion, bench, { host: 'elsewhere.example.org' }), 401, 'invalid_client');
  });

  test('of a client with a secret is refused', async () => {
    const other = await bench.register();
    refused(await present(await sign(claimsFor(other))), 401, 'invalid_client');
  });
});

describe('keys at a jwks_uri', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  let server: Server;
  let host: string;
  let asked = 0;
  beforeEach(async () => {
    asked = 0;
    server = createServer((request, response) => {
      asked++;
      if (request.url === '/moved') response.writeHead(302, { location: '/jwks' }).end();
      else
        response
          .writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=86400' })
          .end(JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] }));
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => new Promise((resolve) => void server.close(resolve)));

  const use = async (process: AuthorizationBench, client: string) => {
    const claims = { iss: client, sub: client, aud: process.endpoints.token, jti: randomUUID(), exp: Math.floor(process.clock.now() / 1000) + 60 };
    const assertion = await new SignJWT(claims).setProtectedHeader({ alg: 'ES384' }).sign(privateKey);
    return process.requestToken({
      scope: 'system/*.rs',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    });
  };

  test('are fetched from a private host only where the operator listed it, and no redirect is followed', async () => {
    const open = await createAuthorizationBench({ privateHosts: [host], shared: bench.store });
    const client = await open.register({ jwks_uri: `http://${host}/jwks` });
    const moved = await open.register({ jwks_uri: `http://${host}/moved` });
    expect((await use(open, client)).status).toBe(200);
    expect((await use(open, moved)).status).not.toBe(200);
    const before = asked;
    expect((await use(bench, client)).status).not.toBe(200);
    expect(asked).toBe(before);
    await open.app.close();
  });
});

describe('the server as a whole', () => {
  test('offers a client the grants it is registered for', async () => {
    const id = await bench.register();
    for (const grant of ['authorization_code', 'refresh_token'])
      refused(await bench.requestToken({ grant_type: grant, scope: 'system/*.rs' }, basic(id)), 400, 'unauthorized_client');
    for (const grant of ['password', 'urn:ietf:params:oauth:grant-type:device_code']) {
      refused(await bench.requestToken({ grant_type: grant, scope: 'system/*.rs' }, basic(id)), 400, 'unsupported_grant_type');
    }
  });

  test('opens no path that it does not advertise', async () => {
    for (const path of [
      '/auth/authorize/x/y',
      '/auth/',
      '/auth/token/introspection',
      '/auth/reg',
      '/auth/me',
      '/auth/.well-known/openid-configuration',
      '/interaction/x',
      '/session/end',
    ]) {
      expect((await bench.call('GET', path)).status, path).toBe(404);
    }
  });

  test('is for the FHIR base only', async () => {
    const id = await bench.register();
    refused(await bench.requestToken({ scope: 'system/*.rs', resource: 'https://elsewhere.example.org/fhir' }, basic(id)), 400, 'invalid_target');
    expect((await bench.requestToken({ scope: 'system/*.rs', resource: `${bench.endpoints.fhir}/` }, basic(id))).status).toBe(200);
  });

  test.each([
    '/.well-known/smart-configuration',
    '/fhir/.well-known/smart-configuration',
    '/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server',
  ])('%s is JSON for any origin, and every address in it is absolute and works', async (path) => {
    const answer = await bench.call('GET', path, { headers: { origin: 'https://app.example.org', accept: 'text/html', host: 'evil.example.org' } });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({ 'access-control-allow-origin': '*', 'content-type': expect.stringContaining('application/json') });
    expect(answer.json).toMatchObject({
      issuer: 'https://fhir.example.org',
      grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    });
    expect(answer.text).not.toContain('evil');
    // The patients' page is none of this room's: test/authz/app-clients.test.ts opens it.
    const addresses = Object.entries(answer.json).filter(([name]) => /_endpoint$|_uri$/.test(name) && name !== 'management_endpoint');
    expect(addresses.map(([name]) => name).sort()).toEqual([
      'authorization_endpoint',
      'introspection_endpoint',
      'jwks_uri',
      'revocation_endpoint',
      'token_endpoint',
    ]);
    for (const [name, address] of addresses) {
      const method = name === 'jwks_uri' ? 'GET' : 'POST';
      expect((await bench.call(method, String(address).replace('https://fhir.example.org', ''))).status).not.toBe(404);
    }
  });

  test('publishes public keys only', async () => {
    const [key] = (await bench.call('GET', '/auth/jwks')).json['keys'] as Record<string, unknown>[];
    expect(Object.keys(key ?? {}).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use']);
  });

  test('answers other origins, with a refusal too', async () => {
    const origin = { origin: 'https://app.example.org' };
    const answer = await bench.requestToken({ scope: 'system/*.rs' }, { ...basic('nobody'), ...origin });
    expect(answer.status).toBe(401);
    expect(answer.headers['access-control-allow-origin']).toBeDefined();
    const preflight = await bench.call('OPTIONS', '/auth/token', { headers: { ...origin, 'access-control-request-method': 'POST' } });
    expect(preflight.status).toBeLessThan(300);
    expect(preflight.headers['access-control-allow-methods']).toContain('POST');
  });

  test('refuses a body that is too large or of another kind', async () => {
    const id = await bench.register();
    expect((await bench.requestToken({ scope: 'x'.repeat(100_000) }, basic(id))).status).toBe(400);
    expect((await bench.call('POST', '/auth/token', { body: { grant_type: 'client_credentials' }, headers: basic(id) })).status).toBe(400);
  });
});
