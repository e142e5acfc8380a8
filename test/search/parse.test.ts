import { describe, expect, test } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { createSearch } from '../../server/search/create-search.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { holds } from '../../server/search/expression.ts';
import { parseSearch } from '../../server/search/parse.ts';

const base = 'https://fhir.example.org/fhir';
const search = createSearch({ base, clock: () => Date.UTC(2024, 0, 1) });
const strict = (type: string, query: string) => search.plan(type, query, 'strict');

/** Whether the resource is found by the query. */
function finds(resource: { resourceType: string; id?: string; [element: string]: unknown }, query: string): boolean {
  return holds(strict(resource.resourceType, query).where, resource.id ?? 'x', indexKeys(resource, base).keys);
}

function refusal(type: string, query: string, handling: 'strict' | 'lenient' = 'strict'): string {
  try {
    search.plan(type, query, handling);
  } catch (error) {
    if (error instanceof AssentError && error.code === 'invalid-search') return error.message;
    throw error;
  }
  return '';
}

describe('what cannot be used', () => {
  const unusable = [
    'colour=red',
    'birthdate=yesterday',
    'birthdate=xx2020',
    'gender=',
    'gender=male,',
    'gender:exact=male',
    'name:below=a',
    'gender:in=http://example.org/none',
    'identifier:of-type=a|b',
    'language:below=en',
    'birthdate:exact=2020',
    'name:exact:exact=a',
    'gender=a|b|c',
    'gender=|',
    'general-practitioner=Practitioner/',
    'general-practitioner:Patient=1',
    'name:missing=perhaps',
    `name=${'x'.repeat(181)}`,
    '_sort=general-practitioner.name',
    '_sort=birthdate,nothing',
    '_count=-1',
    '_count=1&_count=2',
    '_summary=most',
    '_total=some',
    '__proto__=1',
    'constructor=1',
  ];
  test.each(unusable)('%s is refused in strict handling and named', (query) => {
    const name = query.split('=')[0] as string;
    expect(refusal('Patient', query)).toContain(`"${name}"`);
  });

  test.each(unusable)('%s is reported in lenient handling and not in the self link', (query) => {
    const plan = search.plan('Patient', `gender=female&${query}`, 'lenient');
    expect(plan.warnings).toHaveLength(1);
    expect(plan.warnings[0]).toContain(query.split('=')[0]);
    expect(plan.used.replace('&_count=1', '')).toBe('gender=female');
  });

  const unread = [
    ['_text=', 'empty'],
    ['_content="a', 'quotation mark'],
    ['_content=a, ', 'needs a word'],
    ['_content=(a', 'not closed'],
    ['_content=a)', 'without a ('],
    ['_text=a AND', 'needs a word'],
    ['_text=OR a', 'needs a word'],
    ['_text=a OR OR b', 'needs a word'],
    ['_text=()', 'needs a word'],
    ['_text=NOT', 'needs a word'],
    ['_content="a,b"', 'quotation mark'],
    ['_content=--', 'neither letters nor digits'],
    ['_content=hyper*', '* in a word'],
    [`_content=${'('.repeat(11)}a${')'.repeat(11)}`, 'levels'],
    [`_content=${'NOT '.repeat(11)}a`, 'levels'],
    [`_content=${'a '.repeat(101)}`, 'more than 100 words'],
    [`_content=${'x'.repeat(1_001)}`, 'longer than'],
    ['_content:exact=a', 'modifier'],
    ['_text:missing=true', 'modifier'],
    ['_filter=_text pr true', 'pr'],
  ] as const;
  test.each(unread)('words that cannot be read are refused and named, in lenient handling too: %s', (query, why) => {
    for (const handling of ['strict', 'lenient'] as const) {
      expect(refusal('Patient', query, handling)).toContain(`"${query.split(/[:=]/)[0]}`);
      expect(refusal('Patient', query, handling)).toContain(why);
    }
  });

  test.each(['AuditEvent', 'Binary'])('%s is not asked by its words', (type) => {
    expect(refusal(type, '_content=a')).toContain('is not known for');
  });

  test.each(['_has:Observation:patient:code=1', 'general-practitioner.name=x', 'general-practitioner:Practitioner.name=x'])(
    '%s has no meaning in a condition: refused in lenient handling too',
    (query) => {
      expect(refusal('Patient', query, 'lenient')).toContain('no meaning here');
    },
  );

  test('values and control characters are not repeated to the caller', () => {
    expect(refusal('Patient', 'birthdate=SECRET')).not.toContain('SECRET');
    expect(refusal('Patient', 'a%0d%0ab=1')).toContain('"a??b"');
  });
});

