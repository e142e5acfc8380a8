/** The token signing key is made once, whoever starts first. */
import { expect, test } from 'vitest';
import { loadSigningKey } from '../../server/authz/signing-keys.ts';
import { createMemoryRecords } from '../support/memory-records.ts';

test('two processes that start at once agree on one key, and a later start finds it', async () => {
  const { records } = createMemoryRecords(() => 0);
  const [one, other] = await Promise.all([loadSigningKey(records), loadSigningKey(records)]);
  expect(one.publicPem).toBe(other.publicPem);
  expect((await loadSigningKey(records)).kid).toBe(one.kid);
});
