/** Criteria with a key of their own for both mean what they mean apart. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { searchParameters } from '../../server/fhir/search-parameters.ts';
import { type Expression, holds } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { match } from '../../server/search/match.ts';
import { codeOfKey, paramNameOf } from '../../server/search/param-codes.ts';
import { parseSearch } from '../../server/search/parse.ts';
import { planSearch } from '../../server/search/plan.ts';
import { pickDriver } from '../../server/store/driver.ts';
import { anyCriterionOf, base, resourceOf, terms } from './samples.ts';

const now = Date.UTC(2024, 0, 1);
const options = { handling: 'strict', base, now, terms, parameters: searchParameters } as const;
const plan = (query: string | [string, string][], paired = true): Expression =>
  planSearch(parseSearch('Observation', new URLSearchParams(query), options), paired).where;

/** Names of the parameters whose keys lead to what is found. */
function leads(where: Expression): string[] {
  const { drivers = [] } = pickDriver(where, () => 1) ?? {};
  const heads = drivers.flatMap((driver) => (driver.kind === 'keys' ? driver.keys : driver.kind === 'range' ? [driver.from] : []));
  return [...new Set(heads.map((key) => paramNameOf(codeOfKey(key)) ?? 'id'))];
}

const asked = ['subject', 'patient', 'code', 'category', 'value-quantity'];
const only = (type: string) => new Map([...searchParameters(type)].filter(([name]) => asked.includes(name)));
const some = <T>(...values: T[]) => fc.constantFrom(...values);

/** Of a few values each, so that many match. */
const ucum = 'http://unitsofmeasure.org';
const dense = fc.record({
  subject: fc.record({ reference: some('Patient/1', 'Patient/2', `${base}/Patient/1`, 'Group/1', 'https://other.example/Patient/1') }),
  category: fc.array(fc.record({ coding: fc.array(fc.record({ system: some('urn:c', 'urn:d'), code: some('Lab', 'v') }), { maxLength: 2 }) }), {
    maxLength: 2,
  }),
  code: fc.record({
    coding: fc.array(fc.record({ system: some('http://loinc.org', 'urn:x'), code: some('Ab', 'b') }), { minLength: 1, maxLength: 3 }),
  }),
  valueQuantity: fc.record({ value: some(1, 5, 5000), unit: some('g', 'mg'), system: fc.constant(ucum), code: some('g', 'mg') }),
});
const denseCriteria = fc.array(
  fc.oneof(
    fc.tuple(some('subject', 'patient'), some('Patient/1', '1', 'Patient/1,Patient/2', 'https://other.example/Patient/1')),
    fc.tuple(some('code', 'code:not'), some('http://loinc.org|Ab', 'Ab', 'urn:x|b,http://loinc.org|b', 'urn:x|', '|b')),
    fc.tuple(some('category', 'category:not'), some('Lab', 'urn:c|lab', 'urn:d|v,urn:c|v', 'urn:c|')),
    fc.tuple(fc.constant('value-quantity'), some('gt2', 'ne5', `1|${ucum}|g`, `lt3|${ucum}|g,gt4000`, 'ap5||mg', `ge1000|${ucum}|mg`)),
  ),
  { minLength: 2, maxLength: 4 },
);

