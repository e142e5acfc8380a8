/**
 * What handlers make of a Gate's answers that a store cannot be brought to give at will: failures, and each outcome of a signing. A fake Gate stands
 * in, so this file runs on no engine.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import { BASE, call, createHttpApp, type HttpApp } from '../support/http-app.ts';

let http: HttpApp;
beforeAll(async () => {
  http = await createHttpApp();
});
afterAll(async () => http.app.close());

const parameters = (...parameter: object[]) => ({ resourceType: 'Parameters', parameter });
const methods = () => http.record.calls.splice(0).map(({ method }) => method);

describe('Consents', () => {
  it('$prepare hands on the exact text and answers with the statement', async () => {
    const body =
      '{"resourceType":"Parameters","parameter":[{"name":"language","valueCode":"zh"},{"name":"consent","resource":{"resourceType":"Consent","x":1.50}}]}';
    const answer = await call(http, 'POST', 'Consent/$prepare', { body });
    expect(answer.text).toContain('"resource":{"resourceType":"Consent","x":1.50}');
    expect(answer.json.parameter.map(({ name }: { name: string }) => name)).toEqual(['consent', 'statement', 'digest', 'expires']);
    expect(http.record.calls.at(-1)).toMatchObject({ method: 'prepareConsent', argument: { language: 'zh' } });
  });

  it('$sign answers 201, 202 or 200 as the Gate says', async () => {
    const body = parameters(
      { name: 'statement', valueString: 's' },
      {
        name: 'signature',
        part: [
          { name: 'who', valueReference: { reference: 'Patient/1' } },
          { name: 'jws', valueString: 'a..b' },
        ],
      },
    );
    const row = { type: 'Consent', id: 'c', version: 'v', lastUpdated: 0, deleted: false, body: '{"resourceType":"Consent","id":"c"}' };
    for (const [kind, status] of [
      ['activated', 201],
      ['proposed', 202],
      ['already-active', 200],
    ] as const) {
      const undo = http.record.override({ signConsent: async () => ({ kind, row }) });
      const answer = await call(http, 'POST', 'Consent/$sign', { body });
      undo();
      expect([answer.status, answer.json.id, answer.headers['location']]).toEqual([status, 'c', `${BASE}/Consent/c/_history/v`]);
    }
  });
});

describe('If-None-Exist', () => {
  it('reads what matches, so that it is disclosed and audited like any other read', async () => {
    const patient = { resourceType: 'Patient', gender: 'other' };
    const first = await call(http, 'POST', 'Patient', { body: patient });
    methods();
    const again = await call(http, 'POST', 'Patient', { body: patient, headers: { 'if-none-exist': 'gender=other' } });
    expect([again.status, again.json.id, methods()]).toEqual([200, first.json.id, ['write', 'read']]);
  });
});

describe('bundles', () => {
  type Entry = { readonly resource?: object; readonly request: { readonly method: string; readonly url: string } };
  const send = (type: string, entry: readonly Entry[], token?: string) =>
    call(http, 'POST', '', { body: { resourceType: 'Bundle', type, entry }, token });
  const post = (type: string): Entry => ({ resource: { resourceType: type }, request: { method: 'POST', url: type } });

  it('name the entry the Gate refused, though entries were written in another order', async () => {
    const undo = http.record.override({
      write: async () => {
        throw new AssentError('version-mismatch', [{ diagnostics: 'Changed.', expression: ['operation[0]'] }]);
      },
    });
    const answer = await send('transaction', [post('Patient'), { request: { method: 'DELETE', url: 'Patient/b' } }]);
    undo();
    expect([answer.status, answer.json.issue[0].expression]).toEqual([412, ['Bundle.entry[1]']]);
  });

  it('write a transaction at once, before its reads, and ask for nothing a token does not cover', async () => {
    methods();
    await send('transaction', [{ request: { method: 'GET', url: 'Patient?gender=other' } }, post('Patient'), post('Observation')]);
    expect(methods()).toEqual(['write', 'search']);
    await send('transaction', [post('Patient'), post('Observation')], 'bob:system/Patient.c');
    const reads = ['Patient/x', 'Observation/x'].map((url) => ({ request: { method: 'GET', url } }));
    await send('batch', [post('Patient'), ...reads], 'bob:system/Patient.r');
    expect(methods()).toEqual(['read']);
  });
});

describe('a fault', () => {
  it('says nothing to its caller, and what was sent is in no log', async () => {
    http.logs.length = 0;
    const undo = http.record.override({ read: async () => Promise.reject(new Error('secret')) });
    const answer = await call(http, 'GET', 'Patient/a');
    undo();
    expect([answer.status, answer.json.issue[0].code]).toEqual([500, 'exception']);
    expect(answer.text).not.toContain('secret');
    const parsing = http.record.override({ read: async () => JSON.parse('{"secret-text"') });
    expect((await call(http, 'GET', 'Patient/a')).status).toBe(500);
    parsing();
    const { text } = await call(http, 'GET', '/metrics', { token: '' });
    expect(text).toContain('assent_requests_total{interaction="read",status="5xx"} 2');
    const logged = http.logs.join('');
    expect(logged).toContain('SyntaxError');
    for (const page of [text, logged]) expect(page).not.toMatch(/secret/);
  });
});
