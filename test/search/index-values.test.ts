import { parseFhirPath } from '@medplum/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { resourceTypes } from '../../server/fhir/resource-types.ts';
import { searchParameters } from '../../server/fhir/search-parameters.ts';
import { compareKeys } from '../../server/search/expression.ts';
import { compileExpression, type Extract, general, isSimpleExpression } from '../../server/search/extract.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { encodeNumber } from '../../server/search/keys.ts';
import { resourceOf, sampleTypes } from './samples.ts';

const isExtractable = ({ type }: { type: string }) => type !== 'composite' && type !== 'text';

/** Part by part: in a union the general engine takes 5.45 for a repetition of 5.449. */
function generalByPart(expression: string): Extract {
  const parts = expression.split(' | ').map((part) => general(parseFhirPath(part)));
  return (resource) => parts.flatMap((part) => part(resource));
}

/** Values regardless of their order and repetition: a union may put them in any. */
function distinct(values: readonly unknown[]): string[] {
  return [...new Set(values.flat().flatMap((value) => (value === null ? [] : [JSON.stringify(value)])))].sort();
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

/** For JSON.parse, which leaves a hole in an array where an item goes. */
function withoutEmpty(value: unknown): unknown {
  if (isEmptyObject(value)) return undefined;
  return Array.isArray(value) ? value.filter(() => true) : value;
}

test('R4 needs the general engine for one expression only', () => {
  const slow = resourceTypes.flatMap((type) =>
    [...searchParameters(type).values()]
      .filter((p) => isExtractable(p) && !isSimpleExpression(p.expression, type))
      .map(({ name }) => `${type}.${name}`),
  );
  expect(slow).toEqual(['Patient.deceased']);
});

test.each(sampleTypes)('compiled expressions find what the general engine finds: %s', (type) => {
  const parameters = [...searchParameters(type).values()].filter(isExtractable);
  const pairs = parameters.map(({ name, expression }) => ({
    name,
    fast: compileExpression(expression, type),
    slow: generalByPart(expression),
  }));
  let found = 0;
  fc.assert(
    fc.property(resourceOf(type), (resource) => {
      // For `resolve() is …` the general engine looks neither into absolute URLs nor at Reference.type: ours does, see references.test.ts.
      const plain = JSON.stringify(resource)
        .replaceAll(/"https:\/\/[a-z.]+\/fhir\/(Patient\/)/g, '"$1')
        .replaceAll(/,?"type":"(Patient|Group)"/g, '');
      // An empty object is no FHIR, and what the general engine makes of it depends on the definitions other suites have loaded.
      const local = JSON.parse(plain.replaceAll('{,', '{'), (_, value: unknown) => withoutEmpty(value)) as typeof resource;
      for (const { name, fast, slow } of pairs) {
        found += fast(local).length;
        expect(distinct(fast(local)), name).toEqual(distinct(slow(local)));
      }
    }),
    { numRuns: 30, seed: 1 },
  );
  expect(found).toBeGreaterThan(30);
});

test('no resource, however odd, makes indexing fail, write a long key or one that looks like a facet', () => {
  const names = [
    'code',
    'coding',
    'system',
    'value',
    'reference',
    'identifier',
    'subject',
    'period',
    'start',
    'end',
    'name',
    'family',
    'given',
    'effectiveTiming',
    'event',
    'repeat',
    'meta',
    'tag',
    'lastUpdated',
    'telecom',
    'valueQuantity',
    'component',
    'birthDate',
    'link',
    'other',
    'deceasedBoolean',
  ];
  const junk = fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      fc.constantFrom(
        null,
        '',
        0,
        -0,
        1e308,
        true,
        '@patient/1',
        '~x',
        '\u0000\u0001',
        '\ud800',
        '2020-99',
        'Patient/1',
        '#',
        'x'.repeat(500),
        '𠮷'.repeat(100),
      ),
      fc.array(tie('node'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...names), tie('node'), { maxKeys: 8 }),
    ),
  })).node;
  const odd = fc.tuple(
    fc.constantFrom('Observation', 'Patient', 'Encounter', 'Bundle', 'NoSuchType', 'constructor'),
    fc.dictionary(fc.constantFrom(...names), junk),
  );
  fc.assert(
    fc.property(odd, ([resourceType, elements]) => {
      for (const key of indexKeys({ ...elements, resourceType }).keys) {
        if (!key.startsWith('~')) expect(Buffer.byteLength(key)).toBeLessThanOrEqual(200);
        expect(key).toMatch(/^~?[0-9a-z]{3}[a-z]/);
        expect(Buffer.from(key).toString()).toBe(key);
      }
    }),
    { numRuns: 300, seed: 1 },
  );
});

test('encoded numbers sort as numbers do', () => {
  const sorted = [
    Number.NEGATIVE_INFINITY,
    -1e300,
    -150.5,
    -1,
    -1e-7,
    0,
    5e-324,
    1e-7,
    1,
    5.4,
    5.400000000000001,
    150.5,
    1e300,
    Number.POSITIVE_INFINITY,
  ];
  const encoded = sorted.map(encodeNumber);
  expect([...encoded].sort(compareKeys)).toEqual(encoded);
  expect(encodeNumber(-0)).toBe(encodeNumber(0));
});

