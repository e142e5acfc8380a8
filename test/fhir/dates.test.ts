import { expect, test } from 'vitest';
import { parseDate, parseStoredDate, rangeOf } from '../../server/fhir/dates.ts';

const iso = (range: { low: number; high: number } | undefined) => range && [new Date(range.low).toISOString(), new Date(range.high).toISOString()];

test.each([
  ['2020', '2020-01-01T00:00:00.000Z', '2020-12-31T23:59:59.999Z'],
  ['2020-02', '2020-02-01T00:00:00.000Z', '2020-02-29T23:59:59.999Z'],
  ['2020-12', '2020-12-01T00:00:00.000Z', '2020-12-31T23:59:59.999Z'],
  ['2020-02-29', '2020-02-29T00:00:00.000Z', '2020-02-29T23:59:59.999Z'],
  ['2020-02-29T10:00', '2020-02-29T10:00:00.000Z', '2020-02-29T10:00:59.999Z'],
  ['2020-02-29T10:00:00+05:30', '2020-02-29T04:30:00.000Z', '2020-02-29T04:30:00.999Z'],
  ['2020-02-29T23:30:00-01:00', '2020-03-01T00:30:00.000Z', '2020-03-01T00:30:00.999Z'],
  ['2020-02-29T10:00:00.12Z', '2020-02-29T10:00:00.120Z', '2020-02-29T10:00:00.120Z'],
  ['0099', '0099-01-01T00:00:00.000Z', '0099-12-31T23:59:59.999Z'],
])('%s covers its whole unit', (text, low, high) => {
  expect(iso(parseDate(text))).toEqual([low, high]);
});

test.each([
  '',
  '20',
  '2020-13',
  '2020-02-30',
  '2019-02-29',
  '2020-00',
  '2020-02-29T24:00:00Z',
  '2020-02-29T10',
  '2020-02-29T10:00:00+99:00',
  '0000',
  'today',
  '2020-1-1',
  '2020 ',
])('%j is no date', (text) => {
  expect(parseDate(text)).toBeUndefined();
});

test('a stored time with seconds is a point: it equals itself written with milliseconds', () => {
  expect(iso(parseStoredDate('2020-02-29T10:00:00Z'))).toEqual(['2020-02-29T10:00:00.000Z', '2020-02-29T10:00:00.000Z']);
  expect(iso(parseStoredDate('2020-02'))?.[1]).toBe('2020-02-29T23:59:59.999Z');
});

test('Periods may be open, Timings count by their outer limits', () => {
  expect(rangeOf({ start: '2020' })?.high).toBe(Number.POSITIVE_INFINITY);
  expect(rangeOf({ end: '2020' })?.low).toBe(Number.NEGATIVE_INFINITY);
  expect(iso(rangeOf({ event: ['2020-03-01', '2019'], repeat: { boundsPeriod: { start: '2018-01-01', end: '2018-02-01' } } }))).toEqual([
    '2018-01-01T00:00:00.000Z',
    '2020-03-01T23:59:59.999Z',
  ]);
  for (const odd of [{}, { start: 5 }, { event: [] }, { repeat: { frequency: 1 } }, { code: { text: 'BID' } }, null, 7, []])
    expect(rangeOf(odd)).toBeUndefined();
});
