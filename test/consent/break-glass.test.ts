/** What a broken glass opens: one patient, for a while, and never what a Consent denies or law excludes. consent.md §7 */
import { describe, expect, test } from 'vitest';
import { closureOf } from '../../server/consent/closure.ts';
import { scopeFor } from '../../server/consent/decide.ts';
import { type Asked, by, callerFor, consentBy, decision, except, labelled, NOON, observation, ofClass, purpose } from '../support/consents.ts';

const DOCTOR = 'Practitioner/7';
const glass = (patient = '1', until = NOON + 1) => callerFor(DOCTOR, 'BTG', { breakGlass: { patient, until } });
const deny = (...parts: object[]) => consentBy('1', Object.assign({ type: 'deny' }, ...parts) as Record<string, unknown>);
const permit = (...parts: object[]) => consentBy('1', Object.assign({ type: 'permit' }, ...parts) as Record<string, unknown>);
const decided = (asked: Asked = {}, ...labels: string[]) => decision(observation({}, ...labels), { caller: glass(), ...asked });
const withPatient = observation({ performer: [{ reference: 'Patient/2' }] });

describe.each<readonly [string, 'P' | 'D', () => 'P' | 'D']>([
  ['the patient it was broken for', 'P', () => decided()],
  ['whatever the label', 'P', () => decided({}, 'V', 'HIV')],
  ['another patient', 'D', () => decided({ caller: glass('2') })],
  ['what names another patient too', 'D', () => decision(withPatient, { caller: glass() })],
  [
    'what names another patient who permits it',
    'D',
    () => decision(withPatient, { caller: glass(), consents: [consentBy('2', { type: 'permit' })] }),
  ],
  ['what names nobody', 'D', () => decision({ resourceType: 'Observation', id: 'o' }, { caller: glass() })],
  ['the very instant it ends', 'D', () => decided({ caller: glass('1', NOON) })],
  ['another patient who permits everything', 'D', () => decided({ caller: glass('2'), consents: [permit()] })],
  ['another patient where all is open', 'D', () => decided({ caller: glass('2'), implicit: { kind: 'permit-except', labels: [] } })],
  ['under a permit that reaches less', 'P', () => decided({ consents: [permit(by(DOCTOR), ofClass('Patient'))] })],
  ['against a denial of the doctor', 'D', () => decided({ consents: [deny(by(DOCTOR))] })],
  ['against a denial of treatment', 'D', () => decided({ consents: [deny(purpose('TREAT'))] })],
  ['against a denial for everybody and everything', 'D', () => decided({ consents: [deny()] })],
  ['against a denial of another doctor', 'P', () => decided({ consents: [deny(by('Practitioner/8'))] })],
  ['against a denial of a label it has', 'D', () => decided({ consents: [permit(except(labelled('HIV')))] }, 'HIV')],
  ['against a denial of a label it has not', 'P', () => decided({ consents: [permit(except(labelled('HIV')))] }, 'N')],
  ['where a Consent is not the one in the log', 'D', () => decided({ voidPatients: ['1'] })],
])('%s', (_name, expected, decide) => {
  test(expected, () => expect(decide()).toBe(expected));
});

describe('by law', () => {
  const scope = (labels: readonly string[], now = NOON) =>
    scopeFor({
      caller: glass(),
      type: 'Observation',
      closure: closureOf(glass(), [], now),
      now,
      implicit: { kind: 'deny' },
      policies: [],
      voidPatients: new Set(),
      anchors: new Set(),
      beyondBreakGlass: labels,
    });

  test('a label that no glass opens is in the scope', () => {
    expect(JSON.stringify(scope(['HIV']).where, (_name, value: unknown) => (value instanceof Set ? [...value] : value))).toContain('~sens/HIV');
    expect(scope([]).where).not.toEqual(scope(['V']).where);
  });

  test('a decision holds no longer than the glass is broken', () => {
    expect(scope([]).validUntil).toBe(NOON + 1);
    expect(scope([], NOON + 1).where).toEqual({ kind: 'none' });
  });
});
