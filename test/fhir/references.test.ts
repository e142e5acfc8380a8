import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { bucketOf, isId, newId, newVersion } from '../../server/fhir/ids.ts';
import { namedPatients } from '../../server/fhir/named-patients.ts';
import { parseReference, referencedType } from '../../server/fhir/references.ts';

const base = 'https://fhir.example.org/fhir';
const patientsNamed = (resource: object) => [...namedPatients(resource, base).ids];

test.each([
  ['Patient/1', { kind: 'local', type: 'Patient', id: '1' }],
  ['Patient/1/_history/2', { kind: 'local', type: 'Patient', id: '1', version: '2' }],
  ['Patient/1#part', { kind: 'local', type: 'Patient', id: '1' }],
  [`${base}/Patient/1`, { kind: 'local', type: 'Patient', id: '1' }],
  ['HTTPS://FHIR.example.org/fhir/Patient/1', { kind: 'local', type: 'Patient', id: '1' }],
  [`${base}/Patient/1/_history/2`, { kind: 'local', type: 'Patient', id: '1', version: '2' }],
  ['https://other.example/fhir/Patient/1', { kind: 'absolute', url: 'https://other.example/fhir/Patient/1', type: 'Patient', id: '1' }],
  [`${base}.evil.example/Patient/1`, { kind: 'absolute', url: `${base}.evil.example/Patient/1`, type: 'Patient', id: '1' }],
  ['http://example.org/ValueSets', { kind: 'absolute', url: 'http://example.org/ValueSets' }],
  ['urn:uuid:4bf7b1f2-7a2a-4d3c-9c42-0d1f2e3a4b5c', { kind: 'urn', urn: 'urn:uuid:4bf7b1f2-7a2a-4d3c-9c42-0d1f2e3a4b5c' }],
  ['#med', { kind: 'contained', id: 'med' }],
  ['Patient?identifier=x|1', { kind: 'unreadable' }],
  ['a/b/Patient/1', { kind: 'unreadable' }],
  ['', { kind: 'unreadable' }],
])('reads %s', (text, expected) => {
  expect(parseReference(text, base)).toEqual(expected);
});

test('tells the type by the URL before Reference.type', () => {
  expect(referencedType({ reference: 'Group/1', type: 'Patient' })).toBe('Group');
  expect(referencedType({ reference: 'urn:uuid:1', type: 'Patient' })).toBe('Patient');
  expect(referencedType({ reference: '#p' })).toBeUndefined();
});

test('names every Patient of a resource, wherever it stands', () => {
  const resource = {
    resourceType: 'Appointment',
    id: 'a',
    contained: [
      { resourceType: 'Patient', id: 'inner', link: [{ other: { reference: 'Patient/from-contained' } }] },
      { resourceType: 'Group', id: 'g', member: [{ entity: { reference: `${base}/Patient/absolute` } }] },
    ],
    extension: [{ url: 'http://x', extension: [{ url: 'y', valueReference: { reference: 'Patient/in-extension/_history/7' } }] }],
    participant: [{ actor: { reference: 'Patient/mother' } }, { actor: { reference: 'Patient/mother' } }, { actor: { reference: '#inner' } }],
    basedOn: [{ reference: 'https://other.example/fhir/Patient/foreign' }, { reference: 'Practitioner/p' }],
  };
  expect(patientsNamed(resource).sort()).toEqual(['absolute', 'from-contained', 'in-extension', 'mother']);
});

test.each([
  'Patient/1',
  ' Patient/1\n',
  './Patient/1',
  '/Patient/1',
  'Patient/1#x',
  'Patient/1/',
  'Patient/1?x=y',
  'Patient/1|2',
  `${base}//Patient/1`,
  'Patient/1/_history/a/b',
])('odd spelling %j still names the Patient: it can only close the resource further', (reference) => {
  expect(patientsNamed({ resourceType: 'Observation', subject: { reference } })).toEqual(['1']);
});

test('a Patient names itself and those it links to; a Bundle names the Patients in it', () => {
  const patient = { resourceType: 'Patient', id: 'me', link: [{ other: { reference: 'Patient/twin' } }] };
  expect(patientsNamed(patient)).toEqual(['me', 'twin']);
  expect(patientsNamed({ resourceType: 'Bundle', entry: [{ resource: patient }] })).toEqual(['me', 'twin']);
  expect(patientsNamed({ resourceType: 'Organization', id: 'o', name: 'Patient/1' })).toEqual([]);
});

test('an id made for a patient tells the bucket of the patient and nothing else', () => {
  const made = Array.from({ length: 200 }, () => newId('pat-1'));
  expect(new Set(made.map((id) => id.slice(2))).size).toBe(200);
  for (const id of made) {
    expect(isId(id)).toBe(true);
    expect(id).toMatch(/^[0-9a-f]{2}[0-9a-z]{25}$/);
    expect(bucketOf('Observation', id)).toBe(bucketOf('Patient', 'pat-1'));
    // A Patient is where its own id says, whoever chose it.
    expect(bucketOf('Patient', id)).toBe(createHash('sha256').update(`Patient/${id}`).digest('hex').slice(0, 2));
  }
});

test('the bucket of every other id is even, and stays what it was', () => {
  const counts = new Map<string, number>();
  for (let i = 0; i < 25_600; i++) counts.set(bucketOf('Observation', `o${i}`), (counts.get(bucketOf('Observation', `o${i}`)) ?? 0) + 1);
  expect(counts.size).toBe(256);
  expect(Math.max(...counts.values())).toBeLessThan(160);
  // Stored with each resource: another function would lose what is there.
  const frozen = ['Patient/pat-1', 'Observation/pat-1', `Observation/A7${'0'.repeat(25)}`, `Observation/a7${'0'.repeat(25)}`, 'Encounter/a7-0'];
  expect(frozen.map((reference) => bucketOf(...(reference.split('/') as [string, string])))).toEqual(['0f', 'b3', '58', 'a7', '87']);
});

test('ids are FHIR ids, new each time', () => {
  const made = new Set(Array.from({ length: 1000 }, () => newId()));
  expect(made.size).toBe(1000);
  for (const id of [...made, newVersion()]) {
    expect(isId(id)).toBe(true);
    expect(id).toMatch(/^[0-9a-z]{25}$/);
  }
  for (const wrong of ['', 'a/b', 'a b', 'ä', 'x'.repeat(65), 'a\n']) expect(isId(wrong), wrong).toBe(false);
});
