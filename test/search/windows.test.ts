/** A window leads to what criteria on one element find together, and changes nothing of what they find. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { searchParameters } from '../../server/fhir/search-parameters.ts';
import { createSearch } from '../../server/search/create-search.ts';
import { type Expression, holds } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { match } from '../../server/search/match.ts';
import { parseSearch } from '../../server/search/parse.ts';
import { planSearch } from '../../server/search/plan.ts';
import { instantsOf } from '../../server/store/between.ts';
import { type Driver, pickDriver } from '../../server/store/driver.ts';
import { base, terms } from './samples.ts';

const now = Date.UTC(2024, 0, 1);
const parse = (type: string, criteria: string | [string, string][]) =>
  parseSearch(type, new URLSearchParams(criteria), { handling: 'strict', base, now, terms, parameters: searchParameters });

const some = <T>(...values: T[]) => fc.constantFrom(...values);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
/** Now and then several, or both types of a choice, where R4 has one: whatever is stored is found as before. */
const odd = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ arbitrary, weight: 6 }, { arbitrary: fc.array(arbitrary, { minLength: 1, maxLength: 3 }), weight: 1 });

const dates = [
  '2020',
  '2020-02',
  '2020-02-29',
  '2020-03-01',
  '2020-03-01T12:00:00Z',
  '2020-03-02',
  '2020-03-09',
  '2020-03',
  '2020-05',
  '2021-01-01',
  '2018',
];
const date = some(...dates);
const period = fc.record({ start: maybe(date), end: maybe(date) });
const ucum = 'http://unitsofmeasure.org';
const quantity = fc.record({ value: some(1, 2, 3, 4, 5, 3000, -1), unit: some('g', 'mg'), system: maybe(some(ucum)), code: some('g', 'mg', 'x') });
const sampled = fc.record({ origin: quantity, data: some('0 1', '2 -1', '0', 'E') });

const resources = fc.oneof(
  fc.record({ resourceType: some('Encounter'), id: some('1'), period: odd(period), length: maybe(odd(quantity)) }),
  fc.record({
    resourceType: some('Observation'),
    id: some('1'),
    code: fc.record({ coding: fc.array(fc.record({ system: some('http://loinc.org'), code: some('a', 'b') }), { minLength: 1, maxLength: 2 }) }),
    effectiveDateTime: maybe(odd(date)),
    effectivePeriod: maybe(odd(period)),
    effectiveTiming: maybe(fc.record({ event: fc.array(date, { maxLength: 2 }) })),
    valueQuantity: maybe(odd(quantity)),
    valueSampledData: maybe(sampled),
  }),
  fc.record({ resourceType: some('Patient'), id: some('1'), birthDate: odd(date), meta: maybe(fc.record({ lastUpdated: date })) }),
);

