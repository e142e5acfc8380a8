import { describe, expect, test } from 'vitest';
import { compileConsent } from '../../server/consent/compile.ts';
import { AssentError } from '../../server/errors.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { by, consentBy, data, except, labelled, NOON, ofClass, purpose } from '../support/consents.ts';

/** Where the refusals point, each place once; [] when nothing was refused. */
function refused(consent: ResourceValue): readonly string[] {
  try {
    compileConsent(consent, { now: NOON });
    return [];
  } catch (error) {
    if (!(error instanceof AssentError)) throw error;
    expect([error.code, error.status]).toEqual(['invalid-consent', 422]);
    return [...new Set(error.issues.flatMap(({ expression = [] }) => expression))];
  }
}

const permit = (more = {}) => consentBy('1', { type: 'permit', ...more });
const actorWith = (role: unknown, reference: unknown = { reference: 'Organization/a' }) => ({ actor: [{ role, reference }] });
const participation = (code: string) => ({ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code });
const act = (...coding: object[]) => ({ action: [{ coding }] });
const actionCode = (code: string) => ({ system: 'http://terminology.hl7.org/CodeSystem/consentaction', code });

describe('what can be signed', () => {
  const full = {
    id: 'p',
    period: { start: '2024-01-01', end: '2024-06-01' },
    ...by('Organization/a', 'CareTeam/b'),
    ...act(actionCode('access')),
    ...labelled('N', 'HIV'),
    ...purpose('TREAT', 'ETREAT'),
    ...ofClass('Observation'),
    code: [{ coding: [{ system: 'http://loinc.org', code: '1' }], text: 'glucose' }],
    dataPeriod: { start: '2020' },
  };
  test.each<readonly [string, ResourceValue]>([
    ['every element that is understood, on its last day', permit(full)],
    ['exceptions to exceptions', permit(except({ ...purpose('HMARKT'), ...except(by('Organization/a')) }))],
    ['a root without a type', consentBy('1', purpose('TREAT'))],
    ['plain extensions outside the provision', consentBy('1', { type: 'permit' }, { extension: [{ url: 'urn:x', valueString: 'x' }] })],
  ])('%s', (_name, consent) => {
    expect(refused(consent)).toEqual([]);
  });
});

