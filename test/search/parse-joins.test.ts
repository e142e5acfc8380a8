/** Chains, _has and includes as they are written: what they lead to, and what is refused. */
import { describe, expect, test } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { createSearch } from '../../server/search/create-search.ts';

const search = createSearch({ base: 'https://fhir.example.org/fhir', clock: () => 0 });
const everything = () => true;

function refusal(type: string, query: string, reach = everything as (type: string, letter: string) => boolean): string {
  try {
    search.planJoined(type, query, { handling: 'strict', reach });
  } catch (error) {
    if (error instanceof AssentError) return `${error.code} ${error.issues[0]?.diagnostics ?? ''}`;
    throw error;
  }
  return '';
}

describe('joins that are refused', () => {
  test.each([
    ['Observation', 'subject:Practitioner.name=x', 'never refers'],
    ['Observation', 'subject:Patient.nothing=x', 'not known for Patient'],
    ['Observation', 'subject.nothing=x', 'cannot be used'],
    ['Observation', 'subject.=x', 'cannot be used'],
    ['Observation', 'subject:Patient.birthdate=yesterday', 'not a date'],
    ['Observation', 'code.name=x', 'not known'],
    ['Patient', '_has=x', 'not of the form'],
    ['Patient', '_has:Observation:patient=x', 'not of the form'],
    ['Patient', '_has:Nothing:patient:code=x', 'not of the form'],
    ['Patient', '_has:Observation:encounter:code=x', 'names no parameter'],
    ['Patient', '_has:Observation:patient:nothing=x', 'not known for Observation'],
    ['Patient', `${'general-practitioner:Practitioner._has:Patient:general-practitioner:'.repeat(6)}name=x`, 'more than 6'],
    ['Provenance', 'target.target.target.name=x', ''],
  ])('%s?%s', (type, query, words) => {
    const said = refusal(type, query);
    expect(said).toMatch(/^invalid-search /);
    expect(said).toContain(words);
  });

  test.each([
    ['Observation', 'subject:Patient.name=x'],
    ['Patient', '_has:Observation:patient:code=x'],
    ['Observation', 'encounter.subject:Patient.name=x'],
  ])('%s?%s asks of a type beyond the scope', (type, query) => {
    const beyond = query.startsWith('_has') ? 'Observation' : 'Patient';
    expect(refusal(type, query, (of) => of !== beyond)).toBe(`forbidden The token holds no scope to search ${beyond}.`);
  });

  test('without a type a chain asks of what the token may search only', () => {
    const { where } = search.planJoined('Observation', 'subject.identifier=x', { handling: 'strict', reach: (type) => type !== 'Patient' });
    expect(where.kind === 'and' && where.of[0]?.kind === 'chain' ? where.of[0].to.map(({ type }) => type) : []).toEqual([
      'Group',
      'Device',
      'Location',
    ]);
  });
});

describe('includes', () => {
  test.each([
    ['Patient', '_include=Observation:subject', 'another type than Patient'],
    ['Patient', '_include=Patient', 'not of the form'],
    ['Patient', '_include=Patient:nothing', 'names no parameter'],
    ['Patient', '_include=Patient:gender', 'names no parameter'],
    ['Patient', '_include=Patient:general-practitioner:Device', 'names no parameter'],
    ['Patient', '_include:often=Patient:link', 'modifier'],
    ['Patient', '_revinclude=Observation:encounter', 'names no parameter'],
    ['Patient', '_revinclude=Observation:subject:Group', 'another type than Patient'],
  ])('%s?%s is refused', (type, query, words) => {
    expect(refusal(type, query)).toContain(words);
  });

  test('lead only to types the token may read', () => {
    const { includes } = search.planJoined('Observation', '_include=Observation:subject&_revinclude=DiagnosticReport:result', {
      handling: 'strict',
      reach: (type, letter) => (type === 'Patient' && letter === 'r') || type === 'Group',
    });
    expect(includes.map(({ source, targets }) => [source, [...targets].sort()])).toEqual([['Observation', ['Group', 'Patient']]]);
  });
});
