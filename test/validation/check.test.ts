import { expect, test } from 'vitest';
import { parseDocument } from '../../server/fhir/json.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createCheck } from '../../server/validation/validate.ts';

const { check } = createCheck();
const issuesOf = (value: unknown) => check({ value: value as ResourceValue, text: JSON.stringify(value) });
const errorsOf = (value: unknown) => issuesOf(value).filter(({ severity = 'error' }) => severity === 'error');
const places = (value: unknown) => errorsOf(value).flatMap(({ expression = [] }) => expression);

const patient = {
  resourceType: 'Patient',
  id: 'p-1',
  text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml"><p>Wang <a href="#x">Xiulan</a></p></div>' },
  name: [{ family: 'Wang', given: ['Xiulan', null], _given: [null, { extension: [{ url: 'http://example.org/x', valueBoolean: true }] }] }],
  gender: 'female',
  birthDate: '1956-02-29',
  contact: [{ name: { text: 'A friend' } }],
  generalPractitioner: [{ reference: '#gp' }],
  contained: [{ resourceType: 'Practitioner', id: 'gp', active: true }],
};
const observation = {
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '29463-7' }], text: 'Body\u00a0weight' },
  subject: { reference: 'Patient/p-1' },
  effectiveDateTime: '2026-03-04T05:06:07+08:00',
  valueQuantity: { value: 61.5, unit: 'kg', system: 'http://unitsofmeasure.org', code: 'kg' },
};
const binary = { resourceType: 'Binary', contentType: 'text/plain', data: 'aGVs\n bG8=' };

test.each([
  ['Patient', patient],
  ['Observation', observation],
  ['Binary with white space in base64', binary],
  ['Consent', { resourceType: 'Consent', status: 'active', scope: { text: 'privacy' }, category: [{ text: 'x' }], policyRule: { text: 'opt-in' } }],
  [
    'ExampleScenario with an element called resourceType',
    { resourceType: 'ExampleScenario', status: 'draft', instance: [{ resourceId: 'a', resourceType: 'Patient' }] },
  ],
  ['Bundle', { resourceType: 'Bundle', type: 'collection', entry: [{ fullUrl: 'http://example.org/Patient/p-1', resource: patient }] }],
  ['Parameters', { resourceType: 'Parameters', parameter: [{ name: 'consent', resource: patient }] }],
  ['a profile not on board', { ...patient, meta: { profile: ['http://example.org/StructureDefinition/unknown'] } }],
])('%s is accepted', (_what, value) => {
  expect(errorsOf(value)).toEqual([]);
});

const bad: [string, unknown, string][] = [
  ['a wrong type', { ...patient, active: 'yes' }, 'Patient.active'],
  ['a decimal as string', { ...observation, valueQuantity: { value: '61.5' } }, 'Observation.value.ofType(Quantity).value'],
  ['a number where an object belongs', { ...observation, subject: 7 }, 'Observation.subject'],
  ['a number in a list of objects', { ...patient, name: [7] }, 'Patient.name[0]'],
  ['a narrative that is a number', { ...patient, text: { status: 'generated', div: 7 } }, 'Patient.text.div'],
  ['an object where an array belongs', { ...patient, name: { family: 'Wang' } }, 'Patient.name'],
  ['an array where one value belongs', { ...patient, gender: ['female'] }, 'Patient.gender'],
  ['a missing required element', { resourceType: 'Observation', status: 'final' }, 'Observation.code'],
  ['a missing required primitive', { resourceType: 'Observation', code: { text: 'x' } }, 'Observation.status'],
  ['a code outside its required binding', { ...observation, status: 'finished' }, 'Observation.status'],
  ['an unknown element', { ...patient, nickname: 'x' }, 'Patient.nickname'],
  ['an unknown element deep down', { ...patient, contact: [{ name: { text: 'x', nick: 'y' } }] }, 'Patient.contact[0].name.nick'],
  ['an element of another version', { ...patient, animal: { species: { text: 'x' } } }, 'Patient.animal'],
  ['a bad id', { ...patient, id: 'a b' }, 'Patient.id'],
  ['a long id', { ...patient, id: 'a'.repeat(65) }, 'Patient.id'],
  ['a bad id of a contained resource', { ...patient, contained: [{ resourceType: 'Practitioner', id: 'a/b' }] }, 'Patient.contained[0].id'],
  ['a contained resource without type', { ...patient, contained: [{ id: 'gp' }] }, 'Patient.contained[0].resourceType'],
  ['a dateTime with time but no zone', { ...observation, effectiveDateTime: '2026-03-04T05:06:07' }, 'Observation.effective.ofType(dateTime)'],
  ['a date that does not exist', { ...patient, birthDate: '1957-02-29' }, 'Patient.birthDate'],
  ['a date with a time', { ...patient, birthDate: '1957-02-28T00:00:00Z' }, 'Patient.birthDate'],
  ['an empty string', { ...patient, name: [{ family: '' }] }, 'Patient.name[0].family'],
  ['an empty uri', { ...observation, implicitRules: '' }, 'Observation.implicitRules'],
  ['a blank string', { ...patient, name: [{ family: '  ' }] }, 'Patient.name[0].family'],
  ['an empty array', { ...patient, address: [] }, 'Patient.address'],
  ['an empty object', { ...patient, maritalStatus: {} }, 'Patient.maritalStatus'],
  ['a null', { ...patient, gender: null }, 'Patient.gender'],
  ['a null in a list without a twin', { ...patient, name: [{ given: ['a', null] }] }, 'Patient.name[0].given[1]'],
  ['two types of a choice', { ...observation, valueString: 'x' }, 'Observation.value'],
  ['a fraction in an integer', { ...patient, multipleBirthInteger: 1.5 }, 'Patient.multipleBirth.ofType(integer)'],
  [
    'a period that ends before it starts',
    { ...patient, name: [{ period: { start: '2026-02', end: '2026-01-31' } }] },
    'Patient.name[0].period.start',
  ],
  ['a quantity code without system', { ...observation, valueQuantity: { value: 1, code: 'kg' } }, 'Observation.value.ofType(Quantity)'],
  ['an attachment without type', { ...patient, photo: [{ data: 'aGVsbG8=' }] }, 'Patient.photo[0]'],
  ['base64 with other characters', { ...binary, data: 'aGVs?G8=' }, 'Binary.data'],
  ['base64 of a wrong length', { ...binary, data: 'aGVsbG8' }, 'Binary.data'],
  ['a broken invariant', { ...patient, contact: [{ gender: 'male' }] }, 'Patient.contact[0]'],
  [
    'an extension with value and extensions',
    { ...patient, extension: [{ url: 'http://x', valueCode: 'a', extension: [{ url: 'b', valueCode: 'c' }] }] },
    'Patient.extension[0]',
  ],
  ['a reference to nothing contained', { ...patient, generalPractitioner: [{ reference: '#nobody' }] }, 'Patient.generalPractitioner[0].reference'],
  ['a script in the narrative', { ...patient, text: { status: 'generated', div: '<div><script>alert(1)</script></div>' } }, 'Patient.text.div'],
  ['an unknown type', { resourceType: 'Pacient' }, 'resourceType'],
  ['a data type as resource', { resourceType: 'HumanName', family: 'x' }, 'resourceType'],
  ['the name of an object property as type', { resourceType: 'constructor' }, 'resourceType'],
  ['an unknown type inside', { ...patient, contained: [{ resourceType: 'Pacient' }] }, 'Patient.contained[0]'],
  [
    'a bad entry of a bundle',
    { resourceType: 'Bundle', type: 'collection', entry: [{ resource: { ...patient, active: 1 } }] },
    'Bundle.entry[0].resource.active',
  ],
];

