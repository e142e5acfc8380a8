/** Which Consents mean the same in every published reading, and what is said of those that do not. consent.md §2 (ambiguity gate) */
import { describe, expect, it } from 'vitest';
import { ambiguityOf } from '../../server/consent/ambiguity.ts';
import { renderDifference } from '../../server/consent/render.ts';
import { by, consentBy, data, except, labelled, NOON, ofClass, purpose } from '../support/consents.ts';

const GH = 'Organization/good-health';
const of = (provision: Record<string, unknown>) => ambiguityOf(consentBy('1', { type: 'permit', ...provision }, { policy: undefined }), NOON);

describe('a Consent means the same in every reading', () => {
  it.each([
    ['one permit', by(GH)],
    ['one permit for a purpose', { ...by(GH), ...purpose('TREAT') }],
    ['a denial', { type: 'deny', ...by(GH) }],
    ['an exception that is a part of what it is taken from', { ...by(GH), ...except({ type: 'deny', ...by(GH), ...purpose('TREAT') }) }],
    ['an exception by sensitivity', { ...by(GH), ...except({ type: 'deny', ...labelled('ETHUD') }) }],
    ['an exception by class, its type left to its place', { ...by(GH), ...except({ type: 'deny', ...ofClass('Condition') }) }],
    ['one resource', { ...by(GH), data: [data('instance', 'Observation/1')] }],
    ['what refers to a resource', { ...by(GH), data: [data('dependents', 'Encounter/1')] }],
  ])('%s', (_name, provision) => expect(of(provision)).toBeUndefined());
});

describe('two readings of a Consent differ', () => {
  it.each([
    [
      'an exception without a type',
      { ...by(GH), ...except(ofClass('Condition')) },
      'stated types only',
      { type: { value: 'Condition' }, actor: { value: GH } },
    ],
    ['a permit nested in a denial', { type: 'deny', ...except({ type: 'permit', ...by(GH) }) }, 'flat', { actor: { value: GH } }],
    [
      'an exception to an exception',
      { ...except({ type: 'deny', ...ofClass('Condition'), ...except({ type: 'permit', ...by(GH) }) }) },
      'flat',
      { actor: { value: GH }, type: { value: 'Condition' } },
    ],
    [
      'an exception for another purpose than its parent',
      { type: 'deny', ...purpose('TREAT'), ...except({ type: 'permit', ...purpose('HPAYMT') }) },
      'PCF',
      { purpose: 'HPAYMT' },
    ],
    ['a rank permitted', labelled('N'), 'exact labels', { rank: 2 }],
    ['a rank denied', except({ type: 'deny', ...labelled('R') }), 'exact labels', { rank: 5 }],
    ['what a resource is related to', { data: [data('related', 'Encounter/1')] }, 'PCF', { data: { reference: 'Encounter/1' } }],
  ])('%s', (_name, provision, reading, example) => {
    const found = of(provision);
    expect(found).toMatchObject({ example });
    expect([(found as { permitting: string }).permitting, (found as { denying: string }).denying]).toContain(reading);
  });

  const ACT_CODE = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
  const ruled = (code: string, provision: Record<string, unknown>) =>
    ambiguityOf(consentBy('1', provision, { policy: undefined, policyRule: { coding: [{ system: ACT_CODE, code }] } }), NOON);

  it('by a policyRule, to which the provision may be an exception', () => {
    expect(ruled('OPTIN', by(GH))).toMatchObject({ permitting: 'exceptions to policyRule', denying: 'nested' });
    expect(ruled('OPTIN', { type: 'permit', ...by(GH) })).toMatchObject({ example: { actor: { value: '*' } } });
    expect(ruled('OPTOUT', by(GH))).toMatchObject({ permitting: 'exceptions to policyRule', example: { actor: { value: GH } } });
    expect(ruled('OPTOUT', { type: 'permit', ...by(GH) })).toBeUndefined();
    expect(ruled('HIPAA-Auth', { type: 'permit', ...by(GH) })).toBe('unknown');
  });

  it('one that says too much to be compared is not waved through', () => {
    const codes = Array.from({ length: 120 }, (_, i) => ({ coding: [{ system: 'http://loinc.org', code: `${i}` }] }));
    const classes = ofClass('Observation', 'Condition', 'Procedure', 'Encounter', 'Patient', 'Device', 'Goal', 'Media', 'Claim', 'Coverage');
    expect(
      of({ ...by(GH, 'Organization/a', 'Organization/b', 'Organization/c'), ...classes, ...purpose('TREAT', 'HPAYMT', 'ETREAT'), code: codes }),
    ).toBe('unknown');
  });
});

describe('the request on which they differ is said in words', () => {
  const found = of({ ...by(GH), ...purpose('TREAT'), ...except({ ...ofClass('Condition'), ...labelled('HIV') }) });
  if (!found || found === 'unknown') throw new Error('It is ambiguous.');

  it('in English', () => {
    const words = renderDifference(found, 'en');
    expect(words).toMatch(
      /^This Consent can be read in two ways\. Read as ".+", a record of kind Condition, asked for by Organization\/good-health for treatment \(TREAT\)/,
    );
    expect(words).toContain('labelled HIV/AIDS (HIV)');
    expect(words).toContain('labelled restricted (R)');
    expect(words).toContain('urn:assent:consent-semantics:1');
  });

  it('in Chinese', () => {
    expect(renderDifference(found, 'zh-CN')).toMatch(
      /^这份知情同意可以有两种理解.+Condition.+Organization\/good-health.+治疗（TREAT）.+艾滋病病毒\/艾滋病（HIV）/,
    );
  });
});
