/** `npm run assent -- policies`: what a reader of the list can rely on. consent.md §2 (default) */
import { describe, expect, test } from 'vitest';
import { describePolicies } from '../../server/commands/policies.ts';
import { builtInPolicies } from '../../server/consent/built-in.ts';

type Config = Parameters<typeof describePolicies>[0];

const config: Config = { APPROVALS: 'both', IMPLICIT_POLICY: 'deny', IMPLICIT_EXCEPT: [], BREAK_GLASS_ACTORS: [] };
const names = (lines: readonly string[]) => lines.map((line) => line.slice(0, 28).trim());
const last = (more: Partial<Config>) => describePolicies({ ...config, ...more }).at(-1) ?? '';

describe('the list of policies', () => {
  test('names every policy the decision asks, in the order in which it asks them, and the implicit one last', () => {
    const lines = describePolicies(config);
    expect(names(lines)).toEqual([...builtInPolicies.map(({ name }) => name), 'consents', 'replaces', 'implicit: deny']);
    expect(names(lines)).toEqual(expect.arrayContaining(['directory', 'administrator', 'own-acts', 'own-record', 'binary']));
    for (const line of lines) expect(line).toMatch(/^\S.{27}[A-Z].*\.(?: \(.+\))?$/);
  });

  test('says who has to sign', () => {
    expect(describePolicies(config).join('\n')).toContain('once the patient and the custodian signed it');
    const alone = describePolicies({ ...config, APPROVALS: 'patient' }).join('\n');
    expect([alone.includes('once the patient signed it'), alone.includes('custodian signed')]).toEqual([true, false]);
  });

  test('says which implicit policy holds, and its labels or actors', () => {
    expect(last({})).toMatch(/^implicit: deny +Where no Consent applies, nothing is shown\.$/);
    expect(last({ IMPLICIT_POLICY: 'author-treatment' })).toContain('wrote the current version');
    expect(last({ IMPLICIT_POLICY: 'permit-except', IMPLICIT_EXCEPT: ['V', 'SUD'] })).toMatch(/excepted labels\. \(V, SUD\)$/);
    expect(last({ IMPLICIT_POLICY: 'break-glass', BREAK_GLASS_ACTORS: ['Practitioner/7'] })).toMatch(/BTG.*\(Practitioner\/7\)$/);
  });

  test('does not name labels or actors that have no effect', () => {
    const deny = last({ IMPLICIT_EXCEPT: ['V'], BREAK_GLASS_ACTORS: ['Practitioner/7'] });
    expect([deny.includes('V)'), deny.includes('Practitioner/7')]).toEqual([false, false]);
  });
});
