/** Conditional update, patch and delete, and creates, through the whole server. https://hl7.org/fhir/R4/http.html#cond-update */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey } from '../../server/commands/demo/session.ts';
import { agree, HOSPITAL, organization, patient as managed, put, register, termsOf } from '../support/real-server.ts';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';

let http: ServedApp;
beforeAll(async () => {
  http = await createServedApp({ ASSENT_MAX_CONDITIONAL_DELETES: '5', ASSENT_APPROVALS: 'patient' });
});
afterAll(async () => http.stop());

type Options = Parameters<typeof call>[3];
let last = 0;
/** An identifier nobody has used yet. */
const fresh = () => `v${++last}`;
const person = (value: string, more: object = {}) => ({ resourceType: 'Patient', identifier: [{ system: 'urn:c', value }], ...more });
const criteria = (value: string) => `Patient?identifier=urn:c|${value}`;
const update = (value: string, more: object = {}, options: Options = {}) =>
  call(http, 'PUT', criteria(value), { body: person(value, more), ...options });
const create = async (value: string, options: Options = {}): Promise<string> =>
  (await call(http, 'POST', 'Patient', { body: person(value), ...options })).json.id;
const totalOf = async (value: string, token = 'alice') => (await call(http, 'GET', criteria(value), { token })).json.total as number;
const send = (type: string, entry: readonly object[], options: Options = {}) =>
  call(http, 'POST', '', { body: { resourceType: 'Bundle', type, entry }, ...options });
const statuses = (json: { entry: { response: { status: string } }[] }): string[] => json.entry.map(({ response }) => response.status.slice(0, 3));

describe('conditional update', () => {
  it('creates, then updates what matches, and never picks one of many', async () => {
    const value = fresh();
    const first = await update(value);
    const second = await update(value, { gender: 'female' });
    expect([first.status, second.status, second.json.id, second.json.gender]).toEqual([201, 200, first.json.id, 'female']);
    expect((await call(http, 'GET', `Patient/${first.json.id}/_history`)).json.total).toBe(2);
    await create(value);
    const many = await update(value, { gender: 'male' });
    expect([many.status, many.json.issue[0].code]).toEqual([412, 'multiple-matches']);
  });

  it('takes the id in the body for a new resource where the caller may choose it, and for no other', async () => {
    const value = fresh();
    const made = await update(value, { id: `chosen-${value}` });
    expect([made.status, made.json.id]).toEqual([201, `chosen-${value}`]);
    expect((await update(value, { id: made.json.id, gender: 'male' })).status).toBe(200);
    const other = await update(value, { id: 'another' });
    expect([other.status, other.json.issue[0].expression]).toEqual([400, ['id']]);
    // An id that is taken, by a resource the criteria do not match.
    expect((await update(fresh(), { id: made.json.id })).status).toBe(412);
    expect((await call(http, 'GET', `Patient/${made.json.id}`)).json.gender).toBe('male');
    expect((await update(fresh(), { id: 'not an id' })).status).toBe(422);
  });

  it('makes nothing under an id for a caller who may not choose ids, whether the id is hidden or free', async () => {
    const { session } = await register(http.server, { actor: 'Organization/plain' });
    const hidden = await create(fresh());
    for (const id of [hidden, 'free']) {
      const value = fresh();
      expect((await session.call('PUT', criteria(value), person(value, { id }))).status).toBe(404);
      expect((await session.call('PUT', criteria(value), person(value))).status).toBe(201);
    }
    expect((await call(http, 'GET', `Patient/${hidden}/_history`)).json.total).toBe(1);
  });

  it('If-Match and If-None-Match hold for what matches', async () => {
    const value = fresh();
    expect((await update(value, {}, { headers: { 'if-match': 'W/"x"' } })).status).toBe(412);
    const made = await update(value, {}, { headers: { 'if-none-match': '*' } });
    expect(made.status).toBe(201);
    expect((await update(value, {}, { headers: { 'if-none-match': '*' } })).status).toBe(412);
    expect((await update(value, {}, { headers: { 'if-match': 'W/"x"' } })).status).toBe(412);
    expect((await update(value, {}, { headers: { 'if-match': made.headers['etag'] ?? '' } })).status).toBe(200);
    expect(await totalOf(value)).toBe(1);
  });

  it('is validated, and its criteria understood whole', async () => {
    expect((await update(fresh(), { wrong: 1 })).status).toBe(422);
    for (const url of ['Patient', 'Patient?', 'Patient?unknown=1', 'Patient?gender=male&_count=1', 'Patient?_format=json'])
      expect([url, (await call(http, 'PUT', url, { body: person(fresh()) })).status]).toEqual([url, 400]);
    expect((await call(http, 'PUT', criteria(fresh()), { body: { resourceType: 'Group' } })).status).toBe(400);
  });

  it('needs the scope to search', async () => {
    const value = fresh();
    expect((await update(value, {}, { token: 'alice:system/Patient.cru' })).status).toBe(403);
    expect((await update(value, {}, { token: 'alice:system/Patient.rs' })).status).toBe(403);
    expect((await update(value, {}, { token: 'alice:system/Patient.us' })).status).toBe(201);
  });

  it('PUT to an id with If-None-Match: * makes what is not there yet', async () => {
    const id = `once-${fresh()}`;
    const one = () => call(http, 'PUT', `Patient/${id}`, { body: { resourceType: 'Patient', id }, headers: { 'if-none-match': '*' } });
    expect([(await one()).status, (await one()).status]).toEqual([201, 412]);
    const at = await Promise.all(
      Array.from({ length: 5 }, () =>
        call(http, 'PUT', 'Patient/raced', { body: { resourceType: 'Patient', id: 'raced' }, headers: { 'if-none-match': '*' } }),
      ),
    );
    expect(at.map(({ status }) => status).sort((a, b) => a - b)).toEqual([201, 412, 412, 412, 412]);
  });
});

