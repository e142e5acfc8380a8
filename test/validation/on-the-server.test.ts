/** Verdicts as a caller meets them: errors refuse a write and say where, in single requests and in transactions; advice refuses nothing. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RealServer, startRealServer } from '../support/real-server.ts';

let server: RealServer;
beforeAll(async () => {
  server = await startRealServer();
});
afterAll(() => server.stop());

const advised = {
  resourceType: 'Patient',
  maritalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-MaritalStatus', code: 'nonsense' }] },
  modifierExtension: [{ url: 'http://example.org/not', valueBoolean: true }],
};
const broken = { ...advised, contact: [{ name: { text: 'x' } }, { name: { text: 'y' }, period: { start: '2026-03-05', end: '2026-03-04' } }] };

type Outcome = { issue: { severity: string; code: string; diagnostics: string; expression?: string[] }[] };

test('what is only advised is stored', async () => {
  expect((await server.admin.call('POST', 'Patient', advised)).status).toBe(201);
});

test('an error is refused with its place, and is the only thing said', async () => {
  const answer = await server.admin.call('POST', 'Patient', broken);
  expect(answer.status).toBe(422);
  expect((answer.json as unknown as Outcome).issue).toMatchObject([
    { severity: 'error', code: 'invariant', expression: ['Patient.contact[1].period.start'] },
  ]);
});

test('so it is in a transaction, where the place begins at the entry and nothing is stored', async () => {
  const entry = [advised, broken].map((resource) => ({ resource, request: { method: 'POST', url: 'Patient' } }));
  const answer = await server.admin.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });
  expect(answer.status).toBe(422);
  expect((answer.json as unknown as Outcome).issue.map(({ expression }) => expression)).toEqual([
    ['Bundle.entry[1].resource.contact[1].period.start'],
  ]);
  expect((await server.admin.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry: entry.slice(0, 1) })).status).toBe(200);
});
