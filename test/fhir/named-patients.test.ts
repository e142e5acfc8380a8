/** Who counts as named, by what a Reference says and where it stands. docs/adr/0039-who-is-named.md */
import { describe, expect, it } from 'vitest';
import committed from '../../server/fhir/elements/patient-places.json' with { type: 'json' };
import { namedPatients } from '../../server/fhir/named-patients.ts';
import { buildPatientPlaces, referencesToPatients } from '../support/patient-places.ts';

type Json = Readonly<Record<string, unknown>>;
const base = 'https://here.example/fhir';
/** `unknown`: of whatever kind. */
const named = (resource: Json) => {
  const { ids, unknown, identified } = namedPatients(resource, base);
  return { ids, unknown: unknown || identified.length > 0 };
};
const isUnknown = (type: string, more: Json) => named({ resourceType: type, ...more }).unknown;
const identifier = { system: 'urn:mrn', value: '1' };
const urn = 'urn:uuid:4bf7b1f2-7a2a-4d3c-9c42-0d1f2e3a4b5c';

it('has the places that the R4 definitions say', () => {
  expect(committed).toEqual(buildPatientPlaces());
});

/** A resource with nothing but this Reference at the place. */
function planted(path: string, reference: Json): Json {
  const [type = '', ...steps] = path.replace('[x]', 'Reference').split('.');
  return { resourceType: type, ...steps.reduceRight<Json>((value, step) => ({ [step]: value }), reference) };
}

const everywhere = referencesToPatients().map(({ path }) => path);
const own = new Set(['Patient.link.other', 'Person.link.target']);
const patients = new Set(Object.entries(committed).flatMap(([type, paths]) => paths.map((path) => `${type}.${path}`)));

describe.each(everywhere)('%s', (path) => {
  it('is of a patient of ours, of one who cannot be found, or of something else, as it says', () => {
    expect([...named(planted(path, { reference: 'Patient/1' })).ids]).toEqual(['1']);
    const says = (reference: Json) => named(planted(path, reference)).unknown;
    for (const reference of [
      { type: 'Patient', identifier },
      { type: 'Patient', display: 'Weiss' },
      { type: 'http://hl7.org/fhir/StructureDefinition/Patient', identifier },
      { reference: 'https://there.example/fhir/Patient/1' },
      { reference: urn, type: 'Patient' },
      { reference: 'Patient?identifier=urn:mrn|1' },
    ])
      expect(says(reference), JSON.stringify(reference)).toBe(!own.has(path));
    for (const reference of [
      { type: 'Practitioner', identifier },
      { type: 'RelatedPerson', identifier },
      { type: 'Device', display: 'Weiss' },
      { reference: 'Practitioner/1' },
      { reference: 'RelatedPerson/1', display: 'mother' },
      { reference: 'https://there.example/fhir/Organization/1' },
      { reference: urn, type: 'Organization' },
      { reference: '#inside' },
    ])
      expect(says(reference), JSON.stringify(reference)).toBe(false);
    for (const reference of [
      { identifier },
      { display: 'Weiss' },
      { extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'masked' }] },
      { reference: urn },
      { reference: 'https://there.example/?id=1' },
      { reference: 'Group/1' },
    ])
      expect(says(reference), JSON.stringify(reference)).toBe(patients.has(path));
  });
});

it.each<[what: string, type: string, more: Json, unknown: boolean]>([
  ['whoever took part in a visit is no patient', 'Encounter', { participant: [{ individual: { identifier } }] }, false],
  ['a laboratory by its number', 'Observation', { performer: [{ identifier }, { display: 'Laboratory' }] }, false],
  ['an extension', 'Observation', { extension: [{ url: 'urn:x', valueReference: { identifier } }] }, false],
  ['an extension that says so', 'Observation', { extension: [{ url: 'urn:x', valueReference: { type: 'Patient', identifier } }] }, true],
  ['an author of a note', 'Observation', { note: [{ authorReference: { display: 'Weiss' } }] }, false],
  ['beside a reference an identifier adds nobody', 'Observation', { subject: { reference: 'Patient/1', identifier } }, false],
  ['but beside one that leads elsewhere', 'Observation', { subject: { reference: 'https://there.example/Patient/1', identifier } }, true],
  ['a contained Patient', 'Observation', { contained: [{ resourceType: 'Patient', id: 'p' }], subject: { reference: '#p' } }, true],
  ['a contained device', 'Observation', { contained: [{ resourceType: 'Device', id: 'd' }], subject: { reference: '#d' } }, false],
  ['a contained relative of somebody', 'Observation', { contained: [{ resourceType: 'RelatedPerson', patient: { display: 'x' } }] }, true],
  ['what data is needed is no patient', 'Library', { dataRequirement: [{ type: 'Patient', profile: ['urn:x'] }] }, false],
  ['nor is an example of one', 'ExampleScenario', { instance: [{ resourceId: '1', resourceType: 'Patient' }] }, false],
  ['a Group of them', 'Group', { member: [{ entity: { identifier } }] }, true],
])('%s', (_what, type, more, unknown) => {
  expect(isUnknown(type, more)).toBe(unknown);
});

it('in a Bundle what an entry refers to is looked at in that entry', () => {
  const patient = { resourceType: 'Patient', id: '1' };
  const observation = { resourceType: 'Observation', subject: { reference: urn }, focus: [{ reference: 'https://there.example/Patient/2' }] };
  const document = (...entry: Json[]) => named({ resourceType: 'Bundle', type: 'document', entry });
  const entry = { fullUrl: urn, resource: patient };
  const elsewhere = { fullUrl: 'https://there.example/Patient/2', resource: { ...patient, id: '2' } };
  expect(document(entry, elsewhere, { resource: observation })).toEqual({ ids: new Set(['1', '2']), unknown: false });
  expect(document(entry, { resource: observation }).unknown).toBe(true);
  expect(document({ fullUrl: urn, resource: { resourceType: 'Patient' } }, elsewhere, { resource: observation }).unknown).toBe(true);
});

it('a record names the other records of its person that are here, and nobody by those elsewhere', () => {
  const link = [{ other: { reference: 'Patient/2' } }, { other: { reference: 'https://there.example/Patient/3' } }, { other: { identifier } }];
  expect(named({ resourceType: 'Patient', id: '1', link })).toEqual({ ids: new Set(['1', '2']), unknown: false });
});

it('of somebody named by identifiers, tells which; one without a system is anybody’s', () => {
  const identified = (more: Json) => namedPatients({ resourceType: 'Observation', ...more }, base);
  const other = { system: 'urn:other', value: '2' };
  expect(identified({ subject: { identifier }, focus: [{ type: 'Patient', identifier: other }] })).toMatchObject({
    unknown: false,
    identified: [[identifier], [other]],
  });
  expect(identified({ subject: { reference: 'https://there.example/Patient/1', identifier } })).toMatchObject({
    unknown: false,
    identified: [[identifier]],
  });
  const contained = [{ resourceType: 'Patient', id: 'p', identifier: [identifier, other, { value: '3' }] }];
  expect(identified({ contained, subject: { reference: '#p' } })).toMatchObject({ unknown: false, identified: [[identifier, other]] });
  expect(identified({ subject: { identifier: { value: '1' } } })).toMatchObject({ unknown: true, identified: [] });
  expect(identified({ subject: { type: 'Group', identifier } })).toMatchObject({ unknown: true, identified: [] });
});
