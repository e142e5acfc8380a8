/** What public material decides about whole answers, over HTTP: searches, chains, includes, bundles, and a Consent that is gone. consent.md §8 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Key, partOf, prepare, type Session, submit } from '../../server/commands/demo/session.ts';
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
  withdrawNow,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const NUMBER = { system: 'urn:test:providers', value: '7' };
const ofClass = (...codes: string[]) => ({ class: codes.map((code) => ({ system: 'http://hl7.org/fhir/resource-types', code })) });

let server: RealServer;
let custodian: Key;
let insurer: Session;
const keys = new Map<string, Key>();

const termsFor = (id: string, provision: Json = {}) => termsOf(server, { patient: `Patient/${id}`, grantee: INSURER, provision });
const signed = (id: string, terms: Json) => agree(server, terms, [keys.get(id) as Key, custodian]);

/** `open` permits all, `partly` only what is about its Observations and prescriptions, `closed` nothing. */
beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER, 'Organization/rival']) await put(server, organization(reference));
  await put(server, { ...organization('Organization/gh'), identifier: [NUMBER] });
  custodian = await enrolKey(server.admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER })).session;
  for (const id of ['open', 'partly', 'closed', 'going']) {
    await put(server, { ...patient(id), name: [{ family: `Of${id}` }] });
    await put(server, observation(`o-${id}`, `Patient/${id}`));
    keys.set(id, await enrolKey(server.admin, `Patient/${id}`));
  }
  await put(server, {
    resourceType: 'MedicationRequest',
    id: 'm-partly',
    status: 'active',
    intent: 'order',
    subject: { reference: 'Patient/partly', display: 'as it was written' },
    medicationCodeableConcept: { text: 'aspirin' },
  });
  for (const [id, ...who] of [
    ['both', 'open', 'closed'],
    ['once', 'open', 'open'],
  ] as const)
    await put(server, {
      resourceType: 'Appointment',
      id,
      status: 'proposed',
      participant: who.map((each) => ({ actor: { reference: `Patient/${each}` }, status: 'accepted' })),
    });
  for (const [id, ...who] of [
    ['b-both', 'open', 'closed'],
    ['b-once', 'open'],
  ] as const)
    await put(server, {
      resourceType: 'Bundle',
      id,
      type: 'collection',
      entry: who.map((each) => ({ fullUrl: `https://elsewhere.example/fhir/Observation/${each}`, resource: observation(each, `Patient/${each}`) })),
    });
  await signed('open', termsFor('open'));
  await signed('partly', termsFor('partly', ofClass('Observation', 'MedicationRequest')));
});
afterAll(() => server.stop());

const found = async (query: string, session = insurer) => {
  const { json } = await session.call('GET', query);
  const entries = (json['entry'] ?? []) as { readonly resource: Json; readonly search: { readonly mode: string } }[];
  return { total: json['total'], ids: entries.map(({ resource }) => String(resource['id'])).sort(), entries };
};

describe('a search', () => {
  it('of two that match, one of them denied: one entry, total 1', async () => {
    for (const query of ['MedicationRequest?status=active', 'Observation?patient=open,closed', 'Appointment?status=proposed'])
      expect((await found(query)).total, query).toBe(1);
    expect(await found('Observation?patient=open,closed')).toMatchObject({ total: 1, ids: ['o-open'] });
  });

  it('by the identifier of a hidden resource is that by one nobody has', async () => {
    const by = async (id: string) => {
      const answer = await insurer.call('GET', `Observation?identifier=urn:test|${id}`);
      return normalised(answer, id, encodeURIComponent(id), answer.headers.get('assent-receipt') ?? '', String(answer.json['id']));
    };
    expect(await by('o-closed')).toEqual(await by('o-absent'));
    expect((await found('Observation?identifier=urn:test|o-closed')).total).toBe(0);
    expect((await found('Observation?identifier=urn:test|o-open')).ids).toEqual(['o-open']);
  });

  it('through a Patient that is not visible matches nothing, though what refers to them is seen', async () => {
    expect((await insurer.call('GET', 'Observation/o-partly')).status).toBe(200);
    expect((await insurer.call('GET', 'Patient/partly')).status).toBe(404);
    for (const id of ['partly', 'closed', 'nobody']) {
      expect((await found(`Observation?subject:Patient.name=Of${id}`)).total, id).toBe(0);
      expect((await found(`Patient?_has:Observation:patient:code=8867-4&name=Of${id}`)).total, id).toBe(0);
    }
    expect((await found('Observation?subject:Patient.name=Ofopen')).ids).toEqual(['o-open']);
  });

  it('that includes a denied Patient has the request only, its reference as it was written', async () => {
    const { total, entries } = await found('MedicationRequest?_include=MedicationRequest:subject');
    expect([total, entries.length, entries[0]?.search.mode]).toEqual([1, 1, 'match']);
    expect(entries[0]?.resource['subject']).toEqual({ reference: 'Patient/partly', display: 'as it was written' });
    expect((await found('Observation?_id=o-open&_include=Observation:subject')).ids).toEqual(['o-open', 'open']);
    expect((await found('Observation?_id=o-partly&_include=Observation:subject')).ids).toEqual(['o-partly']);
  });

  it('by an actor that nobody ever named finds as little as among nothing', async () => {
    const unknown = (await register(server, { actor: 'Organization/never-stored' })).session;
    const [hidden, absent] = [await unknown.call('GET', 'Observation/o-open'), await unknown.call('GET', 'Observation/o-absent')];
    expect(normalised(hidden, 'o-open').text).toBe(normalised(absent, 'o-absent').text);
    expect((await found('Observation', unknown)).total).toBe(0);
  });
});