test('the sort instant is the main clinical date, where the type has one', () => {
  const instant = (resource: { resourceType: string; [element: string]: unknown }) => indexKeys(resource).instant;
  expect(instant({ resourceType: 'Observation', effectiveDateTime: '2020-02', issued: '2021-01-01T00:00:00Z' })).toBe(Date.UTC(2020, 1, 1));
  expect(instant({ resourceType: 'Observation', issued: '2021-01-01T00:00:00Z' })).toBe(Date.UTC(2021, 0, 1));
  expect(instant({ resourceType: 'Encounter', period: { end: '2020-01-01T10:00:00Z' } })).toBe(Date.UTC(2020, 0, 1, 10));
  expect(instant({ resourceType: 'Condition', onsetString: 'as a child', recordedDate: '2001' })).toBe(Date.UTC(2001, 0, 1));
  expect(instant({ resourceType: 'AuditEvent', recorded: '2024-01-01T00:00:00.123Z' })).toBe(Date.UTC(2024, 0, 1) + 123);
  expect(instant({ resourceType: 'Patient', birthDate: '1970-01-01' })).toBeUndefined();
});

/** Frozen: keys of existing databases look like these. A change here needs new kinds of keys beside the old, and a reindex. */
test.each([
  [
    {
      resourceType: 'Encounter',
      status: 'finished',
      period: { start: '2020-01-01T00:00:00Z' },
      subject: { reference: 'https://fhir.example.org/fhir/Patient/1' },
    },
    [
      '0f5d063713433600000999999999999999',
      '0f5e999999999999999',
      '0f5l2063713433600000999999999999999',
      '0ffrPatient/1',
      '0fltfinished\u0001http://hl7.org/fhir/encounter-status',
      '0fmrPatient/1',
    ],
  ],
  [
    {
      resourceType: 'Person',
      name: [{ family: 'Ünsal' }],
      identifier: [{ system: 'urn:x', value: '7' }],
      telecom: [{ system: 'phone', value: '5' }],
    },
    [
      '0yht7\u0001urn:x',
      '0yhsurn:x',
      '0yjaunsal',
      '0yjxÜnsal',
      '0ymt5\u0001phone',
      '0ymsphone',
      '0ynaunsal',
      '0ynxÜnsal',
      '0yqt5\u0001phone',
      '0yqsphone',
      '1bfbunsal',
      '1bfb5',
      '~1bfb unsal | 5 ',
    ],
  ],
  [
    {
      resourceType: 'QuestionnaireResponse',
      questionnaire: 'http://example.org/q|1',
      subject: { display: 'x', identifier: { value: '7' } },
      author: { display: 'y' },
    },
    ['11ip', '11prhttp://example.org/q', '11pvhttp://example.org/q|1', '11si7\u0001', '1bfbx', '1bfby', '~1bfb x | y '],
  ],
  [
    {
      resourceType: 'Invoice',
      totalNet: { value: 5.4, currency: 'TWD' },
      meta: { profile: ['http://example.org/p|2'], tag: [{ system: 'urn:t', code: 'c' }] },
    },
    [
      '14huhttp://example.org/p|2',
      '14huhttp://example.org/p',
      '14ktc\u0001urn:t',
      '14ksurn:t',
      '14kfc\u0001urn:t',
      '0n8nc01599999999999a',
      '0n8qTWD\u0001urn:iso:std:iso:4217\u0001c01599999999999a',
      '0n8wTWD\u0001c01599999999999a',
    ],
  ],
  [
    {
      resourceType: 'Observation',
      code: { coding: [{ system: 'http://loinc.org', code: '2339-0', display: 'Glucose' }] },
      valueQuantity: { value: 90, unit: 'mg/dl', system: 'http://unitsofmeasure.org', code: 'mg/dL' },
    },
    [
      '0utt2339-0\u0001http://loinc.org',
      '0utshttp://loinc.org',
      '0uyt2339-0\u0001http://loinc.org',
      '0uyshttp://loinc.org',
      '0v3nc056800000000000',
      '0v3kg1.m-3\u0001c08c200000000000',
      '0v3wmg/dL\u0001c056800000000000',
      '0v3wmg/dl\u0001c056800000000000',
      '0vrnc056800000000000',
      '0vrkg1.m-3\u0001c08c200000000000',
      '0vrwmg/dL\u0001c056800000000000',
      '0vrwmg/dl\u0001c056800000000000',
      '1bhmLLEtZJaA1ukBJdNXMx1Nu6nc056800000000000',
      '1bhmLLEtZJaA1ukBJdNXMx1Nu6kg1.m-3\u0001c08c200000000000',
      '1bfbglucose',
      '~0utlglucose',
      '~0uwct2339-0\u0001http://loinc.org\u0003shttp://loinc.org\u0004nc056800000000000\u0003kg1.m-3\u0001c08c200000000000\u0003wmg/dL\u0001c056800000000000\u0003wmg/dl\u0001c056800000000000',
      '~0uylglucose',
      '~0v0ct2339-0\u0001http://loinc.org\u0003shttp://loinc.org\u0004nc056800000000000\u0003kg1.m-3\u0001c08c200000000000\u0003wmg/dL\u0001c056800000000000\u0003wmg/dl\u0001c056800000000000',
      '~1bfb glucose ',
    ],
  ],
  [
    {
      resourceType: 'Basic',
      text: { status: 'generated', div: '<div>血壓 7.2</div>' },
      code: { text: 'Blood' },
    },
    ['02tp', '1bfb血壓', '1bfb壓', '1bfb7', '1bfb2', '1bfbblood', '~02tlblood', '~1beb 血壓 7 2 ', '~1bfb blood '],
  ],
])('released key formats: %o', (resource, expected) => {
  expect(indexKeys(resource, 'https://fhir.example.org/fhir').keys).toEqual(expected);
});
