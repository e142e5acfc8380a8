/**
 * The trail every disclosure leaves, who sees which part of it, the receipts, and that without a trail nothing is disclosed. consent.md §2
 * rule 17, architecture.md (one GET)
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
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
  settled,
  startRealServer,
  termsOf,
  versionOf,
  withdrawNow,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';

let server: RealServer;
let insurer: Session;
let other: Session;
let alice: Session;
let aliceKey: Key;
let inForce: InForce;
let version: string;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob', 'carol']) await put(server, patient(id));
  version = await put(server, observation('o-alice', 'Patient/alice'));
  await put(server, observation('o-alice-2', 'Patient/alice'));
  await put(server, observation('o-bob', 'Patient/bob'));
  await put(server, observation('o-carol', 'Patient/carol'));
  insurer = (await register(server, { actor: INSURER })).session;
  other = (await register(server, { actor: INSURER })).session;
  alice = (await register(server, { actor: 'Patient/alice' })).session;
  const custodian = await enrolKey(server.admin, HOSPITAL);
  aliceKey = await enrolKey(server.admin, 'Patient/alice');
  const bobKey = await enrolKey(server.admin, 'Patient/bob');
  inForce = await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER }), [aliceKey, custodian]);
  await agree(server, termsOf(server, { patient: 'Patient/bob', grantee: INSURER }), [bobKey, custodian]);
});
afterAll(() => server.stop());

type Entity = { readonly what?: { readonly reference: string }; readonly role?: { readonly code: string } };

/** Events about a patient made by the insurer's client, as the administrator sees them. */
async function eventsAbout(id: string, reader: Session = server.admin): Promise<Json[]> {
  const found = await reader.call('GET', `AuditEvent?patient=Patient/${id}&_count=1000`);
  expect(found.status).toBe(200);
  return ((found.json['entry'] ?? []) as { resource: Json }[])
    .map(({ resource }) => resource)
    .filter(({ agent }) => (agent as { who: { reference: string } }[])[0]?.who.reference === INSURER);
}

const told = (event: Json, role: string) => (event['entity'] as Entity[]).flatMap((each) => (each.role?.code === role ? [each.what?.reference] : []));
/** Those that were not there before: by date they are not told from a neighbour of the same millisecond. */
const added = (before: readonly Json[], after: readonly Json[]) => after.filter(({ id }) => !before.some((event) => event['id'] === id));
const interactionOf = (event: Json) => (event['subtype'] as { code: string }[])[0]?.code;

describe('a disclosure', () => {
  const batch = (...urls: string[]): Json => ({
    resourceType: 'Bundle',
    type: 'batch',
    entry: urls.map((url) => ({ request: { method: 'GET', url } })),
  });

  it.each<[string, (session: Session) => Promise<Answer>, Record<string, readonly string[]>]>([
    ['read', (s) => s.call('GET', 'Observation/o-alice'), { alice: ['o-alice'] }],
    ['vread', (s) => s.call('GET', `Observation/o-alice/_history/${version}`), { alice: ['o-alice'] }],
    ['history-instance', (s) => s.call('GET', 'Observation/o-bob/_history'), { bob: ['o-bob'] }],
    ['search-type', (s) => s.call('GET', 'Observation?_count=50'), { alice: ['o-alice', 'o-alice-2'], bob: ['o-bob'] }],
    ['read', (s) => s.call('POST', '', batch('Observation/o-alice', 'Observation/o-bob')), { alice: ['o-alice'], bob: ['o-bob'] }],
    ['search-type', (s) => s.call('POST', '', batch('Observation?_id=o-alice-2')), { alice: ['o-alice-2'] }],
  ])('by %s (row %#) is in the trail of exactly the patients concerned', async (interaction, disclose, expected) => {
    const people = ['alice', 'bob', 'carol'];
    const before = await Promise.all(people.map((id) => eventsAbout(id)));
    expect((await disclose(insurer)).status).toBe(200);
    for (const [i, id] of people.entries()) {
      const fresh = added(before[i] ?? [], await eventsAbout(id));
      const wanted = expected[id];
      if (!wanted) expect(fresh).toEqual([]);
      else {
        expect(fresh.map(interactionOf)).toEqual([interaction]);
        const [event] = fresh as [Json];
        expect(told(event, '1')).toEqual([`Patient/${id}`]);
        expect(new Set(told(event, '4').map((reference) => reference?.split('/')[1]))).toEqual(new Set(wanted));
        expect(told(event, '13').every((reference) => reference?.startsWith('Consent/'))).toBe(true);
        expect(told(event, '13').length).toBe(1);
      }
    }
  });

  it('is seen by its patient and its maker, by no other patient and no other client, and the administrator sees no clinical content', async () => {
    await insurer.call('GET', 'Observation/o-alice');
    await insurer.call('GET', 'Observation/o-bob');
    expect((await eventsAbout('alice', alice)).length).toBe((await eventsAbout('alice')).length);
    expect(await eventsAbout('bob', alice)).toEqual([]);
    expect((await eventsAbout('alice', insurer)).length).toBeGreaterThan(0);
    expect(await eventsAbout('alice', other)).toEqual([]);
    for (const path of ['Observation/o-alice', 'Patient/alice']) expect((await server.admin.call('GET', path)).status).toBe(404);
    expect((await server.admin.call('GET', 'Observation?_summary=count')).json['total']).toBe(0);
  });
});

