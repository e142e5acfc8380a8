/**
 * Two servers, one with everything and one that never held what the caller may not see: histories, compartments and the operations of many
 * answer the same, page by page. consent.md §1
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const TYPES = ['Patient', 'Observation', 'Encounter', 'Condition', 'Composition', 'Device', 'Practitioner', 'Organization', 'Consent', 'Provenance'];
const HIV = { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' };

type World = { readonly server: RealServer; readonly insurer: Session; readonly marks: readonly string[] };

/** What happens, in order. `hidden`: the second server never hears of it. */
type Step = { readonly hidden: boolean; readonly delete?: string; readonly put?: Json };

const visit = { encounter: { reference: 'Encounter/e1' } };
const observed = (id: string, value: number, more: Json = {}) =>
  observation(id, 'Patient/alice', { valueQuantity: { value, unit: '/min' }, meta: { tag: [{ code: `t${value}` }] }, ...more });
const secret = { meta: { security: [HIV], tag: [{ code: 'secret' }] } };
const encounter = (id: string, of: string): Json => ({
  resourceType: 'Encounter',
  id,
  status: 'finished',
  class: { code: 'AMB' },
  subject: { reference: of },
});
const composition = (id: string, of: string): Json => ({
  resourceType: 'Composition',
  id,
  status: 'final',
  type: { text: 'Note' },
  subject: { reference: of },
  date: '2024-05-01',
  author: [{ reference: 'Practitioner/doctor' }],
  title: 'Note',
});

const shown = (resource: Json): Step => ({ hidden: false, put: resource });
const hides = (resource: Json): Step => ({ hidden: true, put: resource });
const steps: readonly (Step | 'mark')[] = [
  shown({ resourceType: 'Practitioner', id: 'doctor', name: [{ family: 'Who' }] }),
  hides({ resourceType: 'Device', id: 'of-bob', patient: { reference: 'Patient/bob' } }),
  shown(encounter('e1', 'Patient/alice')),
  hides(encounter('e-bob', 'Patient/bob')),
  shown(observed('a', 1, visit)),
  hides(observation('b', 'Patient/bob')),
  'mark',
  hides(observed('a', 2, secret)),
  'mark',
  shown(observed('a', 3, visit)),
  hides(observed('only-secret', 1, { ...secret, ...visit })),
  hides(observed('mixed', 1, secret)),
  shown(observed('mixed', 2, { performer: [{ reference: 'Practitioner/doctor' }] })),
  shown(observed('gone', 1)),
  hides(observed('gone-secret', 1, secret)),
  'mark',
  { hidden: true, delete: 'Observation/gone-secret' },
  { hidden: false, delete: 'Observation/gone' },
  hides(observation('both', 'Patient/alice', { performer: [{ reference: 'Patient/bob' }] })),
  shown(composition('d1', 'Patient/alice')),
  hides(composition('d-bob', 'Patient/bob')),
  shown({ resourceType: 'Condition', id: 'c1', subject: { reference: 'Patient/alice' }, ...visit }),
];

async function build(withHidden: boolean): Promise<World> {
  const server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  await put(server, patient('alice'));
  if (withHidden) await put(server, patient('bob'));
  const marks: string[] = [];
  for (const step of steps) {
    server.advance(1000);
    if (step === 'mark') marks.push(new Date(server.now()).toISOString());
    else if (!step.hidden || withHidden) await play(server, step);
  }
  // Without AuditEvent: two of one instant stand in the order of their ids, which are random.
  const scope = TYPES.map((type) => `system/${type}.rs`).join(' ');
  const insurer = (await register(server, { actor: INSURER, scope })).session;
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  const provision = { provision: [{ type: 'deny', securityLabel: [HIV] }] };
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER, provision }), keys);
  server.advance(10_000);
  return { server, insurer, marks };
}

async function play(server: RealServer, step: Step): Promise<void> {
  if (step.put) await put(server, step.put);
  else expect((await server.admin.call('DELETE', String(step.delete))).status).toBe(204);
}

let whole: World;
let twin: World;
beforeAll(async () => {
  whole = await build(true);
  twin = await build(false);
});
afterAll(async () => {
  await whole.server.stop();
  await twin.server.stop();
});

