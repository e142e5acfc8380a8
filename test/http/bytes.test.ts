/** The policy of docs/operations/bodies.md over real HTTP: each body is stored as it was sent, or refused with a sentence and nothing stored. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RealServer, startRealServer } from '../support/real-server.ts';
import { heldBytes } from '../support/held-memory.ts';

let server: RealServer;
beforeAll(async () => {
  server = await startRealServer({ ASSENT_MAX_BODY_BYTES: '2000000' });
});
afterAll(async () => server.stop());

const JSON_TYPE = 'application/fhir+json';
const XML_TYPE = 'application/fhir+xml';

async function post(type: string, body: string | Uint8Array<ArrayBuffer>, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(`${server.bootstrap.fhirBaseUrl}/Location`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.admin.token}`, 'content-type': type, accept: JSON_TYPE, ...headers },
    body,
  });
  const text = await response.text();
  return { status: response.status, text, json: JSON.parse(text) };
}

const stored = async () => (await server.admin.call('GET', 'Location?_summary=count')).json['total'];
const named = (name: string) => `{"resourceType":"Location","name":${name}}`;
const at = (longitude: string) => `{"resourceType":"Location","position":{"longitude":${longitude},"latitude":1}}`;
const xml = (inside: string) => `<Location xmlns="http://hl7.org/fhir">${inside}</Location>`;
const bytes = (...parts: readonly (string | readonly number[])[]) =>
  Uint8Array.from(Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part)))));

describe('stored as it was sent', () => {
  it.each([
    '1',
    '1.0',
    '1.50',
    '-0',
    '-0.0',
    '0.00',
    '1E2',
    '1e+2',
    '1.0e-7',
    '0.1234567890123456789012345678901234567890',
    '12345678901234567890',
    '1e-400',
  ])('the number %s', async (number) => {
    const made = await post(JSON_TYPE, at(number));
    expect([made.status, made.text]).toEqual([201, expect.stringContaining(`"longitude":${number},`)]);
    const read = await server.admin.call('GET', `Location/${String(made.json.id)}`);
    expect(read.text).toBe(made.text);
    const asXml = await server.admin.call('GET', `Location/${String(made.json.id)}?_format=xml`);
    expect(asXml.text).toContain(`<longitude value="${number}"/>`);
    expect((await post(XML_TYPE, asXml.text)).text).toContain(`"longitude":${number},`);
    expect((await server.admin.call('GET', 'Location?near=1|1')).status).toBeLessThan(500);
  });

  it.each(['"é 😀 \u00a0\u2028\ufffd"', '"\\u00e9\\ud83d\\ude00\\/"', '"a\\tb\\nc\\rd"', '" a  b "', '"\u0065\u0301"', '"<b>&amp;</b>"'])(
    'the string %s',
    async (token) => {
      const made = await post(JSON_TYPE, named(token));
      expect([made.status, made.text]).toEqual([201, expect.stringContaining(`"name":${token}`)]);
      const asXml = await server.admin.call('GET', `Location/${String(made.json.id)}?_format=xml`);
      expect((await post(XML_TYPE, asXml.text)).json.name).toBe(JSON.parse(token));
    },
  );
});

describe('refused', () => {
  it.each<[string, string, string | Uint8Array<ArrayBuffer>, number]>([
    ['a member given twice', JSON_TYPE, '{"resourceType":"Location","name":"a","name":"a"}', 400],
    ['a comment', JSON_TYPE, '{"resourceType":"Location"/* a */}', 400],
    ['a trailing comma', JSON_TYPE, '{"resourceType":"Location",}', 400],
    ['a raw NUL', JSON_TYPE, named('"a\0b"'), 400],
    ['an escaped NUL', JSON_TYPE, named('"a\\u0000b"'), 400],
    ['a raw lone surrogate', JSON_TYPE, bytes('{"resourceType":"Location","name":"', [0xed, 0xa0, 0x80], '"}'), 400],
    ['an escaped lone surrogate', JSON_TYPE, named('"\\ud800"'), 400],
    ['invalid UTF-8', JSON_TYPE, bytes('{"resourceType":"Location","name":"', [0xff], '"}'), 400],
    ['Latin-1', JSON_TYPE, bytes('{"resourceType":"Location","name":"', [0xe9], '"}'), 400],
    ['a byte order mark', JSON_TYPE, bytes([0xef, 0xbb, 0xbf], named('"a"')), 400],
    ['UTF-16', JSON_TYPE, Uint8Array.from(Buffer.from(named('"a"'), 'utf16le')), 400],
    ...['01', '1.', '.1', '+1', '-', '1e', '1e+', '0x1', 'NaN', 'Infinity', '-Infinity', '1_0', '1,0'].map(
      (number): [string, string, string, number] => [`the number ${number}`, JSON_TYPE, at(number), 400],
    ),
    ['a number beyond a double', JSON_TYPE, at('1e400'), 422],
    ['a number as a string', JSON_TYPE, at('"1.0"'), 422],
    ['an empty string', JSON_TYPE, named('""'), 422],
    ['an empty array', JSON_TYPE, '{"resourceType":"Location","alias":[]}', 422],
    ['null', JSON_TYPE, named('null'), 422],
    ['nested arrays', JSON_TYPE, `{"resourceType":"Location","name":${'['.repeat(100_000)}`, 400],
    ['nested objects', JSON_TYPE, `{"resourceType":"Location","name":${'{"a":'.repeat(100_000)}`, 400],
    ['a prototype', JSON_TYPE, '{"resourceType":"Location","__proto__":{"name":"a"}}', 422],
    ['nested elements', XML_TYPE, xml('<extension url="x">'.repeat(50_000)), 400],
    [
      'a nested narrative',
      XML_TYPE,
      xml(`<text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">${'<div>'.repeat(50_000)}`),
      400,
    ],
    ['a document type', XML_TYPE, `<!DOCTYPE Location [<!ENTITY a "a">]>${xml('<name value="&a;"/>')}`, 400],
    ['NUL in XML', XML_TYPE, xml('<name value="a\0b"/>'), 400],
    ['a reference to a surrogate', XML_TYPE, xml('<name value="&#xD800;"/>'), 400],
    ['invalid UTF-8 in XML', XML_TYPE, bytes('<Location xmlns="http://hl7.org/fhir"><name value="', [0xff], '"/></Location>'), 400],
    ['UTF-16 in XML', XML_TYPE, Uint8Array.from(Buffer.from(`\uFEFF${xml('')}`, 'utf16le')), 400],
    ['an empty string in XML', XML_TYPE, xml('<name value=""/>'), 422],
    ['JSON called XML', XML_TYPE, named('"a"'), 400],
    ['XML called JSON', JSON_TYPE, xml('<name value="a"/>'), 400],
    ['nothing called XML', XML_TYPE, '', 400],
  ])('%s', async (_name, type, body, status) => {
    const before = await stored();
    const answer = await post(type, body);
    expect([answer.status, answer.json.resourceType]).toEqual([status, 'OperationOutcome']);
    expect(answer.text).not.toMatch(/\.ts:\d|node_modules/);
    expect(await stored()).toBe(before);
  });

  it.each([
    [JSON_TYPE, `{"resourceType":"Location","name":"${' '.repeat(64_000_000)}"}`],
    [XML_TYPE, xml(' '.repeat(64_000_000))],
  ])('a bomb of %s stops at the limit, memory flat', async (type, body) => {
    const bomb = Uint8Array.from(gzipSync(body));
    const before = heldBytes();
    const answer = await post(type, bomb, { 'content-encoding': 'gzip' });
    expect([answer.status, answer.json.resourceType]).toEqual([413, 'OperationOutcome']);
    expect(heldBytes() - before).toBeLessThan(50_000_000);
  });
});
