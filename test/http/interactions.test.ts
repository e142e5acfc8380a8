/** Headers, conditions and preferences of single interactions. https://hl7.org/fhir/R4/http.html */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';

let http: ServedApp;
let BASE = '';
beforeAll(async () => {
  http = await createServedApp();
  BASE = http.base;
});
afterAll(async () => http.stop());

const flag = { status: 'active', code: { text: 'listed' }, subject: { reference: 'Patient/listed' } };
const receiptLink = () => new RegExp(`^${http.base}/AuditEvent/[a-z0-9]+/\\$receipt$`);
const totalOf = async (type: string, token = 'alice') => (await call(http, 'GET', `${type}?_summary=count`, { token })).json.total;

const create = async (resource: object, headers: Record<string, string> = {}) => {
  const { resourceType } = resource as { resourceType: string };
  return call(http, 'POST', resourceType, { body: resource, headers });
};

describe('create and read', () => {
  it('gives the id, says where it is, and serves the digits as sent', async () => {
    const made = await create(JSON.parse('{"resourceType":"Patient","id":"mine","gender":"male"}'));
    const { id } = made.json;
    expect(made.status).toBe(201);
    expect(id).not.toBe('mine');
    expect(made.headers['location']).toBe(`${BASE}/Patient/${id}/_history/${made.json.meta.versionId}`);
    expect(made.headers['etag']).toBe(`W/"${made.json.meta.versionId}"`);
    const observation = await call(http, 'POST', 'Observation', {
      body: '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50}}',
    });
    const read = await call(http, 'GET', `Observation/${observation.json.id}`);
    expect(read.text).toContain('"value":1.50');
    expect(read.headers['content-type']).toBe('application/fhir+json; charset=utf-8');
    expect(read.headers['last-modified']).toBe(new Date(read.json.meta.lastUpdated).toUTCString());
    expect(read.headers['assent-receipt']).toMatch(receiptLink());
    const pretty = await call(http, 'GET', `Observation/${observation.json.id}?_pretty=true`);
    expect(pretty.text).toContain('\n    "value": 1.50');
  });

  it('HEAD is a read without its body', async () => {
    const { json } = await create({ resourceType: 'Patient' });
    const head = await call(http, 'HEAD', `Patient/${json.id}`);
    expect([head.status, head.text, head.headers['etag']]).toEqual([200, '', `W/"${json.meta.versionId}"`]);
  });

  it('Prefer decides how much comes back', async () => {
    const minimal = await create({ resourceType: 'Patient' }, { prefer: 'return=minimal' });
    expect([minimal.status, minimal.text]).toEqual([201, '']);
    const outcome = await create({ resourceType: 'Patient' }, { prefer: 'handling=strict; return=OperationOutcome' });
    expect([outcome.status, outcome.json.resourceType]).toEqual([201, 'OperationOutcome']);
    const full = await create({ resourceType: 'Patient' }, { prefer: 'return=representation, respond-async' });
    expect(full.json.resourceType).toBe('Patient');
  });

  it('If-None-Exist: what matches is read, not made again; a vague condition is refused', async () => {
    const first = await create({ resourceType: 'Patient', gender: 'other' });
    const again = await create({ resourceType: 'Patient', gender: 'other' }, { 'if-none-exist': 'gender=other' });
    expect([again.status, again.json.id]).toEqual([200, first.json.id]);
    // What matches is disclosed, so there is a receipt.
    expect(again.headers['assent-receipt']).toMatch(receiptLink());
    const other = await create({ resourceType: 'Patient', gender: 'male' }, { 'if-none-exist': 'gender=female' });
    expect(other.status).toBe(201);
    for (const condition of ['', 'unknown=1', 'gender=other&_count=1'])
      expect((await create({ resourceType: 'Patient' }, { 'if-none-exist': condition })).status).toBe(400);
  });

  it('If-None-Exist asks for the scope to search, and tells no more than its caller may read', async () => {
    const options = { body: { resourceType: 'Patient', gender: 'unknown' }, headers: { 'if-none-exist': 'gender=unknown' } };
    expect((await call(http, 'POST', 'Patient', { ...options, token: 'bob:system/Patient.cr' })).status).toBe(403);
    expect((await call(http, 'POST', 'Patient', { ...options, token: 'bob:system/Patient.cs' })).status).toBe(201);
    const known = await call(http, 'POST', 'Patient', { ...options, token: 'bob:system/Patient.cs' });
    expect([known.status, known.text]).toEqual([200, '']);
  });

  it.each([
    ['Patient', { resourceType: 'Provenance', signature: [{ who: { reference: 'Patient/1' }, data: 'eA==' }] }, 'required'],
    ['Consent', { resourceType: 'Provenance' }, 'signatures'],
  ])('refuses a Provenance beside a %s that it cannot take, storing nothing', async (resourceType, provenance, words) => {
    const stored = await totalOf(resourceType);
    const answer = await create({ resourceType }, { 'x-provenance': JSON.stringify(provenance) });
    expect([answer.status, answer.json.issue[0].diagnostics]).toEqual([422, expect.stringContaining(words)]);
    expect(await totalOf(resourceType)).toBe(stored);
  });

  it('says what is invalid and where', async () => {
    const answer = await create({ resourceType: 'Patient', wrong: 1 });
    expect([answer.status, answer.json.issue[0].expression]).toEqual([422, ['Patient.wrong']]);
  });
});

