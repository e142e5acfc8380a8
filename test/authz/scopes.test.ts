/** SMART scopes grant what they say and nothing they do not say. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allows, grantToSystem, parseScope, readScopes } from '../../server/authz/scopes.ts';

describe('the grammar', () => {
  test.each([
    ['system/*.cruds', 'system', '*', 'cruds'],
    ['system/Observation.rs', 'system', 'Observation', 'rs'],
    ['patient/Patient.r', 'patient', 'Patient', 'r'],
    ['user/*.cu', 'user', '*', 'cu'],
    ['system/Observation.read', 'system', 'Observation', 'rs'],
    ['system/Observation.write', 'system', 'Observation', 'cud'],
    ['system/*.*', 'system', '*', 'cruds'],
  ])('%s', (word, context, type, letters) => {
    expect(parseScope(word)).toEqual({ context, type, letters });
  });

  test.each([
    'system/*.',
    'system/*.sr',
    'system/*.rx',
    'system/*.rr',
    'system/*.RS',
    'system/*.readwrite',
    'system/*',
    'System/*.rs',
    'system/observation.rs',
    'system/Obs*.rs',
    'system/Observation.cruds?category=vital-signs',
    'system/*.rs?category=vital-signs',
    'system/Observation.rs?',
    'system/Observation.rs?category',
    'system/Observation.rs?subject.name=x',
    'system/Observation.rs?_has:Group:member:_id=x',
    'system/Observation.rs?_include=Observation:subject',
    ' system/*.rs',
    'system/*.rs\n',
    'admin/*.rs',
    'system//*.rs',
    'constructor',
    '',
  ])('refuses %j', (word) => {
    expect(parseScope(word)).toBeUndefined();
  });

  test('tells a mistake from a word that is not ours', () => {
    expect(readScopes('openid system/*.rs launch/patient  system/*.sr admin fhirUser')).toEqual({
      known: ['system/*.rs', 'admin'],
      malformed: ['system/*.sr'],
    });
  });
});

describe('what is granted', () => {
  test.each([
    ['what was registered', ['system/*.rs'], ['system/*.rs'], ['system/*.rs']],
    ['a part of it, as it was written', ['system/Patient.read'], ['system/*.cruds'], ['system/Patient.read']],
    ['no more letters', ['system/*.cruds'], ['system/*.rs'], ['system/*.rs']],
    ['no more types', ['system/*.rs'], ['system/Patient.r', 'system/Observation.rs'], ['system/Patient.r', 'system/Observation.rs']],
    ['nothing outside', ['system/Patient.c'], ['system/*.rs'], []],
    ['nothing of a person', ['patient/*.rs', 'user/*.rs'], ['patient/*.rs', 'user/*.rs', 'system/*.rs'], []],
    ['no system from user', ['system/*.rs'], ['user/*.rs'], []],
    ['admin where registered', ['admin'], ['admin'], ['admin']],
    ['no admin from everything else', ['admin', 'system/*.rs'], ['system/*.cruds'], ['system/*.rs']],
  ])('%s', (_, requested, registered, granted) => {
    expect(grantToSystem(requested, registered)).toEqual(granted);
  });

  test('is never more than both, and all that is in both', () => {
    const word = fc
      .record({
        context: fc.constantFrom('system', 'user', 'patient'),
        type: fc.constantFrom('*', 'Patient', 'Observation'),
        letters: fc.subarray(['c', 'r', 'u', 'd', 's'], { minLength: 1 }),
      })
      .map(({ context, type, letters }) => `${context}/${type}.${letters.join('')}`);
    const holds = (words: readonly string[], letter: 'c' | 'r' | 'u' | 'd' | 's', type: string) =>
      allows({ scopes: words.flatMap((w) => parseScope(w) ?? []).filter(({ context }) => context === 'system') }, letter, type);
    fc.assert(
      fc.property(fc.array(word, { maxLength: 4 }), fc.array(word, { maxLength: 4 }), (requested, registered) => {
        const granted = grantToSystem(requested, registered);
        for (const type of ['Patient', 'Observation', 'Condition'])
          for (const letter of ['c', 'r', 'u', 'd', 's'] as const) {
            expect(holds(granted, letter, type)).toBe(holds(requested, letter, type) && holds(registered, letter, type));
          }
      }),
    );
  });
});

test('a scope allows its letters on its types', () => {
  const caller = { scopes: ['system/Observation.rs', 'system/Patient.c'].flatMap((word) => parseScope(word) ?? []) };
  expect(allows(caller, 'r', 'Observation')).toBe(true);
  expect(allows(caller, 'c', 'Patient')).toBe(true);
  expect(allows(caller, 'r', 'Patient')).toBe(false);
  expect(allows(caller, 'r', 'Condition')).toBe(false);
  expect(allows({ scopes: [] }, 'r', 'Patient')).toBe(false);
});
