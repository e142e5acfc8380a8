/** The admin API over HTTP: for scope `admin` only, exact about what it takes, and felt by tokens at once. */
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../server/clock.ts';
import type { Engine } from '../../server/store/port.ts';
import { type AuthorizationBench, basic, createAuthorizationBench, SECRET } from '../support/authorization.ts';
import { type ChosenEngine, chooseEngine } from '../support/chosen-engine.ts';

let chosen: ChosenEngine;
let engine: Engine;
let bench: AuthorizationBench;
let admin: string;
beforeAll(async () => {
  chosen = await chooseEngine(systemClock);
});
afterAll(() => chosen.dispose());
beforeEach(async () => {
  engine = await chosen.openEmpty();
  const { resources, records } = engine;
  bench = await createAuthorizationBench({
    store: { records, commit: (writes) => resources.commit({ ...writes, resources: [], bumpEpoch: true }), epoch: () => resources.epoch() },
  });
  await bench.register({ client_id: 'root', scope: 'system/*.cruds admin', actor: 'Device/root', purposes: ['HOPERAT'] });
  admin = await bench.token('root', 'admin');
});
afterEach(async () => {
  await bench.app.close();
  await engine.resources.close();
});

const registration = { client_name: 'Insurer', client_secret: SECRET, scope: 'system/*.rs', actor: 'Organization/insurer', purposes: ['HPAYMT'] };
const p384 = () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' });
const post = (body: unknown) => bench.call('POST', '/admin/clients', { token: admin, body });

const everyRow = [
  ['POST', '/admin/clients'],
  ['GET', '/admin/clients'],
  ['GET', '/admin/clients/root'],
  ['PUT', '/admin/clients/root'],
  ['DELETE', '/admin/clients/root'],
  ['POST', '/admin/keys'],
  ['GET', '/admin/keys?owner=Patient/1'],
  ['GET', '/admin/keys/x'],
  ['POST', '/admin/keys/x/revoke'],
  ['POST', '/admin/enrolments'],
] as const;

describe('who may', () => {
  test.each(everyRow)('%s %s: 401 without a token, 403 without scope admin, whatever the body', async (method, url) => {
    const body = method === 'POST' || method === 'PUT' ? { body: registration } : {};
    const insurer = await bench.token(await bench.register(), 'system/*.rs');
    const half = await bench.token('root', 'system/*.cruds');
    const nobody = await bench.call(method, url, body);
    expect([nobody.status, nobody.headers['www-authenticate'], nobody.json['resourceType']]).toEqual([401, 'Bearer', 'OperationOutcome']);
    for (const token of [insurer, half]) expect((await bench.call(method, url, { token, ...body })).status).toBe(403);
    expect(await bench.clients.list({ limit: 10 })).toHaveLength(2);
  });
});

