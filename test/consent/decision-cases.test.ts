/** Decision cases of consent.md §8 and the meanings of the five IHE PCF example Consents, as tables. P permit, D deny. */
import { describe, expect, test } from 'vitest';
import { compileConsent } from '../../server/consent/compile.ts';
import { scopeFor } from '../../server/consent/decide.ts';
import { type Asked, by, callerFor, consentBy, decision, except, labelled, NOON, observation, ofClass, purpose } from '../support/consents.ts';

const insurer = 'Organization/insurer';
const gh = by('Organization/gh');
const ghCaller = (code?: string) => callerFor('Organization/gh', code);
const optIn = (more = {}) => consentBy('1', { type: 'permit', ...more });
const care = purpose('TREAT', 'HPAYMT', 'HOPERAT');
const medication = { resourceType: 'MedicationStatement', id: 'm', subject: { reference: 'Patient/1' } };
const glucose = { code: { coding: [{ system: 'http://loinc.org', code: '2339-0' }] } };

const open = { kind: 'permit-except', labels: [] } as const;
const glass = { kind: 'break-glass', actors: ['Practitioner/7'] } as const;
const rejectResearch: Asked = {
  consents: [consentBy('1', { type: 'deny', ...purpose('TREAT') })],
  implicit: open,
  caller: callerFor(insurer, 'HRESCH'),
  now: NOON,
};

type Row = readonly [why: string, wanted: 'P' | 'D', resource: Parameters<typeof decision>[0], asked: Asked];

function table(rows: readonly Row[]): void {
  test.each(rows)('%s: %s', (_why, wanted, resource, asked) => {
    expect(decision(resource, asked)).toBe(wanted);
  });
}

describe('IHE PCF', () => {
  const basic = [optIn(care)];
  const normal = [optIn({ ...care, ...labelled('N') })];
  const year = [optIn({ ...care, dataPeriod: { start: '2022-01-01', end: '2022-12-31' } })];
  table([
    ['basic treat, for treatment', 'P', observation(), { consents: basic }],
    ['basic treat, for marketing', 'D', observation(), { consents: basic, caller: callerFor(insurer, 'HMARKT') }],
    ['basic treat, another patient', 'D', observation({ subject: { reference: 'Patient/2' } }), { consents: basic }],
    ['basic reject, though the house permits', 'D', observation(), { consents: [consentBy('1', { type: 'deny', ...care })], implicit: open }],
    ['basic reject says nothing about research', 'P', observation(), { ...rejectResearch }],
    ['expired treat', 'D', observation(), { consents: [optIn({ ...care, period: { end: '2022-12-31' } })] }],
    ['within the timeframe', 'P', observation({ effectiveDateTime: '2022-06-13' }), { consents: year }],
    ['its last day is inside', 'P', observation({ effectiveDateTime: '2022-12-31T23:59:59Z' }), { consents: year }],
    ['a year that is only partly inside', 'D', observation({ effectivePeriod: { start: '2022-06-13' } }), { consents: year }],
    ['the day after', 'D', observation({ effectiveDateTime: '2023-01-01' }), { consents: year }],
    ['one of two dates outside', 'D', observation({ effectiveDateTime: '2022-12-31', issued: '2023-01-01T00:00:00Z' }), { consents: year }],
    ['without a date', 'D', observation(), { consents: year }],
    ['normal, labelled N', 'P', observation({}, 'N'), { consents: normal }],
    ['normal, labelled R', 'D', observation({}, 'R'), { consents: normal }],
    ['normal, unlabelled is restricted', 'D', observation(), { consents: normal }],
  ]);
});

