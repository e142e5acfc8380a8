import { expect, test } from 'vitest';
import { bundleText, conditionalReferences, isLink, planTransaction, readBundle } from '../../server/fhir/bundle.ts';
import elementTable from '../../server/fhir/elements/table.json' with { type: 'json' };
import { parseDocument } from '../../server/fhir/json.ts';
import { pretty } from '../../server/fhir/json-text.ts';

const A = 'urn:uuid:11111111-1111-4111-8111-111111111111';
const B = 'urn:uuid:22222222-2222-4222-8222-222222222222';

const bundle = (entry: unknown, type = 'transaction') =>
  parseDocument(pretty(JSON.stringify({ resourceType: 'Bundle', type, entry })), { maxDepth: 64, maxBytes: 1e7 });
const post = (fullUrl: string | undefined, resource: { resourceType: string; [name: string]: unknown }, more = {}) => ({
  fullUrl,
  resource,
  request: { method: 'POST', url: resource.resourceType, ...more },
});
const put = (id: string, resource: { resourceType: string; [name: string]: unknown }, fullUrl?: string) => ({
  fullUrl,
  resource: { ...resource, id },
  request: { method: 'PUT', url: `${resource.resourceType}/${id}` },
});
const counter = () => {
  let next = 0;
  return () => `id-${++next}`;
};
const resolveTransaction = (...given: Parameters<typeof planTransaction>) => {
  const { entries, link } = planTransaction(...given);
  return entries.map(link);
};
const resolve = (entry: unknown, assign: Parameters<typeof planTransaction>[1] = counter()) => resolveTransaction(readBundle(bundle(entry)), assign);

function refused(run: () => unknown): { code: string; issues: { expression?: string[] }[]; message: string } {
  try {
    run();
  } catch (error) {
    return error as ReturnType<typeof refused>;
  }
  throw new Error('was accepted');
}

test('entries carry their request, conditions and exact resource text', () => {
  const source = `{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Basic","x":1.50},"request":{"ifNoneExist":"a=b","method":"POST","url":"/Basic"}},
    {"request":{"method":"GET","url":"Patient?name=x","ifNoneMatch":"W/\\"1\\"","ifModifiedSince":"2026-01-01T00:00:00Z"}}]}`;
  const [first, second] = readBundle(parseDocument(source, { maxDepth: 64, maxBytes: 1e6 }));
  expect(first).toMatchObject({ index: 0, method: 'POST', url: 'Basic', ifNoneExist: 'a=b', ifMatch: undefined, fullUrl: undefined });
  expect(first?.resource?.text).toBe('{"resourceType":"Basic","x":1.50}');
  expect(second).toMatchObject({ index: 1, method: 'GET', ifNoneMatch: 'W/"1"', ifModifiedSince: '2026-01-01T00:00:00Z', resource: undefined });
  expect(readBundle(bundle(undefined))).toEqual([]);
});

const good = post(A, { resourceType: 'Patient' });
test.each([
  ['an entry that is no object', 1, 'Bundle.entry[1]'],
  ['an entry without request', { resource: { resourceType: 'Patient' } }, 'Bundle.entry[1].request'],
  ['an unknown method', { request: { method: 'TRACE', url: 'x' } }, 'Bundle.entry[1].request.method'],
  ['a missing url', { request: { method: 'GET' } }, 'Bundle.entry[1].request.url'],
  ['a url that is no string', { request: { method: 'GET', url: 7 } }, 'Bundle.entry[1].request.url'],
  ['a fullUrl that is no string', { fullUrl: {}, request: { method: 'GET', url: 'x' } }, 'Bundle.entry[1].fullUrl'],
  ['a condition that is no string', { request: { method: 'GET', url: 'x', ifMatch: 1 } }, 'Bundle.entry[1].request.ifMatch'],
  ['a create without resource', { request: { method: 'POST', url: 'Patient' } }, 'Bundle.entry[1].resource'],
  ['a resource without type', { resource: {}, request: { method: 'POST', url: 'Patient' } }, 'Bundle.entry[1].resource'],
])('%s is refused with its location', (_what, entry, location) => {
  const error = refused(() => readBundle(bundle([good, entry])));
  expect(error.code).toBe('invalid-request');
  expect(error.issues.map((issue) => issue.expression)).toEqual([[location]]);
});

test('every malformed entry is named; the number of entries and the bundle type are checked', () => {
  expect(refused(() => readBundle(bundle([1, good, 2]))).issues).toHaveLength(2);
  expect(refused(() => readBundle(bundle([good, good]), { maxEntries: 1 })).code).toBe('too-large');
  expect(refused(() => readBundle(bundle([], 'collection'))).issues[0]?.expression).toEqual(['Bundle.type']);
  expect(refused(() => readBundle(bundle({}))).issues[0]?.expression).toEqual(['Bundle.entry']);
});

