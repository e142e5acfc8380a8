/** Keys put together from a shared and a varying half are those of the whole event, whatever the act, in any order of acts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { auditEvent, type Act } from '../../server/audit/event.ts';
import { createAuditKeys, type KeysOf } from '../../server/audit/keys.ts';
import { facetsOf } from '../../server/consent/facets.ts';
import { indexKeys } from '../../server/search/index-values.ts';

const base = 'https://example.org/fhir';
const whole: KeysOf = (event, { actor, client }, own) => [
  ...indexKeys(event, base).keys,
  ...facetsOf(event, { writer: actor, base, lookup: () => undefined, sealed: true, ...(own ? { own: client } : {}) }),
];

const word = fc.constantFrom('a', 'b', 'c');
const reference = fc
  .tuple(fc.constantFrom('Patient', 'Observation', 'Consent'), word, fc.boolean())
  .map(([type, id, versioned]) => `${type}/${id}${versioned ? '/_history/1' : ''}`);
const acts: fc.Arbitrary<Act> = fc
  .record({
    interaction: fc.constantFrom('read' as const, 'search-type' as const, 'delete' as const, 'transaction' as const),
    outcome: fc.constantFrom('done' as const, 'refused' as const),
    client: word,
    actor: fc.oneof(
      word.map((id) => `Organization/${id}`),
      word.map((id) => `Patient/${id}`),
    ),
    purpose: fc.constantFrom('TREAT', 'HPAYMT'),
    patient: fc.option(word, { nil: undefined }),
    what: fc.oneof(
      { weight: 9, arbitrary: fc.array(reference, { maxLength: 4 }) },
      { weight: 1, arbitrary: fc.constant(Array.from({ length: 1001 }, () => 'Observation/a')) },
    ),
    basis: fc.array(
      word.map((id) => `Consent/${id}/_history/1`),
      { maxLength: 2 },
    ),
    query: fc.option(fc.constant('Observation?code=1'), { nil: undefined }),
  })
  .map(({ query, ...act }) => ({ ...act, ...(query === undefined ? {} : { query }) }));

test('the same keys as of the whole event', () => {
  const keysOf = createAuditKeys(whole);
  fc.assert(
    fc.property(acts, fc.boolean(), fc.integer({ min: 0, max: 4e12 }), (act, own, recorded) => {
      const event = auditEvent(act, { id: 'x', version: '1', recorded, observer: base });
      expect([...keysOf(event, act, own)].sort()).toEqual([...new Set(whole(event, act, own))].sort());
    }),
    { numRuns: 500 },
  );
});

test('what two acts share is worked out once', () => {
  let calls = 0;
  const keysOf = createAuditKeys((...args) => (calls++, whole(...args)));
  const act: Act = {
    interaction: 'read',
    outcome: 'done',
    client: 'c',
    actor: 'Organization/o',
    purpose: 'TREAT',
    patient: 'p',
    what: [],
    basis: [],
  };
  for (const patient of ['p', 'q', 'r'])
    keysOf(auditEvent({ ...act, patient }, { id: 'x', version: '1', recorded: 0, observer: base }), { ...act, patient }, true);
  expect(calls).toBe(4);
});
