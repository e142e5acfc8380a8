/**
 * $everything: what it holds, its pages under concurrent writes, its spans, and that nothing hidden shows.
 */
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
const encounter = (id: string, subject: string): Json => ({
  resourceType: 'Encounter',
  id,
  status: 'finished',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
  subject: { reference: subject },
  period: { start: '2024-05-01', end: '2024-05-02' },
  participant: [{ individual: { reference: 'PractitionerRole/role' } }],
});

let server: RealServer;
let insurer: Session;
let since: string;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  for (const id of ['doctor', 'nurse', 'stranger']) await put(server, { resourceType: 'Practitioner', id });
  await put(server, { resourceType: 'PractitionerRole', id: 'role', practitioner: { reference: 'Practitioner/doctor' } });
  await put(server, encounter('e1', 'Patient/alice'));
  await put(server, encounter('e-bob', 'Patient/bob'));
  const visit = { encounter: { reference: 'Encounter/e1' } };
  await put(server, observation('o1', 'Patient/alice', { ...visit, performer: [{ reference: 'Practitioner/nurse' }] }));
  await put(server, observation('o2', 'Patient/alice', { effectiveDateTime: '2020-01-01', performer: [{ reference: 'Practitioner/nurse' }] }));
  await put(server, observation('o-hidden', 'Patient/alice', { ...hidden, ...visit, performer: [{ reference: 'Practitioner/stranger' }] }));
  await put(server, observation('o-both', 'Patient/alice', { performer: [{ reference: 'Patient/bob' }] }));
  await put(server, observation('o-bob', 'Patient/bob'));
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  const provision = { provision: [{ type: 'deny', securityLabel: hidden.meta.security }] };
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER, provision }), keys);
  server.advance(2000);
  since = new Date(server.now()).toISOString();
  server.advance(2000);
  await put(server, { resourceType: 'Condition', id: 'c1', subject: { reference: 'Patient/alice' }, asserter: { reference: 'Practitioner/doctor' } });
});
afterAll(() => server.stop());

type Entry = { readonly fullUrl: string; readonly resource: Json; readonly search: { mode: string } };
const entriesOf = ({ json }: Answer) => (json['entry'] ?? []) as Entry[];
const idOf = ({ fullUrl }: Entry) => fullUrl.split('/').slice(-2).join('/');
const idsOf = (answer: Answer, mode: string) =>
  entriesOf(answer)
    .filter(({ search }) => search.mode === mode)
    .map(idOf);
const linkOf = ({ json }: Answer, relation: string) =>
  ((json['link'] ?? []) as { relation: string; url: string }[]).find((l) => l.relation === relation)?.url;

async function pages(
  session: Session,
  url: string,
  between: () => Promise<unknown> = async () => undefined,
): Promise<{ matches: string[]; included: string[]; sizes: number[] }> {
  const found = { matches: [] as string[], included: [] as string[], sizes: [] as number[] };
  for (let next: string | undefined = url; next !== undefined; ) {
    const answer: Answer = await session.call('GET', next);
    expect([answer.status, answer.json['type']]).toEqual([200, 'searchset']);
    found.matches.push(...idsOf(answer, 'match'));
    found.included.push(...idsOf(answer, 'include'));
    found.sizes.push(idsOf(answer, 'match').length);
    await between();
    next = linkOf(answer, 'next');
  }
  return found;
}

const compartment = ['Patient/alice', 'Condition/c1', 'Encounter/e1', 'Observation/o2', 'Observation/o1'];
const supporting = ['Organization/hospital', 'Practitioner/doctor', 'Practitioner/nurse', 'PractitionerRole/role'];

