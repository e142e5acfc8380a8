/** Every row of the REST table answers, over the wire and as an entry of a batch, under its scope and under no other. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRouter } from '../../server/http/router.ts';
import { routes } from '../../server/http/routes.ts';
import { enrolKey, jws, partOf, prepare, withdrawalOf } from '../../server/commands/demo/session.ts';
import { agree, HOSPITAL, organization, patient as managed, put, settled, termsOf } from '../support/real-server.ts';
import { call, createServedApp, type ServedApp } from '../support/served-app.ts';

const patient = { resourceType: 'Patient', gender: 'female' };
const parameters = (...parameter: object[]) => ({ resourceType: 'Parameters', parameter });
const signature = {
  name: 'signature',
  part: [
    { name: 'who', valueReference: { reference: 'Patient/signer' } },
    { name: 'jws', valueString: '{signature}' },
  ],
};
const form = { 'content-type': 'application/x-www-form-urlencoded' };

type Example = {
  readonly url: string;
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly token?: string;
};
/** What is only known once the server runs stands in braces. */
const examples: Readonly<Record<string, Example>> = {
  'GET /metadata': { url: 'metadata', status: 200 },
  'POST /': { url: '', status: 200, body: { resourceType: 'Bundle', type: 'batch' } },
  'GET /': { url: '?_type=Patient', status: 200 },
  'POST /_search': { url: '_search', status: 200, body: '_type=Patient', headers: form },
  'GET /:type': { url: 'Patient?gender=female', status: 200 },
  'POST /:type/_search': { url: 'Patient/_search', status: 200, body: 'gender=female', headers: form },
  'POST /:type': { url: 'Patient', status: 201, body: patient },
  'GET /:type/:id': { url: 'Patient/p1', status: 200 },
  'PUT /:type': { url: 'Patient?identifier=urn:test|conditional', status: 201, body: patient },
  'PATCH /:type/:id': {
    url: 'Patient/p1',
    status: 200,
    body: [{ op: 'add', path: '/active', value: true }],
    headers: { 'content-type': 'application/json-patch+json' },
  },
  'PATCH /:type': { url: 'Patient?_id=p1', status: 200, body: parameters() },
  'DELETE /:type': { url: 'Patient?_id=p3', status: 204 },
  'PUT /:type/:id': { url: 'Patient/p1', status: 200, body: { ...patient, id: 'p1' } },
  'DELETE /:type/:id': { url: 'Patient/p2', status: 204 },
  'POST /:type/$validate': { url: 'Patient/$validate', status: 200, body: patient },
  'POST /:type/:id/$validate': { url: 'Patient/p1/$validate', status: 200, body: { ...patient, id: 'p1' } },
  'GET /:type/:id/$validate': { url: 'Patient/p1/$validate', status: 200 },
  'GET /:type/:id/_history': { url: 'Patient/p1/_history', status: 200 },
  'GET /:type/_history': { url: 'Patient/_history', status: 200 },
  'GET /_history': { url: '_history', status: 200 },
  'GET /:type/:id/_history/:version': { url: 'Patient/p1/_history/{version}', status: 200 },
  'GET /:type/:id/:member': { url: 'Patient/p1/Observation', status: 200 },
  'POST /:type/:id/:member/_search': { url: 'Patient/p1/Observation/_search', status: 200, body: 'status=final', headers: form },
  'POST /:type/:id/_search': { url: 'Patient/p1/_search', status: 200, body: '_type=Observation', headers: form },
  'GET /Patient/:id/$everything': { url: 'Patient/p1/$everything', status: 200 },
  'POST /Patient/:id/$everything': { url: 'Patient/p1/$everything', status: 200, body: parameters({ name: '_count', valueInteger: 5 }) },
  'GET /Encounter/:id/$everything': { url: 'Encounter/e1/$everything', status: 200 },
  'POST /Encounter/:id/$everything': { url: 'Encounter/e1/$everything', status: 200, body: parameters() },
  'GET /Observation/$lastn': { url: 'Observation/$lastn?patient=p1', status: 200 },
  'POST /Observation/$lastn': {
    url: 'Observation/$lastn',
    status: 200,
    body: parameters({ name: 'patient', valueReference: { reference: 'Patient/p1' } }),
  },
  'GET /Composition/:id/$document': { url: 'Composition/d1/$document', status: 200 },
  'POST /Composition/:id/$document': { url: 'Composition/d1/$document', status: 200, body: parameters({ name: 'persist', valueBoolean: true }) },
  'POST /$convert': { url: '$convert', status: 200, body: patient },
  'GET /$job/:id': { url: '{job}', status: 200 },
  'DELETE /$job/:id': { url: '{over}', status: 202 },
  'POST /:type/:id/$purge': { url: 'Basic/absent/$purge', status: 202, token: 'admin' },
  'POST /$reindex': { url: '$reindex', status: 202, token: 'admin' },
  'POST /:type/$reindex': { url: 'Patient/$reindex', status: 202, token: 'admin' },
  'GET /$graphql': { url: `$graphql?query=${encodeURIComponent('{PatientList{id}}')}`, status: 200 },
  'POST /$graphql': { url: '$graphql', status: 200, body: '{ PatientList { id } }', headers: { 'content-type': 'application/graphql' } },
  'GET /:type/:id/$graphql': { url: `Patient/p1/$graphql?query=${encodeURIComponent('{id}')}`, status: 200 },
  'POST /:type/:id/$graphql': { url: 'Patient/p1/$graphql', status: 200, body: '{ id }', headers: { 'content-type': 'application/graphql' } },
  'GET /:type/:id/$meta': { url: 'Patient/p1/$meta', status: 200 },
  'POST /:type/:id/$meta': { url: 'Patient/p1/$meta', status: 200, body: parameters() },
  'GET /:type/:id/_history/:version/$meta': { url: 'Patient/p1/_history/{version}/$meta', status: 200 },
  'GET /:type/$meta': { url: 'Patient/$meta', status: 200 },
  'POST /:type/$meta': { url: 'Patient/$meta', status: 200, body: parameters() },
  'GET /$meta': { url: '$meta', status: 200 },
  'POST /$meta': { url: '$meta', status: 200, body: parameters() },
  'POST /:type/:id/$meta-add': { url: 'Patient/p1/$meta-add', status: 200, body: parameters({ name: 'meta', valueMeta: { tag: [{ code: 't' }] } }) },
  'POST /:type/:id/$meta-delete': {
    url: 'Patient/p1/$meta-delete',
    status: 200,
    body: parameters({ name: 'meta', valueMeta: { tag: [{ code: 't' }] } }),
  },
  'GET /Patient/:id/$disclosures': { url: 'Patient/p1/$disclosures?_count=5', status: 200, token: 'admin' },
  'POST /Patient/:id/$disclosures': { url: 'Patient/p1/$disclosures', status: 200, token: 'admin', body: parameters() },
  'GET /:type/:id/$explain-access': { url: 'Patient/p1/$explain-access?actor=Organization/insurer', status: 200, token: 'admin' },
  'POST /:type/:id/$explain-access': { url: 'Patient/p1/$explain-access', status: 200, token: 'admin', body: parameters() },
  'POST /Consent/$prepare': {
    url: 'Consent/$prepare',
    status: 200,
    body: parameters({ name: 'consent', resource: '{terms}' }, { name: 'language', valueCode: 'en' }),
  },
  'POST /Consent/$sign': { url: 'Consent/$sign', status: 201, body: parameters({ name: 'statement', valueString: '{statement}' }, signature) },
  // Nobody may here, and nothing is signed.
  'POST /Patient/:id/$break-glass': { url: 'Patient/p/$break-glass', status: 403, body: parameters({ name: 'reason', valueString: 'unconscious' }) },
  'POST /$revoke-key': { url: '$revoke-key', status: 422, body: parameters({ name: 'statement', valueString: '{}' }) },
  'POST /$rotate-key': { url: '$rotate-key', status: 422, body: parameters({ name: 'statement', valueString: '{}' }) },
  'POST /$recover-key': { url: '$recover-key', status: 403, body: parameters({ name: 'statement', valueString: '{}' }) },
  'POST /$grant-authority': { url: '$grant-authority', status: 422, body: parameters({ name: 'statement', valueString: '{}' }) },
  'POST /$end-authority': { url: '$end-authority', status: 422, body: parameters({ name: 'statement', valueString: '{}' }) },
  'POST /$stop-recovery': { url: '$stop-recovery', status: 422, body: parameters({ name: 'statement', valueString: '{}' }) },
  'POST /Consent/:id/$withdraw': { url: '{withdrawn}/$withdraw', status: 200, body: parameters({ name: 'jws', valueString: '{withdrawal}' }) },
  'POST /Consent/$request': { url: 'Consent/$request', status: 400, body: parameters() },
  'POST /Consent/:id/$approve': { url: '{consent}/$approve', status: 422, body: parameters() },
  'POST /Consent/:id/$refuse': { url: '{consent}/$refuse', status: 422, body: parameters({ name: 'jws', valueString: '{withdrawal}' }) },
  'GET /Consent/:id/$receipt': { url: '{consent}/$receipt', status: 200, token: 'admin' },
  'GET /Consent/:id/$ledger-proof': { url: '{consent}/$ledger-proof', status: 200, token: 'admin' },
  'GET /AuditEvent/:id/$receipt': { url: '{event}/$receipt', status: 200 },
};