/** Status, headers and text of every page, without what is random or of the moment. */
async function answers({ insurer, server, marks }: World, request: string): Promise<unknown[]> {
  const pages: unknown[] = [];
  const [method = '', path = ''] = request.split(' ');
  for (let url: string | undefined = path.replace(/\{(\d)\}/, (_, mark: string) => marks[Number(mark)] ?? ''); url !== undefined; ) {
    const { status, headers, text, json } = await insurer.call(method, url, method === 'POST' ? { resourceType: 'Parameters' } : undefined);
    const plain = [...headers].filter(([name]) => !['date', 'content-length', 'connection', 'keep-alive', 'last-modified'].includes(name));
    pages.push({ status, headers: plain.map(([name, value]) => [name, normal(value, server)]), text: normal(text, server) });
    url = ((json['link'] ?? []) as { relation: string; url: string }[]).find(({ relation }) => relation === 'next')?.url;
  }
  return pages;
}

function normal(text: string, { bootstrap }: RealServer): string {
  return text
    .replaceAll(bootstrap.fhirBaseUrl, '…')
    .replace(/_cursor=[\w-]+/g, '_cursor=…')
    .replace(/urn:uuid:[0-9a-f-]{36}/g, '…')
    .replace(/\b[a-z0-9]{25,27}\b/g, '…')
    .replace(/\d{4}-\d\d-\d\dT\d\d(?::|%3A)\d\d(?::|%3A)\d\d\.\d{3}Z/g, '…')
    .replace(/"(next|query|altId)":"[^"]*"/g, '"$1":"…"');
}

const graphql = (query: string) => `GET $graphql?query=${encodeURIComponent(query)}`;

describe('what the caller may not see has never been', () => {
  it.each([
    'GET Observation/_history',
    'GET Observation/_history?_count=1',
    'GET Observation/_history?_count=2&_sort=_lastUpdated',
    'GET Observation/_history?_count=0',
    'GET Observation/_history?_at={0}',
    'GET Observation/_history?_at={1}',
    'GET Observation/_history?_at={2}&_count=1',
    'GET Observation/_history?_since={1}',
    'GET Encounter/_history',
    'GET Device/_history',
    'GET _history?_count=5&_since={2}',
    'GET Observation/a/_history',
    'GET Observation/a/_history?_at={1}',
    'GET Observation/mixed/_history?_count=1',
    'GET Observation/only-secret/_history',
    'GET Observation/gone-secret/_history',
    'GET Observation/gone/_history',
    'GET Patient/bob/_history',
    'GET Patient/alice/Observation',
    'GET Patient/alice/*?_count=2&_type=Patient,Observation,Encounter,Condition,Composition',
    'GET Patient/bob/Observation',
    'GET Patient/bob/*',
    'GET Encounter/e1/Observation',
    'GET Encounter/e-bob/Observation',
    'GET Practitioner/doctor/*?_type=Observation,Composition',
    'GET Device/of-bob/Observation',
    'GET Patient/alice/$everything',
    'GET Patient/alice/$everything?_count=1',
    'GET Patient/alice/$everything?start=2024-05-01&_type=Observation,Practitioner',
    'POST Patient/alice/$everything',
    'GET Patient/bob/$everything',
    'GET Encounter/e1/$everything?_count=1',
    'GET Encounter/e-bob/$everything',
    'GET Observation/$meta',
    'GET Encounter/$meta',
    'GET $meta',
    'GET Observation/a/$meta',
    'GET Observation/only-secret/$meta',
    'GET Observation/$lastn?patient=alice&max=9',
    'GET Observation/$lastn?patient=bob',
    'GET Composition/d1/$document',
    'GET Composition/d-bob/$document',
    graphql('{ ObservationList(_count: 9) { id valueQuantity { value } } PatientConnection { count next edges { resource { id } } } }'),
    graphql(
      '{ a: Observation(id: "only-secret") { id } b: Observation(id: "both") { id } c: Encounter(id: "e-bob") { id } d: Encounter(id: "e1") { ObservationList(_reference: encounter) { id } } }',
    ),
    graphql(
      '{ Patient(id: "alice") { ObservationConnection(_reference: patient, _count: 1) { count next edges { resource { id performer { resource { id } } } } } } }',
    ),
    'GET _history?_count=3',
    'GET _history?_count=3&_sort=_lastUpdated&_at={2}',
  ])('%s', async (request) => {
    expect(await answers(whole, request)).toEqual(await answers(twin, request));
  });

  it('although the servers differ: who sees more sees the difference', async () => {
    const totals = await Promise.all(
      [whole, twin].map(async ({ server }) => {
        const alice = (await register(server, { actor: 'Patient/alice' })).session;
        return (await alice.call('GET', 'Observation/_history')).json['total'] as number;
      }),
    );
    expect(totals[0]).toBeGreaterThan(totals[1] ?? 0);
  });
});
