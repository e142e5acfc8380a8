/** How a search runs, told to administrators over the real server: what ran, in whose view, and nothing of what it found. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { explain as command } from '../../server/commands/explain.ts';
import { enrolKey, type Json, type Key } from '../../server/commands/demo/session.ts';
import type { Explanation } from '../../server/http/explain.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  type Registered,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const [OPEN, HIDDEN] = ['Patient/open', 'Patient/hidden'];
/** So many that the numbers are told, and that a walk of all is a long one. */
const EACH = 650;
const onMongo = process.env['ASSENT_TEST_ENGINE'] === 'mongodb';

let server: RealServer;
let insurer: Registered;
let held: Key[];

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const reference of [OPEN, HIDDEN]) await put(server, patient(reference.slice('Patient/'.length)));
  await load(OPEN);
  await load(HIDDEN);
  insurer = await register(server, { actor: INSURER, scope: 'system/*.rs' });
  held = [await enrolKey(server.admin, OPEN), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: OPEN, grantee: INSURER }), held);
});
afterAll(() => server?.stop());

async function load(subject: string): Promise<void> {
  const entry = Array.from({ length: EACH }, (_, n) => {
    const resource = observation(`${subject.slice('Patient/'.length)}-${n}`, subject, { valueQuantity: { value: n, unit: 'mg' } });
    return { resource, request: { method: 'POST', url: 'Observation' } };
  });
  const done = await server.admin.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });
  expect(done.status).toBe(200);
}

async function explained(search: string, as: string | undefined = insurer.client.client_id): Promise<Explanation> {
  const { status, json, text } = await server.admin.call('POST', '/admin/explain', { search, as });
  expect(`${status} ${text}`).toMatch(/^200 /);
  return json as unknown as Explanation;
}

const untimed = (explanation: Explanation): string => JSON.stringify(explanation, (name, value: unknown) => (name === 'ms' ? undefined : value));

describe('the plan that ran', () => {
  test('names what was considered and chosen, and counts the rows', async () => {
    const { reads, consent, parameters, ms } = await explained('Observation?code=8867-4&status=final&_count=100');
    expect(parameters).toEqual(['code', 'status', '_count']);
    const [page] = reads;
    expect(reads).toHaveLength(1);
    expect(page).toMatchObject({ step: 'page', type: 'Observation', outcome: 'read', budget: 50_000 });
    expect(page?.considered.map(({ of }) => of)).toEqual(expect.arrayContaining(['code', 'status', 'consent: permitted patients']));
    expect(page?.considered.find(({ of }) => of === 'consent: permitted patients')?.size).toBe(String(EACH));
    expect(page?.chosen).toEqual([{ of: 'consent: permitted patients', kind: 'keys' }]);
    expect(page?.walked).toBeGreaterThanOrEqual(EACH);
    expect(consent).toEqual({ patients: 'under 50', scope: 'drives: what it permits is walked' });
    expect(Object.values(ms).every((time) => time >= 0)).toBe(true);
    expect(ms.audit).toBeGreaterThan(0);
  });

  test('a few rows of one’s own criterion drive, and consent is checked on each', async () => {
    const { reads, consent } = await explained('Observation?identifier=urn:test|open-1');
    expect(reads[0]?.chosen).toEqual([{ of: 'identifier', kind: 'keys' }]);
    expect(reads[0]).toMatchObject({ walked: 'under 50', matched: 'under 50' });
    expect(consent.scope).toBe('is checked on each row');
  });

  test('joins and includes are steps of their own, in order', async () => {
    const { reads } = await explained('Observation?subject:Patient._id=open&_include=Observation:subject&_count=5');
    expect(reads.map(({ step, type }) => `${step} ${type}`)).toEqual(['join Patient', 'page Observation', 'include Patient']);
    const has = await explained('Patient?_has:Observation:subject:identifier=urn:test|open-1');
    expect(has.reads.map(({ step, type }) => `${step} ${type}`)).toEqual(['join Observation', 'page Patient']);
  });

  test('sorting by a value, and a total alone, say how they went', async () => {
    const sorted = await explained('Observation?code=8867-4&_sort=value-quantity&_count=5');
    expect(sorted.reads[0]?.ways[0]).toBe('collected and sorted');
    const counted = await explained('Observation?code=8867-4&_summary=count');
    expect(counted.reads[0]?.ways).toEqual(['all matches counted']);
    expect(counted.reads[0]?.matched).toBe(EACH);
  });

  test('a search of several types says of each how it was walked, in one budget, and nothing of what is not stored', async () => {
    const { type, parameters, reads, consent } = await explained('?_type=Observation,Patient,Condition&patient:missing=false&_count=5');
    expect([type, parameters]).toEqual(['Observation, Patient, Condition', ['_type', '_count']]);
    expect(reads.map((read) => `${read.step} ${read.type}`)).toEqual(expect.arrayContaining(['page Observation', 'page Patient']));
    const [observations] = reads.filter((read) => read.type === 'Observation');
    expect(observations?.chosen).toEqual([{ of: 'consent: permitted patients', kind: 'keys' }]);
    expect(consent.scope).toBe('drives: what it permits is walked');
    const counted = await explained('?_type=Observation,Patient&_summary=count&_tag:missing=true');
    expect(counted.reads.find((read) => read.type === 'Observation')).toMatchObject({ outcome: 'read', matched: EACH });
    const everything = await explained('?_lastUpdated=gt2020&_count=3');
    expect(everything.type).toBe('every type');
    expect(everything.reads.some((read) => read.type === 'Observation' && read.ms.walk >= 0)).toBe(true);
  });

  test('a caller without any consent walks nothing', async () => {
    const other = await register(server, { actor: 'Organization/stranger', scope: 'system/*.rs' });
    const { consent, reads } = await explained('Observation?code=8867-4', other.client.client_id);
    expect(consent).toMatchObject({ scope: 'shows nothing', patients: 'under 50' });
    expect(reads[0]?.walked).toBe('under 50');
  });

  if (!onMongo)
    test('a long search is said to have run in the reader thread, a short one not', async () => {
      // Of both patients: the administrator's own view shows no clinical content, so consent of another is what lets it walk.
      const both = await register(server, { actor: HOSPITAL, scope: 'system/*.rs' });
      const hidden = await enrolKey(server.admin, HIDDEN);
      for (const [subject, key] of [
        [OPEN, held[0]],
        [HIDDEN, hidden],
      ] as const)
        await agree(
          server,
          termsOf(server, { patient: subject, grantee: HOSPITAL }),
          [key, held[1]].flatMap((one) => one ?? []),
        );
      const long = await explained('Observation?value-quantity=gt10&code:text=nothing', both.client.client_id);
      expect(long.reads[0]?.thread).toBe('reader thread');
      const short = await explained('Observation?identifier=urn:test|open-1', both.client.client_id);
      expect(short.reads[0]?.thread).toBe('main thread');
    });
});

