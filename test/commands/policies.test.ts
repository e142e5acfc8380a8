/** `npm run assent -- policies`: what a reader of the list can rely on. consent.md §2 (default) */
import { describe, expect, test } from 'vitest';
import { describePolicies } from '../../server/commands/policies.ts';
import { builtInPolicies } from '../../server/consent/built-in.ts';

type Config = Parameters<typeof describePolicies>[0];

const config: Config = {
  APPROVALS: 'both',
  IMPLICIT_POLICY: 'deny',
  IMPLICIT_EXCEPT: [],
  BREAK_GLASS_ACTORS: [],
  BREAK_GLASS_MINUTES: 15,
  BREAK_GLASS_EXCEPT: [],
  MAJORITY_AGE: 18,
  ADOLESCENCE_AGE: 12,
  GUARDIAN_EXCEPT: ['SEX', 'HIV'],
};
const names = (lines: readonly string[]) => lines.map((line) => line.slice(0, 28).trim());
const last = (more: Partial<Config>) => describePolicies({ ...config, ...more }).at(-1) ?? '';

describe('the list of policies', () => {
  test('names every policy the decision asks, in the order in which it asks them, and the implicit one last', () => {
    const lines = describePolicies(config);
    expect(names(lines)).toEqual([...builtInPolicies.map(({ name }) => name), 'consents', 'replaces', 'guardians', 'break-glass', 'implicit: deny']);
    expect(names(lines)).toEqual(expect.arrayContaining(['directory', 'administrator', 'own-acts', 'own-record', 'binary']));
    for (const line of lines) expect(line).toMatch(/^\S.{27}[A-Z].*\.(?: \(.+\))?$/);
  });

  test('says who has to sign', () => {
    expect(describePolicies(config).join('\n')).toContain('once the patient and the custodian signed it');
    const alone = describePolicies({ ...config, APPROVALS: 'patient' }).join('\n');
    expect([alone.includes('once the patient signed it'), alone.includes('custodian signed')]).toEqual([true, false]);
  });

  test('says which implicit policy holds, and its labels', () => {
    expect(last({})).toMatch(/^implicit: deny +Where no Consent applies, nothing is shown\.$/);
    expect(last({ IMPLICIT_POLICY: 'author-treatment' })).toContain('wrote the current version');
    expect(last({ IMPLICIT_POLICY: 'permit-except', IMPLICIT_EXCEPT: ['V', 'SUD'] })).toMatch(/excepted labels\. \(V, SUD\)$/);
    expect(last({ IMPLICIT_POLICY: 'break-glass' })).toContain('but what a broken glass opens.');
  });

  test('does not name labels that have no effect', () => {
    expect(last({ IMPLICIT_EXCEPT: ['V'] })).not.toContain('V)');
  });

  test('says what a guardian does not see, and until when they are one', () => {
    const said = (more: Partial<Config>) => describePolicies({ ...config, ...more }).find((line) => line.startsWith('guardians')) ?? '';
    for (const word of ['under 18', 'from 12 on', 'SEX, HIV']) expect(said({})).toContain(word);
    expect(said({ GUARDIAN_EXCEPT: [] })).toContain('see all of it');
  });

  test('says who may break the glass, and what that never opens', () => {
    const said = (more: Partial<Config>) => describePolicies({ ...config, ...more }).find((line) => line.startsWith('break-glass')) ?? '';
    expect(said({})).toContain('Nobody');
    const named = said({ BREAK_GLASS_ACTORS: ['Practitioner/7'], BREAK_GLASS_EXCEPT: ['V'] });
    for (const word of ['Practitioner/7', '15 minutes', 'never what a Consent denies them, nor V']) expect(named).toContain(word);
  });
});
