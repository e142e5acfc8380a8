/** `_filter` and `_list` over HTTP, in the caller's view. https://hl7.org/fhir/R4/search_filter.html, https://hl7.org/fhir/R4/search.html#list */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import { labelled } from '../support/consents.ts';
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
const HIDDEN = { meta: { security: labelled('HIV').securityLabel } };
const list = (id: string, items: readonly string[], more: Json = {}): Json => ({
  resourceType: 'List',
  id,
  status: 'current',
  mode: 'working',
  subject: { reference: 'Patient/alice' },
  entry: items.map((reference) => ({ item: { reference } })),
  ...more,
});

let server: RealServer;
let insurer: Session;
let stranger: Session;
beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  await put(server, { ...patient('alice'), name: [{ family: "O'Hara-Jones", given: ['Zoë'] }], birthDate: '1980-05-17' });
  await put(server, { ...patient('bob'), name: [{ family: 'Hidden' }] });
  await put(server, observation('low', 'Patient/alice', { valueQuantity: { value: 60, unit: '/min' } }));
  await put(server, observation('high', 'Patient/alice', { valueQuantity: { value: 120, unit: '/min' } }));
  await put(server, observation('secret', 'Patient/alice', { valueQuantity: { value: 130, unit: '/min' }, ...HIDDEN }));
  await put(server, observation('bobs', 'Patient/bob', { valueQuantity: { value: 140, unit: '/min' } }));
  await put(server, list('seen', ['Observation/low', 'Observation/secret', 'Observation/bobs']));
  await put(server, list('unseen', ['Observation/low', 'Observation/high'], HIDDEN));
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  await agree(
    server,
    termsOf(server, { patient: 'Patient/alice', grantee: INSURER, provision: { provision: [{ type: 'deny', ...labelled('HIV') }] } }),
    keys,
  );
  insurer = (await register(server, { actor: INSURER })).session;
  stranger = (await register(server, { actor: 'Organization/stranger' })).session;
});
afterAll(() => server.stop());

async function ids(session: Session, type: string, query: Record<string, string>): Promise<string[]> {
  const { status, json, text } = await session.call('GET', `/fhir/${type}?${new URLSearchParams({ _total: 'accurate', ...query }).toString()}`);
  expect(status, text).toBe(200);
  const entries = (json['entry'] ?? []) as { readonly resource: { readonly id: string } }[];
  expect(json['total']).toBe(entries.length);
  return entries.map(({ resource }) => resource.id).sort();
}

describe('_filter', () => {
  it.each([
    ['Observation', 'value-quantity gt 100', ['high']],
    ['Observation', 'not (value-quantity gt 100) and status eq final', ['low']],
    ['Observation', 'value-quantity lt 70 or value-quantity gt 100', ['high', 'low']],
    ['Observation', 'subject:Patient.family sw "ohara"', ['high', 'low']],
    ['Observation', 'subject:Patient.family sw "hidden"', []],
    ['Patient', 'family eq "o\'hara jones" and given co "zo" and birthdate lt 1990', ['alice']],
    ['Patient', 'family ew jones', ['alice']],
    ['Patient', 'death-date pr false', ['alice']],
    ['Patient', '_id ne alice', []],
  ])('%s: %s', async (type, filter, expected) => {
    expect(await ids(insurer, type, { _filter: filter })).toEqual(expected);
    expect(await ids(stranger, type, { _filter: filter })).toEqual([]);
  });

  it.each(['value-quantity gt', 'value-quantity gt 100)', '(((', 'nothing eq 1', 'status gt 5', 'subject.name.family eq x', 'x'.repeat(5_000)])(
    'what cannot be read is refused with the place, in lenient handling too: %s',
    async (filter) => {
      const { status, json } = await insurer.call('GET', `/fhir/Observation?${new URLSearchParams({ _filter: filter }).toString()}`);
      expect([status, JSON.stringify(json)]).toEqual([400, expect.stringContaining('_filter')]);
    },
  );
});

describe('_list', () => {
  it('finds what the List refers to and the caller may see; a List that may not be seen is an absent one', async () => {
    expect(await ids(insurer, 'Observation', { _list: 'seen' })).toEqual(['low']);
    expect(await ids(insurer, 'Observation', { _list: 'unseen' })).toEqual([]);
    expect(await ids(insurer, 'Observation', { _list: 'absent' })).toEqual([]);
    expect(await ids(stranger, 'Observation', { _list: 'seen' })).toEqual([]);
    const functional = await insurer.call('GET', '/fhir/Observation?_list=$current-medications');
    expect([functional.status, functional.text]).toEqual([400, expect.stringContaining('functional list')]);
  });
});
