/** Batches and transactions. https://hl7.org/fhir/R4/http.html#transaction */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';

let http: ServedApp;
let BASE = '';
beforeAll(async () => {
  http = await createServedApp();
  BASE = http.base;
});
afterAll(async () => http.stop());

type Entry = { fullUrl?: string; resource?: object; request: { method: string; url: string; [name: string]: string } };
const post = (type: string, more: object = {}, fullUrl?: string): Entry => ({
  ...(fullUrl ? { fullUrl } : {}),
  resource: { resourceType: type, ...more },
  request: { method: 'POST', url: type },
});
const observed = { status: 'final', code: { text: 'x' } };
const get = (url: string): Entry => ({ request: { method: 'GET', url } });
const send = (type: string, entry: readonly Entry[], options: Parameters<typeof call>[3] = {}) =>
  call(http, 'POST', '', { body: { resourceType: 'Bundle', type, entry }, ...options });
// biome-ignore format: one line
const statuses = (json: { entry?: { response: { status: string } }[] }): string[] => (json.entry ?? []).map(({ response }) => response.status);
/** How many resources of these types are there. */
const stored = async (...types: readonly string[]): Promise<number> => {
  const totals = await Promise.all(types.map(async (type) => Number((await call(http, 'GET', `${type}?_summary=count`)).json.total)));
  return totals.reduce((sum, total) => sum + total, 0);
};

describe('a batch', () => {
  it('gives each entry its own outcome, in order', async () => {
    const { status, json } = await send('batch', [
      post('Patient', { gender: 'male' }),
      get('Patient/absent'),
      get('Patient?gender=male'),
      post('Patient', { wrong: 1 }),
      get('Nonsense/1'),
      { request: { method: 'POST', url: '/' }, resource: { resourceType: 'Bundle', type: 'batch' } },
      get('metadata'),
      { request: { method: 'DELETE', url: 'Patient/absent' } },
    ]);
    expect([status, json.type]).toEqual([200, 'batch-response']);
    expect(statuses(json).map((line) => line.slice(0, 3))).toEqual(['201', '404', '200', '422', '404', '404', '200', '404']);
    expect(json.entry[0].response.location).toContain(`${BASE}/Patient/`);
    expect(json.entry[1].response.outcome.resourceType).toBe('OperationOutcome');
    expect(json.entry[2].resource.total).toBe(1);
    expect(json.entry[2].response.extension).toEqual([
      { url: 'urn:assent:receipt', valueUrl: expect.stringMatching(/\/AuditEvent\/[a-z0-9]+\/\$receipt$/) },
    ]);
  });

  it('checks the scope of each entry', async () => {
    const { json } = await send('batch', [post('Patient'), get('Patient/x'), get('Observation/x')], { token: 'bob:system/Patient.r' });
    expect(statuses(json)).toEqual(['403 Forbidden', '404 Not Found', '403 Forbidden']);
  });

  it('answers an absent entry as a request of its own would be answered', async () => {
    const alone = await call(http, 'GET', 'Patient/absent');
    const { json } = await send('batch', [get('Patient/absent')]);
    expect(json.entry[0].response.outcome).toEqual(alone.json);
  });

  it('reads conditions of the entry, and sends resources back when asked', async () => {
    const made = await send('batch', [post('Patient')], { headers: { prefer: 'return=representation' } });
    const patient = made.json.entry[0].resource;
    const { json } = await send('batch', [
      { request: { method: 'GET', url: `Patient/${patient.id}`, ifNoneMatch: `W/"${patient.meta.versionId}"` } },
      { request: { method: 'PUT', url: `Patient/${patient.id}`, ifMatch: 'W/"x"' }, resource: patient },
      get(`${BASE}/Patient/${patient.id}`),
    ]);
    expect(statuses(json)).toEqual(['304 Not Modified', '412 Precondition Failed', '200 OK']);
  });
});

