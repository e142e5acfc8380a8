/** Receipts as compressed files: who asks for them by name, in whatever way, and that nothing else comes so. */
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { wantsGzip } from '../../server/http/compressed.ts';
import { prepareWorld } from '../../bench/world.ts';
import { type RealServer, settled, startRealServer } from '../support/real-server.ts';

describe('a compressed receipt', () => {
  let server: RealServer;
  let token: string;
  let url: string;
  let patient: string;
  beforeAll(async () => {
    server = await startRealServer();
    const world = await prepareWorld(server.bootstrap);
    [token, patient] = [world.insurer.token, world.patient];
    url = (await world.insurer.call('GET', patient)).headers.get('assent-receipt') ?? '';
    await settled(world.insurer, url);
  });
  afterAll(() => server.stop());

  const get = (path: string, accept: string): Promise<Response> => fetch(path, { headers: { authorization: `Bearer ${token}`, accept } });

  it.each([
    ['application/gzip', undefined, true],
    ['application/gzip, application/json;q=0.5', undefined, true],
    ['application/gzip, */*;q=0.1', undefined, true],
    ['application/gzip;q=0.5, application/json', undefined, false],
    ['application/json, application/gzip', undefined, false],
    ['application/gzip;q=0', undefined, false],
    ['*/*', undefined, false],
    ['', undefined, false],
    [undefined, undefined, false],
    ['application/json', 'application/gzip', true],
    ['application/gzip', 'json', false],
  ] as const)('is given to Accept %j with _format %j: %j', (accept, format, given) => {
    expect(wantsGzip(accept, format)).toBe(given);
  });

  it('comes by either, and is the receipt', async () => {
    for (const answer of [await get(url, 'application/gzip'), await get(`${url}?_format=application/gzip`, 'application/json')]) {
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/gzip']);
      expect(verifyReceipt(gunzipSync(Buffer.from(await answer.arrayBuffer())).toString()).kind).toBe('proven');
    }
  });

  it('is the only thing that does: a resource is not acceptable so, and what is not there is told as an outcome', async () => {
    expect((await get(`${server.bootstrap.fhirBaseUrl}/${patient}`, 'application/gzip')).status).toBe(406);
    expect((await get(url, 'text/turtle')).status).toBe(406);
    const absent = await get(`${server.bootstrap.fhirBaseUrl}/AuditEvent/absent/$receipt`, 'application/gzip');
    expect([absent.status, ((await absent.json()) as { resourceType: string }).resourceType]).toEqual([404, 'OperationOutcome']);
  });

  it('stands in a Binary where it is an entry of a bundle', async () => {
    const path = `${url.slice(server.bootstrap.fhirBaseUrl.length + 1)}?_format=application/gzip`;
    const body = JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: path } }] });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' };
    const batch = (await (await fetch(server.bootstrap.fhirBaseUrl, { method: 'POST', headers, body })).json()) as {
      readonly entry?: readonly { readonly resource?: { readonly contentType: string; readonly data: string } }[];
    };
    const { contentType, data = '' } = batch.entry?.[0]?.resource ?? {};
    expect(contentType).toBe('application/gzip');
    expect(verifyReceipt(gunzipSync(Buffer.from(data, 'base64')).toString()).kind).toBe('proven');
  });
});
