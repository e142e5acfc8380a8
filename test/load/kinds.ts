/** Kinds of bad requests. `n` makes each of a kind another one, so that nothing is answered, or kept, because it was seen before. */
import { gzipSync } from 'node:zlib';

export type Bad = {
  readonly method: string;
  /** From the FHIR base on. */
  readonly path: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the connection in the middle of the body: there is no answer to look at. */
  readonly aborts?: boolean;
};

const as = (type: string, more: Readonly<Record<string, string>> = {}) => ({ 'content-type': type, ...more });
const JSON_TYPE = as('application/fhir+json');
const XML_TYPE = as('application/fhir+xml');
const JSON_PATCH = as('application/json-patch+json');

const post = (body: string | Buffer, headers: Readonly<Record<string, string>> = JSON_TYPE, path = 'Patient'): Bad => ({
  method: 'POST',
  path,
  body,
  headers,
});
const get = (path: string, headers: Readonly<Record<string, string>> = {}): Bad => ({ method: 'GET', path, headers });
const patch = (operations: unknown, headers = JSON_PATCH): Bad => ({
  method: 'PATCH',
  path: 'Patient/there-is',
  body: typeof operations === 'string' ? operations : JSON.stringify(operations),
  headers,
});
const bundle = (type: string, ...entry: readonly unknown[]): Bad => post(JSON.stringify({ resourceType: 'Bundle', type, entry }), JSON_TYPE, '');
const strict = { prefer: 'handling=strict' };
const xml = (inner: string) => `<Patient xmlns="http://hl7.org/fhir">${inner}</Patient>`;