describe('conditions', () => {
  it('304 for a copy that is current, 200 for one that is not', async () => {
    const { json } = await create({ resourceType: 'Patient' });
    const etag = `W/"${json.meta.versionId}"`;
    for (const tag of [etag, `"${json.meta.versionId}"`, `"x", ${etag}`, '*']) {
      const answer = await call(http, 'GET', `Patient/${json.id}`, { headers: { 'if-none-match': tag } });
      expect([tag, answer.status, answer.text, answer.headers['etag']]).toEqual([tag, 304, '', etag]);
    }
    expect((await call(http, 'GET', `Patient/${json.id}`, { headers: { 'if-none-match': 'W/"x"' } })).status).toBe(200);
    const since = (date: string) => call(http, 'GET', `Patient/${json.id}`, { headers: { 'if-modified-since': date } });
    const updated = new Date(json.meta.lastUpdated).getTime();
    expect((await since(new Date(updated).toUTCString())).status).toBe(304);
    expect((await since(new Date(updated - 1_000).toUTCString())).status).toBe(200);
  });

  it('a hidden record is 404 whatever the condition, never 304 or 412', async () => {
    const { json } = await create({ resourceType: 'Patient' });
    const conditions = { 'if-none-match': '*', 'if-match': `W/"${json.meta.versionId}"` };
    expect((await call(http, 'GET', `Patient/${json.id}`, { token: 'stranger', headers: conditions })).status).toBe(404);
    expect((await call(http, 'DELETE', `Patient/${json.id}`, { token: 'stranger', headers: { 'if-match': 'W/"x"' } })).status).toBe(404);
  });

  it('If-Match: the named version or 412', async () => {
    const { json } = await create({ resourceType: 'Patient' });
    const put = (tag: string) =>
      call(http, 'PUT', `Patient/${json.id}`, { body: { resourceType: 'Patient', id: json.id }, headers: { 'if-match': tag } });
    expect((await put('W/"wrong"')).status).toBe(412);
    expect((await put('nonsense')).status).toBe(400);
    expect((await put(`W/"${json.meta.versionId}"`)).status).toBe(200);
    expect((await call(http, 'DELETE', `Patient/${json.id}`, { headers: { 'if-match': `W/"${json.meta.versionId}"` } })).status).toBe(412);
  });

  it('a condition without meaning here is refused, not passed over', async () => {
    const answer = await call(http, 'POST', 'Patient', { body: { resourceType: 'Patient' }, headers: { 'if-match': 'W/"1"' } });
    expect(answer.status).toBe(400);
  });
});

