/** The key log takes public keys for owners, once, and keeps every event with its digest in the Merkle log. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { beforeEach, describe, expect, test } from 'vitest';
import { createKeyLog, type KeyLog, type KeyLogEntry } from '../../server/authz/key-log.ts';
import { foldEvents } from '../../server/authz/key-event.ts';
import { createMemoryRecords, type MemoryRecords } from '../support/memory-records.ts';

const by = { client: 'registrar', actor: 'Device/registrar', purpose: 'HOPERAT', scopes: [], admin: true, choosesIds: false, tokenId: 't' };
const p256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
const ed25519 = () => generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
const key = (more: Record<string, unknown> = {}) => ({ owner: 'Patient/1', jwk: p256(), proofing: 'in-person', ...more });

let now: number;
let store: MemoryRecords;
let keys: KeyLog;
beforeEach(() => {
  now = Date.parse('2026-03-01T10:00:00Z');
  store = createMemoryRecords(() => now);
  keys = createKeyLog({
    ...store,
    clock: () => now,
    logRow: (entry) => ({ key: entry.digest, entry: JSON.stringify(entry) }),
    // As if one entry had been logged in each second of the day.
    indexAt: async (instant) => (instant - Date.parse('2026-01-01T00:00:00Z')) / 1000,
  });
});
const logged = () => store.log.map(({ entry }) => JSON.parse(entry) as KeyLogEntry);

describe('registering', () => {
  test.each([
    ['Patient/1', undefined, 'patient'],
    ['RelatedPerson/1', undefined, 'related-person'],
    ['Organization/1', undefined, 'custodian'],
    ['Organization/1', 'custodian', 'custodian'],
    ['Organization/1', 'requester', 'requester'],
  ])('%s with role %s is a key of a %s', async (owner, role, expected) => {
    const made = await keys.register(key({ owner, ...(role === undefined ? {} : { role }) }), by);
    expect(made).toMatchObject({ owner, role: expected, registeredAt: '2026-03-01T10:00:00.000Z', proofing: 'in-person' });
    expect(await keys.get(made.kid)).toEqual(made);
    expect(await keys.list({ owner })).toEqual([made]);
  });

  test.each([
    ['P-256', p256],
    ['Ed25519', ed25519],
  ])('a %s key is known by its RFC 7638 thumbprint, and only its own members are kept', async (_, make) => {
    const jwk = make();
    const made = await keys.register(key({ jwk: { ...jwk, kid: 'mine', use: 'sig' } }), by);
    expect(made.kid).toBe(await calculateJwkThumbprint(jwk as Parameters<typeof calculateJwkThumbprint>[0]));
    expect(made.jwk).toEqual(jwk);
  });

  test('leaves an entry with the digest of the exact record, and moves the epoch', async () => {
    const before = await store.epoch();
    const { kid } = await keys.register(key(), by);
    const [record = ''] = await keys.events(kid);
    const digest = createHash('sha256').update(record).digest('base64url');
    expect(logged()).toEqual([
      { kind: 'key-registered', occurredAt: '2026-03-01T10:00:00.000Z', subject: 'Patient/1', reference: `Key/${kid}`, digest },
    ]);
    expect(JSON.parse(record)).toMatchObject({ enrolledBy: { client: 'registrar', actor: 'Device/registrar' } });
    expect(await store.epoch()).toBeGreaterThan(before);
  });

  test('names no patient where none owns the key', async () => {
    await keys.register(key({ owner: 'Organization/1' }), by);
    expect(logged()[0]?.subject).toBeNull();
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['a private key', { jwk: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) }, 'jwk'],
    ['a symmetric key', { jwk: { kty: 'oct', k: 'AAAA' } }, 'jwk'],
    ['an RSA key', { jwk: generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }) }, 'jwk'],
    ['another curve', { jwk: generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' }) }, 'jwk'],
    ['an encryption key', { jwk: { ...p256(), use: 'enc' } }, 'jwk'],
    ['another algorithm', { jwk: { ...p256(), alg: 'HS256' } }, 'jwk'],
    ['a point that is not on the curve', { jwk: { ...p256(), x: p256()['x'] } }, 'jwk'],
    ['an Ed25519 point of small order', { jwk: { kty: 'OKP', crv: 'Ed25519', x: Buffer.alloc(32).toString('base64url') } }, 'jwk'],
    [
      'the same small-order point with its sign turned',
      { jwk: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(`01${'00'.repeat(30)}80`, 'hex').toString('base64url') } },
      'jwk',
    ],
    ['no key', { jwk: undefined }, 'jwk'],
    ['a padded coordinate', { jwk: { ...ed25519(), x: `${ed25519()['x']}=` } }, 'jwk'],
    ['a Location', { owner: 'Location/1' }, 'owner'],
    ['an absolute owner', { owner: 'https://elsewhere.example.org/Patient/1' }, 'owner'],
    ['an owner with a path', { owner: 'Patient/1/_history/2' }, 'owner'],
    ['a role for a patient', { role: 'custodian' }, 'role'],
    ['an unknown role', { owner: 'Organization/1', role: 'auditor' }, 'role'],
    ['no proofing', { proofing: '' }, 'proofing'],
    ['an unknown member', { trusted: true }, 'trusted'],
  ])('%s is refused, and the field is named', async (_, more, field) => {
    await expect(keys.register(key(more), by)).rejects.toMatchObject({ code: 'invalid-request', issues: [{ expression: [field] }] });
    expect(store.log).toEqual([]);
  });

  test('a key is registered once, for one owner, for ever', async () => {
    const jwk = p256();
    const { kid } = await keys.register(key({ jwk }), by);
    await expect(keys.register(key({ jwk }), by)).rejects.toMatchObject({ code: 'conflict' });
    await expect(keys.register(key({ jwk, owner: 'Organization/1' }), by)).rejects.toMatchObject({ code: 'conflict' });
    await keys.revoke(kid, { reason: 'lost' }, by);
    await expect(keys.register(key({ jwk }), by)).rejects.toMatchObject({ code: 'conflict' });
  });

  test('of two registrations at once, one is made', async () => {
    const jwk = p256();
    const results = await Promise.allSettled([keys.register(key({ jwk }), by), keys.register(key({ jwk, owner: 'Patient/2' }), by)]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(store.log).toHaveLength(1);
  });
});

describe('revoking', () => {
  test('says when and why, in an event of its own that leaves the first as it was', async () => {
    const { kid } = await keys.register(key(), by);
    const [registered] = await keys.events(kid);
    now += 60_000;
    const revoked = await keys.revoke(kid, { reason: 'phone lost' }, by);
    expect(revoked.revoked).toEqual({ at: '2026-03-01T10:01:00.000Z', reason: 'phone lost' });
    expect(await keys.get(kid)).toEqual(revoked);
    expect((await keys.events(kid))[0]).toBe(registered);
    expect(logged().map(({ kind, subject }) => [kind, subject])).toEqual([
      ['key-registered', 'Patient/1'],
      ['key-revoked', 'Patient/1'],
    ]);
  });

  test('again is a conflict, unless the key turns out to be stolen, or stolen earlier', async () => {
    const { kid } = await keys.register(key(), by);
    await keys.revoke(kid, { reason: 'lost' }, by);
    await expect(keys.revoke(kid, { reason: 'lost' }, by)).rejects.toMatchObject({ code: 'conflict' });
    now += 60_000;
    const stolen = await keys.revoke(kid, { reason: 'stolen', compromisedSince: '2026-02-20T08:00:00+02:00' }, by);
    expect(stolen.revoked).toEqual({
      at: '2026-03-01T10:00:00.000Z',
      reason: 'lost',
      compromisedSince: '2026-02-20T06:00:00.000Z',
      compromisedFromIndex: 50 * 86_400 + 6 * 3600,
    });
    await expect(keys.revoke(kid, { reason: 'later', compromisedSince: '2026-02-25T00:00:00Z' }, by)).rejects.toMatchObject({ code: 'conflict' });
    const earlier = await keys.revoke(kid, { reason: 'earlier', compromisedSince: '2026-02-01T00:00:00Z' }, by);
    expect(earlier.revoked).toMatchObject({ compromisedSince: '2026-02-01T00:00:00.000Z', compromisedFromIndex: 31 * 86_400 });
    expect(await keys.get(kid)).toEqual(earlier);
  });

  test('with a time but no place in the log, as logged by an earlier server: nothing the key signed counts', async () => {
    const { kid } = await keys.register(key(), by);
    const revoked = { event: 'revoked', kid, reason: 'stolen', compromisedSince: '2026-02-01T00:00:00Z', occurredAt: '2026-03-01T00:00:00Z' };
    expect(foldEvents([...(await keys.events(kid)), JSON.stringify(revoked)])?.revoked?.compromisedFromIndex).toBe(0);
  });

  test('of two revocations at once, one is made', async () => {
    const { kid } = await keys.register(key(), by);
    const results = await Promise.allSettled([keys.revoke(kid, { reason: 'a' }, by), keys.revoke(kid, { reason: 'b' }, by)]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test.each<[string, unknown]>([
    ['no reason', {}],
    ['a future time', { reason: 'stolen', compromisedSince: '2027-01-01T00:00:00Z' }],
    ['a date without a time', { reason: 'stolen', compromisedSince: '2026-01-01' }],
    ['an impossible time', { reason: 'stolen', compromisedSince: '2026-13-01T00:00:00Z' }],
    ['no object', 'lost'],
  ])('%s is refused', async (_, input) => {
    const { kid } = await keys.register(key(), by);
    await expect(keys.revoke(kid, input, by)).rejects.toMatchObject({ code: 'invalid-request' });
    expect((await keys.get(kid))?.revoked).toBeUndefined();
  });

  test('an unknown key is not found', async () => {
    await expect(keys.revoke('nobody', { reason: 'lost' }, by)).rejects.toMatchObject({ code: 'not-found' });
    expect(await keys.get('nobody')).toBeUndefined();
  });
});