test('references to other entries become Type/id wherever a string names them, and digits stay', () => {
  const observation = {
    resourceType: 'Observation',
    text: { status: 'generated', div: `<div><a href="${A}">a</a><img src='${B}#x'/> ${A}</div>` },
    subject: { reference: A, display: `see ${A}` },
    extension: [{ url: 'http://example.org/x', valueUri: `${B}#part` }],
    derivedFrom: [{ reference: 'urn:uuid:33333333-3333-4333-8333-333333333333' }],
  };
  const [, second] = resolve([post(A, { resourceType: 'Patient' }), post(B, observation)]);
  expect(second).toMatchObject({ type: 'Observation', id: 'id-2' });
  expect(second?.resource?.value).toEqual({
    ...observation,
    text: { status: 'generated', div: `<div><a href="Patient/id-1">a</a><img src="Observation/id-2#x"/> ${A}</div>` },
    subject: { reference: 'Patient/id-1', display: `see ${A}` },
    extension: [{ url: 'http://example.org/x', valueUri: 'Observation/id-2#part' }],
  });
  expect(JSON.parse(second?.resource?.text ?? '')).toEqual(second?.resource?.value);
});

test('absolute fullUrls are rewritten, also where a reference is relative to one', () => {
  const base = 'http://ehr.example.org/fhir/';
  const [patient, one] = resolve([
    post(`${base}Patient/7`, { resourceType: 'Patient' }),
    post(`${base}Observation/1`, {
      resourceType: 'Observation',
      subject: { reference: 'Patient/7', display: 'Patient/7' },
      focus: [{ reference: `${base}Patient/7` }],
    }),
  ]);
  expect(patient?.id).toBe('id-1');
  expect(one?.resource?.value).toMatchObject({
    subject: { reference: 'Patient/id-1', display: 'Patient/7' },
    focus: [{ reference: 'Patient/id-1' }],
  });
});

test('deletes come first, then creates, updates and reads; index remembers the place', () => {
  const remove = { request: { method: 'DELETE', url: 'Patient/9' } };
  const read = { request: { method: 'GET', url: 'Patient/1' } };
  const resolved = resolve([
    read,
    put('1', { resourceType: 'Patient' }),
    post(A, { resourceType: 'Basic' }),
    remove,
    post(B, { resourceType: 'Basic' }),
  ]);
  expect(resolved.map(({ index, type, id }) => [index, type, id])).toEqual([
    [3, 'Patient', '9'],
    [2, 'Basic', 'id-1'],
    [4, 'Basic', 'id-2'],
    [1, 'Patient', '1'],
    [0, 'Patient', '1'],
  ]);
});

test.each([
  ['two updates of one resource', [put('1', { resourceType: 'Patient' }), put('1', { resourceType: 'Patient' })], '.request.url'],
  ['update and delete', [put('1', { resourceType: 'Patient' }), { request: { method: 'DELETE', url: 'Patient/1' } }], '.request.url'],
  ['one fullUrl twice', [post(A, { resourceType: 'Patient' }), post(A, { resourceType: 'Patient' })], '.fullUrl'],
])('%s is refused naming both entries', (_what, entries, part) => {
  const error = refused(() => resolve(entries));
  expect(error.code).toBe('invalid-request');
  expect(error.issues[0]?.expression).toEqual([`Bundle.entry[0]${part}`, `Bundle.entry[1]${part}`]);
});

test.each([
  ['another type', { resource: { resourceType: 'Patient' }, request: { method: 'POST', url: 'Basic' } }],
  ['another id', { resource: { resourceType: 'Patient', id: '2' }, request: { method: 'PUT', url: 'Patient/1' } }],
  ['no id in the resource', { resource: { resourceType: 'Patient' }, request: { method: 'PUT', url: 'Patient/1' } }],
  ['a create with an id', { resource: { resourceType: 'Patient' }, request: { method: 'POST', url: 'Patient/1' } }],
  ['a delete of a type', { request: { method: 'DELETE', url: 'Patient' } }],
  ['no type at all', { resource: { resourceType: 'Patient' }, request: { method: 'POST', url: '$x' } }],
])('a write whose url means %s is refused with its location', (_what, entry) => {
  const error = refused(() => resolve([entry]));
  expect(error.code).toBe('invalid-request');
  expect(error.issues[0]?.expression?.[0]).toBe('Bundle.entry[0].request.url');
});

test('a conditional create can resolve to what exists, and looked-up conditional references are rewritten', () => {
  const reference = 'Practitioner?identifier=http://example.org|1';
  const entries = readBundle(
    bundle([
      post(A, { resourceType: 'Patient' }, { ifNoneExist: 'identifier=1' }),
      post(B, { resourceType: 'Observation', subject: { reference: A }, performer: [{ reference }, { reference }] }),
    ]),
  );
  expect(entries.map((one) => [...conditionalReferences(one)])).toEqual([[], [reference]]);
  const resolved = resolveTransaction(entries, (entry) => (entry.ifNoneExist ? 'existing' : 'fresh'), new Map([[reference, 'Practitioner/5']]));
  expect(resolved[1]?.resource?.value).toMatchObject({
    subject: { reference: 'Patient/existing' },
    performer: [{ reference: 'Practitioner/5' }, { reference: 'Practitioner/5' }],
  });
});

