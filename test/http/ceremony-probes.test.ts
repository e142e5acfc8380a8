/**
 * What can be asked around the signing of Consents and keys with any valid token and a database of hints: ids of Consents, thumbprints of keys, numbers
 * of the directory, places that were a Patient's. Hidden and absent are answered alike. consent.md §1, §3, docs/adr/0043-whom-an-identifier-leads-to.md
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Key, partOf, type Session, submit } from '../../server/commands/demo/session.ts';
import { approve, askFor, refuse, requestTasks, type Task, toldOf } from '../support/consent-requests.ts';
import { freshKey, keyStatement } from '../support/key-ceremony.ts';
import {
  agree,
  HOSPITAL,
  type InForce,
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

const [INSURER, LOADER, PARTNER] = ['Organization/insurer', 'Organization/loader', 'Organization/partner'];
const mrn = { system: 'urn:mrn', value: 'a1' };

let server: RealServer;
let insurer: Session;
let loader: Session;
let hospital: Session;
let alice: Session;
let partner: Session;
let key: Key;
let custodian: Key;
/** Of Alice, about somebody else than the insurer. */
let others: InForce;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER, LOADER, PARTNER]) await put(server, organization(reference));
  await put(server, { ...patient('alice'), identifier: [mrn] });
  key = await enrolKey(server.admin, 'Patient/alice');
  custodian = await enrolKey(server.admin, HOSPITAL);
  insurer = (await register(server, { actor: INSURER })).session;
  loader = (await register(server, { actor: LOADER, choosesIds: true })).session;
  partner = (await register(server, { actor: PARTNER })).session;
  hospital = (await register(server, { actor: HOSPITAL })).session;
  alice = (await register(server, { actor: 'Patient/alice', purposes: ['PATRQT'] })).session;
  others = await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: PARTNER }), [key, custodian]);
});
afterAll(() => server?.stop());

const prepareAs = (session: Session, consent: Json, more: readonly Json[] = []): Promise<Answer> =>
  session.call('POST', 'Consent/$prepare', {
    resourceType: 'Parameters',
    parameter: [{ name: 'consent', resource: consent }, { name: 'language', valueCode: 'en' }, ...more],
  });

describe('$prepare', () => {
  const keysFor = async (session: Session, grantee: string): Promise<readonly string[]> => {
    const prepared = await prepareAs(session, termsOf(server, { patient: 'Patient/alice', grantee }));
    expect(prepared.status).toBe(200);
    const { requesters } = JSON.parse(partOf(prepared.json, 'statement')) as { requesters: readonly { readonly keys: readonly string[] }[] };
    return requesters.flatMap(({ keys }) => keys);
  };

  it('tells nobody but the patient and an administrator that a patient has keys', async () => {
    expect([await keysFor(insurer, 'Patient/alice'), await keysFor(insurer, 'Patient/absent')]).toEqual([[], []]);
    expect([await keysFor(server.admin, 'Patient/alice'), await keysFor(alice, 'Patient/alice')]).toEqual([[key.kid], [key.kid]]);
    expect(await keysFor(insurer, HOSPITAL)).toHaveLength(1);
  });

  it('supersedes what the caller has a part in: a Consent of others is answered like none', async () => {
    const superseding = (session: Session, consent: string) =>
      prepareAs(session, termsOf(server, { patient: 'Patient/alice', grantee: INSURER }), [
        { name: 'supersedes', valueReference: { reference: consent } },
      ]);
    const [hidden, absent] = [await superseding(insurer, others.consent), await superseding(insurer, 'Consent/absent')];
    expect(hidden.status).toBe(422);
    expect(normalised(hidden)).toEqual(normalised(absent));
    // Whom it grants something to reads no Consent either.
    expect(normalised(await superseding(partner, others.consent))).toEqual(normalised(await superseding(partner, 'Consent/absent')));
    for (const session of [server.admin, hospital, alice]) expect((await superseding(session, others.consent)).text).toContain(others.digest);
  });

  it('finds an actor by an identifier among what every token reads: an entry that names a patient is none', async () => {
    const number = (value: string) => [{ system: 'urn:staff', value }];
    await put(server, { resourceType: 'Practitioner', id: 'plain', identifier: number('1') });
    const about = { url: 'urn:is', valueReference: { reference: 'Patient/alice' } };
    await put(server, { resourceType: 'Practitioner', id: 'hidden', identifier: number('2'), extension: [about] });
    const named = (value: string) => {
      const terms = termsOf(server, { patient: 'Patient/alice', grantee: INSURER });
      const provision = terms['provision'] as { readonly actor: readonly [Json] };
      const actor = [{ ...provision.actor[0], reference: { identifier: number(value)[0] } }];
      return prepareAs(insurer, { ...terms, provision: { ...provision, actor } });
    };
    expect((await named('1')).text).toContain('Practitioner/plain');
    const hidden = await named('2');
    expect(hidden.status).toBe(422);
    expect(normalised(hidden)).toEqual(normalised(await named('3')));
  });
});

it('$rotate-key looks at the new key once the present one has signed: a thumbprint tells nobody whose key it is', async () => {
  const claimed = (kid: string) =>
    `${Buffer.from(JSON.stringify({ alg: 'ES256', kid })).toString('base64url')}..${randomBytes(64).toString('base64url')}`;
  const ask = (kid: string, jwk: Json) => {
    const statement = keyStatement(server, 'key-rotation', { owner: 'Patient/alice', jwk, retires: false });
    const signatures = [claimed(kid), claimed('another')].map((valueString) => ({ name: 'signature', valueString }));
    return insurer.call('POST', '$rotate-key', {
      resourceType: 'Parameters',
      parameter: [{ name: 'statement', valueString: statement }, ...signatures],
    });
  };
  for (const jwk of [{ kty: 'none' }, freshKey('Patient/alice').jwk as Json]) {
    const [known, unknown] = [await ask(key.kid, jwk), await ask('unknown', jwk)];
    expect(known.status).toBe(422);
    expect(normalised(known)).toEqual(normalised(unknown));
  }
});

