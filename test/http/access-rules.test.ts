/** The numbered rules of consent.md §2 that concern writers, Binaries, purposes and the implicit policies, on the real server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSession, enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  type Registered,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
const CONFIDENTIALITY = 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality';
const SENSITIVITY = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
const labelled = (...security: Json[]): Json => ({ meta: { security } });
const rank = (code: string): Json => ({ system: CONFIDENTIALITY, code });

let server: RealServer;
let insurer: Registered;
let rival: Session;
let hospital: Session;
let alice: Session;
let custodian: Key;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER, 'Organization/rival']) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  await put(server, observation('o-alice', 'Patient/alice', labelled(rank('R'))));
  insurer = await register(server, { actor: INSURER, purposes: ['TREAT', 'HPAYMT'] });
  rival = (await register(server, { actor: 'Organization/rival' })).session;
  hospital = (await register(server, { actor: HOSPITAL })).session;
  alice = (await register(server, { actor: 'Patient/alice' })).session;
  custodian = await enrolKey(server.admin, HOSPITAL);
  const key = await enrolKey(server.admin, 'Patient/alice');
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER }), [key, custodian]);
  const ordinary = { securityLabel: [rank('N')] };
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: 'Organization/rival', provision: ordinary }), [key, custodian]);
});
afterAll(() => server.stop());

describe('nobody widens their own view by writing (rule 21)', () => {
  const directory: Json[] = [
    { resourceType: 'Organization', name: 'mine', partOf: { reference: HOSPITAL } },
    { resourceType: 'Group', type: 'person', actual: true, member: [{ entity: { reference: 'Device/mine' } }] },
    { resourceType: 'CareTeam', status: 'active', participant: [{ member: { reference: INSURER } }] },
    { resourceType: 'PractitionerRole', organization: { reference: HOSPITAL } },
  ];

  it.each(directory)('$resourceType is written by the administrator and by custodians only', async (resource) => {
    const type = String(resource['resourceType']);
    for (const session of [insurer.session, rival, alice]) {
      expect((await session.call('POST', type, resource)).status).toBe(403);
      for (const id of ['hospital', 'no-such']) {
        expect((await session.call('PUT', `${type}/${id}`, { ...resource, id })).status).toBe(403);
        expect((await session.call('DELETE', `${type}/${id}`)).status).toBe(403);
      }
      const entry = [{ resource, request: { method: 'POST', url: type } }];
      expect((await session.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry })).status).toBe(403);
    }
    expect((await hospital.call('POST', type, resource)).status).toBe(201);
    expect((await server.admin.call('POST', type, resource)).status).toBe(201);
  });

  it('a label is not lowered and a patient not dropped by whoever may write', async () => {
    expect([(await insurer.session.call('GET', 'Observation/o-alice')).status, (await rival.call('GET', 'Observation/o-alice')).status]).toEqual([
      200, 404,
    ]);
    const lowered = observation('o-alice', 'Patient/alice', labelled(rank('N')));
    expect((await insurer.session.call('PUT', 'Observation/o-alice', lowered)).status).toBe(200);
    expect((await rival.call('GET', 'Observation/o-alice')).status).toBe(404);
    expect((await insurer.session.call('PUT', 'Observation/o-alice', observation('o-alice', 'Patient/bob', labelled(rank('N'))))).status).toBe(200);
    // Now it names two: both must permit, and Alice’s trail goes on.
    expect((await insurer.session.call('GET', 'Observation/o-alice')).status).toBe(404);
    expect((await alice.call('GET', 'Observation/o-alice')).status).toBe(404);
    expect((await server.admin.call('GET', 'AuditEvent?patient=Patient/alice&_count=1000')).text).toContain('"code":"update"');
  });

  it('what the administrator or a custodian relabels is decided anew at once', async () => {
    await put(server, observation('o-relabelled', 'Patient/alice', labelled(rank('V'))));
    expect((await rival.call('GET', 'Observation/o-relabelled')).status).toBe(404);
    await put(server, observation('o-relabelled', 'Patient/alice', labelled(rank('N'))));
    expect((await rival.call('GET', 'Observation/o-relabelled')).status).toBe(200);
    await put(server, observation('o-relabelled', 'Patient/alice'));
    expect((await rival.call('GET', 'Observation/o-relabelled')).status).toBe(404);
  });
});

describe('Binary (rule 18)', () => {
  it('without a securityContext is for its writer; with one, for whoever may read that', async () => {
    const binary = { resourceType: 'Binary', contentType: 'text/plain', data: 'aGVsbG8=' };
    const idOf = async (session: Session, more: Json = {}) => String((await session.call('POST', 'Binary', { ...binary, ...more })).json['id']);
    const statuses = (id: string) =>
      Promise.all([insurer.session, rival, alice, server.admin].map(async (session) => (await session.call('GET', `Binary/${id}`)).status));
    expect(await statuses(await idOf(insurer.session))).toEqual([200, 404, 404, 404]);
    expect(await statuses(await idOf(hospital))).toEqual([404, 404, 404, 404]);
    expect(await statuses(await idOf(server.admin, { securityContext: { reference: 'Patient/alice' } }))).toEqual([200, 404, 200, 404]);
  });
});

describe('purpose and actor', () => {
  it('come from the token, never from a header or a parameter', async () => {
    await put(server, observation('o-purpose', 'Patient/alice'));
    const asPayer = await createSession(server.bootstrap, insurer.client, 'system/*.rs', 'HPAYMT');
    const asCarer = await createSession(server.bootstrap, insurer.client, 'system/*.rs', 'TREAT');
    expect([(await asPayer.call('GET', 'Observation/o-purpose')).status, (await asCarer.call('GET', 'Observation/o-purpose')).status]).toEqual([
      404, 200,
    ]);
    const claims = {
      'purpose-of-use': 'TREAT',
      purpose_of_use: 'TREAT',
      'x-purpose-of-use': 'TREAT',
      'x-actor': 'Patient/alice',
      'x-client-id': insurer.client.client_id,
    };
    expect((await asPayer.call('GET', 'Observation/o-purpose', undefined, claims)).status).toBe(404);
    await expect(createSession(server.bootstrap, insurer.client, 'system/*.rs', 'PUBHLTH')).rejects.toThrow();
  });

  it('a removed or changed client is refused on its next request', async () => {
    const { client, session } = await register(server, { actor: INSURER });
    expect((await session.call('GET', 'Observation/o-purpose')).status).toBe(200);
    expect((await server.admin.call('DELETE', `/admin/clients/${client.client_id}`)).status).toBe(204);
    expect((await session.call('GET', 'Observation/o-purpose')).status).toBe(401);
    const second = await register(server, { actor: INSURER });
    const { json } = await server.admin.call('GET', `/admin/clients/${second.client.client_id}`);
    expect((await server.admin.call('PUT', `/admin/clients/${second.client.client_id}`, { ...json, actor: 'Organization/rival' })).status).toBe(200);
    expect((await second.session.call('GET', 'Observation/o-purpose')).status).toBe(401);
  });
});

describe('the implicit policy', () => {
  async function under(settings: Readonly<Record<string, string>>, check: (other: RealServer) => Promise<void>): Promise<void> {
    const other = await startRealServer(settings);
    try {
      await put(other, patient('alice'));
      await check(other);
    } finally {
      await other.stop();
    }
  }

  it('author-treatment: who wrote the current version, for treatment only', () =>
    under({ ASSENT_IMPLICIT_POLICY: 'author-treatment' }, async (other) => {
      const author = await register(other, { actor: HOSPITAL, purposes: ['TREAT', 'HPAYMT'] });
      const { session: stranger } = await register(other, { actor: INSURER });
      const { id: _id, ...resource } = observation('written', 'Patient/alice');
      const path = `Observation/${String((await author.session.call('POST', 'Observation', resource)).json['id'])}`;
      const payer = await createSession(other.bootstrap, author.client, 'system/*.rs', 'HPAYMT');
      const statuses = async () => Promise.all([author.session, payer, stranger].map(async (session) => (await session.call('GET', path)).status));
      expect(await statuses()).toEqual([200, 404, 404]);
      // Rule 16: a signed permit that speaks to the author replaces it for this patient.
      const keys = [await enrolKey(other.admin, 'Patient/alice'), await enrolKey(other.admin, HOSPITAL)];
      const onlyPatient = { class: [{ system: 'http://hl7.org/fhir/resource-types', code: 'Patient' }] };
      await agree(other, termsOf(other, { patient: 'Patient/alice', grantee: HOSPITAL, provision: onlyPatient }), keys);
      expect(await statuses()).toEqual([404, 404, 404]);
      await other.admin.call('PUT', path, { ...resource, id: path.slice('Observation/'.length) });
      expect(await statuses()).toEqual([404, 404, 404]);
    }));

  it('permit-except: all but the labels named; unlabelled is restricted', () =>
    under({ ASSENT_IMPLICIT_POLICY: 'permit-except', ASSENT_IMPLICIT_EXCEPT: 'R,HIV' }, async (other) => {
      const { session } = await register(other, { actor: INSURER });
      const labels: Record<string, Json> = {
        normal: labelled(rank('N')),
        unlabelled: {},
        restricted: labelled(rank('R')),
        very: labelled(rank('V')),
        hiv: labelled(rank('N'), { system: SENSITIVITY, code: 'HIV' }),
      };
      for (const [id, more] of Object.entries(labels)) await put(other, observation(id, 'Patient/alice', more));
      const seen = [];
      for (const id of Object.keys(labels)) if ((await session.call('GET', `Observation/${id}`)).status === 200) seen.push(id);
      expect(seen).toEqual(['normal']);
      expect((await session.call('GET', 'Observation?_summary=count')).json['total']).toBe(1);
    }));

  it('break-glass: purpose BTG alone opens nothing, not even to the actors named', () =>
    under({ ASSENT_IMPLICIT_POLICY: 'break-glass', ASSENT_BREAK_GLASS_ACTORS: 'Practitioner/7' }, async (other) => {
      await put(other, observation('o', 'Patient/alice'));
      const named = await register(other, { actor: 'Practitioner/7', purposes: ['BTG'] });
      expect((await named.session.call('GET', 'Observation/o')).status).toBe(404);
    }));
});
