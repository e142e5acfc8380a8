/** The form of bodies through the real server: XML and JSON, parts, preferences, conditions, HEAD, CORS, Binary. */
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseXml } from '../../server/fhir/xml/read.ts';
import { organization, patient, put, type RealServer, register, startRealServer } from '../support/real-server.ts';

let server: RealServer;
beforeAll(async () => {
  server = await startRealServer();
  await put(server, { ...organization('Organization/a'), alias: ['A', 'AA'], telecom: [{ system: 'phone', value: '1' }], text: narrative });
  await put(server, { ...organization('Organization/b'), name: 'é <b> & "c"', partOf: { reference: 'Organization/a' } });
});
afterAll(async () => server.stop());

const narrative = { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">a&#160;b</div>' };
const XML = 'application/fhir+xml';
const limits = { maxDepth: 64, maxBytes: 1_000_000 };
const readXml = (text: string) => parseXml(text, limits).value;

type Sent = { readonly body?: string | Uint8Array<ArrayBuffer>; readonly headers?: Readonly<Record<string, string>> };

/** Bytes as they are, unlike a session, which speaks JSON. */
async function send(method: string, path: string, { body, headers = {} }: Sent = {}) {
  const response = await fetch(`${server.bootstrap.fhirBaseUrl}/${path}`, {
    method,
    headers: { authorization: `Bearer ${server.admin.token}`, ...headers },
    ...(body === undefined ? {} : { body: body }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = bytes.toString('utf8');
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    text,
    type: response.headers.get('content-type'),
    json: () => JSON.parse(text),
  };
}

describe('XML', () => {
  it('is taken, stored as JSON, and given back in the format asked for', async () => {
    const body =
      '<?xml version="1.0" encoding="UTF-8"?><Location xmlns="http://hl7.org/fhir"><!-- a --><name value="x&#10;y"/><position><longitude value="1.50"/>' +
      '<latitude value="-0.0"/></position></Location>';
    const made = await send('POST', 'Location', { body, headers: { 'content-type': XML, accept: XML } });
    expect([made.status, made.type]).toEqual([201, 'application/fhir+xml; charset=utf-8']);
    const { id } = readXml(made.text);
    const json = await send('GET', `Location/${id}`, { headers: { accept: 'application/fhir+json' } });
    expect(json.text).toContain('"name":"x\\ny","position":{"longitude":1.50,"latitude":-0.0}');
    const xml = await send('GET', `Location/${id}?_format=xml`);
    expect(xml.text).toContain('<name value="x&#10;y"/><position><longitude value="1.50"/><latitude value="-0.0"/></position>');
    const again = await send('PUT', `Location/${id}`, { body: xml.text, headers: { 'content-type': 'application/xml; charset=UTF-8' } });
    expect([again.status, again.type]).toEqual([200, 'application/fhir+json; charset=utf-8']);
    expect(again.text).toContain('"longitude":1.50');
  });

  it('carries searches, histories, batches and the CapabilityStatement', async () => {
    const found = await send('GET', 'Organization?_sort=_lastUpdated', { headers: { accept: XML } });
    const bundle = readXml(found.text) as unknown as { total: number; entry: { resource: { name: string; text?: object } }[] };
    expect([found.type, bundle.total]).toEqual(['application/fhir+xml; charset=utf-8', 2]);
    expect(bundle.entry[1]?.resource.name).toBe('é <b> & "c"');
    expect(bundle.entry[0]?.resource.text).toEqual(narrative);
    expect(readXml((await send('GET', 'Organization/a/_history?_format=xml')).text)['type']).toBe('history');
    expect(readXml((await send('GET', 'metadata?_format=application/fhir%2Bxml')).text).resourceType).toBe('CapabilityStatement');
    const batch = `<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><request><method value="GET"/><url value="Organization/a"/></request></entry><entry><request><method value="GET"/><url value="Organization/none"/></request></entry></Bundle>`;
    const done = readXml((await send('POST', '', { body: batch, headers: { 'content-type': XML, accept: XML } })).text) as unknown as {
      entry: { resource?: { resourceType: string }; response: { outcome?: { resourceType: string } } }[];
    };
    expect(done.entry.map(({ resource, response }) => [resource?.resourceType, response.outcome?.resourceType])).toEqual([
      ['Organization', undefined],
      [undefined, 'OperationOutcome'],
    ]);
  });

  it('carries errors to a caller that accepts only XML', async () => {
    const absent = await send('GET', 'Organization/none', { headers: { accept: XML } });
    expect([absent.status, absent.type, readXml(absent.text).resourceType]).toEqual([404, 'application/fhir+xml; charset=utf-8', 'OperationOutcome']);
    const anonymous = await send('GET', 'Organization/a', { headers: { accept: XML, authorization: 'none' } });
    expect([anonymous.status, readXml(anonymous.text).resourceType]).toEqual([401, 'OperationOutcome']);
    const unrouted = await send('DELETE', 'metadata', { headers: { accept: XML } });
    expect(readXml(unrouted.text).resourceType).toBe('OperationOutcome');
  });

  it.each([
    ['<Patient xmlns="http://hl7.org/fhir"><nonsense value="1"/></Patient>', 422, 'Patient.nonsense'],
    ['<!DOCTYPE Patient SYSTEM "http://localhost/x"><Patient xmlns="http://hl7.org/fhir"/>', 400, undefined],
    ['<Patient xmlns="http://hl7.org/fhir">', 400, undefined],
    ['<Location xmlns="http://hl7.org/fhir"><mode value="kind"/><mode value="kind"/></Location>', 422, 'Location.mode'],
    [`<Location xmlns="http://hl7.org/fhir">${'<extension url="x">'.repeat(10_000)}`, 400, undefined],
  ])('that is malformed is refused: %s', async (body, status, place) => {
    const answer = await send('POST', 'Location', { body, headers: { 'content-type': XML } });
    expect([answer.status, answer.json().issue[0].expression?.[0]]).toEqual([status, place]);
  });
});

describe('negotiation', () => {
  it.each([
    ['application/fhir+xml', 'xml'],
    ['application/fhir+xml;q=0.5, application/fhir+json;q=0.4', 'xml'],
    ['application/fhir+xml;q=0.4, application/fhir+json;q=0.5', 'json'],
    ['application/fhir+xml, */*', 'xml'],
    ['application/fhir+xml, */*;q=0.1', 'xml'],
    ['text/xml;q=0.5, */*', 'json'],
    ['application/json;q=0, */*', 'xml'],
    ['text/html, application/*;q=0.5', 'json'],
    ['application/fhir+xml;fhirVersion=3.0, application/fhir+json;fhirVersion=4.0;q=0.1', 'json'],
    ['', 'json'],
  ])('%s is answered in %s', async (accept, format) => {
    expect((await send('GET', 'Organization/a', { headers: { accept } })).type).toBe(`application/fhir+${format}; charset=utf-8`);
  });

  it.each(['xml', 'text/xml', 'application/xml', 'application/fhir+xml', 'application/fhir%2Bxml'])('_format=%s wins over Accept', async (format) => {
    const answer = await send('GET', `Organization/a?_format=${format}`, { headers: { accept: 'application/fhir+json' } });
    expect(answer.type).toBe('application/fhir+xml; charset=utf-8');
  });

  it('the form of a _search may ask for the format and for indentation', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/turtle' };
    const xml = await send('POST', 'Organization/_search', { body: '_id=a&_format=xml', headers: form });
    expect([xml.status, readXml(xml.text)['total']]).toEqual([200, 1]);
    const indented = await send('POST', 'Organization/_search', { body: '_id=a&_format=json&_pretty=true', headers: form });
    expect(indented.text).toContain('\n  "total": 1');
    expect((await send('POST', 'Organization/_search', { body: '_id=a', headers: form })).status).toBe(406);
    const refused = await send('POST', 'Organization/_search', { body: '_has:x=y&_format=xml', headers: { ...form, prefer: 'handling=strict' } });
    expect([refused.status, readXml(refused.text).resourceType]).toEqual([400, 'OperationOutcome']);
  });
});

it('_pretty is for XML too, and adds nothing to a narrative', async () => {
  const indented = await send('GET', 'Organization/a?_format=xml&_pretty=true');
  expect(indented.text).toContain('\n  <active value="true"/>\n  <name value="Organization/a"/>');
  expect(indented.headers.get('content-security-policy')).toMatch(/sandbox/);
  expect(indented.text).toContain('<div xmlns="http://www.w3.org/1999/xhtml">a&#160;b</div>');
  expect(readXml(indented.text)).toEqual(readXml((await send('GET', 'Organization/a?_format=xml')).text));
});

describe('parts', () => {
  const SUBSETTED = expect.objectContaining({ code: 'SUBSETTED' });
  it.each([
    ['_summary=true', ['active', 'id', 'meta', 'name', 'resourceType', 'alias'].sort()],
    ['_summary=text', ['id', 'meta', 'resourceType', 'text']],
    ['_elements=telecom,name', ['active', 'id', 'meta', 'name', 'resourceType', 'telecom']],
    ['_elements=Organization.name', ['active', 'id', 'meta', 'name', 'resourceType']],
  ])('%s: of a read, a version, a search and a history', async (query, names) => {
    const expected = query === '_summary=true' ? names.filter((name) => name !== 'alias') : names;
    const version = (await send('GET', 'Organization/a')).json().meta.versionId;
    const whole = await Promise.all(
      [`Organization/a?${query}`, `Organization/a/_history/${version}?${query}`].map(async (url) => (await send('GET', url)).json()),
    );
    const entries = await Promise.all(
      [`Organization?_id=a&${query}`, `Organization/a/_history?${query}`].map(async (url) => (await send('GET', url)).json().entry[0].resource),
    );
    for (const part of [...whole, ...entries]) {
      expect(Object.keys(part).sort()).toEqual(expected);
      expect(part.meta).toMatchObject({ versionId: version, tag: [SUBSETTED] });
    }
  });

  it('data is everything but the text, false is everything', async () => {
    expect((await send('GET', 'Organization/a?_summary=data')).json()).not.toHaveProperty('text');
    const all = (await send('GET', 'Organization/a?_summary=false')).json();
    expect(all).toMatchObject({ text: narrative });
    expect(all.meta).not.toHaveProperty('tag');
  });

  it('a name that is no element is told, or refused in strict handling', async () => {
    const read = await send('GET', 'Organization/a?_elements=name,nonsense');
    expect([read.status, read.headers.get('warning')]).toEqual([200, expect.stringContaining('nonsense')]);
    const found = (await send('GET', 'Organization?_id=a&_elements=nonsense')).json();
    expect(found.entry[1]).toMatchObject({
      search: { mode: 'outcome' },
      resource: { issue: [{ severity: 'warning', diagnostics: expect.stringContaining('nonsense') }] },
    });
    for (const url of ['Organization/a?_elements=nonsense', 'Organization?_elements=nonsense', 'Organization/a/_history?_elements=nonsense'])
      expect((await send('GET', url, { headers: { prefer: 'handling=strict' } })).status).toBe(400);
  });

  it('is not written back over the whole', async () => {
    const part = (await send('GET', 'Organization/a?_summary=true')).text;
    const before = (await send('GET', 'Organization/a')).text;
    const refused = await send('PUT', 'Organization/a', { body: part, headers: { 'content-type': 'application/fhir+json' } });
    expect([refused.status, refused.json().issue[0].expression]).toEqual([422, ['Organization.meta.tag']]);
    const transaction = {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [{ resource: JSON.parse(part), request: { method: 'PUT', url: 'Organization/a' } }],
    };
    expect((await server.admin.call('POST', '', transaction)).status).toBe(422);
    expect((await send('GET', 'Organization/a')).text).toBe(before);
  });

  it('pages keep the part', async () => {
    const first = (await send('GET', 'Organization?_count=1&_elements=name')).json();
    const next = first.link.find(({ relation }: { relation: string }) => relation === 'next').url as string;
    const second = await fetch(next, { headers: { authorization: `Bearer ${server.admin.token}` } });
    expect(((await second.json()) as { entry: { resource: object }[] }).entry[0]?.resource).not.toHaveProperty('partOf');
  });
});

describe('preferences and conditions', () => {
  it.each(['minimal', 'representation', 'OperationOutcome'])('return=%s is applied and said so', async (amount) => {
    const body = JSON.stringify({ ...organization('Organization/c') });
    const headers = { 'content-type': 'application/fhir+json', prefer: `return=${amount}` };
    const done = await send('PUT', 'Organization/c', { body, headers });
    expect([done.headers.get('preference-applied'), done.text === '' ? 'nothing' : done.json().resourceType]).toEqual([
      `return=${amount}`,
      { minimal: 'nothing', representation: 'Organization', OperationOutcome: 'OperationOutcome' }[amount],
    ]);
  });

  it('a wish that is not known is not said to be applied', async () => {
    const body = JSON.stringify(organization('Organization/c'));
    const done = await send('PUT', 'Organization/c', { body, headers: { 'content-type': 'application/fhir+json', prefer: 'return=most' } });
    expect(done.headers.get('preference-applied')).toBeNull();
    expect((await send('GET', 'Organization', { headers: { prefer: 'handling=strict' } })).headers.get('preference-applied')).toBe('handling=strict');
  });

  it('a copy that is current is 304, in every format, of a read and of a version', async () => {
    const { headers, text } = await send('GET', 'Organization/a');
    for (const path of ['Organization/a', `Organization/a/_history/${JSON.parse(text).meta.versionId}`, 'Organization/a?_format=xml'])
      for (const condition of [{ 'if-none-match': headers.get('etag') ?? '' }, { 'if-modified-since': headers.get('last-modified') ?? '' }]) {
        const answer = await send('GET', path, { headers: condition });
        expect([answer.status, answer.text, answer.headers.get('etag')]).toEqual([304, '', headers.get('etag')]);
      }
    expect((await send('GET', 'Organization/a', { headers: { 'if-none-match': 'W/"other"' } })).status).toBe(200);
  });

  it.each(['Organization/a', 'Organization/a?_format=xml', 'Organization', 'Organization/a/_history', 'metadata', 'Organization/none'])(
    'HEAD of %s has the headers of GET and no body',
    async (path) => {
      const [get, head] = [await send('GET', path), await send('HEAD', path)];
      const shown = ({ headers }: typeof get) =>
        [...headers].filter(([name]) => !['date', 'assent-receipt', 'connection', 'keep-alive'].includes(name));
      expect([head.status, head.text, shown(head)]).toEqual([get.status, '', shown(get)]);
      expect(head.headers.get('content-length')).toBe(String(get.bytes.length));
    },
  );
});

describe('a browser of another origin', () => {
  it.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])('may %s, and read the headers it needs', async (method) => {
    const preflight = await send('OPTIONS', 'Organization/a', {
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': method,
        'access-control-request-headers': 'authorization, if-match, prefer',
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-methods')).toContain(method);
    expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization, if-match, prefer');
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
    const exposed = (await send('GET', 'Organization/a', { headers: { origin: 'https://app.example' } })).headers;
    expect(exposed.get('access-control-allow-origin')).toBe('*');
    for (const name of ['ETag', 'Location', 'Content-Location', 'Last-Modified', 'Preference-Applied'])
      expect(exposed.get('access-control-expose-headers')).toContain(name);
  });

  it('reads errors too', async () => {
    expect((await send('GET', 'Organization/none', { headers: { origin: 'https://app.example' } })).headers.get('access-control-allow-origin')).toBe(
      '*',
    );
  });

  it('OPTIONS names the methods of the path', async () => {
    expect((await send('OPTIONS', 'Organization/_search')).headers.get('allow')).toContain('POST');
    expect((await send('OPTIONS', 'Organization/a/_history')).headers.get('allow')).toBe('GET, HEAD, OPTIONS');
    expect((await send('OPTIONS', 'Organization/a')).headers.get('allow')).toContain('PUT');
  });
});

describe('Binary', () => {
  /** A Binary is about whom its security context names: this is that person. */
  let own: Readonly<Record<string, string>> = {};
  beforeAll(async () => {
    await put(server, patient('p'));
    const { session } = await register(server, { actor: 'Patient/p' });
    own = { authorization: `Bearer ${session.token}`, 'x-security-context': 'Patient/p' };
  });

  const html = '<html><script>alert(1)</script></html>';

  it('is taken as bytes and given back as them, as a download in a sandbox', async () => {
    const bytes = Buffer.from([0, 1, 2, 255, 254, 10, 13]);
    const made = await send('POST', 'Binary', { body: bytes, headers: { ...own, 'content-type': 'image/png', accept: 'application/fhir+json' } });
    expect([made.status, made.json()]).toEqual([201, expect.objectContaining({ contentType: 'image/png', data: bytes.toString('base64') })]);
    const { id } = made.json();
    for (const accept of ['*/*', 'image/png', 'image/*;q=0.1', 'text/html, */*;q=0.1', 'application/pdf']) {
      const read = await send('GET', `Binary/${id}`, { headers: { ...own, accept } });
      expect([read.status, read.type, read.bytes]).toEqual([200, 'image/png', bytes]);
      expect(read.headers.get('content-disposition')).toBe('attachment');
      expect(read.headers.get('x-content-type-options')).toBe('nosniff');
      expect(read.headers.get('content-security-policy')).toMatch(/sandbox/);
      expect(read.headers.get('etag')).toBe(made.headers.get('etag'));
    }
    for (const accept of ['application/fhir+json', 'application/fhir+json, */*;q=0.1', 'application/json'])
      expect((await send('GET', `Binary/${id}`, { headers: { ...own, accept } })).json().data).toBe(bytes.toString('base64'));
    expect(readXml((await send('GET', `Binary/${id}`, { headers: { ...own, accept: XML } })).text)['contentType']).toBe('image/png');
    expect((await send('GET', `Binary/${id}?_format=json`, { headers: own })).json().resourceType).toBe('Binary');
    const head = await send('HEAD', `Binary/${id}`, { headers: own });
    expect([head.status, head.type, head.headers.get('content-length')]).toEqual([200, 'image/png', '7']);
    // Whoever asks for headers or for a change learns something of the patient: it leaves a trail like any read.
    expect(head.headers.get('assent-receipt')).toMatch(/AuditEvent/);
    const same = await send('GET', `Binary/${id}`, { headers: { ...own, 'if-none-match': made.headers.get('etag') ?? '' } });
    expect([same.status, same.headers.get('assent-receipt')]).toEqual([304, expect.stringContaining('AuditEvent')]);
    const page = { ...own, 'content-type': 'text/html; charset=utf-8', accept: 'application/fhir+json' };
    const put = await send('PUT', `Binary/${id}`, { body: html, headers: page });
    expect([put.status, put.json().contentType]).toEqual([200, 'text/html; charset=utf-8']);
    const shown = await send('GET', `Binary/${id}`, { headers: { ...own, accept: 'text/html' } });
    expect([shown.text, shown.type, shown.headers.get('content-disposition')]).toEqual([html, 'text/html; charset=utf-8', 'attachment']);
  });

  it('is a resource within a batch, and refused beyond its size', async () => {
    const { id } = (
      await send('POST', 'Binary', { body: 'x', headers: { ...own, 'content-type': 'text/plain', accept: 'application/fhir+json' } })
    ).json();
    const batch = { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: `Binary/${id}` } }] };
    const done = await send('POST', '', { body: JSON.stringify(batch), headers: { ...own, 'content-type': 'application/fhir+json' } });
    expect(done.json().entry).toMatchObject([{ resource: { resourceType: 'Binary', data: 'eA==' } }]);
    expect((await send('POST', 'Binary', { body: Buffer.alloc(11_000_001), headers: { ...own, 'content-type': 'text/plain' } })).status).toBe(413);
    expect((await send('POST', 'Organization', { body: 'x', headers: { ...own, 'content-type': 'text/plain' } })).status).toBe(415);
  });
});

it('a header that XML cannot be asked by does not break the answer', async () => {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const asked = httpRequest(`${server.bootstrap.fhirBaseUrl}/metadata`, { headers: { accept: 'application/fhir+xml;q=;;=,,;' } }, (answer) => {
    answer.resume();
    resolve(answer.statusCode);
  });
  asked.on('error', reject);
  asked.end();
  expect(await promise).toBeLessThan(500);
});
