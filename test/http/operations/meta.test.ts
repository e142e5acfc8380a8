/** $meta, $meta-add and $meta-delete through the real server: exact text, no lost update, labels that decide at once, nothing hidden. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Session } from '../../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
  normalised,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../../support/real-server.ts';

const INSURER = 'Organization/insurer';
const HIV = { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' };
const tag = (code: string, more: Json = {}) => ({ system: 'urn:test', code, ...more });
const parameters = (valueMeta: unknown): Json => ({ resourceType: 'Parameters', parameter: [{ name: 'meta', valueMeta }] });

let server: RealServer;
let admin: Session;
let hospital: Session;
let insurer: Session;
let inForce: InForce;

beforeAll(async () => {
  server = await startRealServer({ ASSENT_IMPLICIT_POLICY: 'author-treatment' });
  admin = server.admin;
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  hospital = (await register(server, { actor: HOSPITAL, choosesIds: true })).session;
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(admin, 'Patient/alice'), await enrolKey(admin, HOSPITAL)];
  for (const id of ['o1', 'o2', 'o3', 'o-bob'])
    await write(observation(id, id === 'o-bob' ? 'Patient/bob' : 'Patient/alice', { meta: { tag: [tag(id)] } }));
  for (const actor of [INSURER, HOSPITAL]) {
    const provision = { provision: [{ type: 'deny', securityLabel: [HIV] }] };
    const made = await agree(
      server,
      termsOf(server, { patient: 'Patient/alice', grantee: actor, ...(actor === INSURER ? { provision } : {}) }),
      keys,
    );
    if (actor === INSURER) inForce = made;
  }
});
afterAll(() => server.stop());

async function write(resource: Json, text?: string): Promise<void> {
  const url = `Observation/${String(resource['id'])}`;
  const sent = text === undefined ? resource : undefined;
  if (sent) expect((await hospital.call('PUT', url, sent)).status).toBeLessThan(300);
  else {
    const { fhirBaseUrl } = server.bootstrap;
    const headers = { authorization: `Bearer ${hospital.token}`, 'content-type': 'application/fhir+json' };
    expect((await fetch(`${fhirBaseUrl}/${url}`, { method: 'PUT', headers, body: text ?? '' })).status).toBeLessThan(300);
  }
}

type Meta = { readonly versionId?: string; readonly profile?: string[]; readonly tag?: Json[]; readonly security?: Json[] };
const metaOf = ({ json }: Answer) => ((json['parameter'] as { valueMeta: Meta }[] | undefined) ?? [])[0]?.valueMeta;
const codes = (list: readonly Json[] = []) => list.map(({ code }) => String(code));

describe('$meta', () => {
  it('of a resource and of a version is its meta, with the receipt of a read', async () => {
    const read = await insurer.call('GET', 'Observation/o1');
    for (const answer of [
      await insurer.call('GET', 'Observation/o1/$meta'),
      await insurer.call('POST', 'Observation/o1/$meta', { resourceType: 'Parameters' }),
    ]) {
      expect([answer.status, metaOf(answer)]).toEqual([200, read.json['meta']]);
      expect(answer.headers.get('assent-receipt')).toMatch(/AuditEvent/);
    }
    const { versionId } = read.json['meta'] as Meta;
    expect(metaOf(await insurer.call('GET', `Observation/o1/_history/${versionId}/$meta`))).toEqual(read.json['meta']);
  });

  it('of a type and of the system: what is in use among the visible, nothing else', async () => {
    const seen = codes(metaOf(await insurer.call('GET', 'Observation/$meta'))?.tag).sort();
    expect(seen).toEqual(['o1', 'o2', 'o3']);
    expect(codes(metaOf(await insurer.call('GET', '$meta'))?.tag).sort()).toEqual(seen);
    expect(metaOf(await insurer.call('GET', 'Condition/$meta'))).toBeUndefined();
    const stranger = (await register(server, { actor: 'Organization/stranger' })).session;
    expect((await stranger.call('GET', '$meta')).json).toEqual({ resourceType: 'Parameters' });
  });

  it('hidden and absent are the same 404, for the changes as well', async () => {
    for (const [method, operation, body] of [
      ['GET', '$meta', undefined],
      ['POST', '$meta-add', parameters({ tag: [tag('x')] })],
      ['POST', '$meta-delete', parameters({ tag: [tag('o-bob')] })],
    ] as const) {
      const answers = await Promise.all(['o-bob', 'never'].map((id) => insurer.call(method, `Observation/${id}/${operation}`, body)));
      expect([operation, ...answers.map(({ status }) => status)]).toEqual([operation, 404, 404]);
      const [one, other] = answers.map((answer) => JSON.stringify(normalised(answer)));
      expect(one).toBe(other);
    }
  });
});

describe('$meta-add and $meta-delete', () => {
  it('add what is not there, take what is, and keep every other byte', async () => {
    const text =
      '{"resourceType":"Observation","id":"exact","meta":{"profile":["http://a"],"tag":[{"system":"urn:test","code":"kept","display":"\\u00e9"}]},"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/alice"},"valueQuantity":{"value":1.50}}';
    await write({ id: 'exact' }, text);
    const added = await hospital.call(
      'POST',
      'Observation/exact/$meta-add',
      parameters({ tag: [tag('new'), tag('kept', { display: 'other' })], profile: ['http://a'] }),
    );
    expect([added.status, codes(metaOf(added)?.tag)]).toEqual([200, ['kept', 'new']]);
    const stored = await hospital.call('GET', 'Observation/exact');
    expect(stored.text).toContain('{"system":"urn:test","code":"kept","display":"\\u00e9"},{"system":"urn:test","code":"new"}');
    expect(stored.text).toContain('"value":1.50');
    expect(added.headers.get('etag')).toBe(stored.headers.get('etag'));
    const taken = await hospital.call(
      'POST',
      'Observation/exact/$meta-delete',
      parameters({ tag: [tag('kept'), tag('never')], profile: ['http://a'] }),
    );
    expect([codes(metaOf(taken)?.tag), metaOf(taken)?.profile]).toEqual([['new'], undefined]);
    const history = await hospital.call('GET', 'Observation/exact/_history');
    expect(history.json['total']).toBe(3);
  });

  it('what changes nothing makes no version', async () => {
    const before = await hospital.call('GET', 'Observation/o1');
    const answer = await hospital.call('POST', 'Observation/o1/$meta-add', parameters({ tag: [tag('o1')] }));
    expect([answer.status, answer.headers.get('etag')]).toEqual([200, before.headers.get('etag')]);
  });

  it('a label decides from the next request on, and its writer does not lift it', async () => {
    expect((await insurer.call('GET', 'Observation/o2')).status).toBe(200);
    expect((await hospital.call('POST', 'Observation/o2/$meta-add', parameters({ security: [HIV] }))).status).toBe(200);
    expect((await insurer.call('GET', 'Observation/o2')).status).toBe(404);
    expect((await insurer.call('POST', 'Observation/o2/$meta-delete', parameters({ security: [HIV] }))).status).toBe(404);
    expect((await hospital.call('POST', 'Observation/o2/$meta-delete', parameters({ security: [HIV] }))).status).toBe(200);
    expect((await insurer.call('GET', 'Observation/o2')).status).toBe(200);
  });

  it('of several at once, none is lost', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `t${i}`);
    const answers = await Promise.all(names.map((name) => hospital.call('POST', 'Observation/o3/$meta-add', parameters({ tag: [tag(name)] }))));
    expect(answers.map(({ status }) => status)).toEqual(names.map(() => 200));
    expect(codes(metaOf(await hospital.call('GET', 'Observation/o3/$meta'))?.tag).sort()).toEqual(['o3', ...names].sort());
  });

  it('If-Match holds', async () => {
    const body = parameters({ tag: [tag('matched')] });
    expect((await hospital.call('POST', 'Observation/o1/$meta-add', body, { 'if-match': 'W/"other"' })).status).toBe(412);
    const { headers } = await hospital.call('GET', 'Observation/o1');
    expect((await hospital.call('POST', 'Observation/o1/$meta-add', body, { 'if-match': headers.get('etag') ?? '' })).status).toBe(200);
  });

  it('a signed Consent keeps its own', async () => {
    const before = await admin.call('GET', inForce.consent);
    const answer = await admin.call('POST', `${inForce.consent}/$meta-add`, parameters({ tag: [tag('x')] }));
    expect([answer.status, (answer.json['issue'] as Json[])[0]?.['code']]).toEqual([422, 'business-rule']);
    expect((await admin.call('GET', inForce.consent)).text).toBe(before.text);
  });

  it('needs the scope to read as well as to write', async () => {
    const writer = (await register(server, { actor: HOSPITAL, scope: 'system/Observation.u' })).session;
    const reader = (await register(server, { actor: HOSPITAL, scope: 'system/Observation.rs' })).session;
    for (const session of [writer, reader])
      expect((await session.call('POST', 'Observation/o1/$meta-add', parameters({ tag: [tag('x')] }))).status).toBe(403);
  });

  it.each<unknown>([
    undefined,
    'text',
    {},
    { tag: [] },
    { tag: [{ system: 'urn:test' }] },
    { tag: [null] },
    { profile: [1] },
    { source: 'urn:x' },
    { tag: {} },
    [],
  ])('%j is refused', async (value) => {
    const before = await hospital.call('GET', 'Observation/o1');
    const answer = await hospital.call('POST', 'Observation/o1/$meta-add', parameters(value));
    if (JSON.stringify(value) === '{}') expect([200, 400]).toContain(answer.status);
    else expect(answer.status).toBe(400);
    expect((await hospital.call('GET', 'Observation/o1')).headers.get('etag')).toBe(before.headers.get('etag'));
  });
});
