/** PATCH over HTTP, in batches and in transactions, through the whole server. https://hl7.org/fhir/R4/http.html#patch */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey } from '../../server/commands/demo/session.ts';
import { agree, HOSPITAL, organization, patient as managed, put, termsOf, versionOf } from '../support/real-server.ts';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';

let http: ServedApp;
beforeAll(async () => {
  http = await createServedApp({ ASSENT_APPROVALS: 'patient' });
});
afterAll(async () => http.stop());

type Json = Record<string, unknown>;
const JSON_PATCH = { 'content-type': 'application/json-patch+json' };
const operation = (type: string, path: string, value?: object, more: readonly object[] = []) => ({
  name: 'operation',
  part: [{ name: 'type', valueCode: type }, { name: 'path', valueString: path }, ...more, ...(value ? [{ name: 'value', ...value }] : [])],
});
const parameters = (...parameter: readonly object[]) => ({ resourceType: 'Parameters', parameter });
const named = (valueString: string) => [{ name: 'name', valueString }];
const patch = (url: string, body: unknown, options: Parameters<typeof call>[3] = {}) =>
  call(http, 'PATCH', url, { ...options, body, headers: { ...(Array.isArray(body) ? JSON_PATCH : {}), ...options.headers } });
const create = async (resource: Json | string): Promise<string> => {
  const type = typeof resource === 'string' ? (JSON.parse(resource) as Json)['resourceType'] : resource['resourceType'];
  const made = await call(http, 'POST', String(type), { body: resource });
  expect([made.status, made.text]).toEqual([201, expect.any(String)]);
  return `${String(type)}/${made.json.id}`;
};
const observation = '{"resourceType":"Observation","status":"final","code":{"text":"\\u0078"},"valueQuantity":{"value":1.50}}';
const read = async (url: string) => (await call(http, 'GET', url)).json;
const binary = (operations: unknown) => ({
  resourceType: 'Binary',
  contentType: 'application/json-patch+json',
  data: Buffer.from(JSON.stringify(operations)).toString('base64'),
});
const send = (type: string, entry: readonly object[], options: Parameters<typeof call>[3] = {}) =>
  call(http, 'POST', '', { body: { resourceType: 'Bundle', type, entry }, ...options });