describe('conditional patch', () => {
  it('patches the one that matches', async () => {
    const value = fresh();
    const patch = (options: Options = {}) =>
      call(http, 'PATCH', criteria(value), {
        body: [{ op: 'add', path: '/active', value: true }],
        headers: { 'content-type': 'application/json-patch+json' },
        ...options,
      });
    expect((await patch()).status).toBe(404);
    const id = await create(value);
    const done = await patch();
    expect([done.status, done.json.id, done.json.active]).toEqual([200, id, true]);
    expect((await patch({ token: 'bob' })).status).toBe(404);
    expect((await patch({ token: 'alice:system/Patient.ru' })).status).toBe(403);
    await create(value);
    expect((await patch()).status).toBe(412);
  });
});

describe('conditional delete', () => {
  const remove = (value: string, options: Options = {}) => call(http, 'DELETE', criteria(value), options);

  it('deletes all that match, up to the limit, and is content with none', async () => {
    const value = fresh();
    expect((await remove(value)).status).toBe(204);
    const ids = [await create(value), await create(value), await create(value)];
    expect((await remove(value)).status).toBe(204);
    for (const id of ids) expect((await call(http, 'GET', `Patient/${id}`)).status).toBe(410);
    for (let i = 0; i < 6; i++) await create(value);
    expect((await remove(value)).status).toBe(412);
    expect(await totalOf(value)).toBe(6);
  });

  it('If-Match is about one', async () => {
    const value = fresh();
    expect((await remove(value, { headers: { 'if-match': 'W/"x"' } })).status).toBe(412);
    const made = await update(value);
    expect((await remove(value, { headers: { 'if-match': 'W/"x"' } })).status).toBe(412);
    expect((await remove(value, { headers: { 'if-match': made.headers['etag'] ?? '' } })).status).toBe(204);
    await create(value);
    await create(value);
    expect((await remove(value, { headers: { 'if-match': 'W/"x"' } })).status).toBe(412);
    expect(await totalOf(value)).toBe(2);
  });

  it('says what it did when asked, and refuses vague criteria and missing scopes', async () => {
    const value = fresh();
    await create(value);
    const said = await remove(value, { headers: { prefer: 'return=OperationOutcome' } });
    expect([said.status, said.json.issue[0].diagnostics]).toEqual([200, 'Deleted: 1.']);
    for (const url of ['Patient', 'Patient?', 'Patient?unknown=1', 'Patient?_sort=birthdate'])
      expect((await call(http, 'DELETE', url)).status).toBe(400);
    expect((await remove(value, { token: 'alice:system/Patient.d' })).status).toBe(403);
    expect((await remove(value, { token: 'alice:system/Patient.s' })).status).toBe(403);
  });

  it('is all or none: a signed Consent among the matches keeps them all', async () => {
    const { server } = http;
    for (const reference of [HOSPITAL, 'Organization/insurer']) await put(server, organization(reference));
    await put(server, managed('signer'));
    const key = await enrolKey(server.admin, 'Patient/signer');
    const terms = termsOf(server, { patient: 'Patient/signer', grantee: 'Organization/insurer' });
    const { consent } = await agree(server, terms, [key]);
    await put(server, { ...terms, id: 'draft', status: 'draft' });
    const found = (await call(http, 'GET', 'Consent?patient=Patient/signer', { token: 'admin' })).json.total;
    expect(found).toBe(2);
    expect((await call(http, 'DELETE', 'Consent?patient=Patient/signer', { token: 'admin' })).status).toBe(422);
    for (const url of [consent, 'Consent/draft']) expect((await call(http, 'GET', url, { token: 'admin' })).status).toBe(200);
  });

  it('the CapabilityStatement says so', async () => {
    const { json } = await call(http, 'GET', 'metadata');
    expect(json.rest[0].resource[0]).toMatchObject({ conditionalCreate: true, conditionalUpdate: true, conditionalDelete: 'multiple' });
    expect(json.patchFormat).toContain('application/json-patch+json');
  });
});

