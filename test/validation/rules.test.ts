/** Rules of single types, each with what keeps it and what breaks it, and where. */
import { describe, expect, test } from 'vitest';
import type { Issue } from '../../server/errors.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createCheck } from '../../server/validation/validate.ts';
import { cpuMs } from '../support/cpu-time.ts';

type Json = Record<string, unknown>;

const { check } = createCheck();
const issuesOf = (value: Json): Issue[] => check({ value: value as ResourceValue, text: '' });
const errorsOf = (value: Json): Issue[] => issuesOf(value).filter(({ severity = 'error' }) => severity === 'error');
const placesOf = (value: Json): string[] => errorsOf(value).flatMap(({ expression = [] }) => expression);
const adviceOf = (value: Json): Issue[] => issuesOf(value).filter(({ severity }) => severity !== undefined);

const basic = (id: string): Json => ({ resourceType: 'Basic', id, code: { text: 'x' } });
const patient = (more: Json): Json => ({ resourceType: 'Patient', ...more });
const named = (period: Json): Json => patient({ name: [{ family: 'Wang', period }] });

describe('periods', () => {
  test.each([
    { start: '2026-02-28', end: '2026-02-28' },
    { start: '2026-02', end: '2026' },
    { start: '2026-03', end: '2026-03-01' },
    { start: '2026-03-04T05:00:00+08:00', end: '2026-03-03T22:00:00Z' },
    { start: '2026-03-04', end: '2026-03-03T23:00:00-02:00' },
    { start: '2026-03-04' },
    { end: '2026' },
  ])('%j is in order, or may be', (period) => {
    expect(errorsOf(named(period))).toEqual([]);
  });

  test.each([
    { start: '2026-03-01', end: '2026-02-28' },
    { start: '2026-03', end: '2026-02-28' },
    { start: '2027', end: '2026' },
    { start: '2026-03-04T05:00:00+08:00', end: '2026-03-03T20:59:59Z' },
    { start: '2026-03-04', end: '2026-03-02T00:00:00Z' },
  ])('%j is not', (period) => {
    expect(placesOf(named(period))).toEqual(['Patient.name[0].period.start']);
  });
});

