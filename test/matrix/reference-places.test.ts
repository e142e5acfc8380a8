/**
 * Every place of every R4 type that may refer to a Patient, from the definitions: a resource of a patient who permits that names there another one who
 * does not is nowhere to be found, by no way; naming there only whom it may, it is. What it refers to elsewhere is hidden as well, and stays so. consent.md §2 rule 4, §3.
 * A seeded sample of the places; `ASSENT_TEST_PLACES=all` takes all of them, in a minute, and ASSENT_TEST_SEED takes others.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import { resourceTypes } from '../../server/fhir/resource-types.ts';
import { searchParameters } from '../../server/fhir/search-parameters.ts';
import { createCheck } from '../../server/validation/validate.ts';
import { agree, HOSPITAL, organization, patient, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';
import { createRandom } from '../twins/random.ts';
import { sampleOf } from '../validation/samples.ts';
import { naming, pathOf, type Place, placesOf } from './places.ts';

const INSURER = 'Organization/insurer';
const [OPEN, HIDDEN] = ['Patient/open', 'Patient/hidden'];
const PARENT = 'a-1';
const SAMPLE = 60;
/** Signed, recorded, decided by what they are about, or a patient themselves: other tests say who sees them. */
const APART = new Set([
  'Patient',
  'AuditEvent',
  'Consent',
  'Provenance',
  'Binary',
  'Task',
  'Subscription',
  'SearchParameter',
  'Bundle',
  'Parameters',
]);

const check = createCheck();

type Planted = { readonly place: string; readonly type: string; readonly open: Json; readonly hidden: Json };

let server: RealServer;
let insurer: Session;
let every: readonly Place[];
let taken: readonly Place[];
let planted: readonly Planted[];

beforeAll(async () => {
  every = resourceTypes
    .filter((type) => !APART.has(type))
    .flatMap(placesOf)
    .filter(({ targets }) => targets === undefined || targets.has('Patient'));
  const random = createRandom(Number(process.env['ASSENT_TEST_SEED'] ?? 20_261_127));
  const drawn = Array.from({ length: SAMPLE }, () => random.one(every));
  taken = process.env['ASSENT_TEST_PLACES'] === 'all' ? every : [...new Set(drawn)];
  const samples = new Map([...new Set(taken.map(({ type }) => type))].map((type) => [type, sampleOf(type, check) as Json]));
  planted = taken.flatMap((place, i) => {
    const sample = samples.get(place.type) as Json;
    const [open, hidden] = [OPEN, HIDDEN].map((reference) => naming(place, { sample, reference, patient: OPEN, check }));
    return open && hidden
      ? [{ place: pathOf(place), type: place.type, open: { ...open, id: `open-${i}` }, hidden: { ...hidden, id: `hidden-${i}` } }]
      : [];
  });
  server = await startRealServer({ ASSENT_IMPLICIT_POLICY: 'deny' });
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['open', 'hidden']) await put(server, { ...patient(id), name: [{ family: `of-${id}` }] });
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(server.admin, OPEN), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: OPEN, grantee: INSURER }), keys);
  for (const { open, hidden } of planted) for (const resource of [open, hidden]) await put(server, resource);
  for (const type of parents()) await put(server, parentOf(type));
});
afterAll(() => server.stop());

