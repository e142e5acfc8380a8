/** $validate over HTTP: one verdict for every way to ask, nothing stored, nothing told about what the caller may not see; and profiles on every write. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { profileOf, writePackage } from '../support/package.ts';
import { call as callApp, createServedApp, type Method, type ServedApp } from '../support/served-app.ts';

let app: ServedApp;
let folder: string;
const call = (method: Method, url: string, options: Parameters<typeof callApp>[3] = {}) => callApp(app, method, url, options);

const PROFILE = 'urn:test:named';
const named = { resourceType: 'Organization', active: true, name: 'Named' };
const nameless = { resourceType: 'Organization', active: true, identifier: [{ value: 'x' }] };
const wrong = { resourceType: 'Organization', active: 'yes' };
const parameters = (...parameter: object[]) => ({ resourceType: 'Parameters', parameter });

type Issue = { readonly severity: string; readonly code: string; readonly diagnostics: string; readonly expression?: readonly string[] };
const issuesOf = ({ json }: { readonly json: { readonly issue: readonly Issue[] } }) =>
  json.issue.map(({ severity, expression = [] }) => [severity, ...expression].join(' '));
const GOOD = ['information'];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'assent-validate-'));
  const file = await writePackage(join(folder, 'test.tgz'), [profileOf('named', 'Organization', [{ id: 'Organization.name', min: 1 }])]);
  app = await createServedApp({ ASSENT_PACKAGES: file });
});
afterAll(async () => {
  await app.stop();
  rmSync(folder, { recursive: true });
});

describe('of a type', () => {
  it('judges the body itself, and says that all is good or where what is wrong', async () => {
    const good = await call('POST', 'Organization/$validate', { body: named });
    expect([good.status, good.json.resourceType, issuesOf(good)]).toEqual([200, 'OperationOutcome', GOOD]);
    const bad = await call('POST', 'Organization/$validate', { body: wrong });
    expect([bad.status, issuesOf(bad)]).toEqual([200, ['error Organization.active']]);
  });

  it('judges the parameter resource', async () => {
    const bad = await call('POST', 'Organization/$validate', { body: parameters({ name: 'resource', resource: wrong }) });
    expect([bad.status, issuesOf(bad)]).toEqual([200, ['error Organization.active']]);
  });

  it.each([
    ['in the URL', `Organization/$validate?profile=${PROFILE}`, nameless],
    ['as uri', 'Organization/$validate', parameters({ name: 'resource', resource: nameless }, { name: 'profile', valueUri: PROFILE })],
    ['as canonical', 'Organization/$validate', parameters({ name: 'resource', resource: nameless }, { name: 'profile', valueCanonical: PROFILE })],
    ['claimed', 'Organization/$validate', { ...nameless, meta: { profile: [PROFILE] } }],
    ['with its mode', `Organization/$validate?mode=profile&profile=${PROFILE}`, nameless],
  ])('judges against a profile %s', async (_how, url, body) => {
    const { status, json } = await call('POST', url, { body });
    expect([status, json.issue[0].severity, json.issue[0].code, json.issue[0].expression]).toEqual([200, 'error', 'required', ['Organization.name']]);
  });

  it('says that a profile is not on board: an error to who asks, a warning about a claim', async () => {
    expect(issuesOf(await call('POST', 'Organization/$validate?profile=urn:x', { body: named }))).toEqual(['error Organization']);
    expect(issuesOf(await call('POST', 'Organization/$validate', { body: { ...named, meta: { profile: ['urn:x'] } } }))).toEqual([
      'warning Organization.meta.profile[0]',
    ]);
  });

  it('judges Parameters as a resource where that is the type', async () => {
    expect(issuesOf(await call('POST', 'Parameters/$validate', { body: parameters({ name: 'x', valueString: 'y' }) }))).toEqual(GOOD);
    const inner = parameters({ name: 'x', valueString: 7 });
    const bad = await call('POST', 'Parameters/$validate', { body: parameters({ name: 'resource', resource: inner }) });
    expect(issuesOf(bad)).toEqual(['error Parameters.parameter[0].value.ofType(string)']);
  });

  it('knows the modes', async () => {
    const withId = { ...named, id: 'a' };
    expect(issuesOf(await call('POST', 'Organization/$validate?mode=create', { body: named }))).toEqual(GOOD);
    expect(issuesOf(await call('POST', 'Organization/$validate?mode=create', { body: withId }))).toEqual(['information Organization.id']);
    expect(issuesOf(await call('POST', 'Organization/$validate?mode=update', { body: named }))).toEqual(['error Organization.id']);
    expect(issuesOf(await call('POST', 'Organization/$validate?mode=update', { body: withId }))).toEqual(GOOD);
  });

  it.each([
    ['no resource', 'Organization/$validate', parameters({ name: 'mode', valueCode: 'create' })],
    ['another type', 'Organization/$validate', { resourceType: 'Patient' }],
    ['an unknown parameter', 'Organization/$validate', parameters({ name: 'resource', resource: named }, { name: 'x', valueString: 'y' })],
    ['an unknown query', 'Organization/$validate?x=y', named],
    ['an unknown mode', 'Organization/$validate?mode=guess', named],
    ['two modes', 'Organization/$validate?mode=create&mode=update', named],
    ['two resources', 'Organization/$validate', parameters({ name: 'resource', resource: named }, { name: 'resource', resource: named })],
    ['the mode profile without one', 'Organization/$validate?mode=profile', named],
    ['a profile that is no text', 'Organization/$validate', parameters({ name: 'resource', resource: named }, { name: 'profile', valueInteger: 1 })],
    ['the mode delete of a type', 'Organization/$validate?mode=delete', named],
  ])('%s is the caller’s mistake', async (_what, url, body) => {
    const { status, json } = await call('POST', url, { body });
    expect([status, json.resourceType]).toEqual([400, 'OperationOutcome']);
  });

  it('is for callers with a token, of types R4 has', async () => {
    expect((await call('POST', 'Organization/$validate', { token: '', body: named })).status).toBe(401);
    expect((await call('POST', 'Nonsense/$validate', { body: { resourceType: 'Nonsense' } })).status).toBe(404);
  });

  it('judges large resources in a thread, with the same profiles', async () => {
    const large = { ...nameless, alias: Array.from({ length: 800 }, (_, i) => `alias number ${i} of a very large organization`) };
    expect(issuesOf(await call('POST', `Organization/$validate?profile=${PROFILE}`, { body: large }))).toEqual(['error Organization.name']);
  });
});

describe('of one resource', () => {
  const observation = { resourceType: 'Observation', id: 'v1', status: 'final', code: { text: 'x' }, subject: { reference: 'Patient/v' } };
  beforeAll(async () => {
    expect((await call('PUT', 'Observation/v1', { body: observation })).status).toBe(201);
  });

  it('judges what is stored, as a read of it', async () => {
    for (const method of ['POST', 'GET'] as const) {
      const { status, headers, json } = await call(method, 'Observation/v1/$validate');
      expect([status, json.issue[0].severity, headers['assent-receipt'] === undefined]).toEqual([200, 'information', false]);
    }
    expect(issuesOf(await call('GET', 'Observation/v1/$validate?profile=http://hl7.org/fhir/StructureDefinition/vitalsigns'))).toContain(
      'error Observation.category',
    );
  });

  it('is the same for what is hidden and what is absent, and needs the scope of a read', async () => {
    const hidden = await call('GET', 'Observation/v1/$validate', { token: 'mallory' });
    const absent = await call('GET', 'Observation/nothing/$validate', { token: 'mallory' });
    expect([hidden.status, hidden.text]).toEqual([404, absent.text]);
    const posted = await call('POST', 'Observation/v1/$validate', { token: 'mallory' });
    expect([posted.status, posted.text]).toEqual([404, absent.text]);
    for (const method of ['POST', 'GET'] as const)
      expect((await call(method, 'Observation/v1/$validate', { token: 'alice:system/Patient.r' })).status).toBe(403);
  });

  it('judges an update of it', async () => {
    expect(issuesOf(await call('POST', 'Observation/v1/$validate?mode=update', { body: observation }))).toEqual(GOOD);
    expect(issuesOf(await call('POST', 'Observation/v1/$validate?mode=update', { body: { ...observation, id: 'v2' } }))).toEqual([
      'error Observation.id',
    ]);
  });

  it('judges a delete of it, and deletes nothing', async () => {
    expect(issuesOf(await call('POST', 'Observation/v1/$validate?mode=delete'))).toEqual(GOOD);
    expect((await call('POST', 'Observation/v1/$validate?mode=delete', { token: 'mallory' })).status).toBe(404);
    expect((await call('POST', 'Observation/v1/$validate?mode=delete', { token: 'alice:system/Observation.r' })).status).toBe(403);
    expect((await call('GET', 'Observation/v1')).status).toBe(200);
  });
});

it('stores nothing', async () => {
  const body = { ...named, id: 'never', name: 'Never stored' };
  for (const url of ['Organization/$validate', 'Organization/never/$validate', 'Organization/never/$validate?mode=update'])
    expect((await call('POST', url, { body })).status).toBe(200);
  expect((await call('GET', 'Organization/never')).status).toBe(404);
  expect((await call('GET', 'Organization?name=Never')).json.entry).toBeUndefined();
});

it('works as an entry of a batch', async () => {
  const entry = (url: string, resource: object) => ({ resource, request: { method: 'POST', url } });
  const bundle = { resourceType: 'Bundle', type: 'batch', entry: [entry('Organization/$validate', wrong), entry('Organization/$validate', named)] };
  const { status, json } = await call('POST', '', { body: bundle });
  expect([status, json.entry.map(({ response }: { response: { status: string } }) => response.status)]).toEqual([200, ['200 OK', '200 OK']]);
  expect(json.entry.map(({ resource }: { resource: { issue: Issue[] } }) => resource.issue[0]?.severity)).toEqual(['error', 'information']);
});

describe('every write', () => {
  const claiming = { ...nameless, meta: { profile: [PROFILE] } };

  it('is judged by the profiles it claims', async () => {
    for (const [method, url, body] of [
      ['POST', 'Organization', claiming],
      ['PUT', 'Organization/w1', { ...claiming, id: 'w1' }],
    ] as const) {
      const { status, json } = await call(method, url, { body });
      expect([status, json.issue[0].expression]).toEqual([422, ['Organization.name']]);
    }
    const transaction = {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [{ resource: claiming, request: { method: 'POST', url: 'Organization' } }],
    };
    expect((await call('POST', '', { body: transaction })).status).toBe(422);
    expect((await call('POST', 'Organization', { body: { ...claiming, name: 'x' } })).status).toBe(201);
  });

  it('with a profile that is not on board is stored, or refused by setting', async () => {
    const unknown = { ...named, meta: { profile: ['urn:x'] } };
    expect((await call('POST', 'Organization', { body: unknown })).status).toBe(201);
    const strict = await createServedApp({ ASSENT_UNKNOWN_PROFILES: 'refuse' });
    const { status, json } = await callApp(strict, 'POST', 'Organization', { body: unknown });
    await strict.stop();
    expect([status, json.issue[0].expression]).toEqual([422, ['Organization.meta.profile[0]']]);
  });
});

it('the CapabilityStatement names the profiles on board, ours among them', async () => {
  const { json } = await call('GET', 'metadata', { token: '' });
  const of = (name: string) => json.rest[0].resource.find(({ type }: { type: string }) => type === name).supportedProfile;
  expect([of('Organization'), of('Consent'), of('Basic')]).toEqual([[PROFILE], ['urn:assent:profile:signed-consent'], undefined]);
});

it('a package that cannot be used stops the start with a sentence', async () => {
  await expect(createServedApp({ ASSENT_PACKAGES: join(folder, 'missing.tgz') })).rejects.toThrow(
    /missing\.tgz cannot be used: there is no such file\.$/,
  );
});
