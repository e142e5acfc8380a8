/** The CapabilityStatement says what the table and the search registry hold. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resourceTypes } from '../../server/fhir/resource-types.ts';
import { createCheck } from '../../server/validation/validate.ts';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';

let http: ServedApp;
beforeAll(async () => {
  http = await createServedApp();
});
afterAll(async () => http.stop());

describe('GET /metadata', () => {
  it('is public and lists every type with what works for it', async () => {
    const { status, json, headers } = await call(http, 'GET', 'metadata', { token: '' });
    expect([status, json.resourceType, json.fhirVersion, headers['cache-control']]).toEqual([
      200,
      'CapabilityStatement',
      '4.0.1',
      'public, max-age=300',
    ]);
    const [rest] = json.rest;
    expect(rest.resource.map(({ type }: { type: string }) => type)).toEqual(resourceTypes);
    const [patient] = rest.resource.filter(({ type }: { type: string }) => type === 'Patient');
    expect(patient.interaction.map(({ code }: { code: string }) => code).sort()).toEqual([
      'create',
      'delete',
      'history-instance',
      'history-type',
      'patch',
      'read',
      'search-type',
      'update',
      'vread',
    ]);
    expect(patient.searchParam).toContainEqual({ name: 'gender', type: 'token' });
    const [consent] = rest.resource.filter(({ type }: { type: string }) => type === 'Consent');
    expect(consent.operation.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(['validate', 'prepare', 'sign', 'withdraw', 'receipt']),
    );
    expect(JSON.stringify(rest.security)).toContain(http.server.bootstrap.tokenUrl);
  });

  it('is itself valid R4', async () => {
    const { json, text } = await call(http, 'GET', 'metadata', { token: '' });
    const errors = createCheck()
      .check({ value: json, text })
      .filter(({ severity }) => severity === undefined);
    expect(errors).toEqual([]);
  });
});