const prefixed = (value: fc.Arbitrary<string>) =>
  fc.tuple(some('', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'), value).map((parts) => parts.join(''));
const alternatives = (value: fc.Arbitrary<string>) => fc.array(value, { minLength: 1, maxLength: 2 }).map((values) => values.join(','));
const unit = some('', '', `|${ucum}|g`, `|${ucum}|mg`, '||g', '||mg');
const value = unit.chain((each) => prefixed(some('1', '2.0', '3', '4', '3000')).map((number) => number + each));
const one = (name: string, given: fc.Arbitrary<string>): fc.Arbitrary<[string, string][]> =>
  fc.array(
    alternatives(given).map((text): [string, string] => [name, text]),
    { minLength: 1, maxLength: 3 },
  );
const criteria: Readonly<Record<string, fc.Arbitrary<[string, string][]>>> = {
  Encounter: fc.oneof(one('date', prefixed(date)), one('length', value)),
  Observation: fc.oneof(
    one('date', prefixed(date)),
    one('value-quantity', value),
    one('value-quantity', value).map((asked): [string, string][] => [['code', 'http://loinc.org|a'], ...asked]),
  ),
  Patient: fc.oneof(one('birthdate', prefixed(date)), one('_lastUpdated', prefixed(date))),
};

test('what is asked within a window is what is asked without', () => {
  const counts = { matched: 0, differing: 0, windows: 0, between: 0, beside: 0 };
  const property = fc.property(fc.array(resources, { minLength: 40, maxLength: 40 }), fc.infiniteStream(fc.nat()), (all, seeds) => {
    for (const [type, asked] of Object.entries(criteria)) {
      const indexed = all.filter(({ resourceType }) => resourceType === type).map((resource) => ({ resource, ...indexKeys(resource, base) }));
      for (const each of fc.sample(asked, { numRuns: 12, seed: seeds.next().value as number })) {
        const query = parse(type, each);
        const [{ where }, apart] = [planSearch(query), planSearch(query, false)];
        if (JSON.stringify(where, listed) !== JSON.stringify(apart.where, listed)) counts.windows++;
        const instants = instantsOf(where);
        for (const { resource, keys, instant = Number.NaN } of indexed) {
          const expected = match(resource, query, base);
          if (expected && instants) {
            const isBetween = instant >= instants.from && instant <= instants.to;
            if (!isBetween && !holds(instants.unless, '1', keys))
              throw new Error(`${JSON.stringify(each)}: ${JSON.stringify(resource)} is not where it says`);
            counts[isBetween ? 'between' : 'beside']++;
          }
          counts[expected ? 'matched' : 'differing']++;
          if (holds(where, '1', keys) !== expected) throw new Error(`${JSON.stringify(each)} on ${JSON.stringify(resource)} should be ${expected}`);
        }
      }
    }
  });
  fc.assert(property, { numRuns: Number(process.env['ASSENT_TEST_RUNS'] ?? 150), seed: 20_261_127 });
  expect(counts.windows).toBeGreaterThan(1_000);
  expect(Math.min(counts.between, counts.beside)).toBeGreaterThan(500);
  expect(Math.min(counts.matched, counts.differing)).toBeGreaterThan(5_000);
});

function listed(_name: string, value: unknown): unknown {
  return value instanceof Set ? [...value] : value;
}

/** One each day of ten years; each hundredth lasts a week, each five hundredth two months, each thousandth has no end. */
const days = Array.from({ length: 3_650 }, (_, n) => {
  const at = (day: number) => new Date(Date.UTC(2010, 0, 1 + day)).toISOString();
  const end = n % 1_000 === 0 ? undefined : at(n + (n % 500 === 0 ? 60 : n % 100 === 0 ? 7 : 0.02));
  return {
    encounter: { resourceType: 'Encounter', id: `e${n}`, period: { start: at(n), ...(end === undefined ? {} : { end }) } },
    observation: {
      resourceType: 'Observation',
      id: `o${n}`,
      code: { coding: [{ system: 'http://loinc.org', code: `c${n % 2}` }] },
      effectiveDateTime: at(n),
      valueQuantity: { value: n, unit: 'mg', system: ucum, code: 'mg' },
    },
    patient: { resourceType: 'Patient', id: `p${n}`, birthDate: at(n).slice(0, 10), meta: { lastUpdated: at(n) } },
  };
});
const entriesOf = (kind: 'encounter' | 'observation' | 'patient') => days.flatMap((day) => indexKeys(day[kind], base).keys);

/** Index entries that are walked, of so many resources. */
function walked(where: Expression, entries: readonly string[]): number {
  const measure = (driver: Driver, cap: number): number => {
    if (driver.kind === 'ids') return driver.ids.length;
    const inside = driver.kind === 'keys' ? (key: string) => driver.keys.includes(key) : (key: string) => key >= driver.from && key < driver.to;
    return Math.min(cap, entries.filter(inside).length);
  };
  return pickDriver(where, measure)?.size ?? entries.length;
}

test('a window is as narrow as what lies in it, wherever it lies', () => {
  const where = (type: string, query: string) => planSearch(parse(type, query)).where;
  const [encounters, observations, patients] = [entriesOf('encounter'), entriesOf('observation'), entriesOf('patient')];
  // A day, and what lasts so long that it may reach it.
  expect(walked(where('Encounter', 'date=ge2015-03-02&date=lt2015-03-03'), encounters)).toBeLessThan(12);
  expect(walked(where('Encounter', 'date=2015-03-02'), encounters)).toBeLessThan(12);
  expect(walked(where('Observation', 'date=ge2015-03-02&date=lt2015-03-03'), observations)).toBeLessThan(6);
  expect(walked(where('Observation', 'date=gt2015-03-02&date=le2015-04-02'), observations)).toBeLessThan(40);
  expect(walked(where('Observation', 'date=ge2015-04-02&date=lt2015-03-03'), observations)).toBe(0);
  expect(walked(where('Patient', 'birthdate=2015-03-02'), patients)).toBeLessThan(6);
  expect(walked(where('Patient', '_lastUpdated=ge2015-03-02&_lastUpdated=lt2015-03-03'), patients)).toBeLessThan(6);
  expect(walked(where('Observation', 'value-quantity=gt1800&value-quantity=lt1810'), observations)).toBe(9);
  expect(walked(where('Observation', `value-quantity=ge1800|${ucum}|mg&value-quantity=le1810|${ucum}|mg`), observations)).toBe(11);
  expect(walked(where('Observation', 'code=http://loinc.org|c1&value-quantity=gt1800&value-quantity=lt1810'), observations)).toBe(5);
  // What nothing narrows is walked as it was.
  expect(walked(where('Observation', 'value-quantity=gt1800'), observations)).toBe(1_849);
});

test('of the date that resources are sorted by, each end is told', () => {
  const instants = (type: string, query: string) => instantsOf(planSearch(parse(type, query)).where);
  expect(instants('Observation', 'date=ge2015-03-02&date=lt2015-04-02')).toMatchObject({ from: Date.UTC(2015, 0, 31) - 1, to: Date.UTC(2015, 3, 2) });
  expect(instants('Observation', 'date=lt2015-04-02')).toMatchObject({ from: Number.NEGATIVE_INFINITY, to: Date.UTC(2015, 3, 2) });
  expect(instants('AuditEvent', 'date=eb2015-04-02&action=R')).toMatchObject({ to: Date.UTC(2015, 3, 2) });
  // Not of what they are sorted by, nor of more than one value.
  for (const [type, query] of [
    ['Patient', 'birthdate=2015'],
    ['Observation', 'value-date=2015'],
    ['Condition', 'recorded-date=2015'],
    ['MedicationRequest', 'date=2015'],
  ] as const)
    expect(instants(type, query)).toBeUndefined();
});

test('an ordinary resource has no key more; one that is long has one', () => {
  const long = ({ keys }: { keys: readonly string[] }) => keys.filter((key) => /^...[cl]/.test(key));
  expect(
    days.slice(1, 3).flatMap(({ encounter, observation, patient }) => [encounter, observation, patient].flatMap((each) => long(indexKeys(each)))),
  ).toEqual([]);
  expect(long(indexKeys((days[100] as (typeof days)[number]).encounter))).toHaveLength(1);
  expect(long(indexKeys((days[0] as (typeof days)[number]).encounter))).toHaveLength(1);
});

test('is not asked of what may be stored without the keys for it', () => {
  const search = (current: boolean) => createSearch({ base, clock: () => now, current: () => current });
  const asked = (current: boolean) => search(current).plan('Encounter', 'date=ge2015-03-02&date=lt2015-03-03', 'strict').where;
  expect(asked(false)).toMatchObject({ kind: 'and', of: { length: 2 } });
  expect(asked(true)).toMatchObject({ kind: 'and', of: { length: 4 } });
  expect([asked(false), asked(true)].map((where) => instantsOf(where) !== undefined)).toEqual([false, true]);
});
