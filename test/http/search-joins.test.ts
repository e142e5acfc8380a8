/**
 * Chains, _has and includes through the whole server, by a caller who may see some patients only: the answers are those of the same world
 * without what is hidden, as a naive evaluator finds them. https://hl7.org/fhir/R4/search.html#chaining, consent.md §3
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import { parseSearch } from '../../server/search/parse.ts';
import { naiveMatch, refers, type Stored } from '../support/naive-joins.ts';
import { agree, HOSPITAL, organization, put, type RealServer, register, startRealServer, termsOf, withdrawNow } from '../support/real-server.ts';
import { eventsOf } from '../support/trail.ts';

const INSURER = 'Organization/insurer';
const PATIENTS = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6'];
const SEEN = ['p1', 'p2', 'p3'];
const FAMILIES = ['Smith', 'Miller', 'Garcia'];
const FORM = 'http://example.org/form';

let server: RealServer;
let insurer: Session;
let narrow: Session;
let base: string;
let world: Stored[] = [];
/** What the insurer may see. */
let visible: Stored[] = [];

const of = <T>(values: readonly T[], i: number): T => values[i % values.length] as T;
const reference = (text: string) => ({ reference: text });
const practitioner = (i: number): Json => ({ resourceType: 'Practitioner', id: `dr${i}`, name: [{ family: of(FAMILIES, i) }] });
const location = (i: number): Json => ({ resourceType: 'Location', id: `l${i}`, name: of(['North', 'South'], i) });
const form = (version: string): Json => ({
  resourceType: 'Questionnaire',
  id: `q${version}`,
  url: FORM,
  version,
  status: 'active',
  title: `Form ${version}`,
});

function person(id: string, i: number): Json {
  return {
    resourceType: 'Patient',
    id,
    name: [{ family: of(FAMILIES, i) }],
    gender: of(['male', 'female'], i),
    managingOrganization: reference(HOSPITAL),
    generalPractitioner: [reference(i % 2 === 0 ? `Practitioner/dr${i % 3}` : `${base}/Practitioner/dr${i % 3}`)],
  };
}

function visits(id: string, i: number): Json[] {
  const subject = reference(i % 3 === 0 ? `${base}/Patient/${id}` : `Patient/${id}`);
  const encounter = { resourceType: 'Encounter', id: `e-${id}`, status: of(['finished', 'planned'], i), class: { code: 'AMB' }, subject };
  const observations = [0, 1, 2].map((n) => ({
    resourceType: 'Observation',
    id: `o-${id}-${n}`,
    status: of(['final', 'amended'], n + i),
    code: { coding: [{ system: 'http://loinc.org', code: of(['8867-4', '8480-6'], n * i) }] },
    subject,
    ...(n === 0 ? {} : { encounter: reference(`Encounter/e-${id}${n === 2 ? '/_history/1' : ''}`) }),
    performer: [reference(`Practitioner/dr${(i + n) % 3}`)],
    effectiveDateTime: `2024-0${n + 1}-01`,
    ...(n === 1 ? { hasMember: [reference(`Observation/o-${id}-0`)] } : {}),
  }));
  const response = {
    resourceType: 'QuestionnaireResponse',
    id: `r-${id}`,
    status: 'completed',
    questionnaire: of([FORM, `${FORM}|1`, `${FORM}|2`], i),
    subject,
  };
  return [{ ...encounter, location: [{ location: reference(`Location/l${i % 2}`) }] }, ...observations, response];
}

beforeAll(async () => {
  server = await startRealServer();
  base = server.bootstrap.fhirBaseUrl;
  const open = [...[0, 1, 2].map(practitioner), ...[0, 1].map(location), form('1'), form('2')];
  const held = PATIENTS.flatMap((id, i) => [person(id, i), ...visits(id, i)]);
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const resource of [...open, ...held]) await put(server, resource);
  world = [...open, ...held] as unknown as Stored[];
  visible = world.filter((resource) => {
    const owner = PATIENTS.find((id) => resource.id === id || resource.id.split('-').includes(id));
    return owner === undefined || SEEN.includes(owner);
  });
  const custodian = await enrolKey(server.admin, HOSPITAL);
  for (const id of SEEN)
    await agree(server, termsOf(server, { patient: `Patient/${id}`, grantee: INSURER }), [await enrolKey(server.admin, `Patient/${id}`), custodian]);
  insurer = (await register(server, { actor: INSURER })).session;
  narrow = (await register(server, { actor: INSURER, scope: 'system/Observation.rs' })).session;
});
afterAll(() => server.stop());