describe('JSON Patch', () => {
  it('makes a new version of what it changes and leaves every other byte', async () => {
    const url = await create(observation);
    const before = await call(http, 'GET', url);
    const answer = await patch(url, '[{"op":"add","path":"/component","value":[{"code":{"text":"c"},"valueQuantity":{"value":2.500}}]}]', {
      headers: JSON_PATCH,
    });
    expect([answer.status, answer.headers['etag']]).toEqual([200, `W/"${answer.json.meta.versionId}"`]);
    expect(answer.headers['location']).toBe(`${http.base}/${url}/_history/${answer.json.meta.versionId}`);
    expect(answer.headers['assent-receipt']).toContain(`${http.base}/AuditEvent/`);
    expect(answer.json.meta.versionId).not.toBe(before.json.meta.versionId);
    expect(answer.text).toContain(
      '"code":{"text":"\\u0078"},"valueQuantity":{"value":1.50},"component":[{"code":{"text":"c"},"valueQuantity":{"value":2.500}}]',
    );
    expect((await call(http, 'GET', url)).text).toBe(answer.text);
    expect((await call(http, 'GET', `${url}/_history`)).json.total).toBe(2);
  });

  it('sends back what is wished for', async () => {
    const url = await create(observation);
    const change = [{ op: 'replace', path: '/status', value: 'amended' }];
    const minimal = await patch(url, change, { headers: { prefer: 'return=minimal' } });
    expect([minimal.status, minimal.text]).toEqual([200, '']);
    const outcome = await patch(url, change, { headers: { prefer: 'return=OperationOutcome' } });
    expect([outcome.status, outcome.json.resourceType]).toEqual([200, 'OperationOutcome']);
  });

  it.each<[string, unknown, number, unknown]>([
    ['a test that does not hold', [{ op: 'test', path: '/status', value: 'amended' }], 422, 'patch[0]'],
    [
      'a path to nothing',
      [
        { op: 'test', path: '/status', value: 'final' },
        { op: 'remove', path: '/note' },
      ],
      422,
      'patch[1]',
    ],
    ['no resource at all', [{ op: 'replace', path: '', value: 1 }], 422, undefined],
    ['another type', [{ op: 'replace', path: '/resourceType', value: 'Basic' }], 422, 'resourceType'],
    ['another id', [{ op: 'replace', path: '/id', value: 'x' }], 422, 'id'],
    ['no id', [{ op: 'remove', path: '/id' }], 422, 'id'],
    ['an invalid resource', [{ op: 'add', path: '/wrong', value: 1 }], 422, expect.stringContaining('Observation')],
    ['an invalid code', [{ op: 'replace', path: '/status', value: 'nonsense' }], 422, 'Observation.status'],
    ['no patch', [{ op: 'spam' }], 400, 'patch[0]'],
  ])('refuses %s and changes nothing', async (_name, body, status, expression) => {
    const url = await create(observation);
    const before = await call(http, 'GET', url);
    const answer = await patch(url, body);
    expect([answer.status, answer.json.issue[0].expression?.[0]]).toEqual([status, expression]);
    expect((await call(http, 'GET', url)).text).toBe(before.text);
  });

  it("keeps versionId and lastUpdated the server's own", async () => {
    const url = await create(observation);
    const answer = await patch(url, [
      { op: 'replace', path: '/meta/versionId', value: 'mine' },
      { op: 'replace', path: '/meta/lastUpdated', value: '2000-01-01T00:00:00Z' },
      { op: 'add', path: '/meta/tag', value: [{ system: 'urn:t', code: 't' }] },
    ]);
    expect([answer.status, answer.json.meta.tag]).toEqual([200, [{ system: 'urn:t', code: 't' }]]);
    expect(answer.json.meta.versionId).not.toBe('mine');
    expect(answer.json.meta.lastUpdated).not.toContain('2000');
  });

  it('is known by its media type', async () => {
    const url = await create(observation);
    const body = '[{"op":"test","path":"/status","value":"final"}]';
    const as = (type: string, text = body) => patch(url, text, { headers: { 'content-type': type } });
    expect((await as('application/json-patch+json; charset=utf-8')).status).toBe(200);
    expect((await as('application/fhir+json')).status).toBe(400);
    expect((await as('application/json-patch+json', JSON.stringify(parameters()))).status).toBe(400);
    expect((await as('application/json-patch+json', '[{"op":"test","op":"add","path":"/a","value":1}]')).status).toBe(400);
    expect((await as('application/merge-patch+json')).status).toBe(415);
    expect((await call(http, 'PUT', url, { body, headers: JSON_PATCH })).status).toBe(415);
    expect((await call(http, 'PATCH', url, { headers: JSON_PATCH })).status).toBe(400);
  });
});

