/** Referential integrity as a caller meets it: hidden is absent, for what is referred to as for what refers. fhir.md §1 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
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

const INSURER = 'Organization/insurer';
type World = { readonly server: RealServer; readonly insurer: Session; readonly chooser: Session };

const entry = (method: string, url: string, resource?: Json, fullUrl?: string): Json => ({
  request: { method, url },
  ...(resource ? { resource } : {}),
  ...(fullUrl === undefined ? {} : { fullUrl }),
});
const bundle = (...entries: readonly Json[]): Json => ({ resourceType: 'Bundle', type: 'transaction', entry: entries });
const puts = (...resources: readonly Json[]): Json =>
  bundle(...resources.map((resource) => entry('PUT', `${String(resource['resourceType'])}/${String(resource['id'])}`, resource)));
const practitioner = (id: string): Json => ({ resourceType: 'Practitioner', id, name: [{ family: id }] });
const performed = (by: string) => ({ performer: [{ reference: by }] });
const { id: _, identifier: __, ...ofAlice } = observation('', 'Patient/alice');
const about = (more: Json = {}): Json => ({ ...ofAlice, ...more });

/** An administrator sees no patient: who is referred to has to be in the same transaction. */
async function build({ hidden }: { readonly hidden: boolean }): Promise<World> {
  const server = await startRealServer({ ASSENT_REFERENTIAL_INTEGRITY: 'on' });
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['seen', 'shared', 'once', 'both']) await put(server, practitioner(id));
  const bobs = observation('of-bob', 'Patient/bob', performed('Practitioner/shared'));
  const resources = [patient('alice'), observation('of-alice', 'Patient/alice', performed('Practitioner/both'))];
  if (hidden) resources.push(patient('bob'), bobs, observation('bob-too', 'Patient/bob', performed('Practitioner/both')));
  expect((await server.admin.call('POST', '', puts(...resources))).status).toBe(200);
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER }), keys);
  const insurer = (await register(server, { actor: INSURER })).session;
  return { server, insurer, chooser: (await register(server, { actor: INSURER, choosesIds: true })).session };
}

let world: World;
let twin: World;
beforeAll(async () => {
  [world, twin] = await Promise.all([build({ hidden: true }), build({ hidden: false })]);
});
afterAll(async () => {
  await world.server.stop();
  await twin.server.stop();
});

type Outcome = { readonly issue: readonly { readonly diagnostics: string; readonly expression?: readonly string[] }[] };
const places = (json: Json): (string | undefined)[] => (json as unknown as Outcome).issue.map(({ expression }) => expression?.[0]);
const words = (json: Json): string => (json as unknown as Outcome).issue.map(({ diagnostics }) => diagnostics).join(' ');

