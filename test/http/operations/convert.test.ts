/** $convert: JSON and XML, both ways, without a digit lost. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RealServer, startRealServer } from '../../support/real-server.ts';

const [JSON_TYPE, XML_TYPE] = ['application/fhir+json', 'application/fhir+xml'];
const json = '{"resourceType":"Observation","status":"final","code":{"text":"é < & \\"x\\""},"valueQuantity":{"value":1.50}}';
const xml =
  '<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="é &lt; &amp; &quot;x&quot;"/></code><valueQuantity><value value="1.50"/></valueQuantity></Observation>';

let server: RealServer;
beforeAll(async () => {
  server = await startRealServer();
});
afterAll(() => server.stop());

async function convert(body: string, from: string, to: string): Promise<{ status: number; type: string; text: string }> {
  const response = await fetch(`${server.bootstrap.fhirBaseUrl}/$convert`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.admin.token}`, 'content-type': from, accept: to },
    body,
  });
  return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() };
}

describe('$convert', () => {
  it('JSON to XML and back is the same', async () => {
    const there = await convert(json, JSON_TYPE, XML_TYPE);
    expect([there.status, there.type]).toEqual([200, `${XML_TYPE}; charset=utf-8`]);
    expect(there.text).toContain('<value value="1.50"/>');
    const back = await convert(there.text, XML_TYPE, JSON_TYPE);
    expect([back.status, back.type, JSON.parse(back.text)]).toEqual([200, `${JSON_TYPE}; charset=utf-8`, JSON.parse(json)]);
    expect(back.text).toContain('"value":1.50');
    expect(JSON.parse((await convert(xml, XML_TYPE, JSON_TYPE)).text)).toEqual(JSON.parse(json));
  });

  it('the resource may come in Parameters; Parameters are a resource, too', async () => {
    const wrapped = `{"resourceType":"Parameters","parameter":[{"name":"input","resource":${json}}]}`;
    expect((await convert(wrapped, JSON_TYPE, XML_TYPE)).text).toContain('<Observation');
    expect((await convert('{"resourceType":"Parameters","parameter":[{"name":"other","valueString":"x"}]}', JSON_TYPE, XML_TYPE)).text).toContain(
      '<Parameters',
    );
  });

  it('what is no resource, or in no format, is refused', async () => {
    expect((await convert('{', JSON_TYPE, XML_TYPE)).status).toBe(400);
    expect((await convert('<x/>', XML_TYPE, JSON_TYPE)).status).toBe(400);
    expect((await convert(json, 'text/plain', XML_TYPE)).status).toBe(415);
    expect((await convert(json, JSON_TYPE, 'text/plain')).status).toBe(406);
  });
});
