/** Value sets of sensitive codes: our own, those of a package, and those that cannot be used. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createLabelling } from '../../server/consent/labelling.ts';
import type { Package } from '../../server/validation/packages/package.ts';
import { loadPackages } from '../../server/validation/packages/package.ts';
import { createSearchTerms } from '../../server/validation/search-terms.ts';
import { sensitiveCodes } from '../../server/validation/sensitive-codes.ts';

const own = await loadPackages([fileURLToPath(new URL('../../fhir-profiles', import.meta.url))]);
const read = (wanted: readonly string[], packages: readonly Package[] = own) => sensitiveCodes(wanted, packages, createSearchTerms(packages));
const focus = (code: string) => ({
  code: { system: 'http://terminology.hl7.org/CodeSystem/usage-context-type', code: 'focus' },
  valueCodeableConcept: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code }] },
});
const packageOf = (...include: readonly object[]): readonly Package[] => [
  {
    name: 'p',
    version: '1',
    profiles: [],
    codeSystems: [],
    searchParameters: [],
    valueSets: [{ url: 'urn:p', version: '1', text: JSON.stringify({ useContext: [focus('HIV')], compose: { include } }) }],
  },
];

describe('our own', () => {
  const { labelsOf } = createLabelling(read([]));
  it.each([
    ['http://snomed.info/sct|86406008', ['HIV']],
    ['http://hl7.org/fhir/sid/icd-10-cm|B20', ['HIV']],
    ['http://hl7.org/fhir/sid/icd-10|F32.1', ['BH', 'MH', 'PSY']],
    ['http://hl7.org/fhir/sid/icd-10|F11.2', ['ETH', 'OPIOIDUD', 'SUD']],
    ['http://hl7.org/fhir/sid/icd-10|F10.2', ['ETH', 'ETHUD']],
    ['http://hl7.org/fhir/sid/icd-10|F17.2', []],
    ['http://hl7.org/fhir/sid/icd-10|A53.9', ['STD']],
    ['http://hl7.org/fhir/sid/icd-10|O04', ['SEX']],
    ['http://hl7.org/fhir/sid/icd-10|D57.1', ['GDIS', 'SCA', 'SICKLE']],
    ['http://hl7.org/fhir/sid/icd-10|G10', ['GDIS']],
    ['http://hl7.org/fhir/sid/icd-10|T74.1', ['SDV', 'VIO']],
    ['http://www.whocc.no/atc|J05AR10', ['HIV']],
    ['http://loinc.org|8867-4', []],
    ['http://hl7.org/fhir/sid/icd-10|J20', []],
  ])('%s stands for %j', (coding, labels) => expect([...labelsOf(coding)].sort()).toEqual(labels));

  it('can be left out', () => expect(read(['none'])).toEqual([]));
});

describe('another', () => {
  it('may list, name a pattern and stand on a set that is on board', () => {
    const include = [
      { system: 'urn:a', concept: [{ code: '1' }] },
      { system: 'urn:b', filter: [{ property: 'code', op: 'regex', value: 'x.' }] },
      { valueSet: ['http://hl7.org/fhir/ValueSet/administrative-gender'] },
    ];
    const { labelsOf } = createLabelling(read(['urn:p'], packageOf(...include)));
    expect(['urn:a|1', 'urn:b|xy', 'urn:b|xyz', 'http://hl7.org/fhir/administrative-gender|male'].map((coding) => labelsOf(coding).length)).toEqual([
      1, 1, 0, 1,
    ]);
  });

  it.each([
    ['is not on board', 'urn:q', packageOf()],
    [
      'has a filter that needs a system that is not on board',
      'urn:p',
      packageOf({ system: 'urn:a', filter: [{ property: 'concept', op: 'is-a', value: '1' }] }),
    ],
    [
      'has such a filter beside a pattern',
      'urn:p',
      packageOf(
        { system: 'urn:a', filter: [{ property: 'code', op: 'regex', value: '1' }] },
        { system: 'urn:a', filter: [{ property: 'concept', op: 'is-a', value: '1' }] },
      ),
    ],
  ])('that %s stops the start', (_name, url, packages) => expect(() => read([url], packages)).toThrow(url));
});