describe('Patient/$everything', () => {
  it('holds the patient, the compartment and what it refers to, nothing hidden', async () => {
    const answer = await insurer.call('GET', 'Patient/alice/$everything');
    expect(answer.status).toBe(200);
    expect(idsOf(answer, 'match')).toEqual(compartment);
    expect(idsOf(answer, 'include').sort()).toEqual(supporting);
    expect(linkOf(answer, 'next')).toBeUndefined();
    expect(answer.text).not.toMatch(/o-hidden|stranger|Patient\/bob|e-bob|o-bob/);
  });

  it('by POST, the parameters in the body', async () => {
    const body = {
      resourceType: 'Parameters',
      parameter: [
        { name: '_type', valueCode: 'Observation' },
        { name: '_count', valueInteger: 1 },
      ],
    };
    const answer = await insurer.call('POST', 'Patient/alice/$everything', body);
    expect([answer.status, idsOf(answer, 'match')]).toEqual([200, ['Observation/o2']]);
    expect(idsOf(await insurer.call('GET', linkOf(answer, 'next') ?? ''), 'match')).toEqual(['Observation/o1']);
    expect(
      (await insurer.call('POST', 'Patient/alice/$everything', { resourceType: 'Parameters', parameter: [{ name: 'x', valueCode: 'y' }] })).status,
    ).toBe(400);
  });

  it.each([1, 2, 3, 5])('in full pages of %i, each resource once', async (count) => {
    const { matches, included, sizes } = await pages(insurer, `Patient/alice/$everything?_count=${count}`);
    expect(matches).toEqual(compartment);
    expect([...included].sort()).toEqual(supporting);
    expect(sizes.every((size, i) => size === count || i === sizes.length - 1)).toBe(true);
    expect(sizes.at(-1)).toBeGreaterThan(0);
  });

  it('its trail itself is given by name only, and has an end', async () => {
    const { matches } = await pages(insurer, 'Patient/alice/$everything?_type=AuditEvent&_count=50');
    expect(matches.length).toBeGreaterThan(5);
    expect(new Set(matches.map((id) => id.split('/')[0]))).toEqual(new Set(['AuditEvent']));
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ['_type=Observation,Practitioner', ['Observation/o2', 'Observation/o1'], ['Practitioner/nurse']],
    ['_type=Patient&_type=Condition', ['Patient/alice', 'Condition/c1'], []],
    ['start=2024-04-30&end=2024-05-01', ['Patient/alice', 'Condition/c1', 'Encounter/e1', 'Observation/o1'], supporting],
    ['end=2020', ['Patient/alice', 'Condition/c1', 'Observation/o2'], ['Organization/hospital', 'Practitioner/doctor', 'Practitioner/nurse']],
    ['start=2025', ['Patient/alice', 'Condition/c1'], ['Organization/hospital', 'Practitioner/doctor']],
  ])('%s', async (query, matches, included) => {
    const answer = await insurer.call('GET', `Patient/alice/$everything?${query}`);
    expect(idsOf(answer, 'match')).toEqual(matches);
    expect(idsOf(answer, 'include').sort()).toEqual(included);
  });

  it('_since: what changed from then on', async () => {
    const answer = await insurer.call('GET', `Patient/alice/$everything?_since=${since}`);
    expect(entriesOf(answer).map(idOf)).toEqual(['Condition/c1']);
  });

  it('of a hidden and of an absent patient: the same 404', async () => {
    const answers = await Promise.all(['bob', 'never'].map((id) => insurer.call('GET', `Patient/${id}/$everything`)));
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
    const [one, other] = answers.map((answer) => JSON.stringify(normalised(answer)));
    expect(one).toBe(other);
  });

  it('a link is for its caller and its question', async () => {
    const next = linkOf(await insurer.call('GET', 'Patient/alice/$everything?_count=1'), 'next') ?? '';
    expect((await server.admin.call('GET', next)).status).toBe(400);
    expect((await insurer.call('GET', next.replace('_count=1', '_count=2'))).status).toBe(400);
  });

  it.each(['_count=0', '_count=x', '_since=x', 'start=x', '_type=Nonsense', 'name=x', 'start=2020&start=2021', '_cursor=x'])(
    '%s is refused',
    async (query) => {
      expect((await insurer.call('GET', `Patient/alice/$everything?${query}`)).status).toBe(400);
    },
  );

  it('of types the token holds', async () => {
    const narrow = (await register(server, { actor: INSURER, scope: 'system/Patient.r system/Observation.s' })).session;
    expect(entriesOf(await narrow.call('GET', 'Patient/alice/$everything')).map(idOf)).toEqual(['Patient/alice', 'Observation/o2', 'Observation/o1']);
  });

  it('every page leaves its record: what was shown, and no more', async () => {
    const events = await eventsOf(server.admin, () => insurer.call('GET', 'Patient/alice/$everything?_type=Observation&_count=1'));
    const listed = JSON.stringify(events);
    expect(listed).toContain('Observation/o2');
    expect(listed).not.toMatch(/Observation\/o1|o-hidden/);
  });

  it('pages lose nothing while others write: what is updated comes later rather than never', async () => {
    let n = 0;
    const { matches } = await pages(insurer, 'Patient/alice/$everything?_count=1', async () => {
      if (n === 3) return;
      await put(server, observation(`o-new-${n++}`, 'Patient/alice', { effectiveDateTime: '2019-01-01' }));
      await put(server, { resourceType: 'Condition', id: 'c1', subject: { reference: 'Patient/alice' }, note: [{ text: String(n) }] });
      await put(server, observation('o1', 'Patient/alice', { encounter: { reference: 'Encounter/e1' } }));
    });
    expect(new Set(matches)).toEqual(new Set([...matches, ...compartment]));
  });
});

describe('Encounter/$everything', () => {
  it('holds the encounter, its compartment, and the patient', async () => {
    const answer = await insurer.call('GET', 'Encounter/e1/$everything');
    expect(idsOf(answer, 'match')).toEqual(['Encounter/e1', 'Observation/o1']);
    expect(idsOf(answer, 'include')).toContain('Patient/alice');
    expect(answer.text).not.toMatch(/o-hidden|stranger|Patient\/bob|e-bob|o-bob/);
    expect((await insurer.call('GET', 'Encounter/e-bob/$everything')).status).toBe(404);
  });
});