it('$approve and $sign say the same to whoever signs with no key of a signer, whatever has become of the request: also to the one who asked', async () => {
  const terms = (patient: string) => termsOf(server, { patient, grantee: INSURER });
  const until = new Date(server.now() + 3_600_000).toISOString();
  const asked = await askFor(insurer, terms('Patient/alice'), until);
  expect(asked.status).toBe(202);
  const request = await toldOf(asked.json as Task, alice);
  const junk = freshKey('Patient/alice');
  const told = async (consent: string) => normalised(await approve(insurer, { consent, statement: 'x' }, [junk]), consent);
  const signed = async () => normalised(await submit(insurer, request.statement, [junk]));
  const unasked = await told('Consent/absent');
  expect(unasked.status).toBe(422);
  const open = [await told(request.consent), await signed()];
  expect(open).toEqual([unasked, unasked]);
  expect((await refuse(alice, request, { key, now: server.now() })).status).toBe(200);
  expect([await told(request.consent), await signed()]).toEqual(open);
  // Who asked is told at the deadline; a signer at once.
  const [own] = (await requestTasks(insurer, 'consent')).filter(({ id }) => id === asked.json['id']);
  expect(own?.status).toBe('requested');
  expect((await approve(alice, request, [key])).text).toContain('over');
  // Nor does a malformed signature tell more.
  const malformed = async (consent: string) => normalised(await approve(insurer, { consent, statement: 'x' }, [{ ...junk, kid: '' }, junk]), consent);
  expect(await malformed(request.consent)).toEqual(await malformed('Consent/absent'));
});

describe('who may choose ids', () => {
  it('does not find out by trying which patient a Binary is about', async () => {
    const binary = (id: string, reference?: string): Json => ({
      resourceType: 'Binary',
      id,
      contentType: 'text/plain',
      data: 'aGk=',
      ...(reference === undefined ? {} : { securityContext: { reference } }),
    });
    await put(server, binary('scan', 'Patient/alice'));
    await put(server, binary('plain'));
    const told = async (id: string, reference?: string) => normalised(await loader.call('PUT', `Binary/${id}`, binary(id, reference)), id);
    const right = await told('scan', 'Patient/alice');
    expect(right.status).toBe(422);
    expect([await told('scan', 'Patient/other'), await told('scan'), await told('plain')]).toEqual([right, right, right]);
    expect((await loader.call('PUT', 'Binary/own', binary('own'))).status).toBe(201);
    expect((await loader.call('PUT', 'Binary/own', binary('own'))).status).toBe(200);
    expect((await hospital.call('PUT', 'Binary/scan', binary('scan', 'Patient/alice'))).status).toBe(404);
    await put(server, binary('scan', 'Patient/alice'));
  });

  it('brings back a Patient that a custodian deleted without the identifiers it had: what they named stays as it was left', async () => {
    const number = { system: 'urn:mrn', value: 'c1' };
    const record = (id: string): Json => ({ ...patient(id), identifier: [number] });
    await put(server, record('carol'));
    await put(server, observation('by-number', '', { subject: { identifier: number } }));
    const self = async (id: string) => (await register(server, { actor: `Patient/${id}`, purposes: ['PATRQT'] })).session;
    const [carol, erin] = [await self('carol'), await self('erin')];
    const see = async () => Promise.all([carol, erin].map(async (session) => (await session.call('GET', 'Observation/by-number')).status));
    expect(await see()).toEqual([200, 404]);
    expect((await server.admin.call('DELETE', 'Patient/carol')).status).toBe(204);
    expect(await see()).toEqual([404, 404]);
    expect((await loader.call('PUT', 'Patient/carol', record('carol'))).status).toBe(201);
    expect([(await carol.call('GET', 'Patient/carol')).status, await see()]).toEqual([200, [404, 404]]);
    // Somebody else has come to have the number: they alone have it.
    await put(server, record('erin'));
    expect(await see()).toEqual([404, 200]);
    await put(server, patient('erin'));
    await put(server, record('carol'));
    expect(await see()).toEqual([200, 404]);
  });

  it('brings it back without its links as well: what another record denied is not denied again by whoever keeps no records', async () => {
    const record = (id: string, other: string): Json => ({ ...patient(id), link: [{ type: 'seealso', other: { reference: `Patient/${other}` } }] });
    await put(server, patient('gus'));
    await put(server, record('fay', 'gus'));
    await put(server, observation('of-gus', 'Patient/gus'));
    const keys = async (id: string) => [await enrolKey(server.admin, `Patient/${id}`), custodian];
    await agree(server, termsOf(server, { patient: 'Patient/gus', grantee: PARTNER }), await keys('gus'));
    await agree(server, termsOf(server, { patient: 'Patient/fay', grantee: PARTNER, provision: { type: 'deny' } }), await keys('fay'));
    const sees = async () => (await partner.call('GET', 'Observation/of-gus')).status;
    expect(await sees()).toBe(404);
    expect((await server.admin.call('DELETE', 'Patient/fay')).status).toBe(204);
    expect(await sees()).toBe(200);
    expect((await loader.call('PUT', 'Patient/fay', record('fay', 'gus'))).status).toBe(201);
    expect(await sees()).toBe(200);
    await put(server, record('fay', 'gus'));
    expect(await sees()).toBe(404);
  });
});
