import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { searchParameters } from '../../server/fhir/search-parameters.ts';
import { createSearch } from '../../server/search/create-search.ts';
import { holds } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { isSearchable } from '../../server/search/parse.ts';
import { base, sampleTypes, terms } from './samples.ts';

const search = createSearch({ base, clock: () => Date.UTC(2024, 0, 1), terms });
type Resource = { resourceType: string; id?: string; [element: string]: unknown };

function finds(resource: Resource, query: string): boolean {
  const { where } = search.plan(resource.resourceType, query, 'strict');
  return holds(where, resource.id ?? 'x', indexKeys(resource, base).keys);
}

function check(resource: Resource, { found, missed }: { found: string[]; missed: string[] }): void {
  for (const query of found) expect(finds(resource, query), query).toBe(true);
  for (const query of missed) expect(finds(resource, query), query).toBe(false);
}

const ucum = 'http://unitsofmeasure.org';
const quantity = (value: number, code: string) => ({ value, unit: code, system: ucum, code });
const loinc = (code: string, display?: string) => ({ coding: [{ system: 'http://loinc.org', code, display }] });

test('every search parameter of R4 with an expression is searched', () => {
  const without = sampleTypes.flatMap((type) => [...searchParameters(type).values()].filter((parameter) => !isSearchable(parameter)));
  expect(without).toEqual([]);
});

describe('composites', () => {
  const pressure = {
    resourceType: 'Observation',
    code: loinc('85354-9'),
    component: [
      { code: loinc('8480-6'), valueQuantity: quantity(150, 'mm[Hg]') },
      { code: loinc('8462-4'), valueQuantity: quantity(90, 'mm[Hg]') },
    ],
  };
  test('both parts are of the same component', () => {
    check(pressure, {
      found: [
        'component-code-value-quantity=8480-6$gt140',
        'component-code-value-quantity=http://loinc.org|8462-4$90||mm[Hg]',
        'combo-code-value-quantity=8462-4$lt100',
        'code-value-quantity:missing=true',
        'component-code-value-quantity:missing=false',
      ],
      missed: ['component-code-value-quantity=8462-4$gt140', 'combo-code-value-quantity=85354-9$gt140', 'code-value-quantity=85354-9$gt1'],
    });
  });

  test('values, dates, concepts, and parts of the resource itself', () => {
    check(
      { resourceType: 'Observation', code: loinc('1'), valueDateTime: '2020-05-01' },
      { found: ['code-value-date=1$2020', 'code-value-date=1$gt2019'], missed: ['code-value-date=2$2020', 'code-value-date=1$lt2020'] },
    );
    const variant = {
      resourceType: 'MolecularSequence',
      referenceSeq: { chromosome: loinc('LA21254-0') },
      variant: [
        { start: 5, end: 9 },
        { start: 20, end: 30 },
      ],
    };
    check(variant, {
      found: ['chromosome-variant-coordinate=LA21254-0$5$9'],
      missed: ['chromosome-variant-coordinate=LA21254-0$5$30'],
    });
    check(
      { resourceType: 'DocumentReference', relatesTo: [{ code: 'replaces', target: { reference: 'DocumentReference/a' } }] },
      { found: ['relationship=DocumentReference/a$replaces'], missed: ['relationship=DocumentReference/a$signs', 'relationship=b$replaces'] },
    );
  });
});

