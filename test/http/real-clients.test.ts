/**
 * Clients no one here wrote do their whole work against the real server: fhir-kit-client and Medplum's. What they send, and how they read what
 * they are answered, is theirs.
 */
import { MedplumClient } from '@medplum/core';
import type { Bundle, Observation, Patient } from '@medplum/fhirtypes';
import { CapabilityTool, Client } from 'fhir-kit-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOSPITAL, register, type Registered } from '../support/real-server.ts';
import { createServedApp, type ServedApp } from '../support/served-app.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- answers are looked at, not trusted
type Loose = any;

let app: ServedApp;
let hospital: Registered;
beforeAll(async () => {
  app = await createServedApp();
  hospital = await register(app.server, { actor: HOSPITAL, choosesIds: true });
});
afterAll(() => app.stop());

const observation = (subject: string, value: number): Observation => ({
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: subject },
  effectiveDateTime: `2024-05-${String(value).padStart(2, '0')}T08:00:00Z`,
  valueQuantity: { value, unit: '/min' },
});
const transactionOf = (type: 'batch' | 'transaction'): Bundle => ({
  resourceType: 'Bundle',
  type,
  entry: [
    {
      fullUrl: 'urn:uuid:4fb1f4a6-37b0-44a6-9f0b-8d55b9aaf3c5',
      resource: { resourceType: 'Patient', gender: 'male' },
      request: { method: 'POST', url: 'Patient' },
    },
    { resource: observation('Patient/of-a-bundle', 3), request: { method: 'POST', url: 'Observation' } },
  ],
});
const statuses = ({ entry }: Loose) => entry.map(({ response }: Loose) => response.status.slice(0, 3));

