/** Consents about single resources, over HTTP: what is named, what it refers to, what refers to it, what somebody wrote. consent.md §2 rules 11, 21 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Key, partOf, prepare, type Session } from '../../server/commands/demo/session.ts';
import { data } from '../support/consents.ts';
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

const RESTRICTED = { meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code: 'V' }] } };
const encounter = (id: string, more: Json = {}): Json => ({
  resourceType: 'Encounter',
  id,
  status: 'finished',
  class: { code: 'AMB' },
  subject: { reference: 'Patient/alice' },
  ...more,
});

let server: RealServer;
let keys: Key[];
let grantees = 0;

beforeAll(async () => {
  server = await startRealServer();
  await put(server, organization(HOSPITAL));
  await put(server, patient('alice'));
  await put(server, encounter('visit'));
  await put(server, encounter('other'));
  await put(server, { resourceType: 'Practitioner', id: 'doctor', name: [{ family: 'Who' }] });
  await put(server, observation('in-visit', 'Patient/alice', { encounter: { reference: 'Encounter/visit' } }));
  await put(server, observation('by-doctor', 'Patient/alice', { performer: [{ reference: 'Practitioner/doctor' }] }));
  await put(server, observation('neither', 'Patient/alice'));
  keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
});
afterAll(() => server.stop());

/** A grantee of its own, and what a Consent of these terms lets it find. */
async function grant(provision: Json): Promise<Session> {
  const grantee = `Organization/grantee-${++grantees}`;
  await put(server, organization(grantee));
  const { session } = await register(server, { actor: grantee });
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee, provision }), keys);
  return session;
}

async function found(session: Session): Promise<string[]> {
  const ids: string[] = [];
  for (const type of ['Encounter', 'Observation']) {
    const { status, json } = await session.call('GET', `/fhir/${type}?_total=accurate`);
    expect(status).toBe(200);
    const entries = (json['entry'] ?? []) as { readonly resource: { readonly id: string } }[];
    expect(json['total']).toBe(entries.length);
    ids.push(...entries.map(({ resource }) => resource.id));
  }
  return ids.sort();
}

describe('a permit', () => {
  it.each([
    ['instance', 'Observation/neither', ['neither']],
    ['dependents', 'Encounter/visit', ['in-visit', 'visit']],
    ['related', 'Observation/in-visit', ['in-visit', 'visit']],
    ['authoredby', 'Practitioner/doctor', ['by-doctor']],
  ])('by %s reaches that and no more', async (meaning, reference, expected) => {
    const session = await grant({ data: [data(meaning, reference)] });
    expect(await found(session)).toEqual(expected);
    expect((await session.call('GET', '/fhir/Observation/neither')).status).toBe(expected.includes('neither') ? 200 : 404);
  });
});

describe('a deny', () => {
  it.each([
    ['instance', 'Observation/neither', ['by-doctor', 'in-visit', 'other', 'visit']],
    ['dependents', 'Encounter/visit', ['by-doctor', 'neither', 'other']],
    ['related', 'Observation/in-visit', ['by-doctor', 'neither', 'other']],
    ['authoredby', 'Practitioner/doctor', ['in-visit', 'neither', 'other', 'visit']],
  ])('by %s takes that and no more', async (meaning, reference, expected) => {
    const session = await grant({ provision: [{ type: 'deny', data: [data(meaning, reference)] }] });
    expect(await found(session)).toEqual(expected);
  });
});

describe('related', () => {
  it('reaches what the resource referred to when it was prepared, not what somebody adds', async () => {
    await put(server, observation('anchor', 'Patient/alice', { encounter: { reference: 'Encounter/visit' } }));
    const session = await grant({ data: [data('related', 'Observation/anchor')] });
    await put(server, observation('anchor', 'Patient/alice', { encounter: { reference: 'Encounter/other' } }));
    expect(await found(session)).toEqual(['anchor', 'visit']);
  });

  it('reaches it only while the resource itself may be seen, from the next read on', async () => {
    await put(server, observation('labelled', 'Patient/alice', { encounter: { reference: 'Encounter/visit' } }));
    const provision = { data: [data('related', 'Observation/labelled')], provision: [{ type: 'deny', securityLabel: RESTRICTED.meta.security }] };
    const session = await grant(provision);
    expect(await found(session)).toEqual(['labelled', 'visit']);
    await put(server, observation('labelled', 'Patient/alice', { encounter: { reference: 'Encounter/visit' }, ...RESTRICTED }));
    expect(await found(session)).toEqual([]);
    expect((await session.call('GET', '/fhir/Encounter/visit')).status).toBe(404);
    expect((await server.admin.call('DELETE', '/fhir/Observation/labelled')).status).toBe(204);
    expect((await session.call('GET', '/fhir/Encounter/visit')).status).toBe(404);
  });

  it('two that refer to each other do not hold each other up', async () => {
    const link = (id: string, to: string) => observation(id, 'Patient/alice', { derivedFrom: [{ reference: `Observation/${to}` }] });
    await put(server, observation('one', 'Patient/alice'));
    await put(server, link('two', 'one'));
    await put(server, link('one', 'two'));
    const both = [data('related', 'Observation/one'), data('related', 'Observation/two')];
    const session = await grant({ data: both, provision: [{ type: 'deny', securityLabel: RESTRICTED.meta.security }] });
    expect(await found(session)).toEqual(['one', 'two']);
    for (const [id, to] of [
      ['one', 'two'],
      ['two', 'one'],
    ] as const)
      await put(server, { ...link(id, to), ...RESTRICTED });
    expect(await found(session)).toEqual([]);
  });

  it('who prepares it learns neither what a resource refers to nor whether it exists', async () => {
    const terms = (reference: string) =>
      termsOf(server, { patient: 'Patient/alice', grantee: 'Organization/grantee-1', provision: { data: [data('related', reference)] } });
    const [there, absent] = await Promise.all(
      ['Observation/in-visit', 'Observation/nowhere'].map(async (one) => partOf(await prepare(server.admin, terms(one)), 'statement')),
    );
    expect(there).not.toContain('Encounter/visit');
    const members = (statement = '{}') => Object.keys(JSON.parse(statement) as Json);
    expect(members(there)).toEqual(members(absent));
  });
});