test('an answer is built around bodies that stay as they are', () => {
  const body = '{"resourceType":"Basic","x":1.50}';
  const text = bundleText({
    type: 'searchset',
    total: 1,
    links: [{ relation: 'self', url: 'http://x/Basic' }],
    entries: [{ fullUrl: 'http://x/Basic/1', resourceText: body, search: { mode: 'match' } }],
  });
  expect(text).toBe(
    `{"resourceType":"Bundle","type":"searchset","total":1,"link":[{"relation":"self","url":"http://x/Basic"}],"entry":[{"fullUrl":"http://x/Basic/1","resource":${body},"search":{"mode":"match"}}]}`,
  );
  expect(bundleText({ type: 'batch-response', entries: [{ response: { status: '404', outcomeText: '{"resourceType":"OperationOutcome"}' } }] })).toBe(
    '{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"404","outcome":{"resourceType":"OperationOutcome"}}}]}',
  );
  expect(bundleText({ type: 'searchset', total: 0, links: [], entries: [] })).toBe('{"resourceType":"Bundle","type":"searchset","total":0}');
});

test('links are replaced where R4 has references, uris, urls, oids and uuids: not in canonicals, strings and codes', () => {
  const resource = {
    resourceType: 'Basic',
    identifier: [{ system: 'urn:ietf:rfc:3986', value: A }],
    meta: { profile: [A], source: A },
    extension: [
      { url: 'urn:a', valueUri: A },
      { url: 'urn:b', valueUrl: A },
      { url: 'urn:c', valueUuid: A },
      { url: 'urn:d', valueCanonical: A },
      { url: 'urn:e', valueString: A },
      { url: 'urn:f', valueReference: { reference: A, display: A } },
      { url: 'urn:g', extension: [{ url: 'urn:h', valueReference: { reference: `${A}#part` } }] },
    ],
  };
  const [, rewritten] = resolve([post(A, { resourceType: 'Patient' }), post(B, resource)]);
  const { extension, ...rest } = (rewritten?.resource?.value ?? resource) as typeof resource;
  expect(rest).toMatchObject({ identifier: [{ value: A }], meta: { profile: [A], source: 'Patient/id-1' } });
  expect(JSON.stringify(extension)).toBe(
    JSON.stringify([
      { url: 'urn:a', valueUri: 'Patient/id-1' },
      { url: 'urn:b', valueUrl: 'Patient/id-1' },
      { url: 'urn:c', valueUuid: 'Patient/id-1' },
      { url: 'urn:d', valueCanonical: A },
      { url: 'urn:e', valueString: A },
      { url: 'urn:f', valueReference: { reference: 'Patient/id-1', display: A } },
      { url: 'urn:g', extension: [{ url: 'urn:h', valueReference: { reference: 'Patient/id-1#part' } }] },
    ]),
  );
});

test('every member that holds a uri, url, oid or uuid in R4 is known as a link, and none that never does', () => {
  const links = new Set(['reference']);
  const members = new Set(['reference']);
  for (const row of Object.values(elementTable as Record<string, string[]>).flat()) {
    const [name = '', types = ''] = row.split(' ');
    for (const type of types.split('|').filter((one) => one !== 'boolean')) {
      const member = name.endsWith('[x]') ? name.slice(0, -3) + type.charAt(0).toUpperCase() + type.slice(1) : name;
      members.add(member);
      if (['uri', 'url', 'oid', 'uuid'].includes(type)) links.add(member);
    }
  }
  expect(links.size).toBeGreaterThan(40);
  expect([...members].filter(isLink).sort()).toEqual([...links].sort());
});

test('a link to a version in the bundle names the version it gets; to any other it stays', () => {
  const patient = { resourceType: 'Patient', meta: { versionId: '3' } };
  const other = 'http://example.org/fhir/Patient/7';
  const reference = (text: string) => ({ reference: text });
  const basic = {
    resourceType: 'Basic',
    subject: reference(`${A}/_history/1`),
    author: reference(`${other}/_history/3`),
    extension: [{ url: 'x', valueReference: reference(`${other}/_history/2`) }],
  };
  const entries = readBundle(bundle([post(A, { resourceType: 'Patient' }), put('7', patient, other), post(B, basic)]));
  const resolved = resolveTransaction(entries, counter(), new Map(), ({ index }) => `v${index}`);
  expect(resolved.find(({ type }) => type === 'Basic')?.resource?.value).toMatchObject({
    subject: reference('Patient/id-1/_history/v0'),
    author: reference('Patient/7/_history/v1'),
    extension: [{ valueReference: reference(`${other}/_history/2`) }],
  });
});

test('a JSON Patch is linked wherever a string names an entry', () => {
  const patch = `[{"op":"add","path":"/managingOrganization/reference","value":"${A}"},{"op":"test","path":"/x","value":1.50}]`;
  const request = { method: 'PATCH', url: 'Patient/1' };
  const [organization, entry] = readBundle(bundle([post(A, { resourceType: 'Organization' }), { resource: { resourceType: 'Binary' }, request }]));
  if (!organization || !entry) throw new Error('two entries');
  const resolved = resolveTransaction([organization, { ...entry, patch }], counter());
  expect(resolved[1]?.patch).toBe(patch.replace(A, 'Organization/id-1'));
});