describe('references', () => {
  const observed = (subject: Json, more: Json = {}): Json => ({
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'x' },
    subject,
    ...more,
  });

  test.each([
    { reference: 'Patient/1' },
    { reference: 'Patient/1/_history/2' },
    { reference: 'https://example.org/fhir/Patient/1' },
    { reference: 'https://example.org/somebody' },
    { reference: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a6d' },
    { reference: 'Patient?identifier=http://example.org/ids|1' },
    { reference: 'Patient/1', type: 'Patient' },
    { type: 'Patient', identifier: { value: '1' } },
    { display: 'Somebody' },
  ])('%j can be the subject', (reference) => {
    expect(errorsOf(observed(reference))).toEqual([]);
  });

  test.each([
    [{ reference: 'Medication/1' }, ''],
    [{ reference: 'Medication/1/_history/3' }, ''],
    [{ reference: 'Medication?code=1' }, ''],
    [{ reference: 'https://example.org/fhir/Medication/1' }, ''],
    [{ reference: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a6d', type: 'Medication' }, ''],
    [{ type: 'Medication', display: 'Somebody' }, ''],
    [{ reference: 'Patient/1', type: 'Group' }, '.type'],
    [{ reference: 'Pacient/1' }, '.reference'],
    [{ reference: 'Patient' }, '.reference'],
    [{ reference: 'Patient/a b' }, '.reference'],
    [{ reference: '/Patient/1' }, '.reference'],
    [{ reference: '#nobody' }, '.reference'],
  ])('%j cannot', (reference, step) => {
    expect(placesOf(observed(reference))).toEqual([`Observation.subject${step}`]);
  });

  test('a contained target has its own type', () => {
    const contained = [{ resourceType: 'Medication', id: 'm' }];
    expect(placesOf(observed({ reference: '#m' }, { contained }))).toEqual(['Observation.subject']);
    expect(errorsOf(observed({ reference: '#p' }, { contained: [{ resourceType: 'Patient', id: 'p' }] }))).toEqual([]);
  });

  test('so has another entry of the bundle', () => {
    const bundle = (resource: Json): Json => ({
      resourceType: 'Bundle',
      type: 'collection',
      entry: [
        { fullUrl: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a6d', resource },
        { fullUrl: 'urn:oid:1.2.3', resource: observed({ reference: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a6d' }) },
      ],
    });
    expect(errorsOf(bundle({ resourceType: 'Patient', active: true }))).toEqual([]);
    expect(placesOf(bundle({ resourceType: 'Medication', status: 'active' }))).toEqual(['Bundle.entry[1].resource.subject']);
  });
});

describe('contained resources', () => {
  const holding = (contained: readonly Json[], more: Json = {}): Json => patient({ generalPractitioner: [{ reference: '#gp' }], contained, ...more });
  const gp = { resourceType: 'Practitioner', id: 'gp', active: true };

  test('named by the container, by each other, from an extension, or naming the container', () => {
    expect(errorsOf(holding([gp]))).toEqual([]);
    const role = { resourceType: 'PractitionerRole', id: 'gp', organization: { reference: '#org' } };
    expect(errorsOf(holding([role, { resourceType: 'Organization', id: 'org', name: 'x' }]))).toEqual([]);
    expect(errorsOf(holding([gp, basic('b')], { extension: [{ url: 'http://example.org/x', valueUri: '#b' }] }))).toEqual([]);
    expect(errorsOf(holding([gp, { ...basic('b'), subject: { reference: '#' } }]))).toEqual([]);
  });

  test.each([
    ['named by nobody', [gp, basic('b')], 'Patient.contained[1]'],
    ['without an id', [gp, { resourceType: 'Basic', code: { text: 'x' } }], 'Patient.contained[1]'],
    ['with the id of another', [gp, { ...gp }], 'Patient.contained[1].id'],
    ['holding others', [{ ...gp, contained: [basic('b')] }], 'Patient.contained[0].contained'],
    ['with a version', [{ ...gp, meta: { versionId: '1' } }], 'Patient.contained[0].meta.versionId'],
    ['with a time of change', [{ ...gp, meta: { lastUpdated: '2026-03-04T05:06:07Z' } }], 'Patient.contained[0].meta.lastUpdated'],
    ['with labels', [{ ...gp, meta: { security: [{ system: 'http://example.org', code: 'R' }] } }], 'Patient.contained[0].meta.security'],
  ])('%s: refused', (_what, contained, place) => {
    expect(placesOf(holding(contained))).toContain(place);
  });
});

describe('extensions', () => {
  const extended = (extension: Json): Json => patient({ extension: [extension] });

  test('the parts of a complex extension have short urls', () => {
    expect(errorsOf(extended({ url: 'http://example.org/x', extension: [{ url: 'part', valueString: 'y' }] }))).toEqual([]);
    expect(errorsOf(extended({ url: 'urn:oid:1.2.3', valueString: 'y' }))).toEqual([]);
    expect(
      errorsOf(extended({ url: 'http://example.org/x', _valueString: { extension: [{ url: 'http://example.org/why', valueCode: 'z' }] } })),
    ).toEqual([]);
  });

  test.each([
    [{ url: 'race', valueString: 'y' }, 'Patient.extension[0].url'],
    [{ valueString: 'y' }, 'Patient.extension[0].url'],
    [{ url: 'http://example.org/x' }, 'Patient.extension[0]'],
    [{ url: 'http://example.org/x', valueString: 'y', extension: [{ url: 'part', valueString: 'y' }] }, 'Patient.extension[0]'],
    [{ url: 'http://example.org/x', valueString: 'y', valueCode: 'z' }, 'Patient.extension[0].value'],
    [{ url: 'http://example.org/x', valueThing: 'y' }, 'Patient.extension[0].valueThing'],
  ])('%j is refused', (extension, place) => {
    expect(placesOf(extended(extension))).toContain(place);
  });

  test('of a value that is text', () => {
    expect(errorsOf(patient({ _birthDate: { extension: [{ url: 'http://example.org/x', valueCode: 'unknown' }] } }))).toEqual([]);
    expect(placesOf(patient({ _birthDate: { extension: [{ url: 'x', valueCode: 'unknown' }] } }))).toEqual(['Patient.birthDate.extension[0].url']);
    expect(placesOf(patient({ _birthDate: 'x' }))).toEqual(['Patient.birthDate']);
    expect(placesOf(patient({ _birthDate: {} }))).toEqual(['Patient.birthDate']);
    expect(placesOf(patient({ _name: [{ id: 'a' }] }))).toEqual(['Patient.name']);
  });

  test('a modifier that the server does not know is said, not refused', () => {
    const value = patient({ modifierExtension: [{ url: 'http://example.org/not', valueBoolean: true }] });
    expect(errorsOf(value)).toEqual([]);
    expect(adviceOf(value)).toMatchObject([{ severity: 'warning', code: 'extension', expression: ['Patient.modifierExtension[0]'] }]);
  });
});

describe('lists of primitives', () => {
  const lines = (more: Json): Json => patient({ address: [more] });
  const why = { extension: [{ url: 'http://example.org/x', valueCode: 'y' }] };

  test.each([{ line: ['a', 'b'], _line: [null, why] }, { line: ['a', null], _line: [null, why] }, { _line: [why] }])('%j aligns', (address) => {
    expect(errorsOf(lines(address))).toEqual([]);
  });

  test.each([
    [{ line: ['a', null] }, 'Patient.address[0].line[1]'],
    [{ line: ['a', null], _line: [why, null] }, 'Patient.address[0].line[1]'],
    [{ line: ['a'], _line: [null, why] }, 'Patient.address[0].line'],
    [{ line: ['a', 'b', 'c'], _line: [null, why] }, 'Patient.address[0].line'],
    [{ _line: [null, why] }, 'Patient.address[0].line[0]'],
    [{ line: 'a', _line: [why] }, 'Patient.address[0].line'],
  ])('%j does not', (address, place) => {
    expect(placesOf(lines(address))).toContain(place);
  });
});

describe('codes', () => {
  const condition = (clinicalStatus: Json): Json => ({ resourceType: 'Condition', subject: { reference: 'Patient/1' }, clinicalStatus });
  const system = 'http://terminology.hl7.org/CodeSystem/condition-clinical';

  test('one coding of a required value set is enough, text is not', () => {
    expect(
      errorsOf(
        condition({
          coding: [
            { system: 'http://example.org', code: 'x' },
            { system, code: 'active' },
          ],
        }),
      ),
    ).toEqual([]);
    expect(errorsOf(condition({ coding: [{ system, code: 'nonsense' }] }))).toMatchObject([
      { code: 'code-invalid', expression: ['Condition.clinicalStatus'] },
    ]);
    expect(placesOf(condition({ coding: [{ system: 'http://example.org', code: 'active' }] }))).toEqual(['Condition.clinicalStatus']);
    expect(placesOf(condition({ text: 'active' }))).toEqual(['Condition.clinicalStatus']);
  });

  test('an answer names the codes of a short set', () => {
    expect(errorsOf(patient({ gender: 'woman' }))).toMatchObject([{ diagnostics: expect.stringContaining('female, male, other, unknown') }]);
  });

  test('outside an extensible value set is a warning; a system not on board is said', () => {
    const marital = (code: string): Json =>
      patient({ maritalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-MaritalStatus', code }] } });
    expect(issuesOf(marital('M'))).toEqual([]);
    expect(issuesOf(marital('nonsense'))).toMatchObject([{ severity: 'warning', code: 'code-invalid', expression: ['Patient.maritalStatus'] }]);
    const photo = patient({ photo: [{ contentType: 'jpeg', data: 'QUJD' }] });
    expect(issuesOf(photo)).toMatchObject([{ severity: 'information', code: 'not-supported', expression: ['Patient.photo[0].contentType'] }]);
    expect(issuesOf(patient({ photo: [{ contentType: 'image/jpeg', data: 'QUJD' }] }))).toEqual([]);
  });

  test('advice comes after errors and never crowds them out', () => {
    const photo = Array.from({ length: 300 }, () => ({ contentType: 'jpeg', data: 'QUJD' }));
    const issues = issuesOf(patient({ photo, zzz: 1, contact: [{ gender: 'x' }] }));
    expect(issues).toHaveLength(200);
    expect(issues.slice(0, 2).map(({ severity, expression }) => [severity, ...(expression ?? [])])).toEqual([
      [undefined, 'Patient.zzz'],
      [undefined, 'Patient.contact[0].gender'],
    ]);
  });
});

describe('ids of elements and languages', () => {
  test('an id stands once in a resource; what is contained has its own', () => {
    const contained = [{ resourceType: 'Basic', id: 'b', code: { id: 'a', text: 'x' }, subject: { reference: '#' } }];
    expect(
      errorsOf(
        patient({
          name: [
            { id: 'a', text: 'x' },
            { id: 'b', text: 'y' },
          ],
          contained,
        }),
      ),
    ).toEqual([]);
    expect(placesOf(patient({ name: [{ id: 'a', text: 'x' }], address: [{ id: 'a', text: 'y' }] }))).toEqual(['Patient.address[0].id']);
    expect(placesOf(patient({ name: [{ id: 'a b', text: 'x' }] }))).toEqual(['Patient.name[0].id']);
  });

  test('a language is a language tag', () => {
    expect(errorsOf(patient({ language: 'de-CH' }))).toEqual([]);
    expect(errorsOf(patient({ language: 'de_CH' }))).toMatchObject([{ code: 'code-invalid', expression: ['Patient.language'] }]);
  });
});

describe('systems, URIs and attachments', () => {
  const identified = (identifier: Json): Json => patient({ identifier: [identifier] });

  test.each([
    identified({ system: 'urn:oid:1.2.840.1', value: 'x' }),
    identified({ system: 'urn:ietf:rfc:3986', value: 'urn:uuid:87e11d66-c137-458a-9754-fe6c4e445a6d' }),
    patient({ meta: { profile: ['urn:oid:1.2.840.1|2'] }, implicitRules: 'urn:x:y' }),
    patient({ photo: [{ contentType: 'text/plain', data: 'QUJD RA==', size: 4 }] }),
    patient({ photo: [{ contentType: 'text/plain', url: 'http://example.org', size: 4 }] }),
  ])('%j is acceptable', (value) => {
    expect(errorsOf(value)).toEqual([]);
  });

  test.each<[Json, string]>([
    [identified({ system: 'mrn', value: 'x' }), 'Patient.identifier[0].system'],
    [identified({ system: 'urn:oid:1.02', value: 'x' }), 'Patient.identifier[0].system'],
    [identified({ system: 'urn:uuid:87e11d66', value: 'x' }), 'Patient.identifier[0].system'],
    [patient({ maritalStatus: { coding: [{ system: 'marital', code: 'M' }] } }), 'Patient.maritalStatus.coding[0].system'],
    [patient({ photo: [{ contentType: 'text/plain', data: 'QUJDRA==', size: 5 }] }), 'Patient.photo[0].size'],
  ])('%j is refused', (value, place) => {
    expect(placesOf(value)).toEqual([place]);
  });
});

describe('elements that only the library has', () => {
  test.each([
    patient({ meta: { project: 'x' } }),
    patient({ meta: { author: { reference: 'Practitioner/1' } } }),
    { resourceType: 'Binary', contentType: 'text/plain', url: 'http://example.org' },
    { resourceType: 'ResearchStudy', status: 'active', label: [{ value: 'x' }] },
    patient({ generalPractitioner: [{ reference: 'Practitioner/1', resource: { resourceType: 'Practitioner' } }] }),
  ])('are refused: %j', (value) => {
    expect(errorsOf(value)).toMatchObject([{ diagnostics: 'R4 has no such element here.' }]);
  });
});

describe('definitions', () => {
  const codes = (concept: readonly Json[]): Json => ({ resourceType: 'CodeSystem', status: 'active', content: 'complete', concept });

  test('a code stands once in a code system, at any depth', () => {
    expect(errorsOf(codes([{ code: 'a', concept: [{ code: 'b' }] }, { code: 'c' }]))).toEqual([]);
    expect(placesOf(codes([{ code: 'a', concept: [{ code: 'b' }] }, { code: 'b' }]))).toHaveLength(1);
    expect(placesOf(codes([{ code: 'a' }, { code: 'a' }]))).toEqual(['CodeSystem.concept[1].code']);
  });

  test('so many that comparing each with each would take minutes', () => {
    const many = codes(Array.from({ length: 50_000 }, (_, i) => ({ code: `c${i}` })));
    expect(cpuMs(() => expect(errorsOf(many)).toEqual([]))).toBeLessThan(5000);
  });

  const structure = (part: string, element: readonly Json[], more: Json = {}): Json => ({
    resourceType: 'StructureDefinition',
    url: 'http://example.org/StructureDefinition/x',
    name: 'X',
    status: 'active',
    kind: 'resource',
    abstract: false,
    type: 'Patient',
    baseDefinition: 'http://hl7.org/fhir/StructureDefinition/Patient',
    derivation: 'constraint',
    [part]: { element },
    ...more,
  });
  const element = (path: string, id = path): Json => ({ id, path });

  test('the elements of a structure have ids of their own and paths below its type', () => {
    expect(
      errorsOf(structure('differential', [element('Patient'), element('Patient.name'), element('Patient.name', 'Patient.name:official')])),
    ).toEqual([]);
    expect(placesOf(structure('differential', [element('Patient'), { path: 'Patient.name' }]))).toContain(
      'StructureDefinition.differential.element[1].id',
    );
    expect(placesOf(structure('differential', [element('Patient'), element('Patient.name', 'Patient')]))).toEqual([
      'StructureDefinition.differential.element[1].id',
    ]);
    expect(placesOf(structure('differential', [element('Patient'), element('Group.name')]))).toEqual([
      'StructureDefinition.differential.element[1].path',
    ]);
    expect(placesOf(structure('differential', [element('Group')]))).toEqual(['StructureDefinition.differential.element[0].path']);
  });
});