describe('result parameters', () => {
  test('defaults: 20 rows, a total, newest first', () => {
    expect(strict('Patient', '')).toMatchObject({
      count: 20,
      total: 'if-told',
      cursor: undefined,
      order: { by: 'instant', direction: 'newest-first' },
      where: { kind: 'all' },
    });
  });

  test('_count is capped, and zero or _summary=count asks for the total only', () => {
    expect(strict('Patient', '_count=5000').count).toBe(1000);
    for (const query of ['_count=0', '_summary=count', '_summary=count&_total=none'])
      expect(strict('Patient', query)).toMatchObject({ count: 0, total: true });
    expect(strict('Patient', '_total=none')).toMatchObject({ count: 20, total: false });
  });

  test('_sort takes any date parameter, both ways', () => {
    expect(strict('Observation', '_sort=-date').order).toMatchObject({ by: 'keys', keys: [{ direction: 'descending' }] });
    expect(strict('Observation', '_sort=_lastUpdated').order).toMatchObject({ by: 'keys', keys: [{ direction: 'ascending' }] });
  });

  test('a sort key exists in every resource that has the date', () => {
    const { keys } = indexKeys({ resourceType: 'Observation', effectivePeriod: { start: '2020-01-01', end: '2020-02-01' } });
    for (const query of ['_sort=date', '_sort=-date']) {
      const { order } = strict('Observation', query);
      expect(order.by === 'keys' && keys.filter((key) => key.startsWith(order.keys[0]?.prefix ?? '-'))).toHaveLength(1);
    }
  });

  test('the self link holds what was used, without the cursor', () => {
    const plan = strict('Observation', 'code=http%3A%2F%2Floinc.org%7C8480-6&_count=5&_cursor=abc');
    expect(plan.cursor).toBe('abc');
    expect(plan.used).toBe('code=http%3A%2F%2Floinc.org%7C8480-6&_count=5');
  });
});

