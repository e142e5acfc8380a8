import { describe, expect, test } from 'vitest';
import { facetsOf, type FacetContext } from '../../server/consent/facets.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { callerFor, consentBy, decision, except, labelled, observation, ofClass } from '../support/consents.ts';

const base = 'https://here.example/fhir';
const facets = (resource: ResourceValue, context: Partial<FacetContext> = {}) =>
  facetsOf(resource, { writer: 'Organization/hospital', base, lookup: () => undefined, ...context }).sort();
const starting = (prefix: string, keys: readonly string[]) => keys.filter((key) => key.startsWith(prefix));
const concept = (code: string) => ({ coding: [{ system: 'urn:codes', code }] });
const optInBut = (...exceptions: object[]) => ({
  consents: [consentBy('1', { type: 'permit', ...except(...(exceptions as Record<string, unknown>[])) })],
});

describe('whom a version concerns, and who wrote it', () => {
  test('every patient it names, in any spelling; not a contained one', () => {
    const resource = {
      resourceType: 'Observation',
      subject: { reference: 'Patient/1' },
      focus: [{ reference: `${base}/Patient/2/_history/3` }],
      performer: [{ reference: 'https://other.example/Patient/4' }, { reference: '#p' }],
      contained: [
        { resourceType: 'Patient', id: 'p' },
        { resourceType: 'Condition', subject: { reference: 'Patient/5' } },
      ],
    };
    expect(starting('@patient/', facets(resource))).toEqual(['@patient/1', '@patient/2', '@patient/5']);
  });

  test('writer, authors, own acts and the server’s seal', () => {
    const resource = { resourceType: 'Task', requester: { reference: `${base}/Organization/a` } };
    expect(facets(resource, { sealed: true, own: 'client' })).toEqual(
      expect.arrayContaining(['@own/client', '@writer/Organization/hospital', '~author/Organization/a', '~sealed']),
    );
    expect(facets(resource)).not.toContain('~sealed');
  });

  test('a version by anyone but the custodian drops no patient and lowers no label', () => {
    const before = facets(observation({ focus: [{ reference: 'Patient/2' }] }, 'V', 'HIV'));
    const lowered = observation({ subject: { reference: 'Patient/3' } }, 'N', 'SUD');
    const after = facets(lowered, { keep: before });
    expect(starting('@patient/', after)).toEqual(['@patient/1', '@patient/2', '@patient/3']);
    expect([...starting('~rank/', after), ...starting('~sens/', after)]).toEqual(['~rank/5', '~sens/HIV', '~sens/SUD']);
    expect(starting('~rank/', facets(lowered))).toEqual(['~rank/3']);
  });
});

describe('labels', () => {
  const rank = (resource: ResourceValue) => starting('~rank/', facets(resource));
  const sensitivities = (resource: ResourceValue) => starting('~sens/', facets(resource));
  const secured = (...security: object[]) => ({ resourceType: 'Observation', meta: { security } });

  test('unlabelled is restricted; the highest of several counts', () => {
    expect([rank({ resourceType: 'Observation' }), rank(observation({}, 'N', 'V', 'L'))]).toEqual([['~rank/4'], ['~rank/5']]);
  });

  test('a container is as restricted as its parts, and no less than it would be alone', () => {
    const holding = (own: string[], part: string[]) =>
      rank({ ...observation({}, ...own), contained: [observation({}, ...part)] } as unknown as ResourceValue);
    expect([holding(['N'], ['V']), holding([], ['N']), holding(['N'], []), holding(['V'], ['N'])]).toEqual([
      ['~rank/5'],
      ['~rank/4'],
      ['~rank/3'],
      ['~rank/5'],
    ]);
  });

  test('older names of the systems, and labels without one, mean the same', () => {
    expect(rank(secured({ system: 'http://hl7.org/fhir/v3/Confidentiality', code: 'N' }))).toEqual(['~rank/3']);
    expect(rank(secured({ code: 'V' }))).toEqual(['~rank/5']);
    expect(sensitivities(secured({ system: 'http://hl7.org/fhir/v3/ActCode', code: 'HIV' }, { code: 'SUD' }))).toEqual(['~sens/HIV', '~sens/SUD']);
  });

  test('a label nobody knows is a sensitivity no permit covers; a purpose is none', () => {
    const resource = secured({ system: 'urn:local', code: 'VIP' }, { system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: 'HTEST' });
    expect(sensitivities(resource)).toEqual(['~sens/urn:local|VIP']);
  });
});