describe('update and delete', () => {
  it('needs the id of the URL in the body', async () => {
    expect((await call(http, 'PUT', 'Patient/a', { body: { resourceType: 'Patient', id: 'b' } })).status).toBe(400);
    expect((await call(http, 'PUT', 'Patient/a', { body: { resourceType: 'Patient' } })).status).toBe(400);
    expect((await call(http, 'PUT', 'Patient/a', { body: { resourceType: 'Group', id: 'a' } })).status).toBe(400);
    const first = await call(http, 'PUT', 'Patient/a', { body: { resourceType: 'Patient', id: 'a' } });
    expect([first.status, first.headers['location']]).toEqual([201, expect.stringContaining('/Patient/a/_history/')]);
  });

  it('what was deleted is gone, and its history says so', async () => {
    const { json } = await create({ resourceType: 'Patient' });
    const gone = await call(http, 'DELETE', `Patient/${json.id}`);
    expect([gone.status, gone.text]).toEqual([204, '']);
    expect((await call(http, 'GET', `Patient/${json.id}`)).status).toBe(410);
    const history = (await call(http, 'GET', `Patient/${json.id}/_history`)).json;
    expect([history.type, history.total]).toEqual(['history', 2]);
    expect(
      history.entry.map((entry: { request: { method: string }; response: { status: string } }) => [entry.request.method, entry.response.status]),
    ).toEqual([
      ['DELETE', '204 No Content'],
      ['PUT', '200 OK'],
    ]);
    expect(history.entry[0].resource).toBeUndefined();
    const said = await call(http, 'DELETE', `Patient/${json.id}`, { headers: { prefer: 'return=OperationOutcome' } });
    expect([said.status, said.json.resourceType]).toEqual([200, 'OperationOutcome']);
  });

  it('history is paged by sealed links', async () => {
    const { json } = await create({ resourceType: 'Patient' });
    for (let i = 0; i < 4; i++) await call(http, 'PUT', `Patient/${json.id}`, { body: { resourceType: 'Patient', id: json.id } });
    const seen: string[] = [];
    let url = `Patient/${json.id}/_history?_count=2`;
    for (let page = 0; url !== '' && page < 9; page++) {
      const { json: bundle } = await call(http, 'GET', url);
      seen.push(...bundle.entry.map((entry: { resource: { meta: { versionId: string } } }) => entry.resource.meta.versionId));
      url = bundle.link.find((link: { relation: string }) => link.relation === 'next')?.url.slice(`${BASE}/`.length) ?? '';
      if (page === 0) expect((await call(http, 'GET', url, { token: 'bob' })).status).toBe(400);
    }
    expect([seen.length, new Set(seen).size]).toEqual([5, 5]);
    expect((await call(http, 'GET', `Patient/${json.id}/_history?_since=yesterday`)).status).toBe(400);
  });
});

/** Relative to the base; '' where there is none. */
function linkTo({ link }: { readonly link: readonly { readonly relation: string; readonly url: string }[] }, relation: string): string {
  return link.find((one) => one.relation === relation)?.url.slice(`${BASE}/`.length) ?? '';
}

