/** Profiles of a package made here: what each kind of rule refuses, where, and what it lets pass. Runs in a fresh clone. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { loadPackages, type Package } from '../../server/validation/packages/package.ts';
import { type Check, createCheck } from '../../server/validation/validate.ts';
import { createValidator } from '../../server/validation/validator.ts';
import { profileOf, writePackage } from '../support/package.ts';

type Json = Record<string, unknown>;

const LOINC = 'http://loinc.org';
const coded = (code: string, system = LOINC) => ({ coding: [{ system, code }] });
const core = (type: string) => `http://hl7.org/fhir/StructureDefinition/${type}`;
const reference = (...types: string[]) => [{ code: 'Reference', targetProfile: types }];
const by = (type: string, path: string) => ({ discriminator: [{ type, path }], rules: 'open' });

const definitions = [
  profileOf('pressure', 'Observation', [
    { id: 'Observation.code', patternCodeableConcept: coded('85354-9') },
    { id: 'Observation.subject', min: 1, type: reference(core('Patient')) },
    {
      id: 'Observation.category',
      min: 1,
      slicing: {
        discriminator: [
          { type: 'value', path: 'coding.code' },
          { type: 'value', path: 'coding.system' },
        ],
        rules: 'open',
      },
    },
    { id: 'Observation.category:vital', min: 1, max: '1' },
    { id: 'Observation.category:vital.coding.code', min: 1, fixedCode: 'vital-signs' },
    { id: 'Observation.category:vital.coding.system', min: 1, fixedUri: 'urn:categories' },
    { id: 'Observation.value[x]', max: '0' },
    { id: 'Observation.component', min: 2, slicing: by('pattern', 'code') },
    { id: 'Observation.component:systolic', min: 1, max: '1' },
    { id: 'Observation.component:systolic.code', patternCodeableConcept: coded('8480-6') },
    { id: 'Observation.component:systolic.valueQuantity.code', min: 1, fixedCode: 'mm[Hg]' },
    { id: 'Observation.component:diastolic', min: 1, max: '1' },
    { id: 'Observation.component:diastolic.code', patternCodeableConcept: coded('8462-4') },
  ]),
  profileOf('choice', 'Observation', [
    { id: 'Observation.value[x]', min: 1, type: [{ code: 'Quantity' }, { code: 'string' }] },
    { id: 'Observation.effective[x]', slicing: { ...by('type', '$this'), rules: 'closed' } },
    { id: 'Observation.effective[x]:effectiveDateTime', min: 1, type: [{ code: 'dateTime' }] },
    { id: 'Observation.issued', fixedInstant: '2026-01-01T00:00:00Z' },
    { id: 'Observation.note', max: '1' },
    { id: 'Observation.interpretation', min: 1, binding: { strength: 'required', valueSet: 'urn:test:vs' } },
    { id: 'Observation.bodySite', binding: { strength: 'extensible', valueSet: 'urn:test:vs' } },
    { id: 'Observation.method', binding: { strength: 'required', valueSet: 'urn:test:not-here' } },
  ]),
  { resourceType: 'ValueSet', url: 'urn:test:vs', compose: { include: [{ system: 'urn:a', concept: [{ code: 'x' }, { code: 'y' }] }] } },
  profileOf('person', 'Patient', [
    {
      id: 'Patient',
      constraint: [
        { key: 'p-1', severity: 'error', human: 'Alive or dead', expression: 'deceased.exists()' },
        { key: 'p-2', severity: 'warning', human: 'Has a photo', expression: 'photo.exists()' },
        { key: 'p-3', severity: 'error', human: 'Beyond us', expression: "name.beyondUs('x')" },
        { key: 'p-4', severity: 'error', human: 'No sentence', expression: 'name.(((' },
      ],
    },
    { id: 'Patient.extension', slicing: by('value', 'url') },
    { id: 'Patient.extension:team', min: 1, max: '1', type: [{ code: 'Extension', profile: ['urn:test:team'] }] },
    { id: 'Patient.identifier', min: 1, slicing: { ...by('value', 'system'), rules: 'openAtEnd', ordered: true } },
    { id: 'Patient.identifier:first', min: 1, max: '1' },
    { id: 'Patient.identifier:first.system', fixedUri: 'urn:first' },
    { id: 'Patient.identifier:second', min: 0, max: '1' },
    { id: 'Patient.identifier:second.system', fixedUri: 'urn:second' },
    { id: 'Patient.telecom', slicing: by('exists', 'rank') },
    { id: 'Patient.telecom:ranked', max: '1' },
    { id: 'Patient.telecom:ranked.rank', min: 1, maxValuePositiveInt: 5 },
    { id: 'Patient.telecom:plain' },
    { id: 'Patient.telecom:plain.rank', max: '0' },
    { id: 'Patient.telecom:plain.value', min: 1, maxLength: 10 },
    { id: 'Patient.birthDate', minValueDate: '1900-01-01' },
    { id: 'Patient.managingOrganization', type: reference('urn:test:clinic') },
  ]),
  profileOf('team', 'Extension', [
    { id: 'Extension.url', fixedUri: 'urn:test:team' },
    { id: 'Extension.value[x]', min: 1, type: [{ code: 'code' }] },
    { id: 'Extension.value[x]', binding: { strength: 'required', valueSet: 'urn:test:vs' } },
  ]),
  profileOf('twins', 'Patient', [
    { id: 'Patient.birthDate', min: 1 },
    { id: 'Patient.birthDate.extension', slicing: by('value', 'url') },
    { id: 'Patient.birthDate.extension:time', min: 1, type: [{ code: 'Extension', profile: [core('patient-birthTime')] }] },
    { id: 'Patient.name.given.extension', max: '0' },
    { id: 'Patient.identifier', slicing: by('value', 'use') },
    { id: 'Patient.identifier:official', min: 1, slicing: by('value', 'system') },
    { id: 'Patient.identifier:official.use', min: 1, fixedCode: 'official' },
    { id: 'Patient.identifier:official/passport', min: 1, max: '1', sliceName: 'official/passport' },
    { id: 'Patient.identifier:official/passport.system', min: 1, fixedUri: 'urn:passport' },
    { id: 'Patient.identifier:official/passport.value', min: 1 },
  ]),
  profileOf('clinic', 'Organization', [
    { id: 'Organization.name', min: 1 },
    { id: 'Organization.partOf', type: reference('urn:test:clinic') },
  ]),
  profileOf('letter', 'Bundle', [
    { id: 'Bundle.type', fixedCode: 'collection' },
    { id: 'Bundle.entry', slicing: { ...by('profile', 'resource'), rules: 'closed' } },
    { id: 'Bundle.entry:clinic', min: 1, max: '1' },
    { id: 'Bundle.entry:clinic.resource', type: [{ code: 'Organization', profile: ['urn:test:clinic'] }] },
    { id: 'Bundle.entry:patient', min: 1 },
    { id: 'Bundle.entry:patient.resource', type: [{ code: 'Patient' }] },
  ]),
  profileOf('form', 'Questionnaire', [
    { id: 'Questionnaire.item.text', min: 1 },
    { id: 'Questionnaire.item.item', contentReference: '#Questionnaire.item' },
  ]),
  profileOf(
    'stricter',
    'Observation',
    [
      { id: 'Observation.component:systolic.valueQuantity', min: 1 },
      { id: 'Observation.component:systolic.interpretation', max: '0' },
    ],
    {
      baseDefinition: 'urn:test:pressure',
    },
  ),
  profileOf('authors', 'Composition', [
    { id: 'Composition.author', slicing: by('type', 'resolve()') },
    { id: 'Composition.author:person', min: 1, max: '1', type: reference(core('Practitioner')) },
  ]),
];

let folder: string;
let packages: readonly Package[];
let check: Check['check'];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assent-profiles-'));
  const old = profileOf('clinic', 'Organization', [{ id: 'Organization.telecom', min: 1 }], { version: '0.9.0' });
  packages = await loadPackages([
    await writePackage(join(folder, 'test.tgz'), definitions),
    await writePackage(join(folder, 'old.tgz'), [old], { name: 'old' }),
  ]);
  ({ check } = createCheck({ packages, unknownProfiles: 'accept' }));
});
afterAll(() => rmSync(folder, { recursive: true }));

const claiming = (profile: string, value: Json): ResourceValue =>
  ({ ...value, meta: { profile: [`urn:test:${profile}`] } }) as unknown as ResourceValue;
const issuesOf = (value: ResourceValue, profiles: readonly string[] = []) => check({ value, text: JSON.stringify(value) }, profiles);
const errorsOf = (value: ResourceValue) => issuesOf(value).filter(({ severity }) => severity === undefined);
const said = (value: ResourceValue) => errorsOf(value).map(({ expression = [], diagnostics }) => `${expression[0]}: ${diagnostics}`);

const component = (code: string, unit = 'mm[Hg]') => ({
  code: coded(code),
  valueQuantity: { value: 120, system: 'http://unitsofmeasure.org', code: unit },
});
const vital = { coding: [{ system: 'urn:categories', code: 'vital-signs' }] };
const pressure: Json = {
  resourceType: 'Observation',
  status: 'final',
  category: [{ text: 'other' }, vital],
  code: {
    coding: [
      { system: 'urn:local', code: 'bp' },
      { system: LOINC, code: '85354-9', display: 'Blood pressure' },
    ],
  },
  subject: { reference: 'Patient/1' },
  component: [component('8480-6'), component('8462-4'), component('8478-0')],
};
const choice: Json = {
  resourceType: 'Observation',
  status: 'final',
  code: { text: 'x' },
  valueString: 'x',
  effectiveDateTime: '2026',
  issued: '2026-01-01T00:00:00Z',
  interpretation: [coded('x', 'urn:a')],
};
const person: Json = {
  resourceType: 'Patient',
  deceasedBoolean: false,
  extension: [
    { url: 'urn:test:team', valueCode: 'x' },
    { url: 'urn:other', valueString: 'y' },
  ],
  identifier: [{ system: 'urn:first' }, { system: 'urn:second' }, { system: 'urn:third' }],
  telecom: [
    { system: 'phone', value: '1', rank: 1 },
    { system: 'phone', value: '2' },
  ],
  managingOrganization: { reference: 'Organization/1' },
};
const twins: Json = {
  resourceType: 'Patient',
  birthDate: '1990-01-01',
  _birthDate: { extension: [{ url: core('patient-birthTime'), valueDateTime: '1990-01-01T10:00:00Z' }] },
  name: [{ given: ['A', null], _given: [null, { id: 'x', extension: [{ url: 'urn:x', valueCode: 'y' }] }] }],
  identifier: [
    { use: 'official', system: 'urn:passport', value: '1' },
    { use: 'official', system: 'urn:other' },
    { use: 'usual', system: 'urn:passport' },
  ],
};
const clinic = { resourceType: 'Organization', name: 'Clinic' };
const letter: Json = {
  resourceType: 'Bundle',
  type: 'collection',
  entry: [{ resource: clinic }, { resource: { resourceType: 'Patient', active: true } }],
};
const form: Json = {
  resourceType: 'Questionnaire',
  status: 'draft',
  item: [{ linkId: '1', type: 'group', text: 'a', item: [{ linkId: '2', type: 'string', text: 'b' }] }],
};
const letterhead: Json = {
  resourceType: 'Composition',
  status: 'final',
  type: { text: 'x' },
  date: '2026',
  title: 'x',
  author: [{ reference: 'Practitioner/1' }, { reference: 'Organization/1' }],
};

test.each([
  ['pressure', pressure],
  ['stricter', pressure],
  ['choice', choice],
  ['person', person],
  ['letter', letter],
  ['form', form],
  ['clinic', clinic],
  ['person', { ...person, managingOrganization: { reference: '#c' }, contained: [{ ...clinic, id: 'c', partOf: { reference: '#c' } }] }],
  ['twins', { ...twins, name: [{ given: ['A'] }] }],
  ['authors', letterhead],
  ['authors', { ...letterhead, author: [{ reference: '#me' }], contained: [{ resourceType: 'Practitioner', id: 'me' }] }],
])('what follows %s passes', (profile, value) => {
  expect(said(claiming(profile, value))).toEqual([]);
});

const label = (profile: string, version = '1.0.0') => `(urn:test:${profile}|${version}).`;

const broken: [string, string, Json, string][] = [
  [
    'a pattern',
    'pressure',
    { ...pressure, code: coded('1') },
    'Observation.code: The profile asks for {"coding":[{"system":"http://loinc.org","code":"85354-9"}]} here',
  ],
  ['a missing element', 'pressure', { ...pressure, subject: undefined }, 'Observation.subject: The profile requires this element'],
  [
    'a target',
    'pressure',
    { ...pressure, subject: { reference: 'Group/1' } },
    'Observation.subject: By the profile: Points to a type that this element does not allow: Patient',
  ],
  ['a prohibited element', 'pressure', { ...pressure, valueString: 'x' }, 'Observation.value: The profile does not allow this element'],
  [
    'a missing slice by two discriminators',
    'pressure',
    { ...pressure, category: [coded('vital-signs', 'urn:else')] },
    'Observation.category: The profile requires the slice vital here',
  ],
  [
    'a slice too often',
    'pressure',
    { ...pressure, category: [vital, vital] },
    'Observation.category: The profile allows at most 1 of the slice vital here',
  ],
  [
    'a missing slice by pattern',
    'pressure',
    { ...pressure, component: [component('8480-6'), component('8478-0')] },
    'Observation.component: The profile requires the slice diastolic here',
  ],
  [
    'too few',
    'pressure',
    { ...pressure, component: [component('8480-6')] },
    'Observation.component: The profile requires at least 2 of this element',
  ],
  [
    'a fixed value inside a slice',
    'pressure',
    { ...pressure, component: [component('8462-4'), component('8480-6', 'kPa')] },
    'Observation.component[1].value.ofType(Quantity).code: The profile fixes this to "mm[Hg]"',
  ],
  [
    'an element missing inside a slice',
    'pressure',
    { ...pressure, component: [component('8462-4'), { ...component('8480-6'), valueQuantity: { value: 1 } }] },
    'Observation.component[1].value.ofType(Quantity).code: The profile requires this element',
  ],
  [
    'a type of a choice',
    'choice',
    { ...choice, valueString: undefined, valueBoolean: true },
    'Observation.value.ofType(boolean): The profile allows only Quantity, string here',
  ],
  ['a missing choice', 'choice', { ...choice, valueString: undefined }, 'Observation.value: The profile requires this element'],
  [
    'a type outside closed slices',
    'choice',
    { ...choice, effectiveDateTime: undefined, effectivePeriod: { start: '2026' } },
    'Observation.effective.ofType(Period): The profile allows only values of its slices here',
  ],
  [
    'a fixed primitive',
    'choice',
    { ...choice, issued: '2027-01-01T00:00:00Z' },
    'Observation.issued: The profile fixes this to "2026-01-01T00:00:00Z"',
  ],
  ['too many', 'choice', { ...choice, note: [{ text: 'a' }, { text: 'b' }] }, 'Observation.note: The profile allows at most 1 of this element'],
  [
    'a code outside a required set',
    'choice',
    { ...choice, interpretation: [coded('z', 'urn:a')] },
    'Observation.interpretation[0]: Must be one of the codes the specification requires here',
  ],
  [
    'text where a code is required',
    'choice',
    { ...choice, interpretation: [{ text: 'x' }] },
    'Observation.interpretation[0]: A code of the required value set must be given; text alone is not enough',
  ],
  ['a constraint', 'person', { ...person, deceasedBoolean: undefined }, 'Patient: Constraint p-1 not met: Alive or dead'],
  [
    'a missing extension',
    'person',
    { ...person, extension: [{ url: 'urn:other', valueString: 'y' }] },
    'Patient.extension: The profile requires the slice team here',
  ],
  [
    'an extension’s type',
    'person',
    { ...person, extension: [{ url: 'urn:test:team', valueString: 'x' }] },
    'Patient.extension[0].value.ofType(string): The profile allows only code here',
  ],
  [
    'an extension’s code',
    'person',
    { ...person, extension: [{ url: 'urn:test:team', valueCode: 'z' }] },
    'Patient.extension[0].value.ofType(code): Must be one of the codes the specification requires here',
  ],
  [
    'the order of slices',
    'person',
    { ...person, identifier: [{ system: 'urn:second' }, { system: 'urn:first' }] },
    'Patient.identifier[1]: The profile asks for another order of its slices',
  ],
  [
    'a slice after the open end',
    'person',
    { ...person, identifier: [{ system: 'urn:third' }, { system: 'urn:first' }] },
    'Patient.identifier[1]: The profile asks for another order of its slices',
  ],
  ['a largest value, by existence', 'person', { ...person, telecom: [{ rank: 6 }] }, 'Patient.telecom[0].rank: The profile allows nothing above 5'],
  [
    'a slice by existence too often',
    'person',
    { ...person, telecom: [{ rank: 1 }, { rank: 2 }] },
    'Patient.telecom: The profile allows at most 1 of the slice ranked here',
  ],
  [
    'a length',
    'person',
    { ...person, telecom: [{ system: 'phone', value: '01234567890' }] },
    'Patient.telecom[0].value: The profile allows at most 10 characters',
  ],
  ['a smallest value', 'person', { ...person, birthDate: '1899-12-31' }, 'Patient.birthDate: The profile allows nothing below "1900-01-01"'],
  [
    'an entry of no slice by profile',
    'letter',
    { ...letter, entry: [...(letter['entry'] as Json[]), { resource: { resourceType: 'Organization', identifier: [{ value: 'no name' }] } }] },
    'Bundle.entry[2]: The profile allows only values of its slices here',
  ],
  [
    'a missing entry by profile',
    'letter',
    { ...letter, entry: [{ resource: { resourceType: 'Patient', active: true } }] },
    'Bundle.entry: The profile requires the slice clinic here',
  ],
  ['an item', 'form', { ...form, item: [{ linkId: '1', type: 'string' }] }, 'Questionnaire.item[0].text: The profile requires this element'],
  [
    'an item of an item of an item',
    'form',
    {
      ...form,
      item: [{ linkId: '1', type: 'group', text: 'a', item: [{ linkId: '2', type: 'group', text: 'b', item: [{ linkId: '3', type: 'string' }] }] }],
    },
    'Questionnaire.item[0].item[0].item[0].text: The profile requires this element',
  ],
  [
    'what a base profile asks',
    'stricter',
    { ...pressure, code: coded('1') },
    'Observation.code: The profile asks for {"coding":[{"system":"http://loinc.org","code":"85354-9"}]} here',
  ],
  [
    'what is added to a slice of the base',
    'stricter',
    { ...pressure, component: [{ code: coded('8480-6') }, component('8462-4')] },
    'Observation.component[0].value.ofType(Quantity): The profile requires this element',
  ],
  [
    'a slice by the type a reference points to',
    'authors',
    { ...letterhead, author: [{ reference: 'Organization/1' }] },
    'Composition.author: The profile requires the slice person here',
  ],
  ['the type itself', 'person', { resourceType: 'Basic', code: { text: 'x' } }, 'Basic: The profile is for Patient'],
  [
    'an extension of a primitive',
    'twins',
    { ...twins, _birthDate: undefined },
    'Patient.birthDate.extension: The profile requires the slice time here',
  ],
  ['an extension of a primitive in a list', 'twins', twins, 'Patient.name[0].given[1].extension: The profile does not allow this element'],
  [
    'a slice of a slice',
    'twins',
    { ...twins, identifier: [{ use: 'official', system: 'urn:other' }] },
    'Patient.identifier: The profile requires the slice passport here',
  ],
  [
    'an element in a slice of a slice',
    'twins',
    { ...twins, identifier: [{ use: 'official', system: 'urn:passport' }] },
    'Patient.identifier[0].value: The profile requires this element',
  ],
  [
    'a contained target',
    'person',
    { ...person, managingOrganization: { reference: '#c' }, contained: [{ resourceType: 'Organization', id: 'c', identifier: [{ value: '1' }] }] },
    'Patient.managingOrganization: The contained resource meets none of the profiles that this element asks for',
  ],
];

test.each(broken)('%s of %s is refused at its place', (_what, profile, value, words) => {
  const plain = JSON.parse(JSON.stringify(claiming(profile, value))) as ResourceValue;
  expect(
    said(plain).some((text) => text.startsWith(words)),
    said(plain).join('\n'),
  ).toBe(true);
  for (const { diagnostics } of errorsOf(plain)) expect(diagnostics).toMatch(/\(urn:test:\w+\|1\.0\.0\)\.$/);
});

describe('what is not an error', () => {
  test('a constraint of severity warning, and one that cannot be evaluated, are said', () => {
    const advice = issuesOf(claiming('person', person)).map(({ severity, diagnostics }) => `${severity} ${diagnostics}`);
    expect(advice).toEqual([
      `warning Constraint p-2 not met: Has a photo ${label('person')}`,
      `information Constraint p-3 was not checked: it uses what this server cannot evaluate ${label('person')}`,
      `information Constraint p-4 was not checked: it uses what this server cannot evaluate ${label('person')}`,
    ]);
  });

  test('a code outside an extensible set warns; a set that is not on board is said', () => {
    const value = claiming('choice', { ...choice, bodySite: coded('z', 'urn:a'), method: coded('q', 'urn:b') });
    const own = issuesOf(value).filter(({ diagnostics }) => diagnostics.includes(label('choice')));
    expect(own.map(({ severity, expression }) => [severity, ...(expression ?? [])])).toEqual([
      ['warning', 'Observation.bodySite'],
      ['information', 'Observation.method'],
    ]);
  });
});

describe('which profile', () => {
  const nameless = { resourceType: 'Organization', identifier: [{ value: '1' }], telecom: [{ system: 'phone', value: '1' }] };

  test('the newest on board, or exactly the version that is named', () => {
    expect(said(claiming('clinic', nameless))).toEqual([`Organization.name: The profile requires this element ${label('clinic')}`]);
    expect(said(claiming('clinic|1.0.0', nameless))).toEqual([`Organization.name: The profile requires this element ${label('clinic')}`]);
    expect(said(claiming('clinic|0.9.0', nameless))).toEqual([]);
    expect(said(claiming('clinic|0.9.0', clinic))).toEqual([`Organization.telecom: The profile requires this element ${label('clinic', '0.9.0')}`]);
  });

  test('one that is not on board: advice by default, an error by setting, and to who asks for it by name', () => {
    const value = claiming('clinic|3.0.0', clinic);
    const words = 'This profile is not on board, so the resource was not checked against it.';
    const place = { expression: ['Organization.meta.profile[0]'], code: 'not-supported', diagnostics: words };
    expect(issuesOf(value)).toEqual([{ ...place, severity: 'warning' }]);
    const strict = createCheck({ packages, unknownProfiles: 'refuse' });
    expect(strict.check({ value, text: '' })).toEqual([place]);
    expect(issuesOf(clinic, ['urn:test:unknown'])).toEqual([{ ...place, expression: ['Organization'] }]);
    expect(issuesOf(value, ['urn:test:clinic|3.0.0'])).toHaveLength(1);
  });

  test('one that is asked for is judged like one that is claimed', () => {
    expect(issuesOf(nameless as ResourceValue)).toEqual([]);
    expect(issuesOf(nameless as ResourceValue, ['urn:test:clinic'])).toMatchObject([{ expression: ['Organization.name'] }]);
  });

  test('the definition of a type is met by what is of the type', () => {
    expect(issuesOf(clinic, [core('Organization')])).toEqual([]);
    expect(issuesOf(clinic, [`${core('Organization')}|4.0.1`])).toEqual([]);
    expect(issuesOf(clinic, [core('Patient')])).not.toEqual([]);
  });

  test('profiles of R4 itself need no package', () => {
    const value = { resourceType: 'Observation', status: 'final', code: { text: 'x' }, meta: { profile: [core('vitalsigns')] } };
    const places = errorsOf(value as unknown as ResourceValue).flatMap(({ expression }) => expression);
    expect(places).toEqual(expect.arrayContaining(['Observation.category', 'Observation.subject', 'Observation.effective']));
  });

  test('extensions are judged by their own definitions, wherever they stand and whatever the resource claims', () => {
    const carrying = (...extension: Json[]) => ({ resourceType: 'Basic', code: { text: 'x', extension } }) as unknown as ResourceValue;
    expect(said(carrying({ url: 'urn:test:team', valueCode: 'x' }, { url: 'urn:nobody', valueCode: 'z' }))).toEqual([]);
    expect(said(carrying({ url: 'urn:test:team', valueString: 'x' }))).toEqual([
      `Basic.code.extension[0].value.ofType(string): The profile allows only code here ${label('team')}`,
    ]);
    const [place] = said(carrying({ url: core('patient-birthPlace'), valueString: 'Paris' }));
    expect(place).toMatch(/^Basic\.code\.extension\[0\]\.value\.ofType\(string\): The profile allows only Address here/);
  });

  test('resources inside a resource are judged by what they claim themselves', () => {
    const inner = claiming('clinic', nameless);
    expect(said({ resourceType: 'Bundle', type: 'collection', entry: [{ resource: inner }] })).toEqual([
      `Bundle.entry[0].resource.name: The profile requires this element ${label('clinic')}`,
    ]);
    expect(said({ resourceType: 'Patient', contained: [{ ...inner, id: 'c' }], managingOrganization: { reference: '#c' } })).toEqual([
      `Patient.contained[0].name: The profile requires this element ${label('clinic')}`,
    ]);
  });

  test('claims are judged once each, and not without end', () => {
    const many = (length: number, url: (i: number) => string) =>
      ({ ...nameless, meta: { profile: Array.from({ length }, (_, i) => url(i)) } }) as ResourceValue;
    expect(issuesOf(many(10_000, () => 'urn:test:clinic'))).toMatchObject([{ expression: ['Organization.name'] }]);
    expect(issuesOf(many(40, (i) => `urn:${i}`))).toHaveLength(40);
    expect(issuesOf(many(41, (i) => `urn:${i}`))).toMatchObject([{ code: 'too-costly', expression: ['Organization'] }]);
  });

  test('a resource of a wrong shape is not judged by profiles as well', () => {
    expect(said(claiming('clinic', { resourceType: 'Organization', alias: 7 }))).toEqual(['Organization.alias: Must be an array.']);
  });
});

test('nothing that was sent is repeated', () => {
  const secret = 'SECRET-4711';
  const values = [
    claiming('pressure', {
      ...pressure,
      code: coded(secret),
      category: [coded(secret)],
      subject: { reference: `Group/${secret}` },
      component: [component(secret), component('8480-6', secret)],
    }),
    claiming('person', {
      ...person,
      extension: [{ url: 'urn:test:team', valueCode: secret }],
      telecom: [{ system: 'phone', value: secret.repeat(3) }],
    }),
    claiming(secret, clinic),
  ];
  for (const value of values) {
    expect(issuesOf(value).length).toBeGreaterThan(0);
    expect(JSON.stringify(issuesOf(value))).not.toContain(secret);
  }
});

test('threads know the packages and the profiles asked for', async () => {
  const validator = createValidator({ threads: 1, packages: { packages, unknownProfiles: 'accept' } });
  const { deceasedBoolean: _dead, ...rest } = person;
  const value = claiming('person', rest);
  const documents = Array.from({ length: 30 }, () => ({ value, text: JSON.stringify(value) }));
  const [few] = await validator.validate(documents.slice(0, 1), ['urn:test:clinic']);
  expect(few?.filter(({ severity }) => severity === undefined).map(({ expression }) => expression?.[0])).toEqual(['Patient', 'Patient']);
  expect(await validator.validate(documents, ['urn:test:clinic'])).toEqual(documents.map(() => few));
  await validator.close();
});
