import { describe, expect, test } from 'vitest';
import { readBundle } from '../../server/fhir/bundle.ts';
import { bucketOf } from '../../server/fhir/ids.ts';
import { newIdFor, newIds } from '../../server/fhir/new-ids.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';

const base = 'https://fhir.example.org/fhir';
const home = bucketOf('Patient', 'one');
const MADE = /^[0-9a-f]{2}[0-9a-z]{25}$/;
const PLAIN = /^[0-9a-z]{25}$/;

describe('the id of a new resource', () => {
  const made = newIdFor({ resourceType: 'Observation', subject: { reference: 'Patient/one' } }, base);

  test.each<readonly [string, ResourceValue]>([
    ['its only patient, however referred to', { resourceType: 'Observation', subject: { reference: `${base}/Patient/one` } }],
    ['its only patient, named twice', { resourceType: 'Consent', patient: { reference: 'Patient/one' }, performer: [{ reference: 'Patient/one' }] }],
    ['what it tells of', { resourceType: 'Provenance', target: [{ reference: `Observation/${made}` }] }],
    [
      'what it tells of, and the patient',
      { resourceType: 'Provenance', target: [{ reference: `Observation/${made}/_history/1` }, { reference: 'Patient/one' }] },
    ],
  ])('is in the bucket of %s', (_, value) => {
    const id = newIdFor(value, base);
    expect(id).toMatch(MADE);
    expect(bucketOf(value.resourceType, id)).toBe(home);
  });

  test.each<readonly [string, ResourceValue]>([
    ['a Patient, whatever id was sent with it', { resourceType: 'Patient', id: 'one' }],
    ['what names nobody', { resourceType: 'Organization', name: 'one' }],
    ['what names two', { resourceType: 'Observation', subject: { reference: 'Patient/one' }, performer: [{ reference: 'Patient/two' }] }],
    ['what names someone elsewhere', { resourceType: 'Observation', subject: { reference: 'https://other.example.org/Patient/one' } }],
    ['what tells of several records', { resourceType: 'Provenance', target: [{ reference: `Observation/${made}` }, { reference: 'Patient/two' }] }],
    ['what is odd', { resourceType: 'Provenance', target: [null, 3, {}, { reference: '' }] }],
  ])('tells nothing for %s', (_, value) => {
    expect(newIdFor(value, base)).toMatch(PLAIN);
  });
});

describe('ids in a transaction', () => {
  const entry = (fullUrl: string | undefined, resource: object, method = 'POST', url = (resource as ResourceValue).resourceType) => ({
    ...(fullUrl !== undefined && { fullUrl }),
    resource,
    request: { method, url },
  });
  const idsOf = (entries: readonly object[], matched = new Map<number, string>(), links = new Map<string, string>()) => {
    const value = { resourceType: 'Bundle', type: 'transaction', entry: entries };
    return newIds(readBundle({ value, text: JSON.stringify(value) }), { matched, links, base });
  };
  const observation = (reference: string) => ({ resourceType: 'Observation', subject: { reference } });

  test('follow the patient created in the same transaction, wherever it stands in it; what tells of them follows too', () => {
    const provenance = { resourceType: 'Provenance', target: [{ reference: 'urn:uuid:o' }] };
    const ids = idsOf([
      entry(undefined, provenance),
      entry('urn:uuid:o', observation('urn:uuid:p')),
      entry('urn:uuid:p', { resourceType: 'Patient' }),
    ]);
    const [told, observed, patient] = [0, 1, 2].map((at) => ids.get(at) ?? '');
    expect(patient).toMatch(PLAIN);
    const expected = bucketOf('Patient', patient ?? '');
    expect(bucketOf('Observation', observed ?? '')).toBe(expected);
    expect(bucketOf('Provenance', told ?? '')).toBe(expected);
  });

  test('follow a patient that is put, one that was there, and one found by a condition', () => {
    const put = { ...entry('urn:uuid:put', { resourceType: 'Patient', id: 'one' }, 'PUT', 'Patient/one') };
    expect(bucketOf('Observation', idsOf([entry(undefined, observation('urn:uuid:put')), put]).get(0) ?? '')).toBe(home);
    const there = entry('urn:uuid:there', { resourceType: 'Patient' });
    const matched = idsOf([entry(undefined, observation('urn:uuid:there')), there], new Map([[1, 'one']]));
    expect(matched.get(1)).toBe('one');
    expect(bucketOf('Observation', matched.get(0) ?? '')).toBe(home);
    const links = new Map([['Patient?identifier=1', 'Patient/one']]);
    expect(bucketOf('Observation', idsOf([entry(undefined, observation('Patient?identifier=1'))], new Map(), links).get(0) ?? '')).toBe(home);
  });

  test('are made for creates alone', () => {
    const entries = [{ request: { method: 'DELETE', url: 'Patient/1' } }, { request: { method: 'GET', url: 'Patient/1' } }];
    expect([...idsOf(entries)]).toEqual([]);
    expect([...idsOf([entry(undefined, { resourceType: 'Patient', id: 'one' }, 'PUT', 'Patient/one')])]).toEqual([]);
  });
});