type Entry = { readonly resource: Stored; readonly search: { readonly mode: string } };
const entriesOf = ({ json }: { readonly json: Json }) => (json['entry'] ?? []) as readonly Entry[];
const named = (entries: readonly Entry[], mode: string) =>
  entries
    .filter(({ search }) => search.mode === mode)
    .map(({ resource }) => `${resource.resourceType}/${resource.id}`)
    .sort();

async function found(type: string, query: string, session = insurer): Promise<readonly string[]> {
  const answer = await session.call('GET', `${type}?${query}`);
  expect([query, answer.status, answer.text.slice(0, answer.status === 200 ? 0 : 300)]).toEqual([query, 200, '']);
  const matches = named(entriesOf(answer), 'match');
  expect(answer.json['total']).toBe(matches.length);
  return matches;
}

function expected(type: string, query: string, among = visible): readonly string[] {
  const parsed = parseSearch(type, query, { handling: 'strict', base, now: server.now(), reach: () => true });
  return among
    .filter((resource) => naiveMatch(among, resource, parsed, base))
    .map(({ resourceType, id }) => `${resourceType}/${id}`)
    .sort();
}

const own: Readonly<Record<string, readonly string[]>> = {
  Patient: ['family=smith', 'family=Miller,Garcia', 'gender=male', 'gender:not=male', '_id=p1,p5', 'family:missing=true'],
  Practitioner: ['family=smith', 'family=Garcia', '_id=dr1'],
  Location: ['name=north', 'name=south'],
  Encounter: ['status=finished', 'status=planned', 'class=AMB'],
  Observation: ['code=8867-4', 'code=http://loinc.org|8480-6', 'status=final', 'date=ge2024-02-01', 'date=2024-01'],
  Questionnaire: ['title=form', 'title=Form 1', 'version=2'],
  QuestionnaireResponse: ['status=completed'],
};
/** Parameter, as it is written in a chain, and where it leads. */
const links: readonly (readonly [source: string, name: string, typed: string, target: string])[] = [
  ['Observation', 'subject', 'subject:Patient', 'Patient'],
  ['Observation', 'patient', 'patient', 'Patient'],
  ['Observation', 'encounter', 'encounter', 'Encounter'],
  ['Observation', 'performer', 'performer:Practitioner', 'Practitioner'],
  ['Observation', 'has-member', 'has-member:Observation', 'Observation'],
  ['Encounter', 'subject', 'subject:Patient', 'Patient'],
  ['Encounter', 'location', 'location', 'Location'],
  ['Patient', 'general-practitioner', 'general-practitioner:Practitioner', 'Practitioner'],
  ['QuestionnaireResponse', 'questionnaire', 'questionnaire', 'Questionnaire'],
  ['QuestionnaireResponse', 'subject', 'subject:Patient', 'Patient'],
];

/** One criterion of the type, with up to this many joins inside. */
function criterion(type: string, depth: number): fc.Arbitrary<string> {
  const plain = fc.constantFrom(...(own[type] ?? []));
  if (depth === 0) return plain;
  const chains = links
    .filter(([source]) => source === type)
    .map(([, , typed, target]) => criterion(target, depth - 1).map((rest) => `${typed}.${rest}`));
  const has = links
    .filter(([, , , target]) => target === type)
    .map(([source, name]) => criterion(source, depth - 1).map((rest) => `_has:${source}:${name}:${rest}`));
  return fc.oneof({ arbitrary: plain, weight: 1 }, ...[...chains, ...has].map((arbitrary) => ({ arbitrary, weight: 2 })));
}