describe('FHIRPath Patch', () => {
  it('changes what its paths select, sent as JSON or as XML', async () => {
    const url = await create(observation);
    const answer = await patch(
      url,
      parameters(
        operation('replace', 'Observation.value', { valueString: 'none' }),
        operation('add', 'Observation', { valueAnnotation: { text: 'n' } }, named('note')),
      ),
    );
    expect([answer.status, answer.json.valueString, answer.json.valueQuantity, answer.json.note]).toEqual([200, 'none', undefined, [{ text: 'n' }]]);
    const xml =
      '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/><part><name value="type"/><valueCode value="delete"/></part><part><name value="path"/><valueString value="Observation.note[0]"/></part></parameter></Parameters>';
    const second = await patch(url, xml, { headers: { 'content-type': 'application/fhir+xml' } });
    expect([second.status, second.json.note]).toEqual([200, undefined]);
  });

  it.each<[string, object, number, string]>([
    ['several elements where one is needed', parameters(operation('delete', 'Patient.name')), 422, 'Parameters.parameter[0]'],
    ['a path to nothing', parameters(operation('replace', 'Patient.birthDate', { valueDate: '2020-01-01' })), 422, 'Parameters.parameter[0]'],
    ['a change of id', parameters(operation('replace', 'Patient.id', { valueId: 'x' })), 422, 'id'],
    ['a wrong type', parameters(operation('add', 'Patient', { valueString: 'x' }, named('active'))), 422, 'Patient.active'],
    ['another resource', { resourceType: 'Patient' }, 400, 'resourceType'],
    ['no operation', parameters({ name: 'other' }), 400, 'Parameters.parameter[0]'],
  ])('refuses %s', async (_name, body, status, expression) => {
    const url = await create({ resourceType: 'Patient', name: [{ text: 'a' }, { text: 'b' }] });
    const answer = await patch(url, body);
    expect([answer.status, answer.json.issue[0].expression]).toEqual([status, expect.arrayContaining([expression])]);
  });
});

describe('who may patch', () => {
  const change = [{ op: 'add', path: '/active', value: true }];

  it('If-Match: the named version or 412, and nothing is undone', async () => {
    const url = await create({ resourceType: 'Patient' });
    const { meta } = await read(url);
    expect((await patch(url, change, { headers: { 'if-match': 'W/"x"' } })).status).toBe(412);
    expect((await patch(url, change, { headers: { 'if-match': `W/"${meta.versionId}"` } })).status).toBe(200);
    expect((await patch(url, change, { headers: { 'if-match': `W/"${meta.versionId}"` } })).status).toBe(412);
    expect((await patch(url, change, { headers: { 'if-none-match': '*' } })).status).toBe(400);
  });

  it('needs both letters, u and r', async () => {
    const url = await create({ resourceType: 'Patient' });
    expect((await patch(url, change, { token: 'alice:system/Patient.u' })).status).toBe(403);
    expect((await patch(url, change, { token: 'alice:system/Patient.rs' })).status).toBe(403);
    expect((await patch(url, change, { token: 'alice:system/Patient.ru' })).status).toBe(200);
  });

  it('a hidden record is as absent as one that was never there, whatever the patch', async () => {
    const url = await create({ resourceType: 'Patient', gender: 'male' });
    const { meta } = await read(url);
    const bodies = [
      change,
      [{ op: 'test', path: '/gender', value: 'male' }],
      [{ op: 'test', path: '/gender', value: 'female' }],
      parameters(operation('delete', 'Patient.gender')),
    ];
    for (const body of bodies)
      for (const headers of [{}, { 'if-match': `W/"${meta.versionId}"` }, { 'if-match': 'W/"x"' }]) {
        const [hidden, absent] = [await patch(url, body, { token: 'bob', headers }), await patch('Patient/absent', body, { token: 'bob', headers })];
        expect(hidden.status).toBe(404);
        expect(hidden.json).toEqual(absent.json);
      }
    expect((await read(url)).gender).toBe('male');
  });

  it('a deleted record is gone', async () => {
    const url = await create({ resourceType: 'Patient' });
    await call(http, 'DELETE', url);
    expect((await patch(url, change)).status).toBe(410);
  });

  it('a patch is a disclosure in the audit trail, also one that fails', async () => {
    const url = await create({ resourceType: 'Patient', gender: 'male' });
    await patch(url, [{ op: 'test', path: '/gender', value: 'female' }]);
    await patch(url, change);
    const trail = (await call(http, 'GET', `AuditEvent?patient=${url}&_count=100`, { token: 'admin' })).json.entry as {
      resource: { subtype: { code: string }[] };
    }[];
    // Of one millisecond they may be.
    expect(trail.map(({ resource }) => String(resource.subtype[0]?.code)).sort()).toEqual(['create', 'patch', 'read', 'read']);
  });

  it('a signed Consent and the audit trail are not patched', async () => {
    const { server } = http;
    for (const reference of [HOSPITAL, 'Organization/insurer']) await put(server, organization(reference));
    await put(server, managed('signer'));
    const key = await enrolKey(server.admin, 'Patient/signer');
    const { consent } = await agree(server, termsOf(server, { patient: 'Patient/signer', grantee: 'Organization/insurer' }), [key]);
    const bodies = [
      [{ op: 'replace', path: '/status', value: 'inactive' }],
      parameters(operation('replace', 'Consent.status', { valueCode: 'inactive' })),
    ];
    for (const body of bodies) {
      const answer = await patch(consent, body, { token: 'admin' });
      expect([answer.status, answer.json.issue[0].code]).toEqual([422, 'business-rule']);
    }
    expect((await call(http, 'GET', consent, { token: 'admin' })).json.status).toBe('active');
    const event = (await call(http, 'GET', 'AuditEvent?_count=1', { token: 'admin' })).json.entry[0].resource as { id: string };
    expect((await patch(`AuditEvent/${event.id}`, [{ op: 'replace', path: '/outcome', value: '8' }], { token: 'admin' })).status).toBe(422);
  });
});