describe('clients', () => {
  test('are created, shown without their secret, replaced and removed', async () => {
    const made = await post({ ...registration, client_id: 'insurer' });
    expect(made.status).toBe(201);
    expect(made.headers['location']).toBe('/admin/clients/insurer');
    expect(made.json).toEqual({
      ...registration,
      client_id: 'insurer',
      choosesIds: false,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      token_endpoint_auth_method: 'client_secret_basic',
    });

    const { client_secret: _, ...shown } = made.json;
    const url = '/admin/clients/insurer';
    expect((await bench.call('GET', url, { token: admin })).json).toEqual(shown);
    const list = await bench.call('GET', '/admin/clients', { token: admin });
    expect(list.json['clients']).toContainEqual(shown);
    expect(list.text).not.toContain(SECRET);
    expect(list.text).not.toContain('scrypt');

    const replaced = await bench.call('PUT', url, { token: admin, body: { ...shown, purposes: ['TREAT'] } });
    expect([replaced.status, replaced.json]).toEqual([200, { ...shown, purposes: ['TREAT'] }]);
    expect((await bench.requestToken({ scope: 'system/*.rs' }, basic('insurer'))).status).toBe(200);

    expect((await bench.call('DELETE', url, { token: admin })).status).toBe(204);
    expect((await bench.call('GET', url, { token: admin })).status).toBe(404);
    expect((await bench.call('DELETE', url, { token: admin })).status).toBe(404);
  });

  test('get an id where none is sent', async () => {
    const ids = await Promise.all([post(registration), post(registration)]);
    expect(new Set(ids.map(({ json }) => json['client_id'])).size).toBe(2);
  });

  test('keep their id for ever: not given twice, and not again after removal', async () => {
    expect((await post({ ...registration, client_id: 'insurer' })).status).toBe(201);
    expect((await post({ ...registration, client_id: 'insurer' })).status).toBe(409);
    await bench.call('DELETE', '/admin/clients/insurer', { token: admin });
    expect((await post({ ...registration, client_id: 'insurer' })).status).toBe(409);
  });

  test('lose their tokens and their old secret with a replacement', async () => {
    await post({ ...registration, client_id: 'insurer' });
    const token = await bench.token('insurer', 'system/*.rs');
    const next = 'quite another secret';
    await bench.call('PUT', '/admin/clients/insurer', { token: admin, body: { ...registration, client_secret: next } });
    expect((await bench.call('GET', '/whoami', { token })).status).toBe(401);
    expect((await bench.requestToken({ scope: 'system/*.rs' }, basic('insurer'))).status).toBe(401);
    expect((await bench.requestToken({ scope: 'system/*.rs' }, basic('insurer', next))).status).toBe(200);
  });

  test('may remove themselves, and that works at once', async () => {
    expect((await bench.call('DELETE', '/admin/clients/root', { token: admin })).status).toBe(204);
    expect((await bench.call('GET', '/admin/clients', { token: admin })).status).toBe(401);
  });

  test('are listed beyond one page', async () => {
    const page = await bench.call('GET', '/admin/clients?after=a', { token: admin });
    expect(page.json['clients']).toMatchObject([{ client_id: 'root' }]);
    expect((await bench.call('GET', '/admin/clients?after=z', { token: admin })).json['clients']).toEqual([]);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['no name', { client_name: undefined }, 'client_name'],
    ['no scope', { scope: '' }, 'scope'],
    ['letters out of order', { scope: 'system/*.sr' }, 'scope'],
    ['an unknown scope', { scope: 'system/*.rs everything' }, 'scope'],
    ['an actor that is no reference', { actor: 'Insurer' }, 'actor'],
    ['an actor of another type', { actor: 'Observation/1' }, 'actor'],
    ['an actor with a line break', { actor: 'Organization/1\n' }, 'actor'],
    ['no purpose', { purposes: [] }, 'purposes'],
    ['an unknown purpose', { purposes: ['TREAT', 'CURIOSITY'] }, 'purposes'],
    ['a purpose that is no code of use', { purposes: ['PurposeOfUse'] }, 'purposes'],
    ['a purpose twice', { purposes: ['TREAT', 'TREAT'] }, 'purposes'],
    ['purposes as text', { purposes: 'TREAT' }, 'purposes'],
    ['a short secret', { client_secret: 'short' }, 'client_secret'],
    ['choosesIds as text', { choosesIds: 'true' }, 'choosesIds'],
    ['another grant', { grant_types: ['password'] }, 'grant_types'],
    ['two credentials', { jwks: { keys: [p384()] } }, 'jwks'],
    ['a method that does not fit', { token_endpoint_auth_method: 'private_key_jwt' }, 'token_endpoint_auth_method'],
    [
      'a private key',
      { client_secret: undefined, jwks: { keys: [generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({ format: 'jwk' })] } },
      'jwks',
    ],
    ['a key for nothing', { client_secret: undefined, jwks: { keys: [generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })] } }, 'jwks'],
    ['no keys', { client_secret: undefined, jwks: { keys: [] } }, 'jwks'],
    ['a jwks_uri without https', { client_secret: undefined, jwks_uri: 'http://insurer.example.org/jwks' }, 'jwks_uri'],
    ['a jwks_uri with a password', { client_secret: undefined, jwks_uri: 'https://a:b@insurer.example.org/jwks' }, 'jwks_uri'],
    ['a redirect without https', { redirect_uris: ['http://insurer.example.org/'] }, 'redirect_uris'],
    ['a script as redirect', { redirect_uris: ['javascript:alert(1)'] }, 'redirect_uris'],
    ['an id with a slash', { client_id: '../root' }, 'client_id'],
    ['an unknown member', { admin: true }, 'admin'],
  ])('%s: 400, and the field is named', async (_, more, field) => {
    const answer = await post({ ...registration, ...more });
    expect(answer.status, answer.text).toBe(400);
    expect((answer.json['issue'] as { expression?: string[] }[]).flatMap(({ expression }) => expression)).toContain(field);
    expect(answer.text).not.toContain(SECRET);
  });

  test('no credential is refused at creation', async () => {
    const { client_secret: _, ...rest } = registration;
    expect((await post(rest)).status).toBe(400);
  });

  test.each<[string, string, number]>([
    ['not JSON', '{"client_name":', 400],
    ['an array', '[]', 400],
    ['a prototype', JSON.stringify(registration).replace('{', '{"__proto__":{"admin":true},'), 400],
    ['a flood', JSON.stringify({ ...registration, client_name: 'x'.repeat(300_000) }), 413],
  ])('%s is refused', async (_, body, status) => {
    const answer = await bench.call('POST', '/admin/clients', { token: admin, body, headers: { 'content-type': 'application/json' } });
    expect([answer.status, answer.json['resourceType']]).toEqual([status, 'OperationOutcome']);
  });

  test('another media type is refused', async () => {
    expect(
      (await bench.call('POST', '/admin/clients', { token: admin, body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }))
        .status,
    ).toBe(415);
  });

  test('a replacement that names another id, or nobody, is refused', async () => {
    const put = (id: string, body: unknown) => bench.call('PUT', `/admin/clients/${id}`, { token: admin, body });
    expect((await put('root', { ...registration, client_id: 'other' })).status).toBe(400);
    expect((await put('nobody', registration)).status).toBe(404);
  });
});