describe('joins', () => {
  test('find what a naive evaluator finds in the world without what is hidden', async () => {
    let matched = 0;
    let differing = 0;
    const asked = fc
      .constantFrom(...Object.keys(own))
      .chain((type) => fc.array(criterion(type, 3), { minLength: 1, maxLength: 3 }).map((criteria) => [type, criteria.join('&')] as const));
    await fc.assert(
      fc.asyncProperty(asked, async ([type, query]) => {
        const wanted = expected(type, query);
        if (wanted.length > 0) matched++;
        if (wanted.join() !== expected(type, query, world).join()) differing++;
        expect([query, await found(type, `${query}&_count=1000`)]).toEqual([query, wanted]);
      }),
      { numRuns: 250, seed: 7 },
    );
    // Most queries must find something, and many something else than they would if nothing were hidden.
    expect(matched).toBeGreaterThan(60);
    expect(differing).toBeGreaterThan(30);
  });

  test('without a type, over every type the rest can be asked of', async () => {
    expect(await found('Observation', 'subject.family=smith')).toEqual(expected('Observation', 'patient.family=smith'));
    expect(await found('Observation', 'subject.family=smith')).not.toHaveLength(0);
  });

  test('a hidden patient makes no chain match, a hidden observation no _has', async () => {
    expect(await found('Practitioner', '_has:Patient:general-practitioner:_id=p5')).toEqual([]);
    expect(await found('Practitioner', '_has:Observation:performer:patient=Patient/p5')).toEqual([]);
    expect(await found('Practitioner', '_has:Observation:performer:patient=Patient/p2')).toHaveLength(3);
  });

  test('types beyond the scope are refused, whatever is stored', async () => {
    for (const query of ['subject:Patient.name=smith', 'subject:Patient.name=nobody', 'patient.name=x', '_has:Provenance:target:agent=x'])
      expect((await narrow.call('GET', `Observation?${query}`)).status).toBe(403);
  });

  test('pages go on and links carry the join', async () => {
    const seen: string[] = [];
    for (let url: string | undefined = 'Observation?patient.gender=male&_count=2'; url !== undefined; ) {
      const answer = await insurer.call('GET', url);
      seen.push(...named(entriesOf(answer), 'match'));
      const next = (answer.json['link'] as { relation: string; url: string }[]).find(({ relation }) => relation === 'next')?.url;
      url = next?.slice(base.length + 1);
    }
    expect(seen.sort()).toEqual(expected('Observation', 'patient.gender=male'));
  });

  test('a search of an open type that went through records is audited with its query', async () => {
    const url = 'Practitioner?_has:Observation:performer:code=8867-4&_tag=x%7Cmark';
    const events = await eventsOf(server.admin, () => insurer.call('GET', url));
    expect(JSON.stringify(events)).toContain(
      Buffer.from('Practitioner?_has%3AObservation%3Aperformer%3Acode=8867-4&_tag=x%7Cmark').toString('base64'),
    );
  });
});