test('what a pair finds is what both find', () => {
  const counts = { matched: 0, differing: 0, paired: 0 };
  const sparse = resourceOf('Observation');
  const one = fc.oneof(
    sparse,
    fc.tuple(sparse, dense).map(([resource, values]) => ({ resourceType: 'Observation', id: resource.id, ...values })),
  );
  const resources = fc.array(one, { minLength: 10, maxLength: 10 });
  const criteriaOf = fc.oneof(denseCriteria, fc.array(anyCriterionOf('Observation', only), { minLength: 2, maxLength: 3 }));
  const queries = fc.array(criteriaOf, { minLength: 12, maxLength: 12 });
  const property = fc.property(resources, queries, (records, all) => {
    const indexed = records.map((resource) => ({ resource, keys: indexKeys(resource, base).keys }));
    for (const criteria of all) {
      const [where, apart] = [plan(criteria), plan(criteria, false)];
      const isPaired = JSON.stringify(where, listed) !== JSON.stringify(apart, listed);
      if (isPaired) counts.paired++;
      const query = parseSearch('Observation', new URLSearchParams(criteria), options);
      for (const { resource, keys } of indexed) {
        const expected = match(resource, query, base);
        if (isPaired) counts[expected ? 'matched' : 'differing']++;
        expect([criteria, resource, holds(where, resource.id, keys)]).toEqual([criteria, resource, expected]);
      }
    }
  });
  fc.assert(property, { numRuns: 150, seed: 20_261_126 });
  expect(counts.paired).toBeGreaterThan(100);
  expect(counts.matched).toBeGreaterThan(50);
  expect(counts.differing).toBeGreaterThan(500);
});

function listed(_name: string, value: unknown): unknown {
  return value instanceof Set ? [...value] : value;
}

test('leads to what is found where both are asked, and only then', () => {
  const code = 'code=http://loinc.org|8480-6';
  expect(leads(plan(`patient=Patient/1&${code}`))).toEqual(['subject code']);
  expect(leads(plan(`subject=Patient/1&${code}&date=ge2020`))).toEqual(['subject code']);
  expect(leads(plan('patient=1&code=8480-6'))).toEqual(['subject code']);
  expect(leads(plan(`${code}&value-quantity=gt5|http://unitsofmeasure.org|mg`))).toEqual(['code value-quantity']);
  expect(leads(plan(`${code}&value-quantity=lt7&_sort=value-quantity`))).toEqual(['code value-quantity']);
  expect(leads(plan(`${code}&category=vital-signs`))).toEqual(['code category']);
  // Neither a pair nor everything: who else the subject is, or in which printed unit, stands in no key of a pair.
  for (const query of [
    `patient=Patient/1`,
    code,
    `subject:missing=false&${code}`,
    `${code}&value-quantity=gt5||mg`,
    `patient=Patient/1&code:not=8480-6`,
  ])
    expect(leads(plan(query)).some((name) => name.includes(' '))).toBe(false);
});

test('an ordinary observation has a few more keys, and no resource has long ones', () => {
  const observation = {
    resourceType: 'Observation',
    id: '1',
    subject: { reference: 'Patient/1' },
    code: { coding: [{ system: 'http://loinc.org', code: '8480-6' }] },
    category: [{ coding: [{ system: 'urn:x', code: '1' }] }],
    valueQuantity: { value: 120, system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
  };
  const pairs = ({ keys }: { keys: readonly string[] }) => keys.filter((key) => paramNameOf(codeOfKey(key))?.includes(' '));
  expect(pairs(indexKeys(observation))).toHaveLength(4);
  const long = 'x'.repeat(300);
  const odd = {
    ...observation,
    subject: { reference: `Patient/${'a'.repeat(64)}` },
    code: { coding: [{ system: long, code: long }] },
    valueQuantity: { value: 1, system: long, code: long, unit: long },
  };
  expect(pairs(indexKeys(odd)).length).toBeGreaterThan(1);
  for (const key of pairs(indexKeys(odd))) expect(Buffer.byteLength(key)).toBeLessThanOrEqual(230);
});

test.each([
  ['code=http://loinc.org|AbC', true, 1],
  ['code=http://loinc.org|AbC', false, 2],
  ['patient=Patient/1&code=http://loinc.org|AbC', true, 1],
  ['identifier=urn:hospital|AbC', true, 2],
])('%s, everything with keys of today: %s, is sought by %i key(s)', (query, current, expected) => {
  const where = plan(query, current);
  expect(where.kind === 'any' ? where.keys.size : where).toBe(expected);
});
