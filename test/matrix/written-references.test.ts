/**
 * At every place of R4 where a Reference may stand: who writes a resource that refers there to what is hidden from them reads and finds it, and is answered,
 * as one that refers to what was never there. consent.md §1, docs/adr/0055-what-is-unseen-lends-nothing.md
 * A seeded sample of the places; `ASSENT_TEST_PLACES=all` takes all of them, in some minutes, and ASSENT_TEST_SEED takes others.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
import { resourceTypes } from '../../server/fhir/resource-types.ts';
import { createCheck } from '../../server/validation/validate.ts';
import { labelled } from '../support/consents.ts';
import { agree, HOSPITAL, organization, patient, put, type RealServer, register, startRealServer, termsOf } from '../support/real-server.ts';
import { createRandom } from '../twins/random.ts';
import { sampleOf } from '../validation/samples.ts';
import { naming, pathOf, type Place, placesOf } from './places.ts';

const INSURER = 'Organization/insurer';
const OPEN = 'Patient/open';
/** As long as the other. */
const [HIDDEN, ABSENT] = ['hidden', 'absent'];
const SAMPLE = 60;
/** What no sample is stored or referred to as: recorded by the server, of its own rules, or the directory. */
const APART = new Set(
  'AuditEvent Bundle CapabilityStatement CareTeam Consent Group Organization Parameters PractitionerRole SearchParameter Subscription'.split(' '),
);
const HIV = { url: 'urn:test', valueCoding: { system: 'http://snomed.info/sct', code: '86406008' } };
/** So that it is nobody's whose type is open by scope alone. */
const OF_PATIENT = { url: 'urn:made-for', valueReference: { reference: OPEN } };

const check = createCheck();
const samples = new Map<string, Json>();
const sampleFor = (type: string): Json => {
  const sample = samples.get(type) ?? (sampleOf(type, check) as Json);
  samples.set(type, sample);
  return sample;
};

let server: RealServer;
let insurer: Session;
let taken: readonly (readonly [Place, target: string])[];
beforeAll(async () => {
  const types = resourceTypes.filter((type) => !APART.has(type));
  const every = types.flatMap(placesOf).flatMap((place) => {
    const targets = types.filter((type) => place.targets?.has(type) ?? type === 'Condition');
    return targets.map((target) => [place, target] as const);
  });
  expect(every.length).toBeGreaterThan(1000);
  const random = createRandom(Number(process.env['ASSENT_TEST_SEED'] ?? 20_261_127));
  taken = process.env['ASSENT_TEST_PLACES'] === 'all' ? every : Array.from({ length: SAMPLE }, () => random.one(every));
  server = await startRealServer({ ASSENT_IMPLICIT_POLICY: 'deny' });
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  await put(server, patient('open'));
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(server.admin, OPEN), await enrolKey(server.admin, HOSPITAL)];
  const provision = { provision: [{ type: 'deny', ...labelled('HIV') }] };
  await agree(server, termsOf(server, { patient: OPEN, grantee: INSURER, provision }), keys);
  for (const type of new Set(taken.map(([, target]) => target))) {
    const sample = JSON.parse(JSON.stringify(sampleFor(type)).replace(/"Patient\/[^"]+"/g, `"${OPEN}"`)) as Json;
    // A Binary is decided by its context, and has no extensions.
    const sensitive =
      type === 'Binary'
        ? { securityContext: { reference: OPEN }, meta: { security: labelled('HIV').securityLabel } }
        : { extension: [HIV, OF_PATIENT] };
    await put(server, { ...sample, id: HIDDEN, ...sensitive });
  }
});
afterAll(() => server.stop());

/** Status, length and place of whatever the insurer asks about what they wrote; undefined: the rules of the type do not let it be written. */
async function becomes([place, target]: readonly [Place, string], id: string): Promise<readonly string[] | undefined> {
  const named = naming(place, { sample: sampleFor(place.type), reference: `${target}/${id}`, patient: OPEN, check });
  if (!named) return undefined;
  const { id: _, ...body } = named;
  const made = await insurer.call('POST', place.type, body as Json);
  const written = /\/([^/]+)\/_history/.exec(made.headers.get('location') ?? '')?.[1];
  const told = [`POST ${made.status} ${made.text.length}`];
  if (written === undefined) return told;
  for (const path of [`/${written}`, `/${written}/_history`, `?_id=${written}&_total=accurate`]) {
    const { status, text } = await insurer.call('GET', place.type + path);
    told.push(`GET ${status} ${text.length}`);
  }
  return told;
}

it('what refers to the hidden becomes what refers to the absent becomes, wherever it refers to it', async () => {
  let asked = 0;
  let shown = 0;
  for (const each of taken) {
    const hidden = await becomes(each, HIDDEN);
    if (!hidden) continue;
    expect(hidden, `${pathOf(each[0])} to ${each[1]}`).toEqual(await becomes(each, ABSENT));
    asked += 1;
    if (hidden[1]?.startsWith('GET 200')) shown += 1;
  }
  expect(asked / taken.length).toBeGreaterThan(0.7);
  // Where all is hidden from who wrote it there is nothing to tell apart.
  expect(shown / asked).toBeGreaterThan(0.4);
});
