/** Receipts as compressed files: who asks for them by name, in whatever way, and that nothing else comes so. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../ledger/receipt.ts';
import { textOfFile } from '../../ledger/receipt-file.ts';
import type { Session } from '../../server/commands/demo/session.ts';
import { smallFileWanted } from '../../server/http/compressed.ts';
import { prepareWorld } from '../../bench/world.ts';
import { type RealServer, settled, startRealServer } from '../support/real-server.ts';

describe('a compressed receipt', () => {
  let server: RealServer;
  let insurer: Session;
  let token: string;
  let url: string;
  let patient: string;
  beforeAll(async () => {
    server = await startRealServer();
    const world = await prepareWorld(server.bootstrap);
    [insurer, token, patient] = [world.insurer, world.insurer.token, world.patient];
    url = (await world.insurer.call('GET', patient)).headers.get('assent-receipt') ?? '';
    await settled(world.insurer, url);
  });
  afterAll(() => server.stop());

  const get = (path: string, accept: string): Promise<Response> => fetch(path, { headers: { authorization: `Bearer ${token}`, accept } });

  it.each([
    ['application/gzip', undefined, 'receipt.json.gz'],
    ['application/gzip, application/json;q=0.5', undefined, 'receipt.json.gz'],
    ['application/gzip, */*;q=0.1', undefined, 'receipt.json.gz'],
    ['application/gzip;q=0.5, application/json', undefined, undefined],
    ['application/json, application/gzip', undefined, undefined],
    ['application/gzip;q=0', undefined, undefined],
    ['application/vnd.assent.receipt', undefined, 'receipt.assent'],
    ['application/gzip;q=0.5, application/vnd.assent.receipt;q=0.6', undefined, 'receipt.assent'],
    ['application/gzip, application/vnd.assent.receipt;q=0.6', undefined, 'receipt.json.gz'],
    ['application/vnd.assent.receipt, application/json', undefined, undefined],
    ['*/*', undefined, undefined],
    ['', undefined, undefined],
    [undefined, undefined, undefined],
    ['application/json', 'application/gzip', 'receipt.json.gz'],
    ['application/json', 'application/vnd.assent.receipt', 'receipt.assent'],
    ['application/gzip', 'json', undefined],
  ] as const)('is given to Accept %j with _format %j: %j', (accept, format, name) => {
    expect(smallFileWanted(accept, format)?.name).toBe(name);
  });

  const TYPES = ['application/gzip', 'application/vnd.assent.receipt'];

  async function verdictOf(file: Uint8Array): Promise<string> {
    const read = await textOfFile(file);
    return 'text' in read ? verifyReceipt(read.text).kind : read.reason;
  }

  it.each(TYPES)('comes by either as %s, and is the receipt', async (type) => {
    for (const answer of [await get(url, type), await get(`${url}?_format=${type}`, 'application/json')]) {
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, type]);
      expect(await verdictOf(new Uint8Array(await answer.arrayBuffer()))).toBe('proven');
    }
  });

  it('is the only thing that does: a resource is not acceptable so, and what is not there is told as an outcome', async () => {
    expect((await get(`${server.bootstrap.fhirBaseUrl}/${patient}`, 'application/gzip')).status).toBe(406);
    expect((await get(url, 'text/turtle')).status).toBe(406);
    const absent = await get(`${server.bootstrap.fhirBaseUrl}/AuditEvent/absent/$receipt`, 'application/gzip');
    expect([absent.status, ((await absent.json()) as { resourceType: string }).resourceType]).toEqual([404, 'OperationOutcome']);
  });

  it.each(TYPES)('stands in a Binary where it is an entry of a bundle, as %s', async (type) => {
    const path = `${url.slice(server.bootstrap.fhirBaseUrl.length + 1)}?_format=${type}`;
    const body = JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: path } }] });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' };
    const batch = (await (await fetch(server.bootstrap.fhirBaseUrl, { method: 'POST', headers, body })).json()) as {
      readonly entry?: readonly { readonly resource?: { readonly contentType: string; readonly data: string } }[];
    };
    const { contentType, data = '' } = batch.entry?.[0]?.resource ?? {};
    expect(contentType).toBe(type);
    expect(await verdictOf(Buffer.from(data, 'base64'))).toBe('proven');
  });

  it.each(TYPES)('stands in a Binary where it was asked for asynchronously, as %s', async (type) => {
    const path = (address: string): string => address.slice(server.bootstrap.fhirBaseUrl.length + 1);
    const asked = await insurer.call('GET', `${path(url)}?_format=${type}`, undefined, { prefer: 'respond-async' });
    expect(asked.status).toBe(202);
    const { json } = await settled(insurer, path(asked.headers.get('content-location') ?? ''));
    const [{ response, resource }] = json['entry'] as [{ response: object; resource: { contentType: string; data: string } }];
    expect([response, resource.contentType]).toEqual([expect.objectContaining({ status: '200 OK' }), type]);
    expect(await verdictOf(Buffer.from(resource.data, 'base64'))).toBe('proven');
  });
});
