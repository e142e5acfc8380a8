/** What oidc-provider keeps: found by its three names, gone when expired, used once. */
import { beforeEach, expect, test } from 'vitest';
import type { Adapter } from 'oidc-provider';
import { createAdapter } from '../../server/authz/adapter.ts';
import { createMemoryRecords } from '../support/memory-records.ts';

let now: number;
let codes: Adapter;
let grants: Adapter;
beforeEach(() => {
  now = 1_000_000;
  const { records, commit } = createMemoryRecords(() => now);
  const factory = createAdapter({ records, commit, clients: { find: async () => undefined }, clock: () => now });
  codes = factory('AuthorizationCode');
  grants = factory('Grant');
});

test('is found by id, uid and user code, and under its own model only', async () => {
  await codes.upsert('1', { uid: 'u', userCode: 'c', jti: '1' }, 60);
  const found = [await codes.find('1'), await codes.findByUid('u'), await codes.findByUserCode('c')];
  expect(found.map((payload) => payload?.jti)).toEqual(['1', '1', '1']);
  expect([await grants.find('1'), await grants.findByUid('u'), await codes.find('2'), await codes.findByUid('c')]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('is gone when its time is over', async () => {
  await codes.upsert('1', { uid: 'u' }, 60);
  now += 59_999;
  expect(await codes.find('1')).toBeDefined();
  now += 1;
  expect([await codes.find('1'), await codes.findByUid('u')]).toEqual([undefined, undefined]);
});

test('is used once, and keeps its time', async () => {
  await codes.upsert('1', { uid: 'u' }, 60);
  await codes.consume('1');
  expect(await codes.findByUid('u')).toMatchObject({ consumed: 1000 });
  now += 60_000;
  expect(await codes.find('1')).toBeUndefined();
  await expect(codes.consume('1')).rejects.toThrow('expired');
});

test('of two uses at once, one succeeds', async () => {
  await codes.upsert('1', {}, 60);
  const uses = await Promise.allSettled([codes.consume('1'), codes.consume('1')]);
  expect(uses.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
});

test('goes with its grant, and by itself', async () => {
  for (const id of ['1', '2']) await codes.upsert(id, { grantId: 'g' }, 60);
  await codes.upsert('3', { grantId: 'h' }, 60);
  await codes.revokeByGrantId('g');
  expect([await codes.find('1'), await codes.find('2')]).toEqual([undefined, undefined]);
  expect(await codes.find('3')).toBeDefined();
  await codes.destroy('3');
  expect(await codes.find('3')).toBeUndefined();
});