describe('includes', () => {
  async function included(query: string, session = insurer) {
    const [type = ''] = query.split('?');
    const answer = await session.call('GET', query);
    expect([query, answer.status, answer.status === 200 ? '' : answer.text]).toEqual([query, 200, '']);
    const entries = entriesOf(answer);
    const all = entries.map(({ resource }) => `${resource.resourceType}/${resource.id}`);
    expect(new Set(all).size).toBe(all.length);
    expect(named(entries, 'match').every((name) => name.startsWith(`${type}/`))).toBe(true);
    return named(entries, 'include');
  }

  test('forward, by type, by * and to a target type', async () => {
    expect(await included('Observation?_id=o-p1-1&_include=Observation:subject')).toEqual(['Patient/p1']);
    expect(await included('Observation?_id=o-p1-1&_include=Observation:subject:Group')).toEqual([]);
    expect(await included('Observation?_id=o-p1-1&_include=*')).toEqual(['Encounter/e-p1', 'Observation/o-p1-0', 'Patient/p1', 'Practitioner/dr1']);
    expect(await included('Observation?_id=o-p1-2&_include=Observation:encounter&_include=Observation:performer')).toEqual([
      'Encounter/e-p1',
      'Practitioner/dr2',
    ]);
  });

  test('what is a match is not included beside itself', async () => {
    expect(await included('Observation?patient=p1&_include=Observation:has-member')).toEqual([]);
  });

  test('again and again with :iterate', async () => {
    const once = 'Observation?_id=o-p1-1&_include=Observation:encounter';
    expect(await included(`${once}&_include:iterate=Encounter:location`)).toEqual(['Encounter/e-p1', 'Location/l0']);
    expect(await included('Observation?_id=o-p1-1&_include=Observation:subject&_include:iterate=Patient:general-practitioner')).toEqual([
      'Patient/p1',
      'Practitioner/dr0',
    ]);
  });

  test('backward', async () => {
    const theirs = visible.filter((resource) => refers(resource, 'subject', visible.find(({ id }) => id === 'p2') as Stored, base));
    const names = (type: string) =>
      theirs
        .filter(({ resourceType }) => resourceType === type)
        .map(({ id }) => `${type}/${id}`)
        .sort();
    expect(await included('Patient?_id=p2&_revinclude=Observation:subject')).toEqual(names('Observation'));
    expect(await included('Patient?_id=p2&_revinclude=Observation:*&_revinclude=Encounter:subject')).toEqual(
      [...names('Encounter'), ...names('Observation')].sort(),
    );
    const all = await included('Location?_id=l0&_revinclude=*');
    // What was answered before is recorded in AuditEvents that name the place, too.
    expect(all.filter((name) => !name.startsWith('AuditEvent/'))).toEqual(['Encounter/e-p1', 'Encounter/e-p3']);
  });

  test('canonical references, by url and version', async () => {
    expect(await included('QuestionnaireResponse?_id=r-p1&_include=QuestionnaireResponse:questionnaire')).toEqual([
      'Questionnaire/q1',
      'Questionnaire/q2',
    ]);
    expect(await included('QuestionnaireResponse?_id=r-p2&_include=QuestionnaireResponse:questionnaire')).toEqual(['Questionnaire/q1']);
    expect(await included('Questionnaire?_id=q2&_revinclude=QuestionnaireResponse:questionnaire')).toEqual([
      'QuestionnaireResponse/r-p1',
      'QuestionnaireResponse/r-p3',
    ]);
  });

  test('what is hidden is absent, and beyond the scope as well', async () => {
    expect(await included('Practitioner?_id=dr0&_revinclude=Patient:general-practitioner')).toEqual(['Patient/p1']);
    expect(await included('Observation?_id=o-p1-1&_include=*', narrow)).toEqual(['Observation/o-p1-0']);
  });

  test('each is named in the record of the disclosure', async () => {
    const events = await eventsOf(server.admin, async () => {
      const answer = await insurer.call('GET', 'Practitioner?_id=dr2&_revinclude=Patient:general-practitioner');
      expect(answer.headers.get('assent-receipt')).toMatch(/AuditEvent/);
      expect(named(entriesOf(answer), 'include')).toEqual(['Patient/p3']);
    });
    expect(JSON.stringify(events)).toContain('Patient/p3/_history/');
  });

  test('deleted ones never', async () => {
    await put(server, { resourceType: 'Location', id: 'gone', name: 'gone' });
    await put(server, { ...(visits('p1', 0)[0] as Json), id: 'e-p1-gone', location: [{ location: reference('Location/gone') }] });
    await server.admin.call('DELETE', 'Location/gone');
    expect(await included('Encounter?_id=e-p1-gone&_include=Encounter:location')).toEqual([]);
    expect(await found('Encounter', 'location.name=gone')).toEqual([]);
    await server.admin.call('DELETE', 'Encounter/e-p1-gone');
  });
});

test('a withdrawal ends chains, _has and includes with the next request', async () => {
  await put(server, person('p9', 2));
  await put(server, visits('p9', 2)[1] as Json);
  const keys = [await enrolKey(server.admin, 'Patient/p9'), await enrolKey(server.admin, HOSPITAL)];
  const inForce = await agree(server, termsOf(server, { patient: 'Patient/p9', grantee: INSURER }), keys);
  const seen = async () => [
    (await found('Observation', 'patient.family=garcia&patient=p9')).length,
    (await found('Practitioner', '_has:Observation:performer:patient=p9')).length,
    named(entriesOf(await insurer.call('GET', 'Practitioner?_id=dr2&_revinclude=Patient:general-practitioner')), 'include').includes('Patient/p9'),
  ];
  expect(await seen()).toEqual([1, 1, true]);
  await withdrawNow(server, inForce, keys[0] as (typeof keys)[0]);
  expect(await seen()).toEqual([0, 0, false]);
});