let http: ServedApp;
let known: Readonly<Record<string, unknown>>;
beforeAll(async () => {
  http = await createServedApp({ ASSENT_APPROVALS: 'patient' });
  const { server } = http;
  const encounter = { resourceType: 'Encounter', id: 'e1', status: 'finished', class: { code: 'AMB' } };
  await call(http, 'PUT', 'Encounter/e1', { body: encounter });
  const stated = { status: 'final', type: { text: 'Note' }, date: '2024-05-01', author: [{ display: 'a doctor' }], title: 'Note' };
  await call(http, 'PUT', 'Composition/d1', { body: { resourceType: 'Composition', id: 'd1', ...stated } });
  for (const id of ['p1', 'p2']) await call(http, 'PUT', `Patient/${id}`, { body: { ...patient, id } });
  for (const reference of [HOSPITAL, 'Organization/insurer']) await put(server, organization(reference));
  await put(server, managed('signer'));
  const key = await enrolKey(server.admin, 'Patient/signer');
  const terms = termsOf(server, { patient: 'Patient/signer', grantee: 'Organization/insurer' });
  const inForce = await agree(server, terms, [key]);
  const withdrawn = await agree(server, termsOf(server, { patient: 'Patient/signer', grantee: HOSPITAL }), [key]);
  const statement = partOf(await prepare(server.admin, { ...terms, dateTime: new Date(server.now() - 1_000).toISOString() }), 'statement');
  const read = await call(http, 'GET', 'Patient/p1');
  const event = /AuditEvent\/[^/]+/.exec(read.headers['assent-receipt'] ?? '')?.[0] ?? '';
  for (const reference of [inForce.consent, event]) await settled(server.admin, `${reference}/$receipt`);
  const later = async () => (await call(http, 'GET', 'Patient/p1', { headers: { prefer: 'respond-async' } })).headers['content-location'] ?? '';
  const [job = '', over = ''] = [await later(), await later()].map((location) => location.slice(http.base.length + 1));
  for (let status = 202; status === 202; ) ({ status } = await call(http, 'GET', job));
  known = {
    job,
    over,
    version: read.json.meta.versionId,
    event,
    terms,
    statement,
    signature: jws(key, statement, true),
    consent: inForce.consent,
    withdrawn: withdrawn.consent,
    withdrawal: jws(key, withdrawalOf({ ...withdrawn, now: server.now() }), false),
  };
});
afterAll(async () => http.stop());