describe('search', () => {
  it('is a searchset with total, links, receipt and fullUrls, page by page', async () => {
    for (let i = 0; i < 5; i++) await create({ resourceType: 'Flag', ...flag, identifier: [{ system: 'urn:s', value: 'listed' }] });
    const ids: string[] = [];
    let url = 'Flag?identifier=listed&_count=2&_pretty=false';
    for (let page = 0; url !== '' && page < 9; page++) {
      const { json: bundle, headers } = await call(http, 'GET', url);
      expect([bundle.type, bundle.total, headers['assent-receipt']]).toEqual(['searchset', 5, expect.stringMatching(receiptLink())]);
      expect(bundle.link[0]).toEqual({ relation: 'self', url: `${BASE}/Flag?identifier=listed&_count=2` });
      for (const { fullUrl, resource, search } of bundle.entry) {
        expect([fullUrl, search.mode]).toEqual([`${BASE}/Flag/${resource.id}`, 'match']);
        ids.push(resource.id);
      }
      url = linkTo(bundle, 'next');
      if (page === 0) {
        expect((await call(http, 'GET', url, { token: 'bob' })).json.issue[0].diagnostics).toContain('not valid for this caller');
        expect((await call(http, 'GET', url.replace('listed', 'other'))).status).toBe(400);
      }
    }
    expect([ids.length, new Set(ids).size]).toEqual([5, 5]);
  });

  it('POST _search takes both places', async () => {
    const answer = await call(http, 'POST', 'Flag/_search?_count=1', {
      body: 'identifier=listed',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect([answer.json.total, answer.json.entry.length]).toEqual([5, 1]);
    expect((await call(http, 'POST', 'Flag/_search', { body: {} })).status).toBe(415);
  });

  it('names what it left out; strict refuses', async () => {
    const lenient = (await call(http, 'GET', 'Flag?identifier=listed&unknown=1')).json;
    expect(lenient.entry.at(-1)).toMatchObject({ search: { mode: 'outcome' }, resource: { issue: [{ severity: 'warning' }] } });
    expect(lenient.link[0].url).not.toContain('unknown');
    expect((await call(http, 'GET', 'Flag?unknown=1', { headers: { prefer: 'handling=strict' } })).status).toBe(400);
  });

  it('_summary=count has a total and no entries', async () => {
    const { json } = await call(http, 'GET', 'Flag?identifier=listed&_summary=count');
    expect([json.total, json.entry]).toEqual([5, undefined]);
    expect((await call(http, 'GET', 'Flag?identifier=listed&_summary=count', { token: 'stranger' })).json.total).toBe(0);
  });
});

describe('hidden and absent', () => {
  it('are the same answer, byte for byte, on every way to one record', async () => {
    const { json } = await create({ resourceType: 'Patient' });
    const hidden = json.id as string;
    const absent = 'x'.repeat(hidden.length);
    const ways: [Parameters<typeof call>[1], (id: string) => string, ((id: string) => object)?][] = [
      ['GET', (id) => `Patient/${id}`],
      ['HEAD', (id) => `Patient/${id}`],
      ['GET', (id) => `Patient/${id}/_history`],
      ['GET', (id) => `Patient/${id}/_history/${json.meta.versionId}`],
      ['DELETE', (id) => `Patient/${id}`],
      ['GET', (id) => `Consent/${id}/$receipt`],
      ['GET', (id) => `Consent/${id}/$ledger-proof`],
      ['GET', (id) => `AuditEvent/${id}/$receipt`],
    ];
    for (const [method, url, body] of ways) {
      const answers = await Promise.all(
        [hidden, absent].map(async (id) => {
          const { status, text, headers } = await call(http, method, url(id), { token: 'stranger', body: body?.(id) });
          const { date: _date, ...rest } = headers;
          return { status, text, rest };
        }),
      );
      expect(answers[0]?.status).toBe(404);
      expect(answers[0]).toEqual(answers[1]);
      expect(answers[0]?.text).not.toContain(hidden);
    }
  });

  it('an id that cannot be one is absent too', async () => {
    const plain = await call(http, 'GET', 'Patient/absent');
    for (const id of ['a%2Fb', 'a%20b', 'x'.repeat(65), 'x'.repeat(500), '%E4%B8%AD']) {
      const answer = await call(http, 'GET', `Patient/${id}`);
      expect([id, answer.status, answer.text]).toEqual([id, 404, plain.text]);
    }
  });
});

describe('operations', () => {
  const parameters = (...parameter: object[]) => ({ resourceType: 'Parameters', parameter });

  it.each([
    ['$sign', {}],
    ['$sign', parameters()],
    ['$sign', parameters({ name: 'statement', valueString: 's' })],
    ['$sign', parameters({ name: 'statement', valueString: 's' }, { name: 'signature', part: [{ name: 'who' }] })],
    ['$sign', parameters({ name: 'statement', valueString: 's' }, { name: 'other', valueString: 's' })],
    ['$sign', { resourceType: 'Parameters', parameter: 'x' }],
    ['$sign', { resourceType: 'Parameters', parameter: [null, 1] }],
    ['$prepare', parameters({ name: 'language', valueCode: 'en' })],
    ['$prepare', parameters({ name: 'consent', resource: { resourceType: 'Patient' } }, { name: 'language', valueCode: 'en' })],
    ['c1/$withdraw', parameters({ name: 'jws', valueInteger: 1 })],
  ])('%s refuses %j', async (operation, body) => {
    const answer = await call(http, 'POST', `Consent/${operation}`, { body });
    expect([answer.status, answer.json.resourceType]).toEqual([operation === '$sign' && 'resourceType' in body ? 422 : 400, 'OperationOutcome']);
  });

  it('$receipt is the proof, or 202 with Retry-After until it is sealed', async () => {
    const { json } = await create({ resourceType: 'Patient' });
    const { headers } = await call(http, 'GET', `Patient/${json.id}`);
    const url = String(headers['assent-receipt']).slice(`${BASE}/`.length);
    const first = await call(http, 'GET', url);
    if (first.status === 202) expect(first.headers['retry-after']).toBe('1');
    // The scope of the disclosure does not matter, its client does.
    await until(async () => (await call(http, 'GET', url)).status !== 202);
    const ready = await call(http, 'GET', url);
    expect([ready.status, ready.headers['content-type'], verifyReceipt(ready.text).kind]).toEqual([200, 'application/json; charset=utf-8', 'proven']);
    expect((await call(http, 'GET', url, { token: 'stranger' })).status).toBe(404);
  });
});

async function until(held: () => Promise<boolean>): Promise<void> {
  while (!(await held())) await new Promise((resolve) => setTimeout(resolve, 10));
}