test.each(bad)('%s is refused at its place', (_what, value, place) => {
  expect(places(value)).toContain(place);
});

test('a fullUrl is unique and names no version', () => {
  const entry = (fullUrl: string) => ({ fullUrl, resource: { resourceType: 'Basic', code: { text: 'x' } } });
  const bundle = (...urls: string[]) => ({ resourceType: 'Bundle', type: 'collection', entry: urls.map(entry) });
  expect(places(bundle('http://x.org/Basic/1', 'http://x.org/Basic/2'))).toEqual([]);
  expect(issuesOf(bundle('http://x.org/Basic/1', 'http://x.org/Basic/1'))).not.toEqual([]);
  expect(issuesOf(bundle('http://x.org/Basic/1/_history/2'))).not.toEqual([]);
});

test('every issue has a place and words, and no issue repeats what was sent', () => {
  const secret = 'SECRET-4711';
  const values = [
    { ...patient, active: secret, gender: secret, birthDate: secret, id: `${secret} x`, [`${secret} key`]: 1, contact: [{ [secret]: secret }] },
    { ...observation, status: secret, effectiveDateTime: secret, subject: { reference: `#${secret}` } },
    { ...observation, subject: { reference: `#${secret}` }, valueString: secret },
    { ...patient, text: { status: 'generated', div: `<div><${secret}/></div>` } },
    { ...binary, data: `${secret}?` },
    { resourceType: secret },
  ];
  for (const value of values) {
    const issues = issuesOf(value);
    expect(issues.length).toBeGreaterThan(0);
    expect(JSON.stringify(issues)).not.toContain(secret);
    for (const issue of issues) {
      expect(issue.diagnostics).toMatch(/^[A-Z].*\.$/s);
      expect(issue.expression).toHaveLength(1);
    }
  }
});

test('all that is wrong is told, but not without end', () => {
  expect(places({ ...patient, active: 1, gender: 'x', birthDate: 'y' })).toEqual(
    expect.arrayContaining(['Patient.active', 'Patient.gender', 'Patient.birthDate']),
  );
  expect(issuesOf({ ...patient, name: Array.from({ length: 5000 }, () => ({ x: 1 })) })).toHaveLength(200);
  expect(issuesOf({ ...patient, name: Array.from({ length: 5000 }, () => ({})) })).toHaveLength(200);
});

test('no text of numbers is judged differently from its value', () => {
  const document = parseDocument(JSON.stringify(observation).replace('61.5', '61.50e0'), { maxDepth: 64, maxBytes: 1e6 });
  expect(check(document)).toEqual([]);
});
