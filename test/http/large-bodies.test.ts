/** Bodies so large that several at once would not fit: what is over the bound comes again later, and nobody else notices. */
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInFlight } from '../../server/http/in-flight.ts';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';

let http: ServedApp;
beforeAll(async () => {
  http = await createServedApp({ ASSENT_MAX_BODY_BYTES: '4000000', ASSENT_MAX_BYTES_IN_FLIGHT: '5000000', ASSENT_MAX_BUNDLE_ENTRIES: '3000' });
});
afterAll(async () => http.stop());

const MiB = 1_048_576;
/** A transaction of so many Basics, padded to about 3 MB. */
function bundle(entries: number, mark: string): string {
  const text = { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${'x'.repeat(Math.floor(3_000_000 / entries))}</div>` };
  const resource = { resourceType: 'Basic', identifier: [{ system: 'urn:large', value: mark }], code: { text: 'x' }, text };
  return JSON.stringify({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: Array.from({ length: entries }, () => ({ resource, request: { method: 'POST', url: 'Basic' } })),
  });
}
const stored = async (mark: string) => (await call(http, 'GET', `Basic?identifier=urn:large|${mark}&_summary=count`)).json.total;

type Half = { readonly refused: () => boolean; finish(): Promise<number>; drop(): void };

/** Sends half of a body and keeps the rest back. */
async function half(body: string): Promise<Half> {
  const headers = {
    authorization: `Bearer ${await http.tokenOf('alice')}`,
    'content-type': 'application/fhir+json',
    'content-length': Buffer.byteLength(body),
  };
  const sent = request(http.base, { method: 'POST', headers });
  const status = new Promise<number>((resolve) => {
    sent.on('response', (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
  });
  let refused = false;
  void status.then(() => (refused = true));
  sent.on('error', () => undefined);
  sent.write(body.slice(0, body.length / 2));
  return {
    refused: () => refused,
    finish: () => {
      sent.end(body.slice(body.length / 2));
      return status;
    },
    drop: () => void sent.destroy(),
  };
}

/** Until the server holds the body for sure: others get no room. What asks may come first, and then the body is refused and begun again. */
async function heldHalf(body: string): Promise<Half> {
  let begun = await half(body);
  for (let i = 0; i < 200; i++) {
    const probe = await call(http, 'POST', 'Basic', { body: `{"resourceType":"Nonsense","x":"${'x'.repeat(3_000_000)}"}` });
    if (probe.status === 503) return begun;
    if (begun.refused()) begun = await half(body);
  }
  throw new Error('nothing is held');
}

describe('large bodies', () => {
  it('at once are as many as there is room for; the rest is asked to come again, and small ones go on', async () => {
    const first = await heldHalf(bundle(500, 'first'));
    const second = await call(http, 'POST', '', { body: bundle(100, 'second') });
    expect([second.status, second.json.issue[0].code]).toEqual([503, 'transient']);
    expect(Number(second.headers['retry-after'])).toBeGreaterThan(0);
    expect((await call(http, 'POST', 'Basic', { body: { resourceType: 'Basic', code: { text: 'small' } } })).status).toBe(201);
    expect(await first.finish()).toBe(200);
    expect([await stored('first'), await stored('second')]).toEqual([500, 0]);
    expect((await call(http, 'POST', '', { body: bundle(100, 'second') })).status).toBe(200);
  });

  it('give back their room when they fail or are broken off', async () => {
    const broken = await heldHalf(bundle(100, 'broken'));
    broken.drop();
    for (const body of [bundle(100, 'x').slice(0, -1), bundle(3001, 'y'), bundle(100, 'z').replace('"text":"x"', '"text":1')]) {
      let answer = await call(http, 'POST', '', { body });
      for (let i = 0; answer.status === 503 && i < 100; i++) answer = await call(http, 'POST', '', { body });
      expect([400, 413, 422]).toContain(answer.status);
    }
    expect((await call(http, 'POST', '', { body: bundle(100, 'after') })).status).toBe(200);
  });
});

it('one body is always worked on, and room is counted to the byte', () => {
  const { hold, release } = createInFlight(3 * MiB);
  const [a, b, c] = [{}, {}, {}];
  hold(a, 9 * MiB);
  expect(() => hold(b, MiB + 1)).toThrow(expect.objectContaining({ code: 'unavailable' }));
  hold(b, MiB);
  release(a);
  release(a);
  hold(a, MiB + 1);
  hold(b, 2 * MiB - 1);
  expect(() => hold(c, MiB + 1)).toThrow(expect.objectContaining({ code: 'unavailable' }));
  hold(a, MiB + 1);
  release(b);
  hold(c, MiB + 1);
});