describe('LEAP shapes', () => {
  const exceptGh = [optIn(except({ type: 'deny', ...gh }))];
  const branch = [{ resourceType: 'Organization', id: 'branch', partOf: { reference: 'Organization/gh' } }];
  const layered = [optIn(except({ ...gh, ...labelled('R') }, purpose('HMARKT')))];
  const emergency = [optIn(purpose('TREAT', 'ETREAT'))];
  table([
    ['opt-in except GH, a stranger', 'P', observation(), { consents: exceptGh }],
    ['opt-in except GH, GH itself', 'D', observation(), { consents: exceptGh, caller: ghCaller() }],
    ['opt-in except GH, a branch of it', 'D', observation(), { consents: exceptGh, caller: callerFor('Organization/branch'), directory: branch }],
    ['not yet started', 'D', observation(), { consents: [optIn({ period: { start: '2024-06-02' } })] }],
    ['exception for marketing', 'D', observation(), { consents: layered, caller: callerFor(insurer, 'HMARKT') }],
    ['exception R for GH, labelled N', 'P', observation({}, 'N'), { consents: layered, caller: ghCaller() }],
    ['exception R for GH, labelled R', 'D', observation({}, 'R'), { consents: layered, caller: ghCaller() }],
    ['exception R for GH, labelled V', 'D', observation({}, 'V'), { consents: layered, caller: ghCaller() }],
    ['exception R for GH is not for others', 'P', observation({}, 'R'), { consents: layered }],
    ['deny HIV for all', 'D', observation({}, 'N', 'HIV'), { consents: [optIn(except(labelled('HIV')))] }],
    ['deny SUD reaches what lies below it', 'D', observation({}, 'ETHUD'), { consents: [optIn(except(labelled('SUD')))] }],
    ['deny ETHUD does not reach what lies above', 'P', observation({}, 'SUD'), { consents: [optIn(except(labelled('ETHUD')))] }],
    ['a grouping reaches all of its codes', 'D', observation({}, 'HIV'), { consents: [optIn(except(labelled('_ActInformationSensitivityPolicy')))] }],
    ['one of two labels denied', 'D', observation({}, 'SUD', 'DEMO'), { consents: [optIn(except(labelled('SUD')))] }],
    ['permit of one of two labels', 'D', observation({}, 'SUD', 'DEMO'), { consents: [optIn(labelled('SUD'))] }],
    ['deny R AND class: both', 'D', { ...medication, meta: observation({}, 'R')['meta'] }, { consents: [restrictedMedication()] }],
    ['deny R AND class: other class', 'P', observation({}, 'R'), { consents: [restrictedMedication()] }],
    ['deny R AND class: other label', 'P', { ...medication, meta: observation({}, 'N')['meta'] }, { consents: [restrictedMedication()] }],
    ['deny one code', 'D', observation(glucose), { consents: [optIn(except({ code: [glucose.code] }))] }],
    ['deny one code, any other', 'P', observation(), { consents: [optIn(except({ code: [glucose.code] }))] }],
    ['purposes TREAT and ETREAT, HMARKT', 'D', observation(), { consents: emergency, caller: callerFor(insurer, 'HMARKT') }],
    ['purposes TREAT and ETREAT, ETREAT', 'P', observation(), { consents: emergency, caller: callerFor(insurer, 'ETREAT') }],
    ['permit TREAT is no break-glass', 'D', observation(), { consents: [optIn(purpose('TREAT'))], caller: callerFor(insurer, 'BTG') }],
    ['deny TREAT stops break-glass', 'D', observation(), { consents: [optIn(except(purpose('TREAT')))], caller: callerFor(insurer, 'BTG') }],
    ['denying use stops a read', 'D', observation(), { consents: [optIn(except(action('use')))] }],
    ['denying correction does not', 'P', observation(), { consents: [optIn(except(action('correct')))] }],
    ['permitting collection permits no read', 'D', observation(), { consents: [optIn(action('collect'))] }],
    ['a root without a type denies', 'D', observation(), { consents: [consentBy('1', care)], implicit: open }],
    ['a nested permit that goes deeper than a deny', 'P', observation(), { consents: [optIn(except({ ...except(purpose('TREAT')) }))] }],
    ['across Consents deny wins', 'D', observation(), { consents: [optIn(), consentBy('1', { type: 'deny', ...by(insurer) })] }],
  ]);
});

describe('several patients, nobody, and the house rules', () => {
  const appointment = { resourceType: 'Appointment', id: 'a', participant: ['1', '2'].map((id) => ({ actor: { reference: `Patient/${id}` } })) };
  const [one, two] = [optIn(), consentBy('2', { type: 'permit' })];
  const mother = callerFor('Patient/1', 'PATRQT');
  table([
    ['one of two permits', 'D', appointment, { consents: [one] }],
    ['both permit', 'P', appointment, { consents: [one, two] }],
    ['the mother on her own say', 'D', appointment, { caller: mother }],
    ['the mother with the child’s Consent', 'P', appointment, { caller: mother, consents: [consentBy('2', { type: 'permit', ...by('Patient/1') })] }],
    ['a patient’s own record', 'P', observation(), { caller: mother }],
    ['a patient’s own opt-out is about others', 'P', observation({}, 'V'), { caller: mother, consents: [consentBy('1', { type: 'deny' })] }],
    ['naming nobody', 'D', { resourceType: 'Observation', id: 'o' }, { consents: [one] }],
    ['naming nobody where the house permits', 'P', { resourceType: 'Observation', id: 'o' }, { implicit: open }],
    ['the directory', 'P', { resourceType: 'Practitioner', id: 'p' }, {}],
    [
      'a directory entry that names a patient',
      'D',
      { resourceType: 'Practitioner', id: 'p', extension: [{ valueReference: { reference: 'Patient/1' } }] },
      {},
    ],
    ['a signed permit replaces the house rule', 'D', medication, { consents: [optIn(ofClass('Observation'))], implicit: open }],
    ['a permit for others does not', 'P', medication, { consents: [optIn({ ...gh, ...ofClass('Observation') })], implicit: open }],
    ['a void Consent closes its patient', 'D', observation(), { implicit: open, voidPatients: ['1'] }],
    ['a void Consent does not close one’s own record', 'P', observation(), { caller: mother, voidPatients: ['1'] }],
    ['a void Consent of another', 'P', observation(), { implicit: open, voidPatients: ['2'] }],
    ['the author treats', 'P', observation(), { implicit: { kind: 'author-treatment' }, writer: insurer }],
    ['others’ authorship', 'D', observation(), { implicit: { kind: 'author-treatment' } }],
    ['the author bills', 'D', observation(), { implicit: { kind: 'author-treatment' }, writer: insurer, caller: callerFor(insurer, 'HPAYMT') }],
    ['an excepted label', 'D', observation({}, 'N', 'HIV'), { implicit: { kind: 'permit-except', labels: ['HIV'] } }],
    ['break-glass by the named', 'P', observation(), { implicit: glass, caller: callerFor('Practitioner/7', 'BTG') }],
    ['break-glass by another', 'D', observation(), { implicit: glass, caller: callerFor('Practitioner/8', 'BTG') }],
  ]);
});

