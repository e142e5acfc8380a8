/** Histories, compartments and operations under parameters nobody meant: an answer or a refusal with words, never a failure. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Session } from '../../../server/commands/demo/session.ts';
import { observation, patient, put, type RealServer, register, startRealServer } from '../../support/real-server.ts';

let server: RealServer;
let alice: Session;
beforeAll(async () => {
  server = await startRealServer();
  await put(server, patient('alice'));
  for (const id of ['o1', 'o2']) await put(server, observation(id, 'Patient/alice'));
  alice = (await register(server, { actor: 'Patient/alice' })).session;
});
afterAll(() => server.stop());

const paths = fc.constantFrom(
  '_history',
  'Observation/_history',
  'Observation/o1/_history',
  'Patient/alice/Observation',
  'Patient/alice/*',
  'Patient/alice/$everything',
  'Encounter/x/$everything',
  'Observation/$lastn',
  '$meta',
  'Observation/$meta',
  'Observation/o1/$meta',
  'Composition/x/$document',
  '$graphql',
  'Patient/alice/$graphql',
  'Patient/..%2f/Observation',
  'Patient/%00/*',
  'Practitioner/alice/%24x',
  'Patient/alice/Patient/_history',
  'Patient/alice/_search',
);
const names = fc.constantFrom(
  '_count',
  '_since',
  '_at',
  '_sort',
  '_cursor',
  '_type',
  '_summary',
  '_elements',
  '_total',
  '_format',
  '_pretty',
  'start',
  'end',
  'max',
  'patient',
  'subject',
  'code',
  'date',
  'persist',
  'query',
  'variables',
  'operationName',
  '_lastUpdated',
  '_has:x:y',
  '_include',
  'constructor',
  '__proto__',
  '',
);
const values = fc.oneof(
  fc.constantFrom(
    '0',
    '1',
    '-1',
    '1e9',
    '99999999999999',
    '2024',
    '2024-02-30',
    '0001-01-01',
    '9999-12-31T23:59:60Z',
    '2024-01-01T00:00:00+14:00',
    '_lastUpdated',
  ),
  fc.constantFrom(
    '-_lastUpdated',
    'Observation',
    'Observation,Patient',
    'alice',
    'Patient/alice',
    'a|b',
    '{ id }',
    '{',
    'true',
    'count',
    'text',
    '\u0000',
    'x'.repeat(500),
  ),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.toWellFormed()),
);

describe('reads of many', () => {
  it.each([20_240_501, Math.trunc(Math.random() * 2 ** 31)])('whatever is asked (seed %i)', async (seed) => {
    const statuses = new Map<number, number>();
    await fc.assert(
      fc.asyncProperty(
        paths,
        fc.array(fc.tuple(names, values), { maxLength: 3 }),
        fc.constantFrom('GET', 'GET', 'POST', 'DELETE'),
        async (path, query, method) => {
          const search = query.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
          const body = method === 'POST' ? { resourceType: 'Parameters' } : undefined;
          const { status, text } = await alice.call(method, `${path}?${search}`, body);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          expect([200, 400, 403, 404, 405, 406, 415, 422]).toContain(status);
          if (status >= 400) expect(text).toContain('OperationOutcome');
        },
      ),
      { numRuns: 250, seed },
    );
    for (const status of [200, 400]) expect(statuses.get(status)).toBeGreaterThan(5);
  });
});