/** What the samples refer to at all their other places, `Type/a-1`: hidden as well, for it names who does not permit. */
const parents = () =>
  [...new Set(JSON.stringify(planted).match(/[A-Za-z]+(?=\/a-1")/g))].filter((type) => !APART.has(type) && resourceTypes.includes(type));
function parentOf(type: string): Json {
  const sample = JSON.parse(JSON.stringify(sampleOf(type, check)).replace(/"Patient\/[^"]+"/g, `"${HIDDEN}"`)) as Json;
  return { ...sample, id: PARENT, extension: [{ url: 'urn:made-for', valueReference: { reference: HIDDEN } }] };
}

const types = () => [...new Set(planted.map(({ type }) => type))];
const hiddenOf = (type: string) => planted.flatMap((each) => (each.type === type ? [String(each.hidden['id'])] : []));
const idsIn = (json: Json): string[] => ((json['entry'] ?? []) as { resource: Json }[]).map(({ resource }) => String(resource['id']));
/** All that it answers, page by page. */
async function allIds(query: string): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let url: string | undefined = query; url !== undefined; ) {
    const { status, json, text }: { status: number; json: Json; text: string } = await insurer.call('GET', url);
    expect(`${status} ${status === 200 ? '' : text}`, url).toBe('200 ');
    ids.push(...idsIn(json));
    url = ((json['link'] ?? []) as { relation: string; url: string }[]).find(({ relation }) => relation === 'next')?.url;
  }
  return ids;
}
const leaked = (ids: readonly string[]) => ids.filter((id) => id.startsWith('hidden') || id === PARENT);

describe('a resource that names at some place a patient who does not permit', () => {
  it('is looked at in most of the places there are', () => {
    expect(every.length).toBeGreaterThan(250);
    expect(planted.length / taken.length).toBeGreaterThan(0.8);
  });

  it('cannot be read, and can where it names whom it may', async () => {
    for (const { place, type, open, hidden } of planted) {
      const [seen, unseen] = [
        await insurer.call('GET', `${type}/${String(open['id'])}`),
        await insurer.call('GET', `${type}/${String(hidden['id'])}`),
      ];
      expect([seen.status, unseen.status], place).toEqual([200, 404]);
    }
  });

  it('is found by no search, total, include or chain of its type', async () => {
    const hiddenParents = new Set(parents());
    expect(hiddenParents.size).toBeGreaterThan(10);
    for (const type of hiddenParents) expect((await insurer.call('GET', `${type}/${PARENT}`)).status, type).toBe(404);
    for (const type of types()) {
      const wanted = planted.filter((each) => each.type === type).map(({ open }) => String(open['id']));
      const found = await allIds(`${type}?_count=200&_include=*`);
      expect(found, type).toEqual(expect.arrayContaining(wanted));
      expect(leaked(found), type).toEqual([]);
      expect((await insurer.call('GET', `${type}?_summary=count`)).json['total'], type).toBe((await allIds(`${type}?_count=200`)).length);
      for (const [name, { type: kind, targets = [] }] of searchParameters(type)) {
        if (kind !== 'reference') continue;
        for (const target of targets.filter((each) => hiddenParents.has(each)))
          expect(await allIds(`${type}?${name}:${target}._id=${PARENT}&_count=200`), `${type} ${name} ${target}`).toEqual([]);
        if (!targets.includes('Patient')) continue;
        expect(await allIds(`${type}?${name}:Patient.name=of-hidden&_count=200`), `${type} ${name}`).toEqual([]);
        expect(await allIds(`${type}?${name}=${HIDDEN}&_count=200`), `${type} ${name}`).toEqual([]);
        expect(leaked(await allIds(`Patient?_id=open&_revinclude=${type}:${name}`)), `${type} ${name}`).toEqual([]);
        expect(await allIds(`Patient?_has:${type}:${name}:_id=${hiddenOf(type).join(',')}`), `${type} ${name}`).toEqual([]);
      }
    }
  });

  it('is in no record of who permits, and in no answer of $graphql', async () => {
    expect(leaked(await allIds(`${OPEN}/$everything?_count=500`))).toEqual([]);
    expect((await insurer.call('GET', `${HIDDEN}/$everything`)).status).toBe(404);
    for (const type of types()) {
      const query = `{ all: ${type}List(_count: 200) { id } }`;
      const { status, text } = await insurer.call('GET', `$graphql?query=${encodeURIComponent(query)}`);
      expect([status, text.includes('"open-'), text.includes('"hidden-')], type).toEqual([200, true, false]);
      for (const id of hiddenOf(type)) {
        const one = await insurer.call('GET', `$graphql?query=${encodeURIComponent(`{ ${type}(id: "${id}") { id } }`)}`);
        expect(one.text.includes(`"id":"${id}"`), `${type} ${id}`).toBe(false);
      }
    }
  });
});