export const kinds: Readonly<Record<string, (n: number) => Bad>> = {
  'half a document': (n) => post(`{"resourceType":"Patient","id":"x${n}"`),
  'a trailing comma': (n) => post(`{"resourceType":"Patient","language":"l${n}",}`),
  'a key twice': (n) => post(`{"resourceType":"Patient","a${n}":1,"a${n}":2}`),
  'no resource': (n) => post(`[${n}]`),
  'a depth bomb of arrays': (n) => post('['.repeat(20_000 + (n % 1000))),
  'a depth bomb of objects': (n) => post('{"a":'.repeat(5_000 + (n % 1000))),
  'a huge number': (n) =>
    post(`{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueInteger":${'9'.repeat(400)}${n}}`, JSON_TYPE, 'Observation'),
  'a huge exponent': (n) =>
    post(
      `{"resourceType":"Observation","status":"final","code":{"text":"${n}"},"valueQuantity":{"value":1e999999999999}}`,
      JSON_TYPE,
      'Observation/$validate?mode=nonsense',
    ),
  'invalid UTF-8': (n) => post(Buffer.concat([Buffer.from(`{"resourceType":"Patient","id":"${n}`), Buffer.from([0xff, 0xfe, 0x22, 0x7d])])),
  'a lone surrogate': (n) => post(`{"resourceType":"Patient","language":"\\ud800${n}"}`),
  NUL: (n) => post(`{"resourceType":"Patient","language":"a\\u0000${n}"}`),
  'an unknown element': (n) => post(`{"resourceType":"Patient","unknown${n}":1}`),
  'an unknown type': (n) => post(`{"resourceType":"Nonsense${n}"}`, JSON_TYPE, `Nonsense${n}`),
  'a wrong value': (n) => post(`{"resourceType":"Patient","birthDate":"2020-13-${n}"}`),
  'a required code that is none': (n) => post(`{"resourceType":"Patient","gender":"g${n}"}`),
  'a long list of wrong things': (n) => post(JSON.stringify({ resourceType: 'Patient', name: Array.from({ length: 200 }, () => ({ family: n })) })),
  'a prototype': (n) => post(`{"resourceType":"Patient","__proto__":{"a":${n}},"constructor":{"prototype":{}}}`),
  'half an XML document': (n) => post(`<Patient xmlns="http://hl7.org/fhir"><id value="x${n}"/>`, XML_TYPE),
  'XML with a DTD': (n) => post(`<!DOCTYPE Patient [<!ENTITY a "${n}">]>${xml('<language value="&a;"/>')}`, XML_TYPE),
  'an XML depth bomb': (n) => post(xml('<contact>'.repeat(2_000 + (n % 100))), XML_TYPE),
  'XML of another namespace': (n) => post(`<Patient xmlns="urn:x${n}"/>`, XML_TYPE),
  'truncated gzip': (n) =>
    post(gzipSync(JSON.stringify({ resourceType: 'Patient', language: `l${n}` })).subarray(0, 30), { ...JSON_TYPE, 'content-encoding': 'gzip' }),
  'a gzip bomb': (n) => post(BOMB.subarray(0, BOMB.length - (n % 2)), { ...JSON_TYPE, 'content-encoding': 'gzip' }),
  'an unknown encoding': (n) => post(`{"a":${n}}`, { ...JSON_TYPE, 'content-encoding': `x-${n}` }),
  'a wrong media type': (n) => post('{"resourceType":"Patient"}', as(`text/x-${n}`)),
  'no media type that is one': (n) => post('{"resourceType":"Patient"}', as(`;;;${n}`)),
  'an Accept nobody has': (n) => get('Patient/there-is', { accept: `text/x-${n}` }),
  'a patch of nothing': (n) => patch([{ op: 'replace', path: `/none/${n}`, value: 1 }]),
  'a patch that fails its test': (n) => patch([{ op: 'test', path: '/gender', value: `g${n}` }]),
  'a patch that is none': (n) => patch(`{"op":"add${n}"`),
  'a patch to what is invalid': (n) => patch([{ op: 'add', path: '/birthDate', value: `d${n}` }]),
  'a patch into a prototype': (n) => patch([{ op: 'add', path: `/__proto__/p${n}`, value: 1 }]),
  'a FHIRPath patch that is none': (n) =>
    patch({ resourceType: 'Parameters', parameter: [{ name: 'operation', part: [{ name: 'type', valueCode: `t${n}` }] }] }, JSON_TYPE),
  'an unknown parameter': (n) => get(`Patient?p${n}=1`, strict),
  'a date that is none': (n) => get(`Patient?birthdate=2020-99-${n}`, strict),
  'a chain of chains': (n) => get(`Observation?${'subject:Patient.general-practitioner.'.repeat(50)}x${n}=1`, strict),
  'a broken cursor': (n) => get(`Patient?_cursor=${'A'.repeat(40)}${n}`),
  'a broken percent-encoding': (n) => get(`Patient/%E0%A4%A${n % 10}?x=%zz`),
  'an id that is none': (n) => get(`Patient/${'x'.repeat(100)}${n}`),
  'an id that is not there': (n) => get(`Patient/none-${n}`),
  'a version that is not there': (n) => get(`Patient/there-is/_history/none${n}`),
  'a path that is none': (n) => get(`Patient/there-is/a/b/c/${n}`),
  'an operation that is none': (n) => get(`Patient/there-is/$op${n}`),
  'a method that is not for it': (n) => ({ method: 'DELETE', path: `metadata?${n}` }),
  'a stale If-Match': (n) => ({
    method: 'PUT',
    path: 'Patient/there-is',
    body: '{"resourceType":"Patient","id":"there-is"}',
    headers: { ...JSON_TYPE, 'if-match': `W/"v${n}"` },
  }),
  'a body for another id': (n) => ({ method: 'PUT', path: 'Patient/there-is', body: `{"resourceType":"Patient","id":"b${n}"}`, headers: JSON_TYPE }),
  'a bundle of no kind': (n) => bundle(`k${n}`),
  'a transaction with a bad entry': (n) =>
    bundle('transaction', { resource: { resourceType: 'Patient', gender: `g${n}` }, request: { method: 'POST', url: 'Patient' } }),
  'a transaction of one thing twice': (n) => bundle('transaction', ...[1, 2].map(() => ({ request: { method: 'DELETE', url: `Patient/d${n}` } }))),
  'a transaction with a dangling link': (n) =>
    bundle('transaction', {
      resource: { resourceType: 'Patient', generalPractitioner: [{ reference: `Practitioner?identifier=none-${n}` }] },
      request: { method: 'POST', url: 'Patient' },
    }),
  'GraphQL that is none': (n) => get(`$graphql?query=${encodeURIComponent(`{ Patient(id: ${n} `)}`),
  'a token that is none': (n) => get('Patient/there-is', { authorization: `Bearer x.y.${n}` }),
  'an aborted body': (n) => ({ ...post(`{"resourceType":"Patient","id":"${n}`), aborts: true }),
};

/** More than a body may have, once it is decompressed. */
const BOMB = gzipSync(Buffer.alloc(2_000_000, ' '));