describe('what records consents and disclosures', () => {
  const admin = callerFor('Organization/hospital', 'HOPERAT', { admin: true });
  const self = callerFor('Patient/1', 'PATRQT');
  const audit = { resourceType: 'AuditEvent', id: 'e', entity: [{ what: { reference: 'Patient/1' } }] };
  const provenance = (...targets: string[]) => ({
    resourceType: 'Provenance',
    id: 'p',
    target: targets.map((reference) => ({ reference })),
    agent: [{ who: { reference: 'Patient/1' } }],
  });
  const theirs = { 'Observation/2': observation({ subject: { reference: 'Patient/2' } }), 'Observation/1': observation() };
  const task = { resourceType: 'Task', id: 't', for: { reference: 'Patient/1' }, requester: { reference: insurer } };
  const binary = (more = {}) => ({ resourceType: 'Binary', id: 'b', contentType: 'text/plain', ...more });
  const context = { securityContext: { reference: 'Patient/1' } };
  table([
    ['admin, the trail', 'P', audit, { caller: admin }],
    ['admin, clinical content that a Consent permits', 'D', observation(), { caller: admin, consents: [optIn()] }],
    ['requester, the trail of a patient who permits everything', 'D', audit, { consents: [optIn()] }],
    ['patient, the trail', 'P', audit, { caller: self }],
    ['patient, own Consent', 'P', { ...optIn(), id: 'x' }, { caller: self }],
    ['requester, somebody’s Consent', 'D', { ...optIn(), id: 'x' }, { consents: [optIn()] }],
    ['patient, the server’s Provenance of the Consent', 'P', provenance('Consent/c1/_history/1'), { caller: self, sealed: true }],
    ['patient, a Provenance of what is another’s', 'D', provenance('Patient/1', 'Observation/2'), { caller: self, stored: theirs }],
    ['patient, a Provenance of what is unknown', 'D', provenance('Patient/1', 'Observation/9'), { caller: self, stored: theirs }],
    ['patient, a Provenance of what is theirs', 'P', provenance('Patient/1', 'Observation/1'), { caller: self, stored: theirs }],
    ['requester, its own Task', 'P', task, { writer: insurer }],
    ['requester, a Task another wrote in its name', 'D', task, {}],
    ['writer, a Binary', 'P', binary(), { writer: insurer }],
    ['anyone else, a Binary', 'D', binary(), { implicit: open }],
    ['writer, a Binary with a context', 'D', binary(context), { writer: insurer }],
    ['patient, a Binary in their context', 'P', binary(context), { caller: self }],
  ]);
});

test('how long an answer may be kept: to the next boundary of any period in it', () => {
  const caller = callerFor(insurer);
  const until = (...consents: readonly ReturnType<typeof optIn>[]) =>
    scopeFor({
      caller,
      type: 'Observation',
      now: NOON,
      implicit: { kind: 'deny' },
      closure: { permit: new Set([insurer]), deny: new Set([insurer]), validUntil: Date.parse('2026-01-01') },
      policies: consents.map((consent) => compileConsent(consent, { now: NOON })),
      voidPatients: new Set(),
      anchors: new Set(),
    }).validUntil;
  const ends = optIn({ period: { end: '2024-07-31' } });
  const begins = optIn(except({ period: { start: '2024-06-30' } }));
  expect([until(), until(ends), until(ends, begins)].map((ms) => new Date(ms).toISOString().slice(0, 10))).toEqual([
    '2026-01-01',
    '2024-08-01',
    '2024-06-30',
  ]);
});

test('an answer holds until the next period begins or ends, and is then another', () => {
  const consents = [optIn({ period: { start: '2024-06-02', end: '2024-06-03' } })];
  const at = (instant: string) => decision(observation(), { consents, now: Date.parse(instant) });
  expect([at('2024-06-01T23:59:59.999Z'), at('2024-06-02T00:00:00Z'), at('2024-06-03T23:59:59.999Z'), at('2024-06-04T00:00:00Z')]).toEqual([
    'D',
    'P',
    'P',
    'D',
  ]);
});

function action(code: string) {
  return { action: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentaction', code }] }] };
}

function restrictedMedication() {
  return optIn(except({ ...labelled('R'), ...ofClass('MedicationStatement') }));
}