describe('a denial', () => {
  it('looks the same to its maker whether the record is hidden or absent; patient and administrator see whom it concerned', async () => {
    const denials = async () => {
      const mine = (await insurer.call('GET', 'AuditEvent?_count=1000')).json['entry'] as { resource: Json }[];
      return mine.map(({ resource }) => resource).filter(({ outcome }) => outcome === '4');
    };
    const shape = async (path: string, asked: string) => {
      const before = await denials();
      expect((await insurer.call('GET', path)).status).toBe(404);
      const fresh = added(before, await denials()).map((event) => ({ ...event, id: '', recorded: '', meta: {} }));
      expect(fresh.length).toBe(1);
      return JSON.stringify(fresh).replaceAll(asked, '…');
    };
    for (const suffix of ['', '/_history', `/_history/${version}`]) {
      const [hidden, absent] = [await shape(`Observation/o-carol${suffix}`, 'o-carol'), await shape(`Observation/no-such${suffix}`, 'no-such')];
      expect(hidden).toBe(absent);
      expect(hidden).not.toContain('carol');
    }
    const concerned = await eventsAbout('carol');
    expect(concerned.map(({ outcome }) => outcome)).toEqual(['4', '4', '4']);
    expect(await eventsAbout('carol', insurer)).toEqual([]);
  });
});

describe('a denial of what concerns several patients', () => {
  it('makes the public log grow by as much as one of what is not there, and each patient sees the event, which names neither', async () => {
    await put(server, observation('o-both', 'Patient/alice', { performer: [{ reference: 'Patient/carol' }] }));
    const rows: number[] = [];
    for (const path of ['Observation/o-both', 'Observation/no-such', 'Observation/o-both/_history', 'Observation/no-such/_history']) {
      const before = (await server.admin.call('GET', 'AuditEvent?_summary=count')).json['total'] as number;
      expect((await insurer.call('GET', path)).status).toBe(404);
      rows.push(((await server.admin.call('GET', 'AuditEvent?_summary=count')).json['total'] as number) - before);
    }
    expect(rows).toEqual([rows[0], rows[0], rows[0], rows[0]]);
    const trailOf = async (reader: Session) => {
      const { json } = await reader.call('GET', 'AuditEvent?outcome=4&_count=1000');
      return ((json['entry'] ?? []) as { resource: Json }[]).filter(({ resource }) => JSON.stringify(resource).includes('o-both'));
    };
    const carol = (await register(server, { actor: 'Patient/carol' })).session;
    for (const reader of [alice, carol])
      expect([(await trailOf(reader)).length, /Patient\//.test(JSON.stringify(await trailOf(reader)))]).toEqual([2, false]);
    expect(await trailOf(other)).toEqual([]);
    // Who read the trail is told of nobody else either.
    expect((await alice.call('GET', 'AuditEvent?_count=1000')).text).not.toContain('Patient/carol');
    expect((await alice.call('GET', 'AuditEvent?patient=Patient/carol&_count=1000')).json['total']).toBe(0);
  });
});

describe('no audit, no body', () => {
  it.each(['log', 'resources'] as const)('with %s that cannot be written nothing about a patient leaves, and nothing is stored', async (table) => {
    const repair = await server.breakWrites(table);
    try {
      for (const path of [
        'Observation/o-alice',
        `Observation/o-alice/_history/${version}`,
        'Observation/o-alice/_history',
        'Observation',
        'Observation?_summary=count',
      ]) {
        const answer = await insurer.call('GET', path);
        expect([path, answer.status >= 500, answer.json['resourceType']]).toEqual([path, true, 'OperationOutcome']);
        expect(answer.text).not.toMatch(/alice|8867|disk full/);
        expect(answer.headers.get('assent-receipt')).toBeNull();
      }
      // A miss is recorded too, so hidden and absent fail alike.
      const [hidden, absent] = [await insurer.call('GET', 'Observation/o-carol'), await insurer.call('GET', 'Observation/no-such')];
      expect(normalised(hidden, 'o-carol')).toEqual(normalised(absent, 'no-such'));
      const written = await insurer.call('PUT', 'Observation/o-alice', observation('o-alice', 'Patient/alice', { status: 'amended' }));
      expect(written.status).toBeGreaterThanOrEqual(500);
    } finally {
      await repair();
    }
    const after = await insurer.call('GET', 'Observation/o-alice');
    expect([after.status, versionOf(after), after.json['status']]).toEqual([200, version, 'final']);
  });
});

describe('receipts', () => {
  it('come to who was disclosed to, also after the withdrawal, and to no other client', async () => {
    const read = await insurer.call('GET', 'Observation/o-alice');
    const url = read.headers.get('assent-receipt') ?? '';
    const first = await insurer.call('GET', url);
    expect([200, 202]).toContain(first.status);
    if (first.status === 202) expect(first.headers.get('retry-after')).not.toBeNull();
    const ready = await settled(insurer, url);
    expect(ready.status).toBe(200);
    expect(ready.text).toContain(inForce.consent);

    const foreign = await other.call('GET', url);
    const absent = await other.call('GET', url.replace(/AuditEvent\/[^/]+/, 'AuditEvent/no-such'));
    expect(foreign.status).toBe(404);
    expect(normalised(foreign)).toEqual(normalised(absent));
    expect((await alice.call('GET', url)).status).toBe(200);
    const consentReceipt = `${inForce.consent}/$receipt`;
    expect((await settled(alice, consentReceipt)).status).toBe(200);
    expect((await insurer.call('GET', consentReceipt)).status).toBe(404);

    expect((await withdrawNow(server, inForce, aliceKey)).status).toBe(200);
    expect((await insurer.call('GET', 'Observation/o-alice')).status).toBe(404);
    expect((await insurer.call('GET', url)).status).toBe(200);
    expect((await other.call('GET', url)).status).toBe(404);
  });
});
