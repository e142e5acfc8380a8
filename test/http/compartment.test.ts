/** Compartment searches: what they hold, their pages, and that a hidden owner is as an absent one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
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
} from '../support/real-server.ts';
import { eventsOf } from '../support/trail.ts';

const INSURER = 'Organization/insurer';
const DOCTOR = 'Practitioner/doctor';
const encounter = (id: string, subject: string): Json => ({
  resourceType: 'Encounter',
  id,
  status: 'finished',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
  subject: { reference: subject },
});
const condition = (id: string, subject: string, more: Json = {}): Json => ({
  resourceType: 'Condition',
  id,
  subject: { reference: subject },
  ...more,
});
const hidden = { meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] } };

let server: RealServer;
let insurer: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  await put(server, { resourceType: 'Practitioner', id: 'doctor' });
  await put(server, { resourceType: 'Device', id: 'meter', patient: { reference: 'Patient/alice' } });
  for (const id of ['e1', 'e2']) await put(server, encounter(id, 'Patient/alice'));
  await put(server, encounter('e-bob', 'Patient/bob'));
  const visit = { encounter: { reference: 'Encounter/e1' } };
  await put(server, observation('o1', 'Patient/alice', { ...visit, performer: [{ reference: DOCTOR }] }));
  await put(server, observation('o2', 'Patient/alice', { device: { reference: 'Device/meter' } }));
  await put(server, observation('o-hidden', 'Patient/alice', { ...visit, ...hidden, performer: [{ reference: DOCTOR }] }));
  await put(server, observation('o-bob', 'Patient/bob', { encounter: { reference: 'Encounter/e-bob' }, performer: [{ reference: DOCTOR }] }));
  await put(server, condition('c1', 'Patient/alice', { encounter: { reference: 'Encounter/e1' }, asserter: { reference: DOCTOR } }));
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  const provision = { provision: [{ type: 'deny', securityLabel: hidden.meta.security }] };
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER, provision }), keys);
});
afterAll(() => server.stop());

const entriesOf = ({ json }: Answer) => (json['entry'] ?? []) as { fullUrl: string; resource: Json; search: { mode: string } }[];
const idsOf = (answer: Answer) => entriesOf(answer).map(({ fullUrl }) => fullUrl.split('/').slice(-2).join('/'));
const linkOf = ({ json }: Answer, relation: string) =>
  ((json['link'] ?? []) as { relation: string; url: string }[]).find((l) => l.relation === relation)?.url;
const form = { 'content-type': 'application/x-www-form-urlencoded' };

async function sent(url: string, body: string): Promise<Answer> {
  const response = await fetch(`${server.bootstrap.fhirBaseUrl}/${url}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${insurer.token}`, ...form },
    body,
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: JSON.parse(text) as Json };
}

describe('a compartment of one type', () => {
  it.each([
    ['Patient/alice/Observation', ['Observation/o1', 'Observation/o2']],
    ['Patient/alice/Observation?code=8867-4&identifier=urn:test|o2', ['Observation/o2']],
    ['Patient/alice/Condition', ['Condition/c1']],
    ['Patient/alice/Patient', ['Patient/alice']],
    ['Encounter/e1/Observation', ['Observation/o1']],
    ['Encounter/e1/Encounter', ['Encounter/e1']],
    ['Encounter/e2/Observation', []],
    ['Practitioner/doctor/Observation', ['Observation/o1']],
    ['Practitioner/doctor/Condition', ['Condition/c1']],
    ['Device/meter/Observation', ['Observation/o2']],
    ['RelatedPerson/none/Observation', []],
  ])('%s', async (url, expected) => {
    const answer = await insurer.call('GET', url);
    expect([answer.status, answer.json['total']]).toEqual([200, expected.length]);
    expect(idsOf(answer).sort()).toEqual(expected);
    expect(linkOf(answer, 'self')).toContain(`/fhir/${url.split('?')[0]}`);
  });

  it('its owner hidden, absent, or empty: the same empty page', async () => {
    const answers = await Promise.all(['bob', 'never'].map((id) => insurer.call('GET', `Patient/${id}/Observation?_count=5`)));
    expect(answers.map(({ status, json }) => [status, json['total']])).toEqual([
      [200, 0],
      [200, 0],
    ]);
    const [hiddenOne, absent] = answers.map((answer) => ({ ...normalised(answer, 'bob', 'never'), headers: undefined }));
    expect(hiddenOne).toEqual(absent);
  });

  it('pages, in the caller’s view, with a cursor for this compartment only', async () => {
    const first = await insurer.call('GET', 'Patient/alice/Observation?_count=1');
    const next = linkOf(first, 'next') ?? '';
    const second = await insurer.call('GET', next);
    expect([...idsOf(first), ...idsOf(second)].sort()).toEqual(['Observation/o1', 'Observation/o2']);
    expect(linkOf(second, 'next')).toBeUndefined();
    expect((await insurer.call('GET', next.replace('alice', 'bob'))).status).toBe(400);
    expect((await insurer.call('GET', next.replace('Patient/alice/Observation', 'Observation'))).status).toBe(400);
  });

  it('by POST with a form', async () => {
    expect(idsOf(await sent('Patient/alice/Observation/_search', 'identifier=urn:test|o1'))).toEqual(['Observation/o1']);
    expect(idsOf(await sent('Patient/alice/_search', '_type=Condition'))).toEqual(['Condition/c1']);
  });

  it.each([
    'Organization/hospital/Patient',
    'Patient/alice/Organization',
    'Patient/alice/Nonsense',
    'Patient/alice/$nonsense',
    'Patient/alice/_nonsense',
  ])('%s is not offered: 404', async (url) => {
    const answer = await insurer.call('GET', url);
    expect([answer.status, (answer.json['issue'] as { code: string }[])[0]?.code]).toEqual([404, 'not-supported']);
  });

  it('needs the scope to search the type asked for', async () => {
    const narrow = (await register(server, { actor: INSURER, scope: 'system/Condition.s system/Patient.rs' })).session;
    expect((await narrow.call('GET', 'Patient/alice/Observation')).status).toBe(403);
    expect(idsOf(await narrow.call('GET', 'Patient/alice/Condition'))).toEqual(['Condition/c1']);
    expect(idsOf(await narrow.call('GET', 'Patient/alice/*'))).toEqual(['Condition/c1', 'Patient/alice']);
    expect((await narrow.call('GET', 'Patient/alice/*?_type=Condition,Observation')).status).toBe(403);
    const none = (await register(server, { actor: INSURER, scope: 'system/Organization.s' })).session;
    expect((await none.call('GET', 'Patient/alice/*')).status).toBe(403);
  });
});

describe('a compartment of all types', () => {
  // Observations have a date of their own, the others are as old as they were written.
  const everything = ['Condition/c1', 'Encounter/e2', 'Encounter/e1', 'Patient/alice', 'Observation/o1', 'Observation/o2'];

  it('holds what the caller may see, with its total', async () => {
    const answer = await insurer.call('GET', 'Patient/alice/*?_type=Patient,Condition,Encounter,Observation');
    expect([answer.status, answer.json['total'], idsOf(answer)]).toEqual([200, everything.length, everything]);
    expect(answer.headers.get('assent-receipt')).toMatch(/AuditEvent/);
    expect(idsOf(await insurer.call('GET', 'Encounter/e1/*'))).toEqual(['Condition/c1', 'Encounter/e1', 'Observation/o1']);
  });

  it('page by page', async () => {
    for (const count of [1, 2, 4]) {
      const shown: string[] = [];
      for (let next: string | undefined = `Patient/alice/*?_type=Patient,Condition,Encounter,Observation&_count=${count}`; next !== undefined; ) {
        const answer: Answer = await insurer.call('GET', next);
        expect([answer.status, answer.json['total'], idsOf(answer).length > 0]).toEqual([200, everything.length, true]);
        shown.push(...idsOf(answer));
        next = linkOf(answer, 'next');
      }
      expect(shown).toEqual(everything);
    }
    const counted = await insurer.call('GET', 'Patient/alice/*?_type=Observation&_summary=count');
    expect([counted.json['total'], idsOf(counted)]).toEqual([2, []]);
  });

  it('takes criteria that every type has, and no others', async () => {
    expect((await insurer.call('GET', 'Patient/alice/*?_lastUpdated=gt2999')).json['total']).toBe(0);
    const strict = { prefer: 'handling=strict' };
    expect((await insurer.call('GET', 'Patient/alice/*?code=8867-4', undefined, strict)).status).toBe(400);
    expect((await insurer.call('GET', 'Patient/alice/*?_sort=code', undefined, strict)).status).toBe(400);
    const lenient = await insurer.call('GET', 'Patient/alice/*?_type=Condition,Encounter,Patient&code=8867-4');
    expect([lenient.json['total'], entriesOf(lenient).at(-1)?.search.mode, linkOf(lenient, 'self')?.includes('8867-4')]).toEqual([
      4,
      'outcome',
      false,
    ]);
    const sorted = await insurer.call('GET', 'Patient/alice/*?_type=Condition,Encounter,Patient&_sort=_lastUpdated');
    expect(idsOf(sorted)).toEqual(['Patient/alice', 'Encounter/e1', 'Encounter/e2', 'Condition/c1']);
    expect((await insurer.call('GET', 'Patient/alice/*?_type=Nonsense')).status).toBe(400);
  });

  it('is recorded once, for the patient and with the request', async () => {
    const request = 'Encounter/e1/*?_count=10';
    const listed = JSON.stringify(await eventsOf(server.admin, () => insurer.call('GET', request)));
    for (const said of ['Encounter/e1', 'Condition/c1', 'Observation/o1', 'Patient/alice', Buffer.from(request).toString('base64')])
      expect(listed).toContain(said);
    expect(listed).not.toContain('o-hidden');
  });
});
