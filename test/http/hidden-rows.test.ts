/**
 * Thousands of rows that the caller may not see, beside a few that it may: pages, and whether there is a total and which, are as without them.
 * consent.md §3 (total)
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import type { Engine, StoredResource } from '../../server/store/port.ts';
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
const RESTRICTED = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code: 'R' }];
const NORMAL = { meta: { security: [{ system: RESTRICTED[0]?.system, code: 'N' }] } };
const VISIBLE = 30;
/** Of the patient who permits, and of one who does not: more than any size by which an engine chooses how to read. */
const HIDDEN = 6_000;
const AT_ONCE = 1_000;

let server: RealServer;
let insurer: Session;
let engine: Engine;

beforeAll(async () => {
  server = await startRealServer({}, { through: (given) => (engine = given) });
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['open', 'closed']) await put(server, patient(id));
  const entry = Array.from({ length: VISIBLE }, (_, i) => ({
    resource: observation(`v${i}`, 'Patient/open', { ...NORMAL, effectiveDateTime: `2024-05-01T08:00:${String(i).padStart(2, '0')}Z` }),
    request: { method: 'PUT', url: `Observation/v${i}` },
  }));
  expect((await server.admin.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry })).status).toBe(200);
  await put(server, observation('labelled', 'Patient/open', { meta: { security: RESTRICTED } }));
  await put(server, observation('unpermitted', 'Patient/closed'));
  insurer = (await register(server, { actor: INSURER, scope: 'system/*.rs' })).session;
  const keys = [await enrolKey(server.admin, 'Patient/open'), await enrolKey(server.admin, HOSPITAL)];
  const exception = { provision: [{ type: 'deny', securityLabel: RESTRICTED }] };
  await agree(server, termsOf(server, { patient: 'Patient/open', grantee: INSURER, provision: exception }), keys);
});
afterAll(() => server?.stop());

/** So many more like it, older and newer by turns, straight into the store. */
async function multiply(id: string): Promise<void> {
  const found = await engine.resources.find({
    type: 'Observation',
    where: { kind: 'id', ids: new Set([id]) },
    scope: 'internal',
    order: { by: 'instant', direction: 'newest-first' },
    limit: 1,
  });
  const original = (found.kind === 'rows' ? found.rows[0] : undefined) as StoredResource;
  for (let from = 0; from < HIDDEN; from += AT_ONCE) {
    const resources = Array.from({ length: AT_ONCE }, (_, i) => {
      const nth = from + i;
      return { ...original, id: `${id}-${nth}`, version: `${nth}`, instant: original.instant + (nth % 2 === 0 ? -nth : nth) };
    });
    const done = await engine.resources.commit({ guards: [], resources, records: [], log: [], bumpEpoch: false });
    expect(done.kind).toBe('committed');
  }
}

const searches: readonly (readonly [search: string, total: number | undefined])[] = [
  ['Observation?code=8867-4&_count=20', VISIBLE],
  ['Observation?_count=20', VISIBLE],
  ['Observation?code=8867-4&_count=20&_sort=value-quantity', VISIBLE],
  ['Observation?code=8867-4&_count=50', VISIBLE],
  ['Observation?code=8867-4&_sort=-date&_count=50', VISIBLE],
  ['Observation?patient=open&code=8867-4&_count=20', VISIBLE],
  ['Observation?patient=open&_count=5&_sort=_lastUpdated', VISIBLE],
  ['Observation?subject=open&_count=5', VISIBLE],
  ['Observation?patient=closed&_count=5', 0],
  ['Observation?_id=v1,v2,labelled&_count=1', 2],
  ['Observation?identifier=urn:test|labelled&_count=1', 0],
  ['Observation?code=8867-4&_count=5&_total=accurate', VISIBLE],
  ['Observation?code=8867-4&_summary=count', VISIBLE],
  ['Patient/open/Observation?_count=5', VISIBLE],
  ['?_type=Observation,Patient&_count=5', VISIBLE],
  ['?_type=Observation,Condition&_count=50', VISIBLE],
];

async function answer(search: string): Promise<{ readonly total: unknown; readonly ids: readonly unknown[]; readonly links: readonly string[] }> {
  const { status, json, text } = await insurer.call('GET', search);
  expect(`${search} ${status} ${text}`).toContain(`${search} 200`);
  const entries = (json['entry'] ?? []) as { resource: Json }[];
  return {
    total: json['total'],
    ids: entries.map(({ resource }) => resource['id']),
    links: (json['link'] as { relation: string }[]).map(({ relation }) => relation),
  };
}

describe('searches among thousands of hidden rows', () => {
  it('are answered as without them, totals and all', async () => {
    const before = new Map<string, Awaited<ReturnType<typeof answer>>>();
    for (const [search, total] of searches) {
      before.set(search, await answer(search));
      expect([search, before.get(search)?.total]).toEqual([search, total]);
    }
    for (const id of ['labelled', 'unpermitted']) await multiply(id);
    for (const [search] of searches) expect([search, await answer(search)]).toEqual([search, before.get(search)]);
  });

  it('of a type of which thousands may be seen, totals are told of what is asked about a patient, and where a page is all', async () => {
    await multiply('v0');
    // Remembered of a view is how much it shows: this one is another.
    await enrolKey(server.admin, HOSPITAL);
    const totals = ['code=8867-4&_count=20', '_count=20', 'patient=open&_count=20', '_id=v1,v2&_count=1', 'identifier=urn:test|v1', '_summary=count'];
    const told = await Promise.all(totals.map(async (search) => (await answer(`Observation?${search}`)).total));
    expect(told).toEqual([undefined, undefined, VISIBLE + HIDDEN, 2, 1, VISIBLE + HIDDEN]);
    expect(await answer('?_type=Observation,Patient&_count=5')).toMatchObject({ total: undefined });
  });

  it('are gone through by a join as far as they may be seen, however many they are', async () => {
    // Over 10,000 are no longer gone through at once.
    await multiply('v1');
    await put(server, { ...patient('open'), ...NORMAL });
    expect(await answer('Patient?_has:Observation:patient:code=8867-4')).toMatchObject({ total: 1, ids: ['open'] });
    expect(await answer('Patient?_has:Observation:patient:code=8867-4&_id=closed')).toMatchObject({ total: 0 });
    expect(await answer('Observation?subject:Patient._id=open,closed&code=8867-4&_count=3')).toMatchObject({ ids: { length: 3 } });
  });
});
