/** Every row of the REST table answers, over the wire and as an entry of a batch, under its scope and under no other. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRouter } from '../../server/http/router.ts';
import { routes } from '../../server/http/routes.ts';
import { call, createHttpApp, type HttpApp } from '../support/http-app.ts';

const patient = { resourceType: 'Patient', gender: 'female' };
const parameters = (...parameter: object[]) => ({ resourceType: 'Parameters', parameter });
const consent = { resourceType: 'Consent', status: 'active' };
const signature = {
  name: 'signature',
  part: [
    { name: 'who', valueReference: { reference: 'Patient/1' } },
    { name: 'jws', valueString: 'a..b' },
  ],
};
const form = { 'content-type': 'application/x-www-form-urlencoded' };

type Example = { readonly url: string; readonly status: number; readonly body?: unknown; readonly headers?: Record<string, string> };
const examples: Readonly<Record<string, Example>> = {
  'GET /metadata': { url: 'metadata', status: 200 },
  'POST /': { url: '', status: 200, body: { resourceType: 'Bundle', type: 'batch' } },
  'GET /:type': { url: 'Patient?gender=female', status: 200 },
  'POST /:type/_search': { url: 'Patient/_search', status: 200, body: 'gender=female', headers: form },
  'POST /:type': { url: 'Patient', status: 201, body: patient },
  'GET /:type/:id': { url: 'Patient/p1', status: 200 },
  'PUT /:type/:id': { url: 'Patient/p1', status: 200, body: { ...patient, id: 'p1' } },
  'DELETE /:type/:id': { url: 'Patient/p2', status: 204 },
  'GET /:type/:id/_history': { url: 'Patient/p1/_history', status: 200 },
  'GET /:type/:id/_history/:version': { url: 'Patient/p1/_history/v1', status: 200 },
  'POST /Consent/$prepare': {
    url: 'Consent/$prepare',
    status: 200,
    body: parameters({ name: 'consent', resource: consent }, { name: 'language', valueCode: 'en' }),
  },
  'POST /Consent/$sign': { url: 'Consent/$sign', status: 201, body: parameters({ name: 'statement', valueString: 's' }, signature) },
  'POST /Consent/:id/$withdraw': { url: 'Consent/c1/$withdraw', status: 200, body: parameters({ name: 'jws', valueString: 'a.b.c' }) },
  'GET /Consent/:id/$receipt': { url: 'Consent/audit-1/$receipt', status: 200 },
  'GET /AuditEvent/:id/$receipt': { url: 'AuditEvent/audit-1/$receipt', status: 200 },
};

let http: HttpApp;
beforeAll(async () => {
  http = await createHttpApp();
  for (const id of ['p1', 'p2'])
    http.record.versions.set(`Patient/${id}`, [
      { type: 'Patient', id, version: 'v1', lastUpdated: 0, deleted: false, body: `{"resourceType":"Patient","id":"${id}","gender":"female"}` },
    ]);
});
afterAll(async () => http.app.close());

describe('the REST table', () => {
  it('has an example for every row, and no example for none', () => {
    expect(Object.keys(examples).sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
  });

  for (const route of routes) {
    const example = examples[`${route.method} ${route.path}`];
    if (!example) continue;

    it(`${route.method} ${route.path} answers`, async () => {
      const answer = await call(http, route.method, example.url, example);
      expect([answer.status, answer.text]).toEqual([example.status, expect.any(String)]);
      if (route.scope !== 'public') expect(answer.headers['cache-control']).toBe('private, no-store');
    });

    it(`${route.method} ${route.path} is 401 without a token unless public`, async () => {
      const answer = await call(http, route.method, example.url, { ...example, token: '' });
      expect(answer.status).toBe(route.scope === 'public' ? 200 : 401);
      if (answer.status === 401) expect(answer.headers['www-authenticate']).toBe('Bearer');
    });

    it(`${route.method} ${route.path} is 401 with a bad token unless public`, async () => {
      const answer = await call(http, route.method, example.url, { ...example, token: 'NOT A TOKEN' });
      expect([answer.status, answer.headers['www-authenticate']]).toEqual(
        route.scope === 'public' ? [200, undefined] : [401, 'Bearer error="invalid_token"'],
      );
    });

    const { scope } = route;
    if (scope !== 'public' && scope !== 'token') {
      it(`${route.method} ${route.path} needs the letter ${scope}`, async () => {
        const others = [...'cruds'].filter((letter) => letter !== scope).join('');
        const refused = await call(http, route.method, example.url, { ...example, token: `bob:system/*.${others}` });
        expect([refused.status, refused.json.issue[0].code]).toEqual([403, 'forbidden']);
      });
    }

    it(`${route.method} ${route.path} is the same row for an entry of a bundle as for Fastify`, async () => {
      const [path = ''] = example.url.split('?');
      const found = createRouter(routes)(route.method, path);
      expect(found).toMatchObject({ kind: 'row', route });
    });
  }

  it('a wrong method is 405 with what is allowed', async () => {
    const answer = await call(http, 'PATCH', 'Patient/p1', { body: [] });
    expect([answer.status, answer.headers['allow'], answer.json.resourceType]).toEqual([405, 'GET, HEAD, PUT, DELETE, OPTIONS', 'OperationOutcome']);
  });

  it.each([
    'Nonsense',
    'Nonsense/1',
    'Patient/$everything',
    'Patient/p1/$everything',
    '$export',
    'Patient/p1/_history/v1/more',
    '_history',
    'Patient//',
    '//',
  ])('%s is not offered: 404', async (url) => {
    const answer = await call(http, 'GET', url);
    expect([answer.status, answer.json.issue[0].code]).toEqual([404, 'not-supported']);
  });

  it('a slash at the end changes nothing', async () => {
    for (const url of ['Patient?gender=female', 'Patient/p1', 'Patient/p1/_history', 'metadata']) {
      const [path = '', query = ''] = url.split('?');
      const plain = await call(http, 'GET', url);
      const slashed = await call(http, 'GET', `${path}/?${query}`);
      expect([url, slashed.status, slashed.text]).toEqual([url, 200, plain.text]);
    }
  });

  it('outside the FHIR base, too, an OperationOutcome', async () => {
    const answer = await call(http, 'GET', '/elsewhere');
    expect([answer.status, answer.json.resourceType]).toEqual([404, 'OperationOutcome']);
  });

  it('lets browsers in without credentials', async () => {
    const answer = await call(http, 'OPTIONS', 'Patient/p1', {
      token: '',
      headers: { origin: 'https://app.example', 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization' },
    });
    expect([answer.status, answer.headers['access-control-allow-origin'], answer.headers['access-control-allow-credentials']]).toEqual([
      204,
      '*',
      undefined,
    ]);
    const read = await call(http, 'GET', 'Patient/p1', { headers: { origin: 'https://app.example' } });
    expect(read.headers['access-control-expose-headers']).toContain('Assent-Receipt');
  });
});
