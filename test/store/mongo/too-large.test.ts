/** What is too large for MongoDB is the sender's to know: waiting does not help. No member is needed for this. */
import { MongoServerError } from 'mongodb';
import { expect, it } from 'vitest';
import { isTooLargeForCache, translate } from '../../../server/store/mongo/faults.ts';

it('a transaction that does not fit the cache is 413, without a word of what the server said', () => {
  const error = new MongoServerError({ message: 'index: secret', code: 388, errorLabels: ['TransientTransactionError'] });
  expect(isTooLargeForCache(error)).toBe(true);
  expect(translate(error)).toMatchObject({ code: 'too-large', status: 413, retryAfter: undefined, message: expect.stringContaining('in parts') });
  expect(translate(new MongoServerError({ message: 'index: secret', code: 112 }))).toMatchObject({ code: 'unavailable' });
});
