/** What a patient may take away from what is asked for, and what is no taking away. consent.md §5 */
import { describe, expect, it } from 'vitest';
import { narrowedProvision } from '../../server/consent/narrowing.ts';
import { consentBy } from '../support/consents.ts';

const NOW = Date.parse('2026-06-01T00:00:00Z');
const RESOURCE_TYPES = 'http://hl7.org/fhir/resource-types';
const classes = (...codes: readonly string[]) => codes.map((code) => ({ system: RESOURCE_TYPES, code }));
const asked = { type: 'permit', class: classes('Observation', 'Condition'), period: { start: '2026-01-01', end: '2026-12' } };
const narrowed = (provision: Readonly<Record<string, unknown>>, less: Parameters<typeof narrowedProvision>[1]) =>
  narrowedProvision(consentBy('1', provision), less, NOW);

describe('narrowing', () => {
  it('drops kinds of records, shortens the time, and leaves the rest as it was', () => {
    const except = { ...asked, provision: [{ type: 'deny', class: classes('Condition') }] };
    expect(narrowed(except, { types: ['Observation'] })).toEqual({ ...except, class: classes('Observation') });
    expect(narrowed(except, { until: '2026-07-31' })).toEqual({ ...except, period: { start: '2026-01-01', end: '2026-07-31' } });
    const { class: _all, ...everything } = asked;
    expect(narrowed(everything, { types: ['Procedure'] })).toEqual({ ...everything, class: classes('Procedure') });
    const { period: _ever, ...endless } = asked;
    expect(narrowed(endless, { until: '2030-01-01' })).toEqual({ ...endless, period: { end: '2030-01-01' } });
  });

  it.each([
    ['a kind that was not asked for', { types: ['Observation', 'Procedure'] }],
    ['a kind that is none', { types: ['Nothing'] }],
    ['no kind at all', { types: [] }],
    ['every kind there was, twice', { types: ['Observation', 'Condition', 'Condition'] }],
    ['a later end', { until: '2027-01-01' }],
    ['the same end, said in another way', { until: '2026-12-31' }],
    ['an end that is over', { until: '2026-05-31' }],
    ['an end that is no day', { until: '2026-02-30' }],
    ['an end of another precision', { until: '2026-07' }],
    ['nothing', {}],
  ])('refuses %s', (_name, less) => {
    expect(() => narrowed(asked, less)).toThrow(expect.objectContaining({ code: 'invalid-consent' }) as Error);
  });

  it('refuses what denies, where less of it would permit more, and exceptions that stand beside', () => {
    const less = { types: ['Observation'] };
    expect(() => narrowed({ ...asked, type: 'deny' }, less)).toThrow('as it is');
    const profile = 'https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consentAdvanced';
    const beside = { ...asked, provision: [{ type: 'permit', class: classes('Procedure') }] };
    const pcf = { ...consentBy('1', beside), meta: { profile: [profile] } };
    expect(() => narrowedProvision(pcf, less, NOW)).toThrow('as it is');
    expect(narrowedProvision({ ...pcf, provision: asked }, less, NOW)).toMatchObject({ class: classes('Observation') });
  });
});