describe('patches at once', () => {
  it('lose none of each other, without If-Match', async () => {
    const url = await create({ resourceType: 'Patient', name: [{ family: 'f' }] });
    const words = Array.from({ length: 8 }, (_, i) => `n${i}`);
    const answers = await Promise.all(
      words.map((word, i) =>
        patch(
          url,
          i % 2 === 0
            ? [{ op: 'add', path: '/name/-', value: { text: word } }]
            : parameters(operation('add', 'Patient', { valueHumanName: { text: word } }, named('name'))),
        ),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(words.map(() => 200));
    const { name } = await read(url);
    expect(
      name
        .map(({ text }: { text?: string }) => text)
        .filter(Boolean)
        .sort(),
    ).toEqual(words);
  });

  it('with If-Match one wins', async () => {
    const url = await create({ resourceType: 'Patient', name: [{ family: 'f' }] });
    const { meta } = await read(url);
    const headers = { 'if-match': `W/"${meta.versionId}"` };
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => patch(url, [{ op: 'add', path: '/name/-', value: { text: `n${i}` } }], { headers })),
    );
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 412, 412, 412, 412, 412]);
    expect((await read(url)).name).toHaveLength(2);
  });
});

describe('as entries', () => {
  const entry = (url: string, resource: object, more: object = {}) => ({ resource, request: { method: 'PATCH', url, ...more } });

  it('of a batch, each on its own', async () => {
    const [a, b] = [await create({ resourceType: 'Patient' }), await create({ resourceType: 'Patient' })];
    const { json } = await send('batch', [
      entry(a, parameters(operation('add', 'Patient', { valueCode: 'male' }, named('gender')))),
      entry(b, binary([{ op: 'add', path: '/gender', value: 'female' }])),
      entry(b, binary([{ op: 'test', path: '/gender', value: 'male' }])),
      entry(b, { resourceType: 'Binary', contentType: 'text/plain', data: 'eA==' }),
      entry('Patient/absent', binary([])),
      entry(a, binary([]), { ifMatch: 'W/"x"' }),
    ]);
    expect(json.entry.map(({ response }: { response: { status: string } }) => response.status.slice(0, 3))).toEqual([
      '200',
      '200',
      '422',
      '400',
      '404',
      '412',
    ]);
    expect([(await read(a)).gender, (await read(b)).gender]).toEqual(['male', 'female']);
  });

  it('of a transaction, with links to what it creates', async () => {
    const [a, b] = [await create({ resourceType: 'Patient' }), await create({ resourceType: 'Patient' })];
    const link = 'urn:uuid:7b0f1c1e-0000-4000-8000-000000000001';
    const { status, json } = await send('transaction', [
      entry(a, parameters(operation('add', 'Patient', { valueReference: { reference: link } }, named('managingOrganization')))),
      entry(b, binary([{ op: 'add', path: '/managingOrganization', value: { reference: link } }])),
      { fullUrl: link, resource: { resourceType: 'Organization', name: 'O' }, request: { method: 'POST', url: 'Organization' } },
    ]);
    expect(status).toBe(200);
    expect(json.entry.map(({ response }: { response: { status: string } }) => response.status.slice(0, 3))).toEqual(['200', '200', '201']);
    for (const one of json.entry.slice(0, 2))
      expect(one.response.extension).toEqual([{ url: 'urn:assent:receipt', valueUrl: expect.stringContaining('$receipt') }]);
    const made = /Organization\/[^/]+/.exec(json.entry[2].response.location)?.[0];
    expect([(await read(a)).managingOrganization, (await read(b)).managingOrganization]).toEqual([{ reference: made }, { reference: made }]);
  });

  it.each<[string, object, number]>([
    ['a test that does not hold', binary([{ op: 'test', path: '/gender', value: 'male' }]), 422],
    ['an invalid outcome', binary([{ op: 'add', path: '/wrong', value: 1 }]), 422],
    ['no patch', { resourceType: 'Basic' }, 400],
  ])('with %s a transaction stores nothing and names the entry', async (_name, resource, status) => {
    const url = await create({ resourceType: 'Patient' });
    const answer = await send('transaction', [
      { resource: { resourceType: 'Patient', identifier: [{ system: 'urn:rolled-back', value: 'x' }] }, request: { method: 'POST', url: 'Patient' } },
      entry(url, resource),
    ]);
    expect([answer.status, answer.json.issue[0].expression[0]]).toEqual([status, expect.stringContaining('Bundle.entry[1]')]);
    expect((await call(http, 'GET', 'Patient?identifier=urn:rolled-back|x')).json.total).toBe(0);
  });

  it('of a transaction: versions, scopes, hidden records and one patch for each', async () => {
    const url = await create({ resourceType: 'Patient' });
    const version = versionOf({ headers: new Headers({ etag: (await call(http, 'GET', url)).headers['etag'] ?? '' }) } as never);
    const one = (more: object = {}) => entry(url, binary([{ op: 'add', path: '/active', value: true }]), more);
    expect((await send('transaction', [one({ ifMatch: 'W/"x"' })])).status).toBe(412);
    expect((await send('transaction', [one()], { token: 'alice:system/Patient.u' })).status).toBe(403);
    expect((await send('transaction', [one()], { token: 'bob' })).status).toBe(404);
    expect((await send('transaction', [one(), one()])).status).toBe(400);
    expect((await send('transaction', [one({ ifMatch: `W/"${version}"` })])).status).toBe(200);
  });

  it('of transactions at once: none is lost', async () => {
    const url = await create({ resourceType: 'Patient', name: [{ family: 'f' }] });
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_, i) => send('transaction', [entry(url, binary([{ op: 'add', path: '/name/-', value: { text: `n${i}` } }]))])),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect((await read(url)).name).toHaveLength(6);
  });
});

describe('whatever comes', () => {
  const path = fc.constantFrom(
    '/status',
    '/code',
    '/code/text',
    '/valueQuantity/value',
    '/component/-',
    '/component/0',
    '',
    '/__proto__',
    '/meta',
    '/id',
    '/text',
    '/x/y',
  );
  const operations = fc.array(
    fc.record({ op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'spam'), path, from: path, value: fc.jsonValue() }),
    { maxLength: 4 },
  );

  it.each([20_240_501, Math.trunc(Math.random() * 2 ** 31)])('the answer is an answer: no 5xx (seed %i)', async (seed) => {
    const url = await create(observation);
    const fine = async (body: unknown): Promise<void> => {
      const answer = await patch(url, JSON.stringify(body), { headers: JSON_PATCH });
      expect([200, 400, 422]).toContain(answer.status);
    };
    await fc.assert(fc.asyncProperty(operations, fine), { seed, numRuns: 60 });
    const { logs } = http.server;
    expect(logs.filter((line) => line.includes('"level":50'))).toEqual([]);
  });
});
