/** What the type of a Bundle asks of it, with what keeps the rule and what breaks it. https://hl7.org/fhir/R4/bundle.html */
import { expect, test } from 'vitest';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createCheck } from '../../server/validation/validate.ts';

type Json = Record<string, unknown>;

const { check } = createCheck();
const placesOf = (value: Json): string[] =>
  check({ value: value as ResourceValue, text: '' })
    .filter(({ severity = 'error' }) => severity === 'error')
    .flatMap(({ expression = [] }) => expression);

const basic = (id: string, more: Json = {}): Json => ({ resourceType: 'Basic', id, code: { text: 'x' }, ...more });
const bundle = (type: string, entry: readonly Json[], more: Json = {}): Json => ({ resourceType: 'Bundle', type, entry, ...more });
const entry = (id: string, more: Json = {}): Json => ({ fullUrl: `http://example.org/Basic/${id}`, resource: basic(id), ...more });
const request = { method: 'POST', url: 'Basic' };
const response = { status: '200 OK' };
const composition = {
  resourceType: 'Composition',
  status: 'final',
  type: { text: 'x' },
  date: '2026',
  author: [{ display: 'x' }],
  title: 'x',
};
const header = { resourceType: 'MessageHeader', eventUri: 'urn:x:y', source: { endpoint: 'http://example.org' } };
const document = {
  identifier: { system: 'urn:ietf:rfc:3986', value: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a61' },
  timestamp: '2026-03-04T05:06:07Z',
};

test.each<[string, Json]>([
  ['a collection', bundle('collection', [entry('1'), entry('2')])],
  ['a searchset', bundle('searchset', [entry('1', { search: { mode: 'match' } })], { total: 1 })],
  ['a batch', bundle('batch', [entry('1', { request }), { request: { method: 'DELETE', url: 'Basic/2' } }])],
  ['a response', bundle('transaction-response', [{ response }])],
  ['a history', bundle('history', [entry('1', { request, response }), entry('1', { request, response })], { total: 2 })],
  ['a document', bundle('document', [{ fullUrl: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a61', resource: composition }, entry('1')], document)],
  ['a message', bundle('message', [{ fullUrl: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a61', resource: header }])],
  [
    'two versions',
    bundle(
      'collection',
      ['1', '2'].map((versionId) => ({ fullUrl: 'http://example.org/Basic/1', resource: basic('1', { meta: { versionId } }) })),
    ),
  ],
])('%s is acceptable', (_what, value) => {
  expect(placesOf(value)).toEqual([]);
});

test.each<[string, Json, string]>([
  ['a total', bundle('collection', [entry('1')], { total: 1 }), 'Bundle.total'],
  ['a search outside a searchset', bundle('collection', [entry('1', { search: { mode: 'match' } })]), 'Bundle.entry[0].search'],
  ['a batch without a request', bundle('batch', [entry('1', { request }), entry('2')]), 'Bundle.entry[1].request'],
  ['a collection with a request', bundle('collection', [entry('1', { request })]), 'Bundle.entry[0].request'],
  ['a response without one', bundle('batch-response', [entry('1')]), 'Bundle.entry[0].response'],
  ['a batch with a response', bundle('batch', [entry('1', { request, response })]), 'Bundle.entry[0].response'],
  ['an entry of nothing', bundle('collection', [entry('1'), { fullUrl: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a62' }]), 'Bundle.entry[1]'],
  ['a document that begins otherwise', bundle('document', [entry('1')], document), 'Bundle.entry[0]'],
  ['an empty document', { resourceType: 'Bundle', type: 'document', ...document }, 'Bundle.entry[0]'],
  [
    'a document without identifier',
    bundle('document', [{ fullUrl: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a61', resource: composition }], { timestamp: document.timestamp }),
    'Bundle.identifier',
  ],
  [
    'a document without date',
    bundle('document', [{ fullUrl: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a61', resource: composition }], { identifier: document.identifier }),
    'Bundle.timestamp',
  ],
  ['a message that begins otherwise', bundle('message', [entry('1')]), 'Bundle.entry[0]'],
  ['a fullUrl twice', bundle('collection', [entry('1'), entry('1')]), 'Bundle.entry[1].fullUrl'],
  ['a fullUrl of a version', bundle('collection', [entry('1', { fullUrl: 'http://example.org/Basic/1/_history/2' })]), 'Bundle.entry[0].fullUrl'],
  ['a relative fullUrl', bundle('collection', [entry('1', { fullUrl: 'Basic/1' })]), 'Bundle.entry[0].fullUrl'],
])('%s is refused', (_what, value, place) => {
  expect(placesOf(value)).toContain(place);
});

test('a fullUrl that names another id is said, not refused', () => {
  const value = bundle('collection', [entry('1', { fullUrl: 'http://example.org/Basic/2' })]) as ResourceValue;
  expect(check({ value, text: '' })).toMatchObject([{ severity: 'warning', expression: ['Bundle.entry[0].fullUrl'] }]);
});
