/**
 * Chains and _has in conditions, by a caller who may see one of two patients of the same name: what only the hidden one leads to is never a
 * match, and what is done is what a search would find. https://hl7.org/fhir/R4/http.html#cond-update
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
let server: RealServer;
let insurer: Session;
let narrow: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['seen', 'hidden']) {
    await put(server, { ...patient(id), name: [{ family: 'Twin', given: [id] }] });
    await put(server, observation(`${id}-1`, `Patient/${id}`));
  }
  const keys = [await enrolKey(server.admin, 'Patient/seen'), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: 'Patient/seen', grantee: INSURER }), keys);
  insurer = (await register(server, { actor: INSURER })).session;
  narrow = (await register(server, { actor: INSURER, scope: 'system/Observation.cruds' })).session;
});
afterAll(() => server.stop());

const about = (id: string, words: string): Json => {
  const { id: _id, ...rest } = observation(words, `Patient/${id}`, { note: [{ text: words }] });
  return rest;
};
const SEEN = 'subject:Patient.given=seen&code=8867-4';
const HIDDEN = 'subject:Patient.given=hidden&code=8867-4';
const total = async (query: string) => (await insurer.call('GET', `Observation?${query}`)).json['total'];
const hiddenVersion = async () => (await server.hand.body('Observation', 'hidden-1')) as unknown;

describe('conditional create', () => {
  it('stands back for what the caller sees, by a chain or a _has, and for nothing hidden', async () => {
    const make = (condition: string, words: string) => insurer.call('POST', 'Observation', about('seen', words), { 'if-none-exist': condition });
    const there = await make(SEEN, 'none');
    expect([there.status, there.json['id']]).toEqual([200, 'seen-1']);
    expect((await make('subject:Patient._has:Observation:subject:identifier=urn:test|seen-1', 'none')).status).toBe(200);
    expect((await make(HIDDEN, 'made')).status).toBe(201);
    expect((await make('subject:Patient.name=twin', 'none')).status).toBe(412);
    expect(await total('identifier=urn:test|made')).toBe(1);
  });

  it('makes one of several at once', async () => {
    const condition = 'subject:Patient.family=twin&identifier=urn:test|together';
    const made = await Promise.all(
      [1, 2, 3, 4].map(() => insurer.call('POST', 'Observation', about('seen', 'together'), { 'if-none-exist': condition })),
    );
    expect(made.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 200, 200, 201]);
    expect(await total('identifier=urn:test|together')).toBe(1);
  });
});

describe('conditional update, patch and delete', () => {
  it('change what the caller sees, and nothing a hidden target leads to', async () => {
    const before = await hiddenVersion();
    const updated = await insurer.call('PUT', 'Observation?subject:Patient.given=seen&identifier=urn:test|seen-1', about('seen', 'seen-1'));
    expect([updated.status, updated.json['id']]).toEqual([200, 'seen-1']);
    const patch = [{ op: 'replace', path: '/status', value: 'amended' }];
    const json = { 'content-type': 'application/json-patch+json' };
    const patched = await insurer.call('PATCH', 'Observation?subject:Patient.family=twin&identifier=urn:test|seen-1', patch, json);
    expect([patched.status, patched.json['status']]).toEqual([200, 'amended']);
    expect((await insurer.call('PATCH', `Observation?${HIDDEN}`, patch, json)).status).toBe(404);
    expect((await insurer.call('DELETE', `Observation?${HIDDEN}`)).status).toBe(204);
    const fresh = await insurer.call('PUT', 'Observation?subject:Patient.given=hidden&identifier=urn:test|hidden-1', about('seen', 'instead'));
    expect(fresh.status).toBe(201);
    expect(await hiddenVersion()).toEqual(before);
    await insurer.call('DELETE', 'Observation?subject:Patient.family=twin&identifier=urn:test|instead');
    expect([await total('identifier=urn:test|instead'), await total('identifier=urn:test|seen-1')]).toEqual([0, 1]);
  });
});

describe('in a transaction', () => {
  const send = (entry: readonly object[]) => insurer.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });

  it('criteria and conditional references go by what the caller sees', async () => {
    const named = about('seen', 'linked');
    const resource = { ...named, subject: { reference: 'Patient?_has:Observation:subject:identifier=urn:test|seen-1' } };
    const request = { method: 'POST', url: 'Observation', ifNoneExist: 'subject:Patient.given=hidden&identifier=urn:test|hidden-1' };
    const done = await send([{ resource, request }]);
    expect([done.status, done.text]).toEqual([200, expect.stringContaining('201')]);
    expect(await total('identifier=urn:test|linked&subject=Patient/seen')).toBe(1);
    const lost = { ...named, subject: { reference: 'Patient?_has:Observation:subject:identifier=urn:test|hidden-1' } };
    const refused = await send([{ resource: lost, request: { method: 'POST', url: 'Observation' } }]);
    expect([refused.status, refused.text.includes('names nothing')]).toEqual([412, true]);
  });
});

describe('refused', () => {
  it('where the token may not search what a chain goes over, whatever is there', async () => {
    for (const condition of [SEEN, HIDDEN, '_has:Provenance:target:agent=x'])
      expect((await narrow.call('POST', 'Observation', about('seen', 'none'), { 'if-none-exist': condition })).status).toBe(403);
    expect((await narrow.call('DELETE', `Observation?${SEEN}`)).status).toBe(403);
  });

  it.each([
    '_include=Observation:subject',
    '_revinclude:iterate=Observation:subject',
    '_include:iterate=*',
    'subject:Patient.nothing=x',
    'nothing.name=x',
  ])('%s', async (condition) => {
    for (const query of [condition, `code=8867-4&${condition}`]) {
      const { status } = await insurer.call('POST', 'Observation', about('seen', 'none'), { 'if-none-exist': query });
      expect([query, status]).toEqual([query, 400]);
    }
  });
});
