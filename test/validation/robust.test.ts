/** Whatever JSON comes: a verdict, with places and words, in little time. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Issue } from '../../server/errors.ts';
import { resourceTypes } from '../../server/fhir/resource-types.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createCheck } from '../../server/validation/validate.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { shapes } from './samples.ts';

const { check } = createCheck();
const seeds = [20_260_304, Number(process.env['ASSENT_TEST_SEED'] ?? Math.floor(performance.timeOrigin + performance.now()) % 2 ** 31)];

/** Names that mean something somewhere, and some that should not. */
const names = fc.constantFrom(
  ...new Set(
    ['Patient', 'Bundle', 'Questionnaire', 'Observation', 'Consent'].flatMap((type) => [...(shapes.resource(type)?.properties.keys() ?? [])]),
  ),
  ...'item linkId answer url valueString _valueString extension reference coding code system resourceType div'.split(' '),
  ...'__proto__ constructor toString hasOwnProperty $ _ _id [x] value[x]'.split(' '),
  '',
  'a b',
);
const { value: anything } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.double(),
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('#', '#a', 'Patient/1', '2024-02-30', ...resourceTypes),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(names, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
}));

test.each(seeds)('no JSON makes it throw, and each issue has a place and words (seed %i)', (seed) => {
  let longest = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...resourceTypes, 'Pacient', '', '__proto__'),
      fc.dictionary(names, anything, { maxKeys: 8, noNullPrototype: true }),
      (resourceType, rest) => {
        const value = { ...rest, resourceType } as ResourceValue;
        const text = JSON.stringify(value);
        let issues: readonly Issue[] = [];
        longest = Math.max(
          longest,
          cpuMs(() => {
            issues = check({ value, text });
          }),
        );
        for (const { diagnostics, expression, code } of issues) {
          expect(diagnostics).toMatch(/^[A-Z].*\.$/s);
          expect(expression?.[0]).toMatch(/^[A-Za-z_.[\]()\d]+$/);
          expect(code).not.toBe('processing');
        }
      },
    ),
    { numRuns: Number(process.env['ASSENT_TEST_RUNS'] ?? 1500), seed },
  );
  expect(longest).toBeLessThan(1000);
});

test('a type that is no string, no object, or nothing, is refused as such', () => {
  for (const value of [{}, { resourceType: 7 }, { resourceType: null }, { resourceType: ['Patient'] }, { resourceType: { a: 1 } }])
    expect(check({ value: value as unknown as ResourceValue, text: '' })).toMatchObject([{ diagnostics: expect.any(String) }]);
});

test('what is nested without end, wide without end or repeats itself is judged in bounded time', () => {
  const nest = (depth: number, wrap: (inner: unknown) => unknown, leaf: unknown): unknown =>
    Array.from({ length: depth }).reduce((inner) => wrap(inner), leaf);
  const extension = nest(5000, (inner) => ({ url: 'http://example.org/x', extension: [inner] }), { url: 'http://example.org/x', valueCode: 'a' });
  const hostile: unknown[] = [
    { resourceType: 'Patient', extension: [extension] },
    { resourceType: 'Patient', extension: nest(5000, (inner) => [inner], {}) },
    {
      resourceType: 'Bundle',
      type: 'collection',
      entry: [{ resource: nest(3000, (inner) => ({ resourceType: 'Bundle', type: 'collection', entry: [{ resource: inner }] }), {}) }],
    },
    { resourceType: 'Patient', name: Array.from({ length: 100_000 }, () => ({})) },
    { resourceType: 'Patient', contained: Array.from({ length: 5000 }, (_, i) => ({ resourceType: 'Basic', id: `b${i}`, code: { text: 'x' } })) },
    { resourceType: 'Patient', name: [{ text: 'x'.repeat(5_000_000) }] },
    { resourceType: 'Basic', code: { text: 'x' }, created: `${'2024-'.repeat(100_000)}` },
    { resourceType: 'Binary', contentType: `a/b${';a'.repeat(50_000)} `, data: `${'A'.repeat(1_000_000)}?` },
    { resourceType: 'Binary', contentType: 'a/b', data: ` ${'A A'.repeat(300_001)}` },
    { resourceType: 'Basic', code: { coding: [{ system: 'http://x', code: `${'a '.repeat(100_000)} ` }] } },
  ];
  for (const value of hostile) {
    let issues: readonly Issue[] = [];
    const took = cpuMs(() => {
      issues = check({ value: value as ResourceValue, text: '' });
    });
    expect(took, JSON.stringify(value).slice(0, 60)).toBeLessThan(3000);
    expect(issues.length).toBeGreaterThan(0);
    expect(issues.length).toBeLessThanOrEqual(200);
  }
});
