/** Hierarchies on board for `:below` and `:above`: R4's own code systems and those of v3. https://hl7.org/fhir/R4/search.html#token */
import { expect, test } from 'vitest';
import { createSearchTerms } from '../../server/validation/search-terms.ts';

const terms = createSearchTerms([]);
const CLINICAL = 'http://terminology.hl7.org/CodeSystem/condition-clinical';
const REASON = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';
const codes = (found: readonly { readonly code: string }[] | undefined) => found?.map(({ code }) => code).sort();

test.each([
  [CLINICAL, 'active', ['active', 'recurrence', 'relapse'], ['active']],
  [CLINICAL, 'relapse', ['relapse'], ['active', 'relapse']],
  ['http://terminology.hl7.org/CodeSystem/observation-category', 'laboratory', ['laboratory'], ['laboratory']],
])('%s|%s', (system, code, below, above) => {
  expect(codes(terms.below({ system, code }))).toEqual(below);
  expect(codes(terms.above({ system, code }))).toEqual(above);
});

test('several levels of v3', () => {
  expect(codes(terms.below({ system: REASON, code: 'TREAT' }))).toEqual(expect.arrayContaining(['BTG', 'ETREAT', 'TREAT']));
  expect(codes(terms.above({ system: REASON, code: 'BTG' }))).toEqual(expect.arrayContaining(['BTG', 'ETREAT', 'PurposeOfUse', 'TREAT']));
});

test('what is not on board, or only in part, is not known', () => {
  for (const system of ['http://loinc.org', 'http://snomed.info/sct', 'http://dicom.nema.org/resources/ontology/DCM', 'constructor'])
    expect(terms.below({ system, code: 'CT' })).toBeUndefined();
  expect(terms.below({ system: CLINICAL, code: 'nothing' })).toBeUndefined();
});