describe('what is refused when it is signed, so that nothing is ignored when it is read', () => {
  const modifier = { modifierExtension: [{ url: 'urn:x', valueBoolean: true }] };
  const extension = { extension: [{ url: 'urn:x', valueBoolean: true }] };
  test.each<readonly [string, ResourceValue, string]>([
    ['no provision', consentBy('1', undefined), 'Consent.provision'],
    ['a draft', consentBy('1', { type: 'permit' }, { status: 'draft' }), 'Consent.status'],
    ['another scope', consentBy('1', { type: 'permit' }, { scope: { coding: [{ code: 'research' }] } }), 'Consent.scope'],
    ['no patient', consentBy('1', { type: 'permit' }, { patient: { identifier: { value: '1' } } }), 'Consent.patient'],
    ['no custodian', consentBy('1', { type: 'permit' }, { organization: [] }), 'Consent.organization'],
    ['a custodian by identifier', consentBy('1', { type: 'permit' }, { organization: [{ identifier: { value: '1' } }] }), 'Consent.organization'],
    ['a reading that is not named', consentBy('1', { type: 'permit' }, { policy: [] }), 'Consent.policy'],
    ['another reading', consentBy('1', { type: 'permit' }, { policy: [{ uri: 'http://example.org/base' }] }), 'Consent.policy'],
    ['implicit rules', consentBy('1', { type: 'permit' }, { implicitRules: 'urn:x' }), 'Consent.implicitRules'],
    ['a modifier on the Consent', consentBy('1', { type: 'permit' }, modifier), 'Consent.modifierExtension'],
    [
      'a modifier far from the provision',
      consentBy('1', { type: 'permit' }, { verification: [modifier] }),
      'Consent.verification[0].modifierExtension',
    ],
    ['a modifier in the provision', permit(modifier), 'Consent.provision.modifierExtension'],
    [
      'an extension in a nested coding',
      permit(except({ purpose: [{ ...purpose('TREAT').purpose[0], ...extension }] })),
      'Consent.provision.provision[0].purpose[0].extension',
    ],
    ['an extended primitive', permit({ _type: extension }), 'Consent.provision._type'],
    ['an unknown element', permit({ expression: {} }), 'Consent.provision.expression'],
    [
      'data by identifier',
      permit({ data: [{ meaning: 'instance', reference: { identifier: { value: '1' } } }] }),
      'Consent.provision.data[0].reference',
    ],
    ['data elsewhere', permit({ data: [data('instance', 'https://a.example/Observation/1')] }), 'Consent.provision.data[0].reference'],
    ['data of no type', permit({ data: [data('instance', 'Nothing/1')] }), 'Consent.provision.data[0].reference'],
    ['data of no known meaning', permit({ data: [data('everything', 'Observation/1')] }), 'Consent.provision.data[0].meaning'],
    ['an unknown type', permit({ type: 'maybe' }), 'Consent.provision.type'],
    ['a period that is over', permit({ period: { end: '2024-05-31' } }), 'Consent.provision.period'],
    [
      'a nested period that is over',
      permit(except({ period: { end: '2024' }, ...except({ period: { end: '2023' } }) })),
      'Consent.provision.provision[0].provision[0].period',
    ],
    ['a period that ends before it starts', permit({ period: { start: '2025-01-02', end: '2025-01-01' } }), 'Consent.provision.period'],
    ['an end that cannot be read is no open end', permit({ period: { start: '2024', end: 'soon' } }), 'Consent.provision.period'],
    ['a data period of nothing', permit({ dataPeriod: {} }), 'Consent.provision.dataPeriod'],
    ['a purpose of another system', permit({ purpose: [{ system: 'urn:x', code: 'TREAT' }] }), 'Consent.provision.purpose[0]'],
    ['a purpose that is not pinned', permit(purpose('TREAT', 'SNOOP')), 'Consent.provision.purpose[1]'],
    ['purposes that are no list', permit({ purpose: purpose('TREAT').purpose[0] }), 'Consent.provision.purpose'],
    ['an empty list', permit({ purpose: [] }), 'Consent.provision.purpose'],
    ['a list with a hole', permit({ purpose: [null, ...purpose('TREAT').purpose] }), 'Consent.provision.purpose'],
    ['a label that is not pinned', permit(labelled('SECRET')), 'Consent.provision.securityLabel[0]'],
    ['a label without a system', permit({ securityLabel: [{ code: 'R' }] }), 'Consent.provision.securityLabel[0]'],
    ['a class that is no resource type', permit(ofClass('Fish')), 'Consent.provision.class[0]'],
    ['a class of another system', permit({ class: [{ system: 'urn:ietf:bcp:13', code: 'Observation' }] }), 'Consent.provision.class[0]'],
    ['a code without a system', permit({ code: [{ coding: [{ code: '1' }] }] }), 'Consent.provision.code[0].coding[0]'],
    ['a code in words', permit({ code: [{ text: 'glucose' }] }), 'Consent.provision.code[0].coding'],
    ['an action that is not pinned', permit(act({ system: 'urn:x', code: 'access' })), 'Consent.provision.action[0]'],
    ['an action said twice', permit(act(actionCode('access'), actionCode('use'))), 'Consent.provision.action[0]'],
    ['an actor in another role', permit(actorWith({ coding: [participation('CST')] })), 'Consent.provision.actor[0].role'],
    ['an actor in two roles', permit(actorWith({ coding: [participation('IRCP'), participation('CST')] })), 'Consent.provision.actor[0].role'],
    ['an actor without a role', permit(actorWith(undefined)), 'Consent.provision.actor[0].role'],
    [
      'an actor by identifier',
      permit(actorWith({ coding: [participation('IRCP')] }, { identifier: { value: '1' } })),
      'Consent.provision.actor[0].reference',
    ],
    ['an actor that is nobody', permit(by('Location/1')), 'Consent.provision.actor[0].reference'],
    ['an actor elsewhere', permit(by('https://other.example/fhir/Organization/1')), 'Consent.provision.actor[0].reference'],
  ])('%s', (_name, consent, place) => {
    expect(refused(consent)).toEqual([place]);
  });

  test('everything that is wrong is named at once', () => {
    expect(refused(permit({ ...purpose('SNOOP'), ...ofClass('Fish') }))).toEqual(['Consent.provision.purpose[0]', 'Consent.provision.class[0]']);
  });

  test('more provisions than anyone can read', () => {
    const many = Array.from({ length: 200 }, () => purpose('HMARKT'));
    expect([refused(permit(except(...many.slice(1)))), refused(permit(except(...many)))]).toEqual([[], ['Consent.provision']]);
  });
});
