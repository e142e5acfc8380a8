/** Thousands of resources broken in one place each: every one is refused, at that place or at what holds it. */
import { beforeAll, expect, test } from 'vitest';
import { resourceTypes } from '../../server/fhir/resource-types.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createCheck } from '../../server/validation/validate.ts';
import { type Mutant, mutantsOf } from './mutants.ts';
import { type Json, sampleOf } from './samples.ts';

const SEED = 20_260_304;
const PER_TYPE = Number(process.env['ASSENT_TEST_MUTANTS'] ?? 40);

const check = createCheck();
const errorsOf = (value: Json) => check.check({ value: value as ResourceValue, text: '' }).filter(({ severity = 'error' }) => severity === 'error');

let samples: Json[];
let mutants: Mutant[];
beforeAll(() => {
  samples = resourceTypes.map((type) => sampleOf(type, check));
  mutants = samples.flatMap((sample, i) => mutantsOf(sample, { seed: SEED + i, most: PER_TYPE }));
});

function isAtOrAbove(place: string, mutated: string): boolean {
  return mutated === place || (mutated.startsWith(place) && /^[.[]/.test(mutated.slice(place.length)));
}

test('the samples are valid and say much', () => {
  expect(samples.length).toBe(146);
  for (const sample of samples) expect(errorsOf(sample), String(sample['resourceType'])).toEqual([]);
  expect(samples.flatMap((sample) => Object.keys(sample)).length).toBeGreaterThan(3000);
});

test('every mutant is refused at its place', () => {
  expect(mutants.length).toBeGreaterThan(5000);
  expect(new Set(mutants.map(({ what }) => what.replace(/:.*$/s, ''))).size).toBeGreaterThan(40);
  const missed = mutants.flatMap(({ what, place, value }) => {
    const places = errorsOf(value).flatMap(({ expression = [] }) => expression);
    return places.some((found) => isAtOrAbove(found, place)) ? [] : [`${what} → ${places.join(' ') || 'accepted'}`];
  });
  expect(missed).toEqual([]);
});

test('nearly all are refused at the very place, not only above it', () => {
  const exact = mutants.filter(({ place, value }) => errorsOf(value).some(({ expression = [] }) => expression.includes(place)));
  expect(exact.length / mutants.length).toBeGreaterThan(0.9);
});

test('the same seed makes the same mutants', () => {
  const again = samples.slice(0, 3).flatMap((sample, i) => mutantsOf(sample, { seed: SEED + i, most: PER_TYPE }));
  expect(again).toEqual(mutants.slice(0, again.length));
});
