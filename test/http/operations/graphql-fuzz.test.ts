/** $graphql under whatever comes: an answer or a refusal with words, never a failure, and JSON every time. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { observation, patient, put, type RealServer, register, startRealServer } from '../../support/real-server.ts';
import type { Session } from '../../../server/commands/demo/session.ts';

let server: RealServer;
let alice: Session;
beforeAll(async () => {
  server = await startRealServer();
  await put(server, { ...patient('alice'), name: [{ use: 'official', given: ['A', 'B'], family: 'C' }] });
  await put(server, observation('o1', 'Patient/alice'));
  alice = (await register(server, { actor: 'Patient/alice' })).session;
});
afterAll(() => server.stop());

const directive = fc.constantFrom(
  '',
  '',
  '',
  '',
  ' @flatten',
  ' @first',
  ' @singleton',
  ' @slice(path: "use")',
  ' @slice(path: "$index")',
  ' @include(if: $v)',
  ' @x',
);
const leaf = fc.constantFrom(
  'id',
  'resourceType',
  '__typename',
  'id @first',
  'a: id',
  'language',
  'constructor',
  'toString',
  'id(x: [1, {a: 2}])',
  'edges',
  'meta { lastUpdated }',
);
const ofName = fc.constantFrom('given', 'given @first', 'family', 'use', '_family { id }', 'period { start }', 'resource { id }', 'given(_count: 1)');
const ofPatient = fc.oneof(
  leaf,
  fc.tuple(
    fc.constantFrom('name', 'name(use: official)', 'name(_offset: 1)', 'name(nonsense: 1)', 'b: name'),
    directive,
    fc.array(ofName, { minLength: 1, maxLength: 3 }),
  ),
  fc.tuple(
    fc.constantFrom('ObservationList(_reference: subject)', 'ObservationList', 'b: ObservationList(_reference: nonsense)'),
    directive,
    fc.array(leaf, { minLength: 1, maxLength: 2 }),
  ),
  fc.tuple(
    fc.constantFrom('... on Patient', '... on Resource', '... on Observation', '...', '...f'),
    directive,
    fc.array(leaf, { minLength: 1, maxLength: 2 }),
  ),
  fc.constantFrom(
    'managingOrganization { resource { id } }',
    'managingOrganization { resource(optional: true) { ... on Organization { name } } }',
    'contained { id ... on Patient { active } }',
  ),
);
type Part = string | [string, string, string[]];
const textOf = (part: Part): string => (typeof part === 'string' ? part : `${part[0]}${part[1]} { ${part[2].join(' ')} }`);
const selection = fc.array(ofPatient, { minLength: 1, maxLength: 4 }).map((parts) => `{ ${parts.map((part) => textOf(part as Part)).join(' ')} }`);
const head = fc.constantFrom(
  '{ Patient(id: "alice")',
  '{ PatientList',
  '{ PatientConnection { count next edges { mode resource',
  '{ a: Patient(id: "nobody")',
  '{ Observation(id: "o1") { subject { resource',
);

describe('$graphql', () => {
  it.each([20_240_501, Math.trunc(Math.random() * 2 ** 31)])('a query of many kinds (seed %i)', async (seed) => {
    const statuses = new Map<number, number>();
    await fc.assert(
      fc.asyncProperty(head, selection, fc.constantFrom({ v: true }, { v: null }, {}, []), async (start, set, variables) => {
        const closed = `query ($v: Boolean) ${start} ${set} ${'}'.repeat(start.split('{').length - 1)}`;
        const response = await fetch(`${server.bootstrap.fhirBaseUrl}/$graphql`, {
          method: 'POST',
          headers: { authorization: `Bearer ${alice.token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ query: closed, variables }),
        });
        const text = await response.text();
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        expect([200, 400, 422]).toContain(response.status);
        expect(() => JSON.parse(text) as unknown).not.toThrow();
      }),
      { numRuns: 150, seed },
    );
    expect(statuses.get(200)).toBeGreaterThan(10);
    expect(statuses.get(400)).toBeGreaterThan(10);
  });

  it('any text as a query', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), async (text) => {
        expect([200, 400, 422]).toContain((await alice.call('GET', `$graphql?query=${encodeURIComponent(text.toWellFormed())}`)).status);
      }),
      { numRuns: 100 },
    );
  });
});