describe('keys', () => {
  const jwk = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });

  test('are enrolled for an owner, stored or not, listed and revoked', async () => {
    const made = await bench.call('POST', '/admin/keys', {
      token: admin,
      body: { owner: 'Patient/never-stored', jwk: jwk(), proofing: 'in-person' },
    });
    expect(made.status).toBe(201);
    const { kid } = made.json as { kid: string };
    expect(made.headers['location']).toBe(`/admin/keys/${kid}`);
    const list = () => bench.call('GET', '/admin/keys?owner=Patient/never-stored', { token: admin });
    expect((await list()).json['keys']).toEqual([made.json]);
    const revoked = await bench.call('POST', `/admin/keys/${kid}/revoke`, { token: admin, body: { reason: 'lost' } });
    expect([revoked.status, revoked.json['revoked']]).toMatchObject([200, { reason: 'lost' }]);
    expect((await list()).json['keys']).toEqual([revoked.json]);
    expect((await bench.call('GET', `/admin/keys/${kid}`, { token: admin })).json).toEqual(revoked.json);
    expect(await engine.resources.readLog(0, 10)).toHaveLength(2);
  });

  test('are never served with a private member, nor taken with one', async () => {
    const secret = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
    const answer = await bench.call('POST', '/admin/keys', { token: admin, body: { owner: 'Patient/1', jwk: secret, proofing: 'in-person' } });
    expect(answer.status).toBe(400);
    expect(answer.text).not.toContain(secret.d);
  });

  test.each([
    '/admin/keys',
    '/admin/keys?owner=',
    '/admin/keys?owner=Device/1',
    '/admin/keys?owner=Patient/1&owner=Patient/2',
    '/admin/keys?owner=Patient/1&all=true',
  ])('GET %s is refused', async (url) => {
    expect((await bench.call('GET', url, { token: admin })).status).toBe(400);
  });

  test('an unknown key is not found', async () => {
    expect((await bench.call('GET', '/admin/keys/nobody', { token: admin })).status).toBe(404);
    expect((await bench.call('POST', '/admin/keys/nobody/revoke', { token: admin, body: { reason: 'lost' } })).status).toBe(404);
  });
});