describe('of two patients', () => {
  it('an Appointment is seen with the permits of both', async () => {
    expect([(await insurer.call('GET', 'Appointment/both')).status, (await insurer.call('GET', 'Appointment/once')).status]).toEqual([404, 200]);
  });

  it('a stored Bundle is seen with the permits of all whom its entries are about', async () => {
    expect([(await insurer.call('GET', 'Bundle/b-both')).status, (await insurer.call('GET', 'Bundle/b-once')).status]).toEqual([404, 200]);
    expect(await found('Bundle?type=collection')).toMatchObject({ total: 1, ids: ['b-once'] });
  });

  it('a Bundle that the server answers is judged entry by entry', async () => {
    const reads = ['o-open', 'o-closed', 'o-absent'].map((id) => ({ request: { method: 'GET', url: `Observation/${id}` } }));
    const { json } = await insurer.call('POST', '', { resourceType: 'Bundle', type: 'batch', entry: reads });
    const [seen, hidden, absent] = json['entry'] as { readonly response: Json; readonly resource?: Json }[];
    expect([seen?.response['status'], seen?.resource?.['id']]).toEqual(['200 OK', 'o-open']);
    expect(JSON.stringify(hidden).replaceAll('o-closed', '…')).toBe(JSON.stringify(absent).replaceAll('o-absent', '…'));
  });
});

it('all but GH, which is named by its identifier: GH is denied, any other is not', async () => {
  const role = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] };
  const all = termsFor('closed', { provision: [{ type: 'deny', actor: [{ role, reference: { identifier: NUMBER } }] }] });
  const { actor: _anyone, ...provision } = all['provision'] as Json;
  const agreed = await signed('closed', { ...all, provision });
  const [gh, rival] = [await register(server, { actor: 'Organization/gh' }), await register(server, { actor: 'Organization/rival' })];
  const seen = async ({ session }: { readonly session: Session }) => (await session.call('GET', 'Observation/o-closed')).status;
  expect([await seen(gh), await seen(rival)]).toEqual([404, 200]);
  expect((await withdrawNow(server, agreed, keys.get('closed') as Key)).status).toBe(200);
  expect([await seen(gh), await seen(rival)]).toEqual([404, 404]);
});

describe('a Consent that is gone: so is the data, on the next request', () => {
  const sees = async () => [(await insurer.call('GET', 'Observation/o-going')).status, (await found('Observation?patient=going')).total];

  it('set inactive by the patient, or suspended by the custodian', async () => {
    for (const by of [keys.get('going') as Key, custodian]) {
      const agreed = await signed('going', termsFor('going'));
      expect(await sees()).toEqual([200, 1]);
      expect((await withdrawNow(server, agreed, by)).status).toBe(200);
      expect(await sees()).toEqual([404, 0]);
    }
  });

  it('of another organization: signed by one that does not manage the record it never acts', async () => {
    const rival = await enrolKey(server.admin, 'Organization/rival');
    const terms = termsOf(server, { patient: 'Patient/going', grantee: INSURER, custodian: 'Organization/rival' });
    const statement = partOf(await prepare(server.admin, terms), 'statement');
    expect((await submit(server.admin, statement, [keys.get('going') as Key, rival])).status).toBe(422);
    expect(await sees()).toEqual([404, 0]);
  });
});