describe('what a write refers to', () => {
  it('must be there for who writes: absent, deleted and hidden are one answer, here and where it never was', async () => {
    const { insurer } = world;
    const made = await insurer.call('POST', 'Practitioner', practitioner('x'));
    const gone = `Practitioner/${String(made.json['id'])}`;
    expect((await insurer.call('POST', 'Observation', about(performed(gone)))).status).toBe(201);
    const fresh = await insurer.call('POST', 'Practitioner', practitioner('x'));
    const deleted = `Practitioner/${String(fresh.json['id'])}`;
    expect((await insurer.call('DELETE', deleted)).status).toBe(204);
    const answers = [];
    for (const reference of ['Observation/absent', 'Observation/of-bob', 'Patient/bob', deleted])
      answers.push(normalised(await insurer.call('POST', 'Observation', about({ ...performed(INSURER), extension: [extended(reference)] }))));
    answers.push(normalised(await twin.insurer.call('POST', 'Observation', about({ extension: [extended('Observation/of-bob')] }))));
    expect(answers[0]?.status).toBe(422);
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect((await insurer.call('POST', 'Observation', about({ extension: [extended('Observation/of-alice')] }))).status).toBe(201);
  });

  it('is found wherever a Reference stands, and every place is named', async () => {
    const { insurer, server } = world;
    const nowhere = { reference: 'Practitioner/nobody' };
    const resource = about({
      performer: [{ reference: 'Practitioner/seen' }, nowhere, { reference: `${server.bootstrap.fhirBaseUrl}/Practitioner/nobody` }],
      contained: [{ resourceType: 'Specimen', id: 's', collection: { collector: nowhere } }],
      specimen: { reference: '#s' },
      hasMember: [{ reference: 'Observation/nothing/_history/1' }],
      note: [{ authorReference: nowhere, text: 'x' }],
      _status: { extension: [extended('Practitioner/nobody')] },
      component: [{ code: { text: 'c' }, valueString: 'x', extension: [{ url: 'urn:o', extension: [extended('Group/none')] }] }],
    });
    const answer = await insurer.call('POST', 'Observation', resource);
    expect([answer.status, places(answer.json).toSorted((a = '', b = '') => (a < b ? -1 : 1))]).toEqual([
      422,
      [
        'Observation.component[0].extension[0].extension[0].value.ofType(Reference)',
        'Observation.contained[0].collection.collector',
        'Observation.hasMember[0]',
        'Observation.note[0].author.ofType(Reference)',
        'Observation.performer[1]',
        'Observation.performer[2]',
        'Observation.status.extension[0].value.ofType(Reference)',
      ],
    ]);
    expect(answer.text).not.toContain('nobody');
  });

  it('may be elsewhere, a URN, contained or logical', async () => {
    const resource = about({
      performer: [
        { reference: 'https://elsewhere.example.org/fhir/Practitioner/1' },
        { reference: 'urn:uuid:4f9a5c4e-2f7e-4d9f-9a80-0f4a1e6bb1b3' },
        { identifier: { system: 'urn:x', value: '1' } },
        { reference: 'Practitioner/seen/_history/whatever' },
        { reference: `${world.server.bootstrap.fhirBaseUrl}/Practitioner/seen` },
      ],
    });
    expect((await world.insurer.call('POST', 'Observation', resource)).status).toBe(201);
  });

  it('is asked again only where it is new: updates and patches', async () => {
    const { insurer } = world;
    const dead = { reference: 'Practitioner/nobody' };
    const made = await insurer.call('POST', 'Observation', about(performed('Practitioner/seen')));
    const url = `Observation/${String(made.json['id'])}`;
    const changed = await insurer.call('PUT', url, { ...made.json, performer: [dead] });
    expect([changed.status, places(changed.json)]).toEqual([422, ['Observation.performer[0]']]);
    const patch = (path: string, value: unknown) =>
      insurer.call('PATCH', url, [{ op: 'add', path, value }], { 'content-type': 'application/json-patch+json' });
    const patched = await patch('/performer/-', dead);
    expect([patched.status, places(patched.json)]).toEqual([422, ['Observation.performer[1]']]);
    expect((await patch('/performer/-', { reference: 'Practitioner/once' })).status).toBe(200);
    expect((await patch('/note', [{ text: 'x' }])).status).toBe(200);
  });

  it('may be lost sight of: what was referred to before stays, for who sees the resource', async () => {
    const { server, insurer } = world;
    const { session: other } = await register(server, { actor: INSURER, choosesIds: true });
    const [pa, ob] = [patient('carol'), observation('of-carol', 'Patient/carol')];
    const link = observation('link', 'Patient/alice', { hasMember: [{ reference: 'Observation/of-carol' }] });
    expect((await server.admin.call('POST', '', puts(pa, ob, patient('alice'), link))).status).toBe(200);
    expect((await insurer.call('GET', 'Observation/of-carol')).status).toBe(404);
    const again = { ...link, note: [{ text: 'seen' }] };
    expect((await insurer.call('PUT', 'Observation/link', again)).status).toBe(200);
    // Who does not see the version before learns nothing by guessing what it refers to.
    const guesses = ['Observation/of-carol', 'Observation/none'].map((reference) =>
      observation('of-carol-2', 'Patient/alice', { hasMember: [{ reference }] }),
    );
    const hidden = observation('of-carol-2', 'Patient/carol', { hasMember: [{ reference: 'Observation/of-carol' }] });
    expect((await server.admin.call('POST', '', puts(pa, ob, hidden))).status).toBe(200);
    const [right, wrong] = await Promise.all(guesses.map((guess) => other.call('PUT', 'Observation/of-carol-2', guess)));
    expect(right?.status).toBe(422);
    expect(right && normalised(right)).toEqual(wrong && normalised(wrong));
  });

  it('may come with it in a transaction, and must not leave with it', async () => {
    const { insurer } = world;
    const doctor = 'urn:uuid:0b5b2a3c-8f6d-4a45-9f39-4d0a3f1f7a01';
    const both = bundle(
      entry('POST', 'Observation', about(performed(doctor))),
      entry('POST', 'Practitioner', { resourceType: 'Practitioner' }, doctor),
    );
    const answer = await insurer.call('POST', '', both);
    expect(answer.status).toBe(200);
    const broken = bundle(
      entry('POST', 'Practitioner', { resourceType: 'Practitioner' }),
      entry(
        'POST',
        'Observation',
        about({ ...performed('Practitioner/nobody'), note: [{ text: 'x', authorReference: { reference: 'Patient/bob' } }] }),
      ),
    );
    const refused = await insurer.call('POST', '', broken);
    expect([refused.status, places(refused.json)]).toEqual([
      422,
      ['Bundle.entry[1].resource.performer[0]', 'Bundle.entry[1].resource.note[0].author.ofType(Reference)'],
    ]);
    const made = String((await insurer.call('POST', 'Practitioner', practitioner('x'))).json['id']);
    const leaves = bundle(entry('DELETE', `Practitioner/${made}`), entry('POST', 'Observation', about(performed(`Practitioner/${made}`))));
    expect((await insurer.call('POST', '', leaves)).status).toBe(422);
    expect((await insurer.call('GET', `Practitioner/${made}`)).status).toBe(200);
    const batch = { ...broken, type: 'batch' };
    const { json } = await insurer.call('POST', '', batch);
    expect((json['entry'] as { response: { status: string } }[]).map(({ response }) => response.status.slice(0, 3))).toEqual(['201', '422']);
  });
});