describe('what is not known here fails closed', () => {
  const composition = (...references: string[]) => ({
    ...observation({}, 'N'),
    resourceType: 'Composition',
    section: [{ section: [{ entry: references.map((reference) => ({ reference })) }] }],
  });
  test.each<readonly [string, 'P' | 'D', ResourceValue, object[]]>([
    ['a Composition, exception for a label its targets may have', 'D', composition('Condition/1'), [labelled('HIV')]],
    ['a Composition, exception for a class its targets have', 'D', composition('Condition/1'), [ofClass('Condition')]],
    ['a Composition, exception for a class its targets may have', 'D', composition('urn:uuid:1'), [ofClass('Condition')]],
    ['a Composition of what it contains', 'P', composition('#inside'), [labelled('HIV')]],
    ['a Composition, exception for nobody here', 'P', composition('Condition/1'), [{ purpose: consentPurpose('HMARKT') }]],
  ])('%s', (_name, wanted, resource, exceptions) => {
    expect(decision(resource, optInBut(...exceptions))).toBe(wanted);
  });

  test('a Composition is not permitted by a label its targets may exceed', () => {
    const consents = [consentBy('1', { type: 'permit', ...labelled('N') })];
    expect([decision(composition('#inside'), { consents }), decision(composition('Condition/1'), { consents })]).toEqual(['P', 'D']);
  });

  test('a medication that leads nowhere is denied with every code, and permitted by none', () => {
    const taking = (reference: string): ResourceValue => ({
      ...observation({ medicationReference: { reference } }),
      resourceType: 'MedicationRequest',
      contained: [{ resourceType: 'Medication', id: 'in', code: concept('x') }],
    });
    const stored = { 'Medication/m': { resourceType: 'Medication', code: concept('x') } };
    const permitted = { consents: [consentBy('1', { type: 'permit', code: [concept('x')] })], stored };
    const denied = { ...optInBut({ code: [concept('y')] }), stored };
    const both = (reference: string) => [decision(taking(reference), permitted), decision(taking(reference), denied)].join('');
    expect([both('Medication/m'), both('#in'), both(`${base}/Medication/m`), both('Medication/gone'), both('#gone')]).toEqual([
      'PP',
      'PP',
      'PP',
      'DD',
      'DD',
    ]);
  });
});

test('codes outside meta are denied wherever they stand, and permitted only where they say what it is', () => {
  const resource = observation({ category: [concept('c')], component: [{ valueCodeableConcept: concept('v') }], code: concept('p') });
  const permits = (code: string) => decision(resource, { consents: [consentBy('1', { type: 'permit', code: [concept(code)] })] });
  const denies = (code: string) => decision(resource, optInBut({ code: [concept(code)] }));
  expect(['p', 'c', 'v'].map(permits)).toEqual(['P', 'D', 'D']);
  expect(['p', 'c', 'v', 'other'].map(denies)).toEqual(['D', 'D', 'D', 'P']);
});

test('keys are made once, and every driver key is one the engine indexes', () => {
  const keys = facets(observation({ performer: [{ reference: 'Patient/1' }] }, 'N'));
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys.every((key) => /^[@~]/.test(key))).toBe(true);
});

test('a Bundle is decided with all that it holds', () => {
  const bundle = {
    resourceType: 'Bundle',
    id: 'b',
    meta: observation({}, 'N')['meta'],
    entry: [{ resource: observation({}, 'N') }, { resource: { ...observation({ subject: { reference: 'Patient/2' } }, 'N', 'HIV'), id: 'o2' } }],
  };
  const [one, two] = [consentBy('1', { type: 'permit' }), consentBy('2', { type: 'permit' })];
  const noHiv = consentBy('1', { type: 'permit', ...except(labelled('HIV')) });
  expect([[one], [one, two], [noHiv, two]].map((consents) => decision(bundle, { consents, caller: callerFor('Organization/insurer') }))).toEqual([
    'D',
    'P',
    'D',
  ]);
});

function consentPurpose(code: string) {
  return [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code }];
}