describe('fhir-kit-client', () => {
  let client: Client;
  let subject: string;
  beforeAll(async () => {
    client = new Client({ baseUrl: app.base });
    // Public: who has no token yet learns from it where tokens are from.
    const { tokenUrl } = await client.smartAuthMetadata();
    const { client_id: id, client_secret: secret } = hospital.client;
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope: 'system/*.cruds' });
    const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
    const granted = (await (await fetch(String(tokenUrl), { method: 'POST', body, headers: { authorization } })).json()) as Loose;
    client.bearerToken = granted.access_token;
    const { id: made } = await client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', gender: 'female' } });
    subject = `Patient/${String(made)}`;
  });

  it('learns what the server can', async () => {
    const tool = new CapabilityTool(await client.capabilityStatement());
    expect([tool.serverCan('transaction'), tool.serverCan('history-system'), tool.serverCan('telepathy')]).toEqual([true, true, false]);
    expect([tool.resourceCan('Patient', 'patch'), tool.resourceSearch('Patient', 'birthdate'), tool.resourceSearch('Patient', 'code')]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('creates, reads, updates, patches, reads versions and histories, deletes', async () => {
    const resourceType = 'Observation';
    const made: Loose = await client.create({ resourceType, body: { ...observation(subject, 1) } });
    const { id } = made;
    expect(Client.httpFor(made).response?.headers.get('etag')).toBe(`W/"${made.meta.versionId}"`);
    expect(await client.read({ resourceType, id })).toEqual(made);
    const updated: Loose = await client.update({ resourceType, id, body: { ...made, status: 'amended' } });
    expect([updated.status, updated.meta.versionId === made.meta.versionId]).toEqual(['amended', false]);
    const patched: Loose = await client.patch({ resourceType, id, jsonPatch: [{ op: 'replace', path: '/status', value: 'corrected' }] });
    expect(patched.status).toBe('corrected');
    expect(await client.vread({ resourceType, id, version: made.meta.versionId })).toEqual(made);
    const history: Loose = await client.resourceHistory({ resourceType, id });
    expect(history.entry.map(({ resource }: Loose) => resource.status)).toEqual(['corrected', 'amended', 'final']);
    const conditional: Loose = await client.update({
      resourceType,
      searchParams: { _id: id },
      body: { ...observation(subject, 1), status: 'final' },
    });
    expect([conditional.id, conditional.status]).toEqual([id, 'final']);
    await client.delete({ resourceType, id });
    await expect(client.read({ resourceType, id })).rejects.toMatchObject({ response: { status: 410, data: { resourceType: 'OperationOutcome' } } });
    await expect(client.update({ resourceType, id: 'x', body: { resourceType, id: 'x', status: 'nonsense' } })).rejects.toMatchObject({
      response: { status: 422 },
    });
  });

  it('searches by GET and POST, page by page and back to what a compartment holds', async () => {
    const [, id = ''] = subject.split('/');
    for (const value of [1, 2, 3, 4, 5]) await client.create({ resourceType: 'Observation', body: { ...observation(subject, value) } });
    const searchParams = { subject, _count: 2, _sort: 'date' };
    const values: number[] = [];
    let page: Loose = await client.resourceSearch({ resourceType: 'Observation', searchParams });
    for (; page; page = await client.nextPage({ bundle: page }))
      values.push(...page.entry.map(({ resource }: Loose) => resource.valueQuantity.value));
    expect(values).toEqual([1, 2, 3, 4, 5]);
    const posted: Loose = await client.resourceSearch({ resourceType: 'Observation', searchParams, options: { postSearch: true } });
    expect(posted.total).toBe(5);
    const held: Loose = await client.compartmentSearch({ resourceType: 'Observation', compartment: { resourceType: 'Patient', id } });
    expect(held.total).toBe(5);
  });

  it('sends batches and transactions, and runs operations', async () => {
    expect(statuses(await client.batch({ body: { ...transactionOf('batch') } }))).toEqual(['201', '201']);
    expect(statuses(await client.transaction({ body: { ...transactionOf('transaction') } }))).toEqual(['201', '201']);
    const [, id = ''] = subject.split('/');
    const everything: Loose = await client.operation({ name: '$everything', resourceType: 'Patient', id, method: 'GET' });
    expect(everything.entry[0].resource.id).toBe(id);
    const verdict: Loose = await client.operation({
      name: 'validate',
      resourceType: 'Patient',
      input: { resourceType: 'Patient', gender: 'neither' },
    });
    expect(verdict.issue[0].severity).toBe('error');
    expect(((await client.systemHistory()) as Loose).type).toBe('history');
    expect(((await client.typeHistory({ resourceType: 'Patient' })) as Loose).type).toBe('history');
    expect(await client.resolve({ reference: subject })).toMatchObject({ resourceType: 'Patient', id });
  });
});

/** SMART's backend services name the scopes they want; this client asks for a token without any. */
const withScope = (url: string, options?: RequestInit): Promise<Response> => {
  if (url !== app.server.bootstrap.tokenUrl) return fetch(url, options);
  return fetch(url, { ...options, body: `${String(options?.body as string)}&scope=${encodeURIComponent('system/*.cruds')}` });
};

describe('MedplumClient', () => {
  let client: MedplumClient;
  let patient: Patient & { id: string };
  beforeAll(async () => {
    const { origin } = new URL(app.base);
    const { tokenUrl } = app.server.bootstrap;
    const own = { fhirUrlPath: 'fhir/', tokenUrl, authCredentialsMethod: 'header', fetch: withScope } as const;
    client = new MedplumClient({ baseUrl: `${origin}/`, ...own, cacheTime: 0 });
    await client.startClientLogin(hospital.client.client_id, hospital.client.client_secret);
    patient = await client.createResource<Patient>({
      resourceType: 'Patient',
      gender: 'female',
      identifier: [{ system: 'urn:test', value: 'medplum' }],
    });
  });

  it('has its token from the token endpoint', () => {
    expect(client.getAccessToken()?.split('.')).toHaveLength(3);
  });

  it('creates, reads, updates, patches, reads versions and histories, deletes', async () => {
    const made = await client.createResource(observation(`Patient/${patient.id}`, 1));
    expect(await client.readResource('Observation', made.id)).toEqual(made);
    expect((await client.updateResource({ ...made, status: 'amended' })).status).toBe('amended');
    const patched = await client.patchResource('Observation', made.id, [{ op: 'replace', path: '/status', value: 'corrected' }]);
    expect(patched.status).toBe('corrected');
    expect(await client.readVersion('Observation', made.id, made.meta?.versionId ?? '')).toEqual(made);
    const { entry = [] } = await client.readHistory('Observation', made.id);
    expect(entry.map(({ resource }) => resource?.status)).toEqual(['corrected', 'amended', 'final']);
    await client.deleteResource('Observation', made.id);
    await expect(client.readResource('Observation', made.id)).rejects.toMatchObject({ outcome: { issue: [{ code: 'deleted' }] } });
    await expect(client.createResource({ ...observation('Patient/x', 1), status: 'nonsense' } as unknown as Observation)).rejects.toThrow('status');
  });

  it('creates what is not there yet, and updates what is', async () => {
    const query = 'identifier=urn:test|medplum';
    const there = await client.createResourceIfNoneExist<Patient>({ resourceType: 'Patient', gender: 'male' }, query);
    expect(there).toEqual(patient);
    const upserted = await client.upsertResource<Patient>({ resourceType: 'Patient', gender: 'other', identifier: patient.identifier ?? [] }, query);
    expect([upserted.id, upserted.gender]).toEqual([patient.id, 'other']);
  });

  it('searches, page by page', async () => {
    const subject = `Patient/${patient.id}`;
    for (const value of [11, 12, 13, 14, 15]) await client.createResource(observation(subject, value));
    const pages: (number | undefined)[][] = [];
    for await (const page of client.searchResourcePages('Observation', { subject, _count: 2, _sort: 'date' }))
      pages.push(page.map(({ valueQuantity }) => valueQuantity?.value));
    expect(pages).toEqual([[11, 12], [13, 14], [15]]);
    expect((await client.searchOne('Observation', { subject, date: '2024-05-13' }))?.valueQuantity?.value).toBe(13);
    expect((await client.search('Observation', { subject, _summary: 'count' })).total).toBe(5);
  });

  it('sends batches and transactions, and runs operations', async () => {
    expect(statuses(await client.executeBatch(transactionOf('batch')))).toEqual(['201', '201']);
    expect(statuses(await client.executeBatch(transactionOf('transaction')))).toEqual(['201', '201']);
    expect((await client.readPatientEverything(patient.id)).entry?.[0]?.resource?.id).toBe(patient.id);
    expect((await client.validateResource(patient)).issue.every(({ severity }) => severity !== 'error')).toBe(true);
    const { data } = await client.graphql(`{ Patient(id: "${patient.id}") { gender } }`);
    expect(data.Patient.gender).toBe('other');
    expect(await client.readReference<Patient>({ reference: `Patient/${patient.id}` })).toMatchObject({ id: patient.id });
  });
});
