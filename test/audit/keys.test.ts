/** Keys put together from what events share and from the forms of the rest are those of the whole event, whatever the act, in any order of acts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { auditEvent, type Act } from '../../server/audit/event.ts';
import { createAuditKeys, type KeysOf } from '../../server/audit/keys.ts';
import { facetsOf } from '../../server/consent/facets.ts';
import { encodeInstant } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';

const base = 'https://example.org/fhir';
const whole: KeysOf = (event, { actor, client }, own) => [
  ...indexKeys(event, base).keys,
  ...facetsOf(event, { writer: actor, base, lookup: () => undefined, sealed: true, ...(own ? { own: client } : {}) }),
];

const word = fc.constantFrom('a', 'b', 'c');
const id = fc.oneof(word, fc.stringMatching(/^[A-Za-z0-9\-.]{1,64}$/));
const reference = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .tuple(fc.constantFrom('Patient', 'Observation', 'Consent', 'AuditEvent', 'Group', 'Person', 'Nonsense', 'observation'), id, fc.boolean())
      .map(([type, named, versioned]) => `${type}/${named}${versioned ? '/_history/1' : ''}`),
  },
  // What was asked for in vain is whatever was sent.
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      `${base}/Patient/a`,
      'https://else.example/Patient/a',
      'urn:uuid:a',
      '#a',
      'Observation/a b',
      `Observation/${'a'.repeat(65)}`,
      '',
    ),
  },
);
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
  const keysOf = createAuditKeys(whole, encodeInstant);
  fc.assert(
    fc.property(acts, fc.boolean(), fc.integer({ min: 0, max: 4e12 }), (act, own, recorded) => {
      const event = auditEvent(act, { id: 'x', version: '1', recorded, observer: base });
      expect([...keysOf(event, act, own)].sort()).toEqual([...new Set(whole(event, act, own))].sort());
    }),
    { numRuns: 2_000 },
  );
});

test('what two acts share is worked out once', () => {
  let calls = 0;
  const keysOf = createAuditKeys((...args) => (calls++, whole(...args)), encodeInstant);
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
  for (const [recorded, patient] of ['p', 'q', 'r'].entries())
    keysOf(auditEvent({ ...act, patient }, { id: 'x', version: '1', recorded, observer: base }), { ...act, patient }, true);
  // What is shared, how an instant's keys are made, and how those of a reference to a Patient.
  expect(calls).toBe(3);
});
