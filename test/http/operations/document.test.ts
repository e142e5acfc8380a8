/** $document: what a Composition refers to in one Bundle, in the caller's view, stored where asked for. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Session } from '../../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
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
import { eventsOf } from '../../support/trail.ts';

const INSURER = 'Organization/insurer';
const hidden = { meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] } };
const composition = (id: string, subject: string, entries: readonly string[]): Json => ({
  resourceType: 'Composition',
  id,
  status: 'final',
  type: { coding: [{ system: 'http://loinc.org', code: '11503-0' }] },
  subject: { reference: subject },
  date: '2024-05-01',
  author: [{ reference: 'Practitioner/doctor' }],
  custodian: { reference: HOSPITAL },
  title: 'Summary',
  section: [{ title: 'Results', entry: entries.map((reference) => ({ reference })) }],
});

let server: RealServer;
let insurer: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  await put(server, { resourceType: 'Practitioner', id: 'doctor' });
  await put(server, { resourceType: 'Practitioner', id: 'lab' });
  await put(server, observation('o1', 'Patient/alice', { performer: [{ reference: 'Practitioner/lab' }] }));
  await put(server, observation('o-hidden', 'Patient/bob', hidden));
  await put(server, composition('d1', 'Patient/alice', ['Observation/o1', 'Observation/never']));
  const visit = { resourceType: 'Encounter', id: 'e-hidden', status: 'finished', class: { code: 'AMB' }, subject: { reference: 'Patient/bob' } };
  await put(server, { ...visit, ...hidden });
  await put(server, { ...composition('d-partly', 'Patient/alice', ['Observation/o1']), encounter: { reference: 'Encounter/e-hidden' } });
  await put(server, composition('d-both', 'Patient/alice', ['Observation/o1', 'Observation/o-hidden']));
  await put(server, composition('d-bob', 'Patient/bob', ['Observation/never']));
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER }), keys);
});
afterAll(() => server.stop());

const idsOf = ({ json }: Answer) =>
  ((json['entry'] ?? []) as { fullUrl: string; resource: Json }[]).map(({ fullUrl }) => fullUrl.split('/').slice(-2).join('/'));

describe('Composition/$document', () => {
  it('is a document: the Composition first, then what it refers to, each once', async () => {
    const answer = await insurer.call('GET', 'Composition/d1/$document');
    expect([answer.status, answer.json['type'], idsOf(answer)[0]]).toEqual([200, 'document', 'Composition/d1']);
    expect(idsOf(answer).slice(1).sort()).toEqual([
      'Observation/o1',
      'Organization/hospital',
      'Patient/alice',
      'Practitioner/doctor',
      'Practitioner/lab',
    ]);
    expect(answer.json).toMatchObject({ identifier: { system: 'urn:ietf:rfc:3986' }, timestamp: expect.any(String) });
    expect(answer.headers.get('assent-receipt')).toMatch(/AuditEvent/);
  });

  it('leaves its record, with what it is made of', async () => {
    const events = await eventsOf(server.admin, () => insurer.call('GET', 'Composition/d1/$document'));
    for (const reference of ['Composition/d1', 'Observation/o1', 'Patient/alice']) expect(JSON.stringify(events)).toContain(reference);
  });

  it('what is hidden is not in it', async () => {
    const answer = await insurer.call('GET', 'Composition/d-partly/$document');
    expect([answer.status, idsOf(answer).includes('Observation/o1'), idsOf(answer).includes('Encounter/e-hidden')]).toEqual([200, true, false]);
    expect(answer.text).not.toContain('"HIV"');
  });

  it('a hidden and an absent Composition are the same 404', async () => {
    // What its sections speak of makes it about bob as well.
    const answers = await Promise.all(['d-bob', 'd-both', 'never'].map((id) => insurer.call('GET', `Composition/${id}/$document`)));
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(new Set(answers.map((answer) => JSON.stringify(normalised(answer)))).size).toBe(1);
  });

  it('holds the types the token may read', async () => {
    const narrow = (await register(server, { actor: INSURER, scope: 'system/Composition.r system/Patient.r' })).session;
    expect(idsOf(await narrow.call('GET', 'Composition/d1/$document'))).toEqual(['Composition/d1', 'Patient/alice']);
    expect((await narrow.call('POST', 'Composition/d1/$document?persist=true')).status).toBe(403);
  });

  it('is stored with persist=true, as a Bundle that names its patient', async () => {
    const parameter = [{ name: 'persist', valueBoolean: true }];
    const answer = await insurer.call('POST', 'Composition/d1/$document', { resourceType: 'Parameters', parameter });
    expect(answer.status).toBe(200);
    const url = /Bundle\/[^/]+/.exec(answer.headers.get('location') ?? '')?.[0] ?? '';
    expect(url).toBe(`Bundle/${String(answer.json['id'])}`);
    expect((await insurer.call('GET', url)).text).toBe(answer.text);
    const stranger = (await register(server, { actor: 'Organization/stranger' })).session;
    expect((await stranger.call('GET', url)).status).toBe(404);
    expect((await insurer.call('GET', 'Composition/d1/$document?persist=perhaps')).status).toBe(400);
  });
});