describe('a transaction', () => {
  it('is one write, references resolved, answers in order', async () => {
    const { status, json } = await send('transaction', [
      get('Patient?gender=other'),
      post(
        'Observation',
        { ...observed, subject: { reference: 'urn:uuid:11111111-1111-4111-8111-111111111111' } },
        'urn:uuid:22222222-2222-4222-8222-222222222222',
      ),
      { ...post('Patient', { gender: 'other', id: 'x' }, 'urn:uuid:11111111-1111-4111-8111-111111111111') },
      { request: { method: 'PUT', url: 'Organization/o' }, resource: { resourceType: 'Organization', id: 'o', name: 'O' } },
    ]);
    expect([status, json.type]).toEqual([200, 'transaction-response']);
    expect(statuses(json)).toEqual(['200 OK', '201 Created', '201 Created', '201 Created']);
    // The read sees what the transaction wrote.
    expect(json.entry[0].resource.total).toBe(1);
    const [, observation, patient] = json.entry;
    const id = /Patient\/([^/]+)\/_history/.exec(patient.response.location)?.[1];
    const stored = await call(http, 'GET', observation.response.location.slice(BASE.length + 1));
    expect(stored.json.subject.reference).toBe(`Patient/${id}`);
    expect(patient.response).toMatchObject({ etag: expect.stringMatching(/^W\/"/), lastModified: expect.stringMatching(/^\d{4}-.*Z$/) });
  });

  const fine = post('Patient');
  it.each<[string, Entry, number, string]>([
    ['an invalid resource', post('Patient', { wrong: 1 }), 422, 'Bundle.entry[1].resource.wrong'],
    ['an unknown type', post('Nonsense'), 400, 'Bundle.entry[1]'],
    ['a bundle in a bundle', { request: { method: 'POST', url: '/' }, resource: { resourceType: 'Bundle' } }, 400, 'Bundle.entry[1]'],
    ['an operation', { request: { method: 'POST', url: 'Consent/$sign' }, resource: { resourceType: 'Parameters' } }, 400, 'Bundle.entry[1]'],
    [
      'another type than the url',
      { request: { method: 'POST', url: 'Patient' }, resource: { resourceType: 'Group' } },
      400,
      'Bundle.entry[1].request.url',
    ],
    ['criteria that ask for nothing', { request: { method: 'PUT', url: 'Patient?' }, resource: { resourceType: 'Patient' } }, 400, 'Bundle.entry[1]'],
    ['a patch that is none', { request: { method: 'PATCH', url: 'Patient/1' }, resource: { resourceType: 'Binary' } }, 400, 'Bundle.entry[1]'],
    [
      'a bad If-Match',
      { request: { method: 'PUT', url: 'Patient/a', ifMatch: 'x' }, resource: { resourceType: 'Patient', id: 'a' } },
      400,
      'Bundle.entry[1]',
    ],
    ['a signed Provenance', post('Provenance', { target: [{ reference: 'Consent/1' }], signature: [{ data: 'x' }] }), 422, 'Bundle.entry[1]'],
    ['a reference to nothing', post('Observation', { ...observed, subject: { reference: 'Patient?gender=nobody' } }), 412, 'Bundle.entry[1]'],
    ['no request', { resource: { resourceType: 'Patient' } } as Entry, 400, 'Bundle.entry[1].request'],
  ])('with %s stores nothing and names the entry', async (_name, entry, status, expression) => {
    const before = await stored('Patient', 'Observation', 'Provenance');
    const answer = await send('transaction', [fine, entry]);
    expect([answer.status, answer.json.issue[0].expression]).toEqual([status, expect.arrayContaining([expression])]);
    expect(await stored('Patient', 'Observation', 'Provenance')).toBe(before);
  });

  it('checks the scope of each entry before anything is written', async () => {
    const token = 'carol:system/Patient.cs';
    const answer = await send('transaction', [post('Patient'), post('Observation')], { token });
    expect([answer.status, answer.json.issue[0].expression]).toEqual([403, ['Bundle.entry[1]']]);
    expect((await call(http, 'GET', 'Patient?_summary=count', { token })).json.total).toBe(0);
  });

  it('refuses the same resource twice', async () => {
    const put: Entry = { request: { method: 'PUT', url: 'Patient/a' }, resource: { resourceType: 'Patient', id: 'a' } };
    const answer = await send('transaction', [put, fine, { request: { method: 'DELETE', url: 'Patient/a' } }]);
    expect([answer.status, answer.json.issue[0].expression]).toEqual([400, expect.arrayContaining([expect.stringContaining('Bundle.entry[2]')])]);
  });

  it('a match of ifNoneExist stands in for the entry, in references too', async () => {
    await send('transaction', [post('Organization', { name: 'Known' })]);
    const known = await call(http, 'GET', 'Organization?name=Known');
    const existing = `Organization/${known.json.entry[0].resource.id}`;
    const { json } = await send('transaction', [
      { ...post('Organization', { name: 'Known' }, 'urn:uuid:1'), request: { method: 'POST', url: 'Organization', ifNoneExist: 'name=Known' } },
      post('Basic', { code: { text: 'x' }, subject: { reference: 'urn:uuid:1' } }),
      post('Basic', { code: { text: 'x' }, subject: { reference: 'Organization?name=Known' } }),
    ]);
    expect(statuses(json)).toEqual(['200 OK', '201 Created', '201 Created']);
    for (const entry of json.entry.slice(1)) {
      const stored = await call(http, 'GET', entry.response.location.slice(BASE.length + 1));
      expect(stored.json.subject.reference).toBe(existing);
    }
  });
});

describe('both', () => {
  it('refuse what is no batch or transaction', async () => {
    expect((await send('collection', [])).status).toBe(400);
    expect((await call(http, 'POST', '', { body: { resourceType: 'Patient' } })).status).toBe(400);
    expect((await call(http, 'POST', '/fhir', { body: { resourceType: 'Bundle', type: 'batch' } })).status).toBe(200);
  });

  it('refuse more entries than the limit', async () => {
    for (const type of ['batch', 'transaction'])
      expect(
        (
          await send(
            type,
            Array.from({ length: 51 }, () => get('Patient/x')),
          )
        ).status,
      ).toBe(413);
  });
});
