/** Consents and Tasks record what was agreed and asked for: whom they are told to. consent.md §2 rules 17, 18 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  normalised,
  organization,
  patient,
  put,
  type RealServer,
  register,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
let server: RealServer;
let insurer: Session;
let alice: Session;
let bob: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  insurer = (await register(server, { actor: INSURER })).session;
  alice = (await register(server, { actor: 'Patient/alice' })).session;
  bob = (await register(server, { actor: 'Patient/bob' })).session;
});
afterAll(() => server.stop());

it('Consents are listed, read and counted by nobody but their patient and the administrator', async () => {
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  const { consent } = await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER }), keys);
  const id = consent.slice('Consent/'.length);
  for (const stranger of [insurer, bob]) {
    for (const url of [consent, `${consent}/_history`, `${consent}/$meta`, `${consent}/$receipt`, `${consent}/$ledger-proof`]) {
      const [hidden, absent] = [await stranger.call('GET', url), await stranger.call('GET', url.replace(id, 'absent'))];
      expect([url, normalised(hidden, id)]).toEqual([url, normalised(absent, 'absent')]);
      expect(hidden.status).toBe(404);
    }
    for (const url of [
      'Consent',
      'Consent?_summary=count',
      'Consent?patient=alice',
      `Consent?actor=${INSURER}`,
      'Consent/_history',
      'Patient/alice/Consent',
      'Patient?_revinclude=Consent:patient',
    ])
      expect([url, (await stranger.call('GET', url)).json['total']]).toEqual([
        url,
        url.startsWith('Patient?') && stranger === bob ? 1 : url.startsWith('Patient?') ? 1 : 0,
      ]);
    expect((await stranger.call('GET', 'Patient?_revinclude=Consent:patient')).text).not.toContain(consent);
  }
  for (const reader of [alice, server.admin]) expect((await reader.call('GET', 'Consent')).json['total']).toBe(1);
});

it('Tasks are told to their patient and to whoever asked for them itself', async () => {
  const task = { resourceType: 'Task', status: 'requested', intent: 'order', for: { reference: 'Patient/alice' }, requester: { reference: INSURER } };
  // In the insurer's name, by somebody else.
  await put(server, { ...task, id: 'in-its-name' });
  const own = await insurer.call('POST', 'Task', task);
  expect(own.status).toBe(201);
  const idsOf = async (session: Session) =>
    (((await session.call('GET', 'Task')).json['entry'] ?? []) as { resource: { id: string } }[]).map(({ resource }) => resource.id).sort();
  expect(await idsOf(insurer)).toEqual([own.json['id']]);
  expect(await idsOf(alice)).toEqual(['in-its-name', String(own.json['id'])].sort());
  expect(await idsOf(bob)).toEqual([]);
});