function filled({ url, body, headers, ...rest }: Example): Example {
  const fill = (value: unknown): unknown => {
    if (typeof value === 'string')
      return /^\{(\w+)\}$/.test(value) ? known[value.slice(1, -1)] : value.replace(/\{(\w+)\}/g, (_, name) => String(known[name]));
    if (Array.isArray(value)) return value.map(fill);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, fill(member)]));
  };
  return { ...rest, url: String(fill(url)), ...(body === undefined ? {} : { body: fill(body) }), ...(headers ? { headers } : {}) };
}

describe('the REST table', () => {
  it('has an example for every row, and no example for none', () => {
    expect(Object.keys(examples).sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
  });

  for (const route of routes) {
    const example = examples[`${route.method} ${route.path}`];
    if (!example) continue;

    it(`${route.method} ${route.path} answers`, async () => {
      const { url, ...options } = filled(example);
      const answer = await call(http, route.method, url, options);
      expect([answer.status, answer.text]).toEqual([example.status, expect.any(String)]);
      if (route.scope !== 'public') expect(answer.headers['cache-control']).toBe('private, no-store');
    });

    it(`${route.method} ${route.path} is 401 without a token unless public`, async () => {
      const answer = await call(http, route.method, filled(example).url, { ...filled(example), token: '' });
      expect(answer.status).toBe(route.scope === 'public' ? 200 : 401);
      if (answer.status === 401) expect(answer.headers['www-authenticate']).toBe('Bearer');
    });

    it(`${route.method} ${route.path} is 401 with a bad token unless public`, async () => {
      const answer = await call(http, route.method, filled(example).url, { ...filled(example), token: 'NOT A TOKEN' });
      expect([answer.status, answer.headers['www-authenticate']]).toEqual(
        route.scope === 'public' ? [200, undefined] : [401, 'Bearer error="invalid_token"'],
      );
    });

    const { scope } = route;
    if (scope !== 'public' && scope !== 'token') {
      it(`${route.method} ${route.path} needs the letter ${scope}`, async () => {
        const others = [...'cruds'].filter((letter) => letter !== scope).join('');
        const refused = await call(http, route.method, filled(example).url, { ...filled(example), token: `bob:system/*.${others}` });
        expect([refused.status, refused.json.issue[0].code]).toEqual([403, 'forbidden']);
      });
    }

    it(`${route.method} ${route.path} is the same row for an entry of a bundle as for Fastify`, async () => {
      const [path = ''] = filled(example).url.split('?');
      const found = createRouter(routes)(route.method, path);
      expect(found).toMatchObject({ kind: 'row', route });
    });
  }

  it('a wrong method is 405 with what is allowed', async () => {
    const answer = await call(http, 'DELETE', 'Patient/p1/_history/v1');
    expect([answer.status, answer.headers['allow'], answer.json.resourceType]).toEqual([405, 'GET, HEAD, OPTIONS', 'OperationOutcome']);
  });

  it.each(['Nonsense', 'Nonsense/1', 'Patient/p1/$nonsense', '$export', 'Patient/p1/_history/v1/more', 'Patient//', '/fhir//'])(
    '%s is not offered: 404',
    async (url) => {
      const answer = await call(http, 'GET', url);
      expect([answer.status, answer.json.issue[0].code]).toEqual([404, 'not-supported']);
    },
  );

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