describe('what it does not tell', () => {
  test('a hidden resource is explained as an absent one is', async () => {
    const [hidden, absent] = [
      await explained('Observation?identifier=urn:test|hidden-1'),
      await explained('Observation?identifier=urn:test|no-such'),
    ];
    expect(untimed(hidden)).toBe(untimed(absent));
  });

  test('no value of the search and no id is in the answer', async () => {
    const answer = untimed(await explained('Observation?subject=Patient/open&value-quantity=gt17.25&identifier=urn:test|open-1'));
    for (const value of ['Patient/', 'open', '17.25', 'urn:test']) expect(answer).not.toContain(value);
  });

  test('it is for administrators only, also as oneself', async () => {
    const body = { search: 'Observation?code=8867-4' };
    expect((await insurer.session.call('POST', '/admin/explain', body)).status).toBe(403);
    expect((await server.admin.call('POST', '/admin/explain', body)).status).toBe(200);
  });

  test('the asking is in the audit trail as the administrator’s, and nothing is recorded as disclosed', async () => {
    const before = await trail();
    await explained('Observation?code=8867-4&_count=7');
    const [asked, ...others] = (await trail()).filter(({ id }) => !before.some((event) => event['id'] === id));
    expect(others).toEqual([]);
    expect(asked?.['subtype']).toMatchObject([{ code: 'operation' }]);
    expect(asked?.['agent']).toMatchObject([{ altId: server.bootstrap.admin.client_id }]);
    const query = ((asked?.['entity'] ?? []) as { query?: string }[]).flatMap((entity) => entity.query ?? []);
    expect(query.map((text) => decodeURIComponent(Buffer.from(text, 'base64').toString()))).toEqual([
      expect.stringContaining('Observation?code=8867-4&_count=7'),
    ]);
  });

  async function trail(): Promise<Json[]> {
    const { json } = await server.admin.call('GET', 'AuditEvent?subtype=operation&_count=100');
    return ((json['entry'] ?? []) as { resource: Json }[]).map(({ resource }) => resource);
  }
});

describe('what it refuses', () => {
  test.each([
    ['no search', {}],
    ['no type', { search: 'code=1' }],
    ['an unknown type', { search: 'Unknown?code=1' }],
    ['a page link', { search: 'Observation?_cursor=abc' }],
    ['more members', { search: 'Observation', all: true }],
  ])('%s', async (_name, body) => {
    expect((await server.admin.call('POST', '/admin/explain', body)).status).toBe(400);
  });

  test('what cannot be used is named', async () => {
    const { parameters, warnings } = await explained('Observation?date=yesterday&code=8867-4');
    expect(parameters).toEqual(['code']);
    expect(warnings).toEqual([expect.stringContaining('date')]);
  });

  test('a client that is none, a purpose that is not its own, a type it may not search', async () => {
    const ask = async (more: Json) => (await server.admin.call('POST', '/admin/explain', { search: 'Observation', ...more })).status;
    expect(await ask({ as: 'nobody' })).toBe(404);
    expect(await ask({ as: insurer.client.client_id, purpose: 'ETREAT' })).toBe(400);
    const narrow = await register(server, { actor: INSURER, scope: 'system/Patient.rs' });
    expect(await ask({ as: narrow.client.client_id })).toBe(400);
    expect(await ask({ as: narrow.client.client_id, search: '?_type=Patient,Observation' })).toBe(400);
    expect(await ask({ as: narrow.client.client_id, search: '?_type=Patient,Nothing' })).toBe(400);
    expect(await ask({ as: narrow.client.client_id, search: '?_count=1' })).toBe(200);
  });
});

test('the command prints it', async () => {
  let printed = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  const config = { DATA_DIR: server.dataDir };
  expect(await command(config, ['Observation?code=8867-4', '--as', insurer.client.client_id])).toBe(0);
  expect(printed).toMatch(/^Search of Observation\n/);
  for (const said of [
    '1. Page and total of Observation',
    'consent: permitted patients (exact keys)',
    'Budget',
    onMongo ? 'replica set' : 'main thread',
  ])
    expect(printed).toContain(said);
  spy.mockRestore();
});
