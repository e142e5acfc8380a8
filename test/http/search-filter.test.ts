/**
 * `_filter` and `_list` through the whole server, by a caller who may see some patients only: what is hidden decides nothing, and a List that is
 * hidden is one that is not there. https://hl7.org/fhir/R4/search_filter.html, consent.md §3
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import { agree, HOSPITAL, organization, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
let server: RealServer;
let insurer: Session;
let narrow: Session;

const reference = (text: string) => ({ reference: text });

function recordOf(id: string, family: string): Json[] {
  const subject = reference(`Patient/${id}`);
  const observation = (n: number) => ({
    resourceType: 'Observation',
    id: `o-${id}-${n}`,
    status: n === 1 ? 'final' : 'amended',
    code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
    subject,
  });
  const items = [`Observation/o-${id}-1`, `Observation/o-${id}-2/_history/1`, 'Observation/o-p2-1'].map((text) => ({ item: reference(text) }));
  return [
    { resourceType: 'Patient', id, name: [{ family }], gender: 'male', managingOrganization: reference(HOSPITAL) },
    observation(1),
    observation(2),
    observation(3),
    { resourceType: 'List', id: `list-${id}`, status: 'current', mode: 'working', subject, entry: items },
  ];
}

beforeAll(async () => {
  server = await startRealServer();
  for (const name of [HOSPITAL, INSURER]) await put(server, organization(name));
  for (const resource of recordOf('p2', 'O’Neil-Smith').slice(0, -1)) await put(server, resource);
  for (const resource of recordOf('p1', "O'Neil")) await put(server, resource);
  await put(server, recordOf('p2', '').at(-1) as Json);
  const custodian = await enrolKey(server.admin, HOSPITAL);
  await agree(server, termsOf(server, { patient: 'Patient/p1', grantee: INSURER }), [await enrolKey(server.admin, 'Patient/p1'), custodian]);
  insurer = (await register(server, { actor: INSURER })).session;
  narrow = (await register(server, { actor: INSURER, scope: 'system/Observation.rs' })).session;
});
afterAll(() => server.stop());

async function found(type: string, query: Record<string, string>, session = insurer): Promise<readonly string[]> {
  const { status, json, text } = await session.call('GET', `${type}?${new URLSearchParams(query).toString()}`);
  expect([query, status, status === 200 ? '' : text]).toEqual([query, 200, '']);
  const ids = ((json['entry'] ?? []) as { resource: { id: string } }[]).map(({ resource }) => resource.id).sort();
  expect(json['total']).toBe(ids.length);
  return ids;
}

test('a filter finds what the caller may see, by values and over references', async () => {
  expect(await found('Observation', { _filter: 'status eq final or not (status eq final)' })).toEqual(['o-p1-1', 'o-p1-2', 'o-p1-3']);
  expect(await found('Observation', { _filter: 'status ne final and subject:Patient.family eq oneil' })).toEqual(['o-p1-2', 'o-p1-3']);
  expect(await found('Observation', { _filter: 'patient[gender eq male].name sw "o neil"' })).toEqual([]);
  expect(await found('Observation', { _filter: 'patient[gender eq male].name sw oneil', status: 'final' })).toEqual(['o-p1-1']);
  expect(await found('Patient', { _filter: 'family ew "neil" and birthdate pr false' })).toEqual(['p1']);
});

test('what is hidden makes nothing true', async () => {
  expect(await found('Observation', { _filter: 'patient.family co smith' })).toEqual([]);
  expect(await found('Observation', { _filter: 'patient.family co smith or _id eq o-p2-1' })).toEqual([]);
  expect(await found('Observation', { _filter: 'not (patient.family co smith)', status: 'final' })).toEqual(['o-p1-1']);
});

test('members of a List, with a version as well; a hidden List is one that is not there', async () => {
  expect(await found('Observation', { _list: 'list-p1' })).toEqual(['o-p1-1', 'o-p1-2']);
  expect(await found('Observation', { _list: 'List/list-p1', status: 'final' })).toEqual(['o-p1-1']);
  expect(await found('Patient', { _list: 'list-p1' })).toEqual([]);
  expect(await found('Observation', { _list: 'list-p2' })).toEqual(await found('Observation', { _list: 'nowhere' }));
});

test('types beyond the scope are refused, whatever is stored', async () => {
  for (const query of ['_list=list-p1', '_list=nowhere', '_filter=patient.family%20eq%20x'])
    expect([query, (await narrow.call('GET', `Observation?${query}`)).status]).toEqual([query, 403]);
});

test('what cannot be answered is refused by name, in lenient handling too', async () => {
  for (const query of ['_filter=status%20is%20final', '_filter=', '_list=$current-problems', '_contained=true', '_containedType=contained']) {
    const { status, text } = await insurer.call('GET', `Observation?${query}`, undefined, { prefer: 'handling=lenient' });
    expect([query, status, text.includes(query.slice(0, query.indexOf('=')))]).toEqual([query, 400, true]);
  }
});

test('a filter has a meaning in a condition, with chains as well', async () => {
  expect((await server.admin.call('DELETE', 'Observation?_filter=patient.family%20eq%20x')).status).toBe(204);
  expect((await server.admin.call('DELETE', 'Observation?_filter=patient.nothing%20eq%20x')).status).toBe(400);
  expect((await server.admin.call('DELETE', 'Observation?_filter=_id%20eq%20o-p2-3')).status).toBe(204);
});