describe('values', () => {
  test('tokens: code, system|code, |code, system|', () => {
    const observation = { resourceType: 'Observation', code: { coding: [{ system: 'http://loinc.org', code: '8480-6' }, { code: 'local' }] } };
    for (const query of ['code=8480-6', 'code=http://loinc.org|8480-6', 'code=http://loinc.org|', 'code=|local', 'code=x,local', 'code:not=x'])
      expect(finds(observation, query), query).toBe(true);
    for (const query of [
      'code=8480',
      'code=http://snomed.info/sct|8480-6',
      'code=|8480-6',
      'code=http://snomed.info/sct|',
      'code:not=8480-6',
      'code=8480-6&code=x',
    ])
      expect(finds(observation, query), query).toBe(false);
  });

  test('bare codes have the system of their binding', () => {
    const patient = { resourceType: 'Patient', gender: 'male', active: true };
    for (const query of [
      'gender=male',
      'gender=http://hl7.org/fhir/administrative-gender|male',
      'gender=http://hl7.org/fhir/administrative-gender|',
      'active=true',
    ])
      expect(finds(patient, query), query).toBe(true);
    for (const query of ['gender=http://loinc.org|male', 'gender=|male', 'gender=mal', 'active=false'])
      expect(finds(patient, query), query).toBe(false);
  });

  test('references: id, Type/id, version, our own base, another server, typed, by identifier', () => {
    const observation = {
      resourceType: 'Observation',
      subject: { reference: `${base}/Patient/1/_history/3`, identifier: { system: 'urn:x', value: '7' } },
    };
    for (const query of [
      'subject=1',
      'patient=1',
      'subject=Patient/1',
      `subject=${base}/Patient/1`,
      'subject:Patient=1',
      'subject:Patient=Patient/1',
      'subject:identifier=urn:x|7',
    ])
      expect(finds(observation, query), query).toBe(true);
    for (const query of [
      'subject=Group/1',
      'subject=https://other.example/fhir/Patient/1',
      'subject:Group=1',
      'subject:identifier=8',
      'subject:missing=true',
    ])
      expect(finds(observation, query), query).toBe(false);
    expect(finds({ resourceType: 'Observation', subject: { reference: 'https://other.example/fhir/Patient/1' } }, 'patient=1')).toBe(false);
  });

  test('canonicals are found with and without their version', () => {
    const response = { resourceType: 'QuestionnaireResponse', questionnaire: 'http://example.org/q|1.0' };
    for (const query of ['questionnaire=http://example.org/q', 'questionnaire=http://example.org/q|1.0'])
      expect(finds(response, query), query).toBe(true);
    expect(finds(response, 'questionnaire=http://example.org/q|2.0')).toBe(false);
  });

  test('strings: beginning, without accents, case and width; :exact as it stands; comma escaped', () => {
    const patient = { resourceType: 'Patient', name: [{ family: 'Müller', given: ['王小明', 'Ann,Lee'] }] };
    for (const query of ['name=mul', 'name=MÜLLER', 'family=Mu%CC%88ll', 'given=王小', 'name:exact=Müller', 'given=Ann\\,L'])
      expect(finds(patient, query), query).toBe(true);
    for (const query of ['name=uller', 'name:exact=muller', 'name:exact=Mül', 'given=小明', 'family=王'])
      expect(finds(patient, query), query).toBe(false);
  });

  test('numbers and quantities mean what their digits say', () => {
    const range = (text: string) => {
      const [criterion] = parseSearch('RiskAssessment', `probability=${text}`, { handling: 'strict', base, now: 0 }).criteria;
      return criterion && 'values' in criterion && criterion.values[0]?.kind === 'number'
        ? [criterion.values[0].low, criterion.values[0].high]
        : undefined;
    };
    expect(range('100')).toEqual([99.5, 100.5]);
    expect(range('100.00')).toEqual([99.995, 100.005]);
    expect(range('1e2')).toEqual([95, 105]);
    expect(range('-0.1e3')).toEqual([-105, -95]);
    expect(range('1.0e2')).toEqual([95, 105]);
    expect(range('1.1e2')).toEqual([105, 115]);
    expect(range('5.40e-3')).toEqual([0.005395, 0.005405]);
    expect(range('-5.4')).toEqual([-5.45, -5.35]);
    const observation = {
      resourceType: 'Observation',
      valueQuantity: { value: -0, unit: 'mmHg', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
    };
    for (const query of ['value-quantity=0', 'value-quantity=le0', 'value-quantity=0|http://unitsofmeasure.org|mm[Hg]', 'value-quantity=gt-1||mmHg'])
      expect(finds(observation, query), query).toBe(true);
    for (const query of ['value-quantity=lt0', 'value-quantity=0||g', 'value-quantity=ne0']) expect(finds(observation, query), query).toBe(false);
  });

  test('_id and _lastUpdated', () => {
    const patient = { resourceType: 'Patient', id: 'a', meta: { lastUpdated: '2024-05-01T10:00:00.000Z' } };
    for (const query of [
      '_id=a',
      '_id=b,a',
      '_id:not=b',
      '_lastUpdated=2024-05',
      '_lastUpdated=gt2024-04-30',
      '_lastUpdated=le2024-05-01T10:00:00.000Z',
    ])
      expect(finds(patient, query), query).toBe(true);
    for (const query of ['_id=b', '_id=a&_id=b', '_lastUpdated=lt2024-05', '_lastUpdated=gt2024-05-01T10:00:00.000Z'])
      expect(finds(patient, query), query).toBe(false);
  });
});

/** R4 §3.1.1.4.7: the search value 2013-03-14 against dates before, within, around and after it. */
test.each([
  ['eq', [false, true, false, false, false, false, false]],
  ['ne', [true, false, true, true, true, true, true]],
  ['gt', [false, false, true, false, true, true, true]],
  ['lt', [true, false, true, true, false, true, true]],
  ['ge', [false, true, true, false, true, true, true]],
  ['le', [true, true, true, true, false, true, true]],
  ['sa', [false, false, false, false, true, false, false]],
  ['eb', [true, false, false, false, false, false, false]],
  ['ap', [true, true, true, true, true, true, true]],
])('date prefix %s', (prefix, expected) => {
  const periods = [
    { start: '2013-03-01', end: '2013-03-13' },
    { start: '2013-03-14T09:00:00Z', end: '2013-03-14' },
    { start: '2013-03' },
    { start: '2013-03-01', end: '2013-03-14' },
    { start: '2013-03-15' },
    { start: '2013', end: '2013' },
    { end: '2013-12' },
  ];
  expect(periods.map((period) => finds({ resourceType: 'Encounter', period }, `date=${prefix}2013-03-14`))).toEqual(expected);
});

test('a + in a zone that was not sent as %2B', () => {
  expect(
    finds({ resourceType: 'Encounter', period: { start: '2013-03-14T10:00:00Z', end: '2013-03-14T10:00:00Z' } }, 'date=2013-03-14T12:00:00+02:00'),
  ).toBe(true);
});
