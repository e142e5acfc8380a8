import { expect, test } from 'vitest';
import { indexKeys } from '../../server/search/index-values.ts';
import { planSearch } from '../../server/search/plan.ts';
import { parseSearch } from '../../server/search/parse.ts';
import { comparePositions, type KeyOrder, positionOf } from '../../server/store/key-order.ts';

const options = { handling: 'strict', base: 'https://here/fhir', now: 0 } as const;

function sorted(sort: string, resources: readonly { readonly id: string; readonly [element: string]: unknown }[], type: string): string[] {
  const { order } = planSearch(parseSearch(type, `_sort=${sort}`, options));
  const places = resources.map(({ id, ...rest }) => positionOf(id, indexKeys({ resourceType: type, ...rest }, options.base).keys, order as KeyOrder));
  return places.sort(comparePositions(order as KeyOrder, false)).map(({ id }) => id);
}

const people = [
  { id: 'a', name: [{ family: 'Zorn' }, { family: 'Abel' }], birthDate: '1990-05', gender: 'male', meta: { lastUpdated: '2020-01-01T00:00:00Z' } },
  { id: 'b', name: [{ family: 'Änd' }], birthDate: '1990', gender: 'female', meta: { lastUpdated: '2021-01-01T00:00:00Z' } },
  { id: 'c', name: [{ family: 'Mahler' }], gender: 'male', meta: { lastUpdated: '2019-01-01T00:00:00Z' } },
];

test.each([
  ['family', 'a,b,c', 'the least of several, accents folded'],
  ['-family', 'a,c,b', 'the greatest of several'],
  ['birthdate', 'b,a,c', 'by the beginning, missing last'],
  ['-birthdate', 'b,a,c', 'by the end, missing last'],
  ['gender,-_id', 'b,c,a', 'by id among equals'],
  ['-gender,-_lastUpdated', 'a,c,b', 'directions mixed'],
  ['-_id', 'c,b,a', 'by id alone'],
  ['-birthdate,family', 'b,a,c', 'what comes first decides'],
])('_sort=%s: %s (%s)', (sort, expected) => expect(sorted(sort, people, 'Patient').join()).toBe(expected));

test('numbers, quantities and ranges of them, references and URIs are sorted by value', () => {
  const quantity = [9, 10, -2].map((value, i) => ({ id: `q${i}`, valueQuantity: { value, unit: 'mg' }, subject: { reference: `Patient/${3 - i}` } }));
  expect(sorted('value-quantity', quantity, 'Observation')).toEqual(['q2', 'q0', 'q1']);
  expect(sorted('-value-quantity', quantity, 'Observation')).toEqual(['q1', 'q0', 'q2']);
  expect(sorted('subject', quantity, 'Observation')).toEqual(['q2', 'q1', 'q0']);
  const risks = [0.5, 0.25].map((probabilityDecimal, i) => ({ id: `n${i}`, prediction: [{ probabilityDecimal }] }));
  expect(sorted('probability', risks, 'RiskAssessment')).toEqual(['n1', 'n0']);
  const onsets = [
    { id: 'o1', onsetRange: { low: { value: 10 }, high: { value: 40 } } },
    { id: 'o2', onsetAge: { value: 20 } },
    { id: 'o3', onsetRange: { low: { value: 20 }, high: { value: 30 } } },
    { id: 'o4', onsetString: 'young' },
    { id: 'o5', onsetRange: { high: { value: 5 } } },
  ];
  expect(sorted('onset-age', onsets, 'Condition')).toEqual(['o5', 'o1', 'o2', 'o3', 'o4']);
  expect(sorted('-onset-age', onsets, 'Condition')).toEqual(['o1', 'o3', 'o2', 'o5', 'o4']);
  const urls = ['urn:b', 'urn:a'].map((url, i) => ({ id: `u${i}`, url }));
  expect(sorted('url', urls, 'ValueSet')).toEqual(['u1', 'u0']);
});

test.each([
  ['near', 'Location'],
  ['combo-code-value-quantity', 'Observation'],
  ['subject.name', 'Observation'],
  ['', 'Observation'],
  ['date,date,date,date,date,date,date', 'Observation'],
])('_sort=%s is refused by name', (sort, type) => {
  expect(() => parseSearch(type, `_sort=${sort}`, options)).toThrow(/"_sort"/);
  expect(parseSearch(type, `_sort=${sort}`, { ...options, handling: 'lenient' })).toMatchObject({ sort: undefined, warnings: { length: 1 } });
});