describe('what the caller may not see', () => {
  it('changes no answer', async () => {
    const [hidden, absent] = [fresh(), fresh()];
    const id = await create(hidden);
    const plain = async (method: 'PUT' | 'DELETE', value: string, headers: Record<string, string> = {}) => {
      const answer = await call(http, method, criteria(value), { token: 'bob', headers, ...(method === 'PUT' ? { body: person(value) } : {}) });
      return [answer.status, answer.json?.issue ?? answer.json?.resourceType];
    };
    for (const headers of [{ 'if-match': 'W/"x"' }, {}, { 'if-none-match': '*' }])
      expect(await plain('PUT', hidden, headers as Record<string, string>)).toEqual(await plain('PUT', absent, headers as Record<string, string>));
    expect(await plain('DELETE', hidden)).toEqual(await plain('DELETE', absent));
    expect([await totalOf(hidden), await totalOf(hidden, 'bob'), await totalOf(absent, 'bob')]).toEqual([1, 0, 0]);
    expect((await call(http, 'GET', `Patient/${id}`)).status).toBe(200);
  });

  it('nor one of a transaction', async () => {
    const [hidden, absent] = [fresh(), fresh()];
    await create(hidden);
    for (const method of ['PUT', 'DELETE', 'POST']) {
      const of = (value: string) => ({
        ...(method === 'DELETE' ? {} : { resource: person(value) }),
        request: { method, ...(method === 'POST' ? { url: 'Patient', ifNoneExist: `identifier=urn:c|${value}` } : { url: criteria(value) }) },
      });
      const [one, two] = [await send('transaction', [of(hidden)], { token: 'bob' }), await send('transaction', [of(absent)], { token: 'bob' })];
      expect([method, one.status, statuses(one.json)]).toEqual([method, two.status, statuses(two.json)]);
    }
    expect(await totalOf(hidden)).toBe(1);
  });
});

describe('at once', () => {
  it('conditional updates that choose their id make one', async () => {
    const value = fresh();
    const answers = await Promise.all(Array.from({ length: 6 }, () => update(value, { id: `at-once-${value}` })));
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 200, 200, 200, 200, 201]);
  });

  it('conditional updates make one', async () => {
    const value = fresh();
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => update(value, { name: [{ text: `n${i}` }] })));
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
    expect(await totalOf(value)).toBe(1);
    const [id] = answers.map(({ json }) => json.id);
    expect((await call(http, 'GET', `Patient/${id}/_history`)).json.total).toBe(8);
  });

  it('conditional creates make one, alone and in transactions', async () => {
    const [alone, together] = [fresh(), fresh()];
    const answers = await Promise.all(
      Array.from({ length: 6 }, () =>
        call(http, 'POST', 'Patient', { body: person(alone), headers: { 'if-none-exist': `identifier=urn:c|${alone}` } }),
      ),
    );
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 200, 200, 200, 200, 201]);
    const link = 'urn:uuid:7b0f1c1e-0000-4000-8000-000000000002';
    const bundles = await Promise.all(
      Array.from({ length: 6 }, () =>
        send('transaction', [
          { fullUrl: link, resource: person(together), request: { method: 'POST', url: 'Patient', ifNoneExist: `identifier=urn:c|${together}` } },
          { resource: { resourceType: 'Basic', code: { text: together }, subject: { reference: link } }, request: { method: 'POST', url: 'Basic' } },
        ]),
      ),
    );
    expect(bundles.map(({ json }) => statuses(json)[0] ?? '').sort()).toEqual(['200', '200', '200', '200', '200', '201']);
    expect([await totalOf(alone), await totalOf(together)]).toEqual([1, 1]);
    const { id } = (await call(http, 'GET', criteria(together))).json.entry[0].resource;
    // Every Basic names the one Patient there is.
    expect((await call(http, 'GET', `Basic?subject=Patient/${id}`)).json.total).toBe(6);
  });
});