describe('tokens', () => {
  test('case says nothing, except in codes of known systems and in identifiers', () => {
    const condition = {
      resourceType: 'Condition',
      code: {
        coding: [
          { system: 'http://hl7.org/fhir/sid/icd-10', code: 'a01.0' },
          { system: 'urn:local', code: 'Flu' },
        ],
      },
      identifier: [{ value: 'Ab1' }],
    };
    check(condition, {
      found: ['code=flu', 'code=urn:local|FLU', 'code=Flu', 'identifier=Ab1'],
      missed: ['identifier=AB1', 'code:not=FLU', 'code=urn:other|flu'],
    });
    expect(finds({ resourceType: 'Patient', telecom: [{ system: 'email', value: 'Ann@Example.org' }] }, 'email=ann@example.org')).toBe(true);
    expect(finds({ resourceType: 'Patient', gender: 'male' }, 'gender=Male')).toBe(false);
  });

  test(':text, :of-type, :not without the element', () => {
    const patient = {
      resourceType: 'Patient',
      identifier: [{ type: { coding: [{ system: 'urn:t', code: 'MR' }], text: 'Krankenaktennummer' }, value: '7' }, { value: '8' }],
    };
    check(patient, {
      found: ['identifier:of-type=urn:t|MR|7', 'identifier:text=kranken', 'gender:not=male', 'gender:missing=true'],
      missed: ['identifier:of-type=urn:t|MR|8', 'identifier:of-type=urn:t|SS|7', 'identifier:text=akten'],
    });
    expect(finds({ resourceType: 'Observation', code: loinc('1', 'Körpergröße') }, 'code:text=korper')).toBe(true);
  });

  test('a value set or a hierarchy that is not on board is refused, not empty', () => {
    const plan = (query: string) => () => search.plan('Observation', query, 'strict');
    expect(plan('code:in=http://example.org/unknown')).toThrow('value set');
    expect(plan('code:not-in=http://example.org/unknown')).toThrow('value set');
    const bare = createSearch({ base, clock: () => 0 });
    expect(() => bare.plan('Observation', 'code:below=http://loinc.org|1', 'strict')).toThrow('hierarchy');
    expect(bare.plan('Observation', 'code:below=http://loinc.org|1', 'lenient').warnings).toHaveLength(1);
    const observation = { resourceType: 'Observation', code: loinc('8480-6') };
    check(observation, { found: ['code:in=http://example.org/vs'], missed: ['code:not-in=http://example.org/vs'] });
  });
});

test('strings and URIs: any part, beginning, above and below', () => {
  const patient = { resourceType: 'Patient', name: [{ family: 'Müller-Lüdenscheidt' }], address: [{ line: ['台北市大安區'] }] };
  check(patient, {
    found: ['name:contains=LUDEN', 'address:contains=大安', 'address=台北'],
    missed: ['name:contains=xyz', 'family=ludenscheidt'],
  });
  const long = { resourceType: 'ValueSet', description: `${'a '.repeat(300)}needle`, url: 'http://acme.org/fhir/ValueSet/123' };
  check(long, {
    found: ['description:contains=needle', 'url:below=http://acme.org/fhir/', 'url:above=http://acme.org/fhir/ValueSet/123/_history/5'],
    missed: [
      'description:contains=pin',
      'url:below=http://acme.org/other/',
      'url:above=http://acme.org/fhir/ValueSet/1234',
      'url=http://acme.org/fhir/',
    ],
  });
});

