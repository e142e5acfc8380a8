/** Keys of clients that change at their jwks_uri: a new one counts at once, one that was taken away no longer, and nobody has us fetch without end. */
import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AuthorizationBench, createAuthorizationBench } from '../support/authorization.ts';

type Pair = { readonly kid: string; readonly privateKey: KeyObject; readonly jwk: object };
const pair = (kid: string): Pair => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  return { kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid } };
};
const [first, second, stranger] = [pair('first'), pair('second'), pair('stranger')];

let bench: AuthorizationBench;
let server: Server;
let client: string;
/** What the client publishes; a number: only this status. */
let published: readonly Pair[] | number;
let asked: number;

beforeEach(async () => {
  [published, asked] = [[first], 0];
  server = createServer((_request, response) => {
    asked++;
    // It would like to be believed for a day.
    const headers = { 'content-type': 'application/json', 'cache-control': 'max-age=86400' };
    if (typeof published === 'number') return void response.writeHead(published, headers).end();
    response.writeHead(200, headers).end(JSON.stringify({ keys: published.map(({ jwk }) => jwk) }));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  bench = await createAuthorizationBench({ privateHosts: [host] });
  client = await bench.register({ jwks_uri: `http://${host}/jwks` });
});
afterEach(async () => {
  await bench.app.close();
  await new Promise((resolve) => void server.close(resolve));
});

const status = async ({ kid, privateKey }: Pair) => {
  const now = Math.floor(bench.clock.now() / 1000);
  const claims = { iss: client, sub: client, aud: bench.endpoints.token, jti: randomUUID(), exp: now + 120 };
  const assertion = await new SignJWT(claims).setProtectedHeader({ alg: 'ES384', kid }).sign(privateKey);
  const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
  return (await bench.requestToken({ scope: 'system/*.rs', client_assertion_type: type, client_assertion: assertion })).status;
};
const seconds = (count: number) => bench.clock.advance(count * 1000);

test('a new key counts at its first use, and the one before it as long as it is published', async () => {
  expect(await status(first)).toBe(200);
  expect(await status(second)).toBe(401);
  published = [first, second];
  seconds(10);
  expect([await status(second), await status(first)]).toEqual([200, 200]);
});

test('a key that was taken away is refused after a minute at the latest, although nothing else has failed', async () => {
  expect(await status(first)).toBe(200);
  published = [second];
  seconds(61);
  expect(await status(first)).toBe(401);
  expect(await status(second)).toBe(200);
});

test('keys are fetched once a minute, and by made-up assertions once in ten seconds more', async () => {
  for (let time = 0; time < 5; time++) expect(await status(first)).toBe(200);
  expect(asked).toBe(1);
  for (let time = 0; time < 5; time++) expect(await status({ ...stranger, kid: randomUUID() })).toBe(401);
  expect(asked).toBe(2);
  seconds(10);
  await Promise.all(Array.from({ length: 5 }, () => status({ ...stranger, kid: randomUUID() })));
  expect(asked).toBe(3);
  // A forged signature under a name that is known has nothing fetched at all.
  expect(await status({ ...stranger, kid: 'first' })).toBe(401);
  expect(asked).toBe(3);
});

test('while the keys cannot be fetched nobody is let in, and it is not asked at every attempt', async () => {
  expect(await status(first)).toBe(200);
  for (const failing of [500, 404]) {
    published = failing;
    seconds(61);
    for (let time = 0; time < 5; time++) expect(await status(first)).toBe(401);
  }
  expect(asked).toBeLessThanOrEqual(5);
  published = [first];
  seconds(10);
  expect(await status(first)).toBe(200);
});

test('a set of keys without end is not read', async () => {
  published = Array.from({ length: 1000 }, () => first);
  expect(await status(first)).toBe(401);
});