const extended = (reference: string): Json => ({ url: 'urn:x', valueReference: { reference } });

describe('what is deleted', () => {
  it('is kept while something the caller sees refers to it, which is named and recorded as a search', async () => {
    const { insurer } = world;
    const refused = await insurer.call('DELETE', 'Practitioner/both');
    expect([refused.status, words(refused.json)]).toEqual([409, 'Practitioner/both cannot be deleted: Observation/of-alice refer to it.']);
    expect(normalised(await twin.insurer.call('DELETE', 'Practitioner/both'))).toEqual(normalised(refused));
    const audit = await insurer.call('GET', 'AuditEvent?subtype=search-type&_count=50');
    expect(audit.text).toContain(Buffer.from('DELETE Practitioner/both').toString('base64'));
    expect((await insurer.call('GET', 'Practitioner/both')).status).toBe(200);
  });

  it('goes whatever hidden resources refer to it', async () => {
    const answers = [];
    for (const { insurer } of [world, twin]) answers.push(normalised(await insurer.call('DELETE', 'Practitioner/shared')));
    const plain = answers.map(({ status, text }) => ({ status, text }));
    expect(plain).toEqual([plain[1], { status: 204, text: '' }]);
    const { insurer } = world;
    const made = String((await insurer.call('POST', 'Practitioner', practitioner('x'))).json['id']);
    const hidden = observation('bob-three', 'Patient/bob', performed(`Practitioner/${made}`));
    expect((await world.server.admin.call('POST', '', puts(patient('bob'), hidden))).status).toBe(200);
    expect((await insurer.call('DELETE', `Practitioner/${made}`)).status).toBe(204);
  });

  it('goes together with all that refers to it, or once nothing does', async () => {
    const { insurer } = world;
    const make = async (type: string, resource: Json) => `${type}/${String((await insurer.call('POST', type, resource)).json['id'])}`;
    const doctor = await make('Practitioner', practitioner('x'));
    const first = await make('Observation', about(performed(doctor)));
    const second = await make('Observation', about({ extension: [extended(`${doctor}/_history/1`)] }));
    const partly = await insurer.call('POST', '', bundle(entry('DELETE', first), entry('DELETE', doctor)));
    expect([partly.status, places(partly.json), words(partly.json)]).toEqual([
      409,
      ['Bundle.entry[1]'],
      `${doctor} cannot be deleted: ${second} refer to it.`,
    ]);
    const { json } = await insurer.call('GET', second);
    const { extension: ___, ...without } = json;
    const all = bundle(entry('DELETE', first), entry('DELETE', doctor), entry('PUT', second, without));
    expect((await insurer.call('POST', '', all)).status).toBe(200);
    expect((await insurer.call('GET', doctor)).status).toBe(410);
    const again = await make('Practitioner', practitioner('y'));
    const third = await make('Observation', about(performed(again)));
    expect((await insurer.call('DELETE', `Practitioner?_id=${again.slice('Practitioner/'.length)}`)).status).toBe(409);
    expect((await insurer.call('DELETE', third)).status).toBe(204);
    expect((await insurer.call('DELETE', again)).status).toBe(204);
  });

  it('is named with ten of many that refer to it', async () => {
    const { insurer } = world;
    const made = `Practitioner/${String((await insurer.call('POST', 'Practitioner', practitioner('x'))).json['id'])}`;
    await insurer.call('POST', '', bundle(...Array.from({ length: 12 }, () => entry('POST', 'Observation', about(performed(made))))));
    const { status, json } = await insurer.call('DELETE', made);
    expect([status, words(json).match(/Observation\//g)?.length, words(json).endsWith(' and others refer to it.')]).toEqual([409, 10, true]);
  });

  it('is not held by what the server signed or recorded', async () => {
    const { server } = world;
    expect((await server.admin.call('DELETE', 'Patient/alice')).status).toBe(204);
    await put(server, patient('alice'));
  });
});

it('of a deletion and a reference made at the same time, one is refused', async () => {
  const { insurer } = world;
  for (let round = 0; round < 12; round++) {
    const made = `Practitioner/${String((await insurer.call('POST', 'Practitioner', practitioner('x'))).json['id'])}`;
    const create = () => insurer.call('POST', 'Observation', about(performed(made)));
    const remove = () => insurer.call('DELETE', made);
    const [a, b] = await Promise.all(round % 2 === 0 ? [create(), remove()] : [remove(), create()]);
    const [created, removed] = round % 2 === 0 ? [a, b] : [b, a];
    expect([`${created.status} ${removed.status}`]).toContainEqual(expect.stringMatching(/^(201 409|422 204)$/));
  }
});

it('says so in the CapabilityStatement', async () => {
  const { json } = await world.insurer.call('GET', 'metadata');
  const rest = json['rest'] as { resource: { referencePolicy: string[] }[] }[];
  expect(rest[0]?.resource[0]?.referencePolicy).toEqual(['literal', 'enforced']);
});