describe('in a transaction', () => {
  it('conditional entries do what they would do alone, and other entries name what they are about', async () => {
    const [known, unknown, doomed] = [fresh(), fresh(), fresh()];
    const id = await create(known);
    await create(doomed);
    await create(doomed);
    const [linkKnown, linkNew] = ['urn:uuid:7b0f1c1e-0000-4000-8000-000000000003', 'urn:uuid:7b0f1c1e-0000-4000-8000-000000000004'];
    const { status, json } = await send('transaction', [
      { fullUrl: linkKnown, resource: person(known, { gender: 'other' }), request: { method: 'PUT', url: criteria(known) } },
      { fullUrl: linkNew, resource: person(unknown), request: { method: 'PUT', url: criteria(unknown) } },
      { request: { method: 'DELETE', url: criteria(doomed) } },
      { request: { method: 'DELETE', url: criteria('nobody') } },
      { resource: { resourceType: 'Basic', code: { text: 'x' }, subject: { reference: linkKnown } }, request: { method: 'POST', url: 'Basic' } },
      { resource: { resourceType: 'Basic', code: { text: 'x' }, subject: { reference: linkNew } }, request: { method: 'POST', url: 'Basic' } },
    ]);
    expect([status, json.issue]).toEqual([200, undefined]);
    expect(statuses(json)).toEqual(['200', '201', '204', '204', '201', '201']);
    expect([(await call(http, 'GET', `Patient/${id}`)).json.gender, await totalOf(doomed)]).toEqual(['other', 0]);
    const subject = async (i: number) =>
      (await call(http, 'GET', json.entry[i].response.location.slice(http.base.length + 1))).json.subject.reference;
    expect(await subject(4)).toBe(`Patient/${id}`);
    expect(json.entry[1].response.location).toContain(await subject(5));
  });

  it('what it deletes does not match any more', async () => {
    const value = fresh();
    const id = await create(value);
    const { json } = await send('transaction', [
      { resource: person(value), request: { method: 'POST', url: 'Patient', ifNoneExist: `identifier=urn:c|${value}` } },
      { request: { method: 'DELETE', url: `Patient/${id}` } },
    ]);
    expect(statuses(json)).toEqual(['201', '204']);
    expect(await totalOf(value)).toBe(1);
  });

  it.each<[string, (value: string, id: string) => object[]]>([
    [
      'by criteria and by id',
      (value, id) => [
        { resource: person(value), request: { method: 'PUT', url: criteria(value) } },
        { request: { method: 'DELETE', url: `Patient/${id}` } },
        { resource: person(value, { id }), request: { method: 'PUT', url: `Patient/${id}` } },
      ],
    ],
    [
      'by criteria twice',
      (value) => [
        { resource: person(value), request: { method: 'PUT', url: criteria(value) } },
        { resource: person(value), request: { method: 'PUT', url: `Patient?identifier=${value}` } },
      ],
    ],
    [
      'new by the same criteria',
      () =>
        ['a', 'b'].map((text) => ({
          resource: person('nobody', { name: [{ text }] }),
          request: { method: 'POST', url: 'Patient', ifNoneExist: 'identifier=urn:c|nobody' },
        })),
    ],
    [
      'by delete and update',
      (value, id) => [
        { request: { method: 'DELETE', url: criteria(value) } },
        { resource: person(value, { id }), request: { method: 'PUT', url: `Patient/${id}` } },
      ],
    ],
  ])('the same resource %s is 400', async (_name, entries) => {
    const value = fresh();
    const id = await create(value);
    const answer = await send('transaction', entries(value, id));
    expect([answer.status, answer.json.issue[0].expression.length]).toEqual([400, 2]);
    expect((await call(http, 'GET', `Patient/${id}/_history`)).json.total).toBe(1);
  });

  it('a failing condition names its entry and nothing is stored', async () => {
    const [twice, other] = [fresh(), fresh()];
    await create(twice);
    await create(twice);
    const made = { resource: person(other), request: { method: 'POST', url: 'Patient' } };
    for (const [entry, status] of [
      [{ resource: person(twice), request: { method: 'PUT', url: criteria(twice) } }, 412],
      [{ resource: person(other), request: { method: 'PUT', url: criteria('nobody'), ifMatch: 'W/"x"' } }, 412],
      [{ resource: person(other), request: { method: 'PUT', url: 'Patient?unknown=1' } }, 400],
      [{ resource: { resourceType: 'Parameters' }, request: { method: 'PATCH', url: criteria('nobody') } }, 404],
    ] as const) {
      const answer = await send('transaction', [made, entry]);
      expect([answer.status, answer.json.issue[0].expression]).toEqual([status, ['Bundle.entry[1]']]);
    }
    expect(await totalOf(other)).toBe(0);
  });

  it('batches know them too', async () => {
    const value = fresh();
    const one = { resource: person(value), request: { method: 'PUT', url: criteria(value) } };
    const { json } = await send('batch', [one, one, { request: { method: 'DELETE', url: criteria(value) } }]);
    expect(statuses(json)).toEqual(['201', '200', '204']);
  });
});
