/** `_filter`, `_list` and `_contained` as they are written: what they find, and what is refused in lenient handling as well. */
import { describe, expect, test } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { createSearch } from '../../server/search/create-search.ts';
import { holds } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { base, terms } from './samples.ts';

const search = createSearch({ base, clock: () => Date.UTC(2024, 0, 1), terms });
const peter = {
  resourceType: 'Patient',
  id: 'peter',
  name: [{ family: "O'Neil", given: ['Peter', 'James'] }],
  gender: 'male',
  birthDate: '2014-10-10',
  identifier: [{ system: 'urn:mrn', value: 'A(1)' }],
  generalPractitioner: [{ reference: 'Practitioner/1' }],
};

function finds(filter: string): boolean {
  const { where } = search.plan('Patient', new URLSearchParams({ _filter: filter }), 'strict');
  return holds(where, peter.id, indexKeys(peter, base).keys);
}

test.each([
  'given eq "peter" and birthdate ge 2014-10-10',
  'given eq PETER',
  'given ne peter',
  'name co "neil"',
  'name sw oneil',
  'name ew "ter"',
  'gender eq male or gender eq female',
  'not (gender eq female)',
  'not(gender eq female and gender eq male)',
  '((gender eq male))',
  'identifier eq "urn:mrn|A(1)"',
  'identifier ne "urn:mrn|A(2)"',
  'birthdate po 2014',
  'birthdate lt 2015 and birthdate sa 2014-09',
  'birthdate pr true and death-date pr false',
  'general-practitioner re Practitioner/1',
  'general-practitioner ne Practitioner/2',
  '_id eq peter',
  // From left to right: (false and false) or true, and (true or true) and false is the next list's.
  'gender eq female and gender eq female or gender eq male',
])('finds: %s', (filter) => expect(finds(filter)).toBe(true));

test.each([
  'given eq "pet"',
  'name ew "pet"',
  'gender ne male',
  'gender eq male and not (given eq peter)',
  'gender eq male or gender eq male and gender eq female',
  'gender eq male or (gender eq male and gender eq female) and gender eq female',
  'identifier eq "urn:mrn|a(1)"',
  'general-practitioner ne Practitioner/1',
  'birthdate po 2013',
  'birthdate pr false',
])('does not find: %s', (filter) => expect(finds(filter)).toBe(false));

function refusal(query: Record<string, string>, handling: 'strict' | 'lenient' = 'lenient'): string {
  try {
    search.planJoined('Patient', new URLSearchParams(query), { handling, reach: () => true });
  } catch (error) {
    if (error instanceof AssentError) return error.issues[0]?.diagnostics ?? '';
    throw error;
  }
  return '';
}

describe('refused in lenient handling as well, with the place', () => {
  test.each([
    ['', 'at character 1:'],
    ['gender', 'at character 7: a space and an operator'],
    ['gender eq', 'at character 8: one of eq'],
    ['gender eq ', 'at character 11: a value'],
    ['gender is male', 'at character 8'],
    ['gender eq male and', 'the name of a search parameter'],
    ['gender eq male gender eq male', 'at character 16: "and", "or" or the end'],
    ['(gender eq male', 'at character 16: ")"'],
    ['gender eq male)', 'at character 15'],
    ['not gender eq male', 'at character 5'],
    ['gender eq "male', 'at character 11: a value'],
    ['gender eq "\\x"', 'no JSON string'],
    ['gender eq male and nothing eq 1', 'at character 20 that asks for what is not known for Patient'],
    ['gender gt male', 'uses gt, which a parameter of the kind token does not take'],
    ['gender pr maybe', 'neither true nor false'],
    ['birthdate eq yesterday', 'at character 1 that is not a date'],
    ['gender in http://example.org/unknown', 'value set of which not every code is on board'],
    ['gender.name eq x', 'goes on from gender, which is no reference'],
    ['organization[name eq x] eq y', '"." is expected'],
    ['organization[gender eq x].name eq y', 'cannot be used'],
    [`${'('.repeat(40)}gender eq male${')'.repeat(40)}`, 'inside each other'],
    [Array.from({ length: 60 }, () => 'gender eq male').join(' or '), 'more than 50 tests'],
    ['x'.repeat(5_000), 'longer than'],
    [`${'organization.partof.'.repeat(5)}name eq x`, 'leads over more than'],
  ])('%s', (filter, words) => {
    expect(refusal({ _filter: filter })).toContain(words);
    expect(refusal({ _filter: filter })).toContain('"_filter"');
  });

  test.each([
    [{ _list: '$current-problems' }, 'functional list'],
    [{ _list: 'a b' }, 'not the id of a List'],
    [{ _contained: 'true' }, '"_contained" asks for contained resources'],
    [{ _contained: 'both' }, '"_contained"'],
    [{ _containedType: 'contained' }, '"_containedType"'],
  ])('%o', (query, words) => expect(refusal(query)).toContain(words));
});

test('what says what holds anyhow is taken', () => {
  expect(refusal({ _contained: 'false', _containedType: 'container' }, 'strict')).toBe('');
});

test('chains in a filter need a search, as chains elsewhere do', () => {
  expect(refusal({ _filter: 'organization.name eq x' })).toBe('');
  expect(() => search.plan('Patient', new URLSearchParams({ _filter: 'organization.name eq x' }), 'lenient')).toThrow(/no meaning here/);
});