describe('quantities', () => {
  test('in every unit that means the same', () => {
    check(
      { resourceType: 'Observation', code: loinc('1'), valueQuantity: quantity(1000, 'mg') },
      {
        found: [`value-quantity=1|${ucum}|g`, `value-quantity=lt1.5|${ucum}|g`, 'value-quantity=1000||mg', `code-value-quantity=1$1.0|${ucum}|g`],
        missed: [`value-quantity=1000|${ucum}|g`, `value-quantity=gt1|${ucum}|g`, 'value-quantity=1||g', `value-quantity=1|${ucum}|m`],
      },
    );
    const fever = { resourceType: 'Observation', valueQuantity: quantity(38.5, 'Cel') };
    check(fever, {
      found: [`value-quantity=gt100|${ucum}|[degF]`, `value-quantity=311.65|${ucum}|K`],
      missed: [`value-quantity=gt102|${ucum}|[degF]`],
    });
  });

  test.each([
    ['mmol/L', 'umol/mL', ['10*3/uL', '/L', 'meq/L', 'osm/kg']],
    ['meq/L', 'eq/m3', ['mmol/L', '10*3/uL']],
    ['10*3/uL', '10*9/L', ['mmol/L', 'meq/L']],
    ['U/L', 'umol/min/L', ['/s/L', 'eq/s/L']],
  ])('amounts of substance are no numbers of particles, and equivalents no moles: %s', (unit, same, others) => {
    check(
      { resourceType: 'Observation', valueQuantity: quantity(5, unit) },
      { found: [unit, same].map((code) => `value-quantity=5|${ucum}|${code}`), missed: others.map((code) => `value-quantity=gt0|${ucum}|${code}`) },
    );
  });

  test.each(['9.29201659573075', '7.292828528195381', '0.12345678901234567', '-0.1234567890123456789', '123456789012345678901', '1e-300', '0'])(
    'more digits than a double keeps, or a conversion, still mean the number itself: %s',
    (digits) => {
      const found = ['', `|${ucum}|mg/dL`, '||mg/dL'].flatMap((unit) =>
        ['', 'ge', 'le', 'ap'].map((prefix) => `value-quantity=${prefix}${digits}${unit}`),
      );
      const missed = ['', `|${ucum}|mg/dL`].flatMap((unit) => ['ne', 'gt', 'lt'].map((prefix) => `value-quantity=${prefix}${digits}${unit}`));
      check({ resourceType: 'Observation', valueQuantity: quantity(Number(digits), 'mg/dL') }, { found, missed });
    },
  );

  test('stored before there were keys in base units: found by the unit they were written in', () => {
    const { where } = search.plan('Observation', `value-quantity=5|${ucum}|mg`, 'strict');
    expect(holds(where, 'x', [`0vrqmg\u0001${ucum}\u0001c014000000000000`])).toBe(true);
  });

  test('ranges and samples reach from their least to their greatest', () => {
    const condition = { resourceType: 'Condition', onsetRange: { low: quantity(30, 'a'), high: quantity(40, 'a') } };
    check(condition, {
      found: [`onset-age=gt35|${ucum}|a`, `onset-age=lt35|${ucum}|a`, 'onset-age=sa29', 'onset-age=eb41', 'onset-age=ne35', 'onset-age=ap38'],
      missed: ['onset-age=35', 'onset-age=sa30', 'onset-age=eb40', 'onset-age=gt40'],
    });
    const samples = { resourceType: 'Observation', valueSampledData: { origin: quantity(0, 'mV'), factor: 2, data: '1 5 E 3' } };
    check(samples, { found: ['value-quantity=gt9', 'value-quantity=lt3'], missed: ['value-quantity=gt10', 'value-quantity=lt2'] });
  });
});

test('places near one, also across the line of date', () => {
  const location = { resourceType: 'Location', position: { latitude: 0, longitude: 179.99 } };
  check(location, { found: ['near=0|-179.99|5|km', 'near=0|179.99'], missed: ['near=0|-179.99|2000|m', 'near=10|179.99'] });
});

/** No query, however odd, is a fault: it is a plan or a refusal that names the parameter. */
test('whatever is asked gives a plan or a refusal', () => {
  const names = sampleTypes.flatMap((type) => [...searchParameters(type).keys()]);
  const modifier = fc.constantFrom(
    '',
    ':not',
    ':text',
    ':in',
    ':below',
    ':above',
    ':of-type',
    ':contains',
    ':exact',
    ':missing',
    ':Patient',
    ':x',
    ':identifier',
  );
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(fc.constantFrom('|', '$', ',', '\\', 'eq', 'gt', '1', '9e999', '-', '2020', 'T', ':', '%', 'http://', 'Patient/', '\ud800', 'ap', '.'))
      .map((list) => list.join('')),
  );
  let refused = 0;
  fc.assert(
    fc.property(fc.constantFrom(...sampleTypes), fc.constantFrom(...names), modifier, value, (type, name, how, text) => {
      const query = new URLSearchParams([[name + how, text]]);
      try {
        const { where } = search.plan(type, query, 'strict');
        expect(where.kind).not.toBe('all');
      } catch (error) {
        if (!(error instanceof AssentError)) throw error;
        refused++;
        expect(error.message).toContain(name);
        // What has a grammar is not half understood.
        const isHalfRead = name !== '_text' && name !== '_content';
        if (isHalfRead) expect(search.plan(type, query, 'lenient').warnings).toHaveLength(1);
        else expect(() => search.plan(type, query, 'lenient')).toThrow(error.message);
      }
    }),
    { numRuns: 3_000, seed: 7 },
  );
  expect(refused).toBeGreaterThan(500);
});
