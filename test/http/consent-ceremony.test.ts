/**
 * Preparing, signing, superseding, suspending and withdrawing over HTTP with real keys: what establishes a Consent, what does not, and that
 * what does not leaves nothing behind. consent.md §4–§5, interface.md §3
 */
import { generateKeyPairSync } from 'node:crypto';
import canonicalize from 'canonicalize';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Answer,
  enrolKey,
  type Json,
  jws,
  type Key,
  partOf,
  prepare,
  type Session,
  submit,
  withdraw,
} from '../../server/commands/demo/session.ts';
import { freshKey, rotate } from '../support/key-ceremony.ts';
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
  withdrawNow,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';

type World = {
  readonly server: RealServer;
  readonly insurer: Session;
  readonly custodian: Key;
  /** A new patient with one Observation and a key of their own. */
  person(): Promise<{ readonly reference: string; readonly key: Key; readonly terms: Json }>;
};

let counter = 0;

async function createWorld(settings: Readonly<Record<string, string>> = {}): Promise<World> {
  const server = await startRealServer(settings);
  for (const reference of [HOSPITAL, INSURER, 'Organization/other']) await put(server, organization(reference));
  const { session: insurer } = await register(server, { actor: INSURER });
  const custodian = await enrolKey(server.admin, HOSPITAL);
  return {
    server,
    insurer,
    custodian,
    async person() {
      const id = `p${++counter}`;
      await put(server, patient(id));
      await put(server, observation(`o-${id}`, `Patient/${id}`));
      const reference = `Patient/${id}`;
      return { reference, key: await enrolKey(server.admin, reference), terms: termsOf(server, { patient: reference, grantee: INSURER }) };
    },
  };
}

let world: World;
let patientOnly: World;
beforeAll(async () => {
  [world, patientOnly] = [await createWorld(), await createWorld({ ASSENT_APPROVALS: 'patient' })];
});
afterAll(() => Promise.all([world.server.stop(), patientOnly.server.stop()]));

/** How many Consents and Provenances there are, and the newest of each: what the administrator sees of a change. */
async function stored({ server: { admin } }: World): Promise<string> {
  const [consents, provenances] = await Promise.all(
    ['Consent', 'Provenance'].map((type) => admin.call('GET', `${type}?_count=1&_sort=-_lastUpdated`)),
  );
  return JSON.stringify([consents, provenances].map((found) => [found?.json['total'], found?.json['entry']]));
}

async function unchangedBy(act: () => Promise<Answer>, expected = 422): Promise<Answer> {
  const before = await stored(world);
  const answer = await act();
  expect([answer.status, answer.json['resourceType']]).toEqual([expected, 'OperationOutcome']);
  expect((await stored(world)) === before).toBe(true);
  return answer;
}

const sees = async ({ insurer }: World, reference: string) =>
  (await insurer.call('GET', `Observation/o-${reference.slice('Patient/'.length)}`)).status;

function signWith(statement: string, signatures: readonly { readonly who: string; readonly jws: string }[]): Json {
  const signature = signatures.map(({ who, jws: text }) => ({
    name: 'signature',
    part: [
      { name: 'who', valueReference: { reference: who } },
      { name: 'jws', valueString: text },
    ],
  }));
  return { resourceType: 'Parameters', parameter: [{ name: 'statement', valueString: statement }, ...signature] };
}

describe('two signatures', () => {
  it.each(['patient first', 'custodian first'])('%s: 202, then 201, then 200 for ever the same Consent', async (order) => {
    const { server, custodian } = world;
    const { reference, key, terms } = await world.person();
    const statement = partOf(await prepare(server.admin, terms), 'statement');
    const [first, second] = order === 'patient first' ? [key, custodian] : [custodian, key];
    const one = await submit(server.admin, statement, [first]);
    expect([one.status, one.json['status'], await sees(world, reference)]).toEqual([202, 'proposed', 404]);
    const again = await submit(server.admin, statement, [first]);
    expect([again.status, again.json['id'], await sees(world, reference)]).toEqual([202, one.json['id'], 404]);
    const both = await submit(server.admin, statement, [second]);
    expect([both.status, both.json['status'], both.json['id'], await sees(world, reference)]).toEqual([201, 'active', one.json['id'], 200]);
    expect(both.headers.get('location')).toContain(`Consent/${String(one.json['id'])}`);
    const repeated = await submit(server.admin, statement, [key, custodian]);
    expect([repeated.status, repeated.text]).toEqual([200, both.text]);
  });

  it('sent at once: 201; anyone may carry them, for the signatures authorise', async () => {
    const { reference, key, terms } = await world.person();
    const statement = partOf(await prepare(world.insurer, terms), 'statement');
    const both = await submit(world.insurer, statement, [key, world.custodian]);
    expect([both.status, await sees(world, reference)]).toEqual([201, 200]);
  });

  it('the patient alone is enough where the operator says so, the custodian alone never', async () => {
    const { server, custodian } = patientOnly;
    const { reference, key, terms } = await patientOnly.person();
    const statement = partOf(await prepare(server.admin, terms), 'statement');
    expect([(await submit(server.admin, statement, [custodian])).status, await sees(patientOnly, reference)]).toEqual([202, 404]);
    expect([(await submit(server.admin, statement, [key])).status, await sees(patientOnly, reference)]).toEqual([201, 200]);
  });
});

describe('what does not establish a Consent is 422 and stores nothing', () => {
  it('terms changed after preparing, by one byte or as JSON that means the same', async () => {
    const { key, terms } = await world.person();
    const statement = partOf(await prepare(world.server.admin, terms), 'statement');
    for (const changed of [
      statement.replace('"TREAT"', '"HPAYMT"'),
      statement.replace('"permit"', '"deny"'),
      ` ${statement}`,
      JSON.stringify(JSON.parse(statement), null, 1),
      statement.replace(world.server.bootstrap.fhirBaseUrl, 'https://other.example.org/fhir'),
      '{}',
      'null',
      '[]',
    ])
      await unchangedBy(() => submit(world.server.admin, changed, [key, world.custodian]));
  });

  it('a signature over other terms, with another payload, algorithm or header, or in another name', async () => {
    const { key, terms, reference } = await world.person();
    const stranger = await world.person();
    const statement = partOf(await prepare(world.server.admin, terms), 'statement');
    const other = partOf(await prepare(world.server.admin, terms), 'statement');
    const good = jws(key, statement, true);
    const [, , bytes] = good.split('.');
    const header = (value: object) => `${Buffer.from(JSON.stringify(value)).toString('base64url')}..${bytes}`;
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const bad: [string, string][] = [
      [reference, jws(key, other, true)],
      [reference, jws(key, statement, false)],
      [stranger.reference, good],
      [stranger.reference, jws(stranger.key, statement, true)],
      [reference, jws({ ...stranger.key, owner: reference }, statement, true)],
      [reference, jws({ ...key, privateKey }, statement, true)],
      [reference, jws({ ...key, kid: 'unknown' }, statement, true)],
      [reference, header({ alg: 'EdDSA', kid: key.kid })],
      [reference, header({ alg: 'none', kid: key.kid })],
      [reference, header({ alg: 'ES256', kid: key.kid, crit: ['b64'], b64: false })],
      [reference, `${good.slice(0, -2)}${good.at(-2) === 'A' ? 'B' : 'A'}${good.slice(-1)}`],
      [reference, good.replace('..', '.')],
      [HOSPITAL, good],
    ];
    for (const [who, text] of bad)
      await unchangedBy(() => world.server.admin.call('POST', 'Consent/$sign', signWith(statement, [{ who, jws: text }])));
    // One bad signature beside a good one spoils both; the same key twice is one signer.
    await unchangedBy(() => submit(world.server.admin, statement, [key, stranger.key]));
    await unchangedBy(() => submit(world.server.admin, statement, [key, key]));
    expect((await submit(world.server.admin, statement, [key, world.custodian])).status).toBe(201);
  });

  it('a revoked key', async () => {
    const { admin } = world.server;
    const { key, terms, reference } = await world.person();
    const second = freshKey(reference);
    expect((await rotate(world.server, { present: key, next: second, retires: false })).status).toBe(201);
    const statement = partOf(await prepare(admin, terms), 'statement');
    const revoked = await admin.call('POST', `/admin/keys/${key.kid}/revoke`, { reason: 'lost' });
    expect(revoked.status).toBe(200);
    await unchangedBy(() => submit(admin, statement, [key, world.custodian]));
    expect((await submit(admin, statement, [second, world.custodian])).status).toBe(201);
  });

  it('a compromised key voids what it signed since, a lost one does not', async () => {
    const { admin, now } = world.server;
    const [lost, stolen] = [await world.person(), await world.person()];
    for (const { terms, key } of [lost, stolen]) await agree(world.server, terms, [key, world.custodian]);
    await admin.call('POST', `/admin/keys/${lost.key.kid}/revoke`, { reason: 'lost' });
    expect(await sees(world, lost.reference)).toBe(200);
    const since = new Date(now() - 3_600_000).toISOString();
    expect((await admin.call('POST', `/admin/keys/${stolen.key.kid}/revoke`, { reason: 'stolen', compromisedSince: since })).status).toBe(200);
    expect(await sees(world, stolen.reference)).toBe(404);
  });

  it('the grantee, a requester’s key, another hospital and a relative as the custodian', async () => {
    const { admin } = world.server;
    const { key, terms } = await world.person();
    const requesterKey = await enrolled(admin, INSURER, { role: 'requester' });
    const insurerKey = await enrolKey(admin, INSURER);
    const otherKey = await enrolKey(admin, 'Organization/other');
    const relative = await enrolKey(admin, 'RelatedPerson/r1');
    const statement = partOf(await prepare(admin, terms), 'statement');
    for (const wrong of [requesterKey, insurerKey, otherKey, relative]) await unchangedBy(() => submit(admin, statement, [key, wrong]));
    // Naming itself as custodian does not help the grantee: the hospital manages this patient.
    for (const organizations of [[INSURER], [HOSPITAL, INSURER], ['Organization/other']]) {
      const named = { ...terms, organization: organizations.map((reference) => ({ reference })) };
      const text = partOf(await prepare(admin, named), 'statement');
      await unchangedBy(() => submit(admin, text, [key, organizations.at(-1) === INSURER ? insurerKey : otherKey]));
      await unchangedBy(() => submit(admin, text, [key, requesterKey]));
    }
  });

  it('a parent of the managing organization may countersign', async () => {
    const { server } = world;
    await put(server, { ...organization('Organization/clinic'), partOf: { reference: HOSPITAL } });
    await put(server, { ...patient('p-clinic'), managingOrganization: { reference: 'Organization/clinic' } });
    await put(server, observation('o-p-clinic', 'Patient/p-clinic'));
    const key = await enrolKey(server.admin, 'Patient/p-clinic');
    await agree(server, termsOf(server, { patient: 'Patient/p-clinic', grantee: INSURER }), [key, world.custodian]);
    expect(await sees(world, 'Patient/p-clinic')).toBe(200);
  });

  it('a replay of the old statement after a withdrawal', async () => {
    const { reference, key, terms } = await world.person();
    const agreed = await agree(world.server, terms, [key, world.custodian]);
    expect((await withdrawNow(world.server, agreed, key)).status).toBe(200);
    await unchangedBy(() => submit(world.server.admin, agreed.statement, [key, world.custodian]));
    expect(await sees(world, reference)).toBe(404);
  });

  const coded = (system: string, code: string) => ({ coding: [{ system, code }] });
  const PURPOSE = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';
  it.each<[string, Json]>([
    ['an unknown purpose', { purpose: [{ system: PURPOSE, code: 'NOSUCH' }] }],
    ['a purpose of another system', { purpose: [{ system: 'urn:mine', code: 'TREAT' }] }],
    ['an unknown label', { securityLabel: [{ system: 'urn:mine', code: 'R' }] }],
    ['an unknown class', { class: [{ system: 'http://hl7.org/fhir/resource-types', code: 'Nothing' }] }],
    ['a code without its system', { code: [{ coding: [{ code: '8867-4' }] }] }],
    ['an unknown action', { action: [coded('urn:mine', 'read')] }],
    ['a period that is over', { period: { start: '2019-01-01', end: '2020-01-01' } }],
    ['single resources by identifier', { data: [{ meaning: 'related', reference: { identifier: { value: '1' } } }] }],
    ['an extension', { extension: [{ url: 'urn:mine', valueBoolean: true }] }],
    ['an extension further down', { purpose: [{ system: PURPOSE, code: 'TREAT', extension: [{ url: 'urn:mine', valueBoolean: true }] }] }],
    [
      'an actor in another role',
      { actor: [{ role: coded('http://terminology.hl7.org/CodeSystem/v3-ParticipationType', 'AUT'), reference: { reference: INSURER } }] },
    ],
    [
      'an actor by identifier',
      { actor: [{ role: coded('http://terminology.hl7.org/CodeSystem/v3-ParticipationType', 'IRCP'), reference: { identifier: { value: '1' } } }] },
    ],
    ['something unknown in a nested provision', { provision: [{ type: 'deny', purpose: [{ system: PURPOSE, code: 'NOSUCH' }] }] }],
  ])('a provision with %s, already at the door', async (_what, provision) => {
    const { reference } = await world.person();
    const terms = termsOf(world.server, { patient: reference, grantee: INSURER, provision });
    const body = (consent: Json) => ({
      resourceType: 'Parameters',
      parameter: [
        { name: 'consent', resource: consent },
        { name: 'language', valueCode: 'en' },
      ],
    });
    await unchangedBy(() => world.server.admin.call('POST', 'Consent/$prepare', body(terms)));
  });
});

describe('how a Consent is read', () => {
  const CODES = { class: [{ system: 'http://hl7.org/fhir/resource-types', code: 'Condition' }] };
  const OPTOUT = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'OPTOUT' }] };
  const unnamed = (terms: Json) => ({ ...terms, policy: undefined, policyRule: OPTOUT });
  const prepared = (consent: Json, language = 'en') =>
    world.server.admin.call('POST', 'Consent/$prepare', {
      resourceType: 'Parameters',
      parameter: [
        { name: 'consent', resource: consent },
        { name: 'language', valueCode: language },
      ],
    });

  it('without a word about it: by our reading, where there is only one', async () => {
    const { reference, key, terms } = await world.person();
    const agreed = await agree(world.server, unnamed(terms), [key, world.custodian]);
    expect(agreed.body['policy']).toEqual([{ uri: 'urn:assent:consent-semantics:1' }]);
    expect(await sees(world, reference)).toBe(200);
  });

  it('without a word about it and in two ways: refused with a request on which they differ, in the language of who signs', async () => {
    const { reference } = await world.person();
    const twofold = unnamed(termsOf(world.server, { patient: reference, grantee: INSURER, provision: { provision: [CODES] } }));
    const english = await prepared(twofold);
    expect([english.status, english.text]).toEqual([422, expect.stringMatching(/two ways.*Condition.*Organization\/insurer/)]);
    expect((await prepared(twofold, 'zh')).text).toMatch(/两种理解/);
    expect((await prepared({ ...twofold, policyRule: { text: 'opt in' } })).text).toMatch(/cannot be compared/);
    expect((await prepared({ ...twofold, policy: [{ uri: 'urn:assent:consent-semantics:1' }] })).status).toBe(200);
  });

  it('by a profile of IHE PCF: what is nested takes from its parent what it does not say, and stands beside it', async () => {
    const { key, reference } = await world.person();
    const nested = [{ type: 'permit', purpose: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActReason', code: 'HPAYMT' }] }];
    const terms = termsOf(world.server, { patient: reference, grantee: INSURER, purposes: ['TREAT'], provision: { provision: nested } });
    const payer = (await register(world.server, { actor: INSURER, purposes: ['HPAYMT'] })).session;
    const seen = async () => (await payer.call('GET', reference)).status;
    const ours = await agree(world.server, terms, [key, world.custodian]);
    expect(await seen()).toBe(404);
    await withdrawNow(world.server, ours, key);
    const profile = ['https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consentIntermediate'];
    await agree(world.server, { ...terms, meta: { profile }, policy: [{ uri: 'http://example.org/base-policy' }] }, [key, world.custodian]);
    expect(await seen()).toBe(200);
  });

  it('an actor by identifier is the one entry of the directory that has it', async () => {
    const { server, custodian } = world;
    const { reference, key, terms } = await world.person();
    const identifier = { system: 'urn:test:providers', value: 'a|b,1' };
    await put(server, { ...organization('Organization/by-number'), identifier: [identifier] });
    const grantee = (await register(server, { actor: 'Organization/by-number' })).session;
    const provision = terms['provision'] as Json;
    const [actor] = provision['actor'] as readonly Json[];
    const byNumber = { ...terms, provision: { ...provision, actor: [{ ...actor, reference: { identifier } }] } };
    const agreed = await agree(server, byNumber, [key, custodian]);
    expect(agreed.statement).toContain('Organization/by-number');
    expect((await grantee.call('GET', reference)).status).toBe(200);
    await put(server, { ...organization('Organization/also'), identifier: [identifier] });
    await unchangedBy(() => prepared(byNumber));
  });
});

describe('after signing', () => {
  it('a newer Consent supersedes in one commit; another patient’s or an ended one cannot be superseded', async () => {
    const { server, custodian } = world;
    const { reference, key, terms } = await world.person();
    const stranger = await world.person();
    const old = await agree(server, terms, [key, custodian]);
    const superseding = (consent: Json, what: string) =>
      server.admin.call('POST', 'Consent/$prepare', {
        resourceType: 'Parameters',
        parameter: [
          { name: 'consent', resource: consent },
          { name: 'language', valueCode: 'en' },
          { name: 'supersedes', valueReference: { reference: what } },
        ],
      });
    await unchangedBy(() => superseding(stranger.terms, old.consent));
    const narrower = termsOf(server, {
      patient: reference,
      grantee: INSURER,
      provision: { class: [{ system: 'http://hl7.org/fhir/resource-types', code: 'Patient' }] },
    });
    const prepared = await superseding(narrower, old.consent);
    const statement = partOf(prepared.json, 'statement');
    expect(statement).toContain(old.digest);
    expect((await submit(server.admin, statement, [key])).status).toBe(202);
    expect(await sees(world, reference)).toBe(200);
    expect((await submit(server.admin, statement, [custodian])).status).toBe(201);
    expect([await sees(world, reference), (await world.insurer.call('GET', reference)).status]).toEqual([404, 200]);
    expect((await server.admin.call('GET', old.consent)).json['status']).toBe('inactive');
    await unchangedBy(() => superseding(narrower, old.consent));
  });

  it('the patient withdraws alone and at once, the custodian suspends; strangers, old and other withdrawals do nothing', async () => {
    const { server, custodian } = world;
    const { admin, now } = server;
    const [mine, other] = [await world.person(), await world.person()];
    const [agreed, foreign] = [await agree(server, mine.terms, [mine.key, custodian]), await agree(server, other.terms, [other.key, custodian])];
    const attempt = (key: Key, more: Partial<{ consent: string; digest: string; now: number }> = {}) =>
      withdraw(admin, { ...agreed, now: now(), key, ...more });
    await unchangedBy(() => attempt(other.key));
    await unchangedBy(() => attempt(mine.key, { digest: foreign.digest }));
    await unchangedBy(() => attempt(mine.key, { now: now() - 3_600_000 }));
    await unchangedBy(() => attempt(mine.key, { consent: 'Consent/there-is-no-such-id' }));
    const payload =
      canonicalize({ type: 'urn:assent:withdrawal:1', consent: foreign.consent, digest: agreed.digest, created: new Date(now()).toISOString() }) ??
      '';
    const misdirected = { resourceType: 'Parameters', parameter: [{ name: 'jws', valueString: jws(mine.key, payload, false) }] };
    await unchangedBy(() => admin.call('POST', `${foreign.consent}/$withdraw`, misdirected));
    expect([await sees(world, mine.reference), await sees(world, other.reference)]).toEqual([200, 200]);

    expect([(await attempt(mine.key)).status, await sees(world, mine.reference)]).toEqual([200, 404]);
    expect((await attempt(mine.key)).status).toBe(200);
    expect([(await withdrawNow(server, foreign, custodian)).status, await sees(world, other.reference)]).toEqual([200, 404]);
    await unchangedBy(() => submit(admin, foreign.statement, [other.key, custodian]));
  });

  it('no PUT, DELETE or bundle changes a signed Consent, its Provenance or an AuditEvent, not even the administrator’s', async () => {
    const { server, custodian } = world;
    const { reference, key, terms } = await world.person();
    const { consent, body } = await agree(server, terms, [key, custodian]);
    const { session: owner } = await register(server, { actor: reference });
    const ids = async (type: string) =>
      String(((await server.admin.call('GET', `${type}?_count=1`)).json['entry'] as { resource: Json }[])[0]?.resource['id']);
    const targets: [string, Json][] = [[consent, { ...body, status: 'inactive' }]];
    for (const type of ['Provenance', 'AuditEvent']) {
      const path = `${type}/${await ids(type)}`;
      targets.push([path, (await server.admin.call('GET', path)).json]);
    }
    for (const [path, resource] of targets) {
      await unchangedBy(() => server.admin.call('PUT', path, resource));
      await unchangedBy(() => server.admin.call('DELETE', path));
      await unchangedBy(() =>
        server.admin.call('POST', '', { resourceType: 'Bundle', type: 'transaction', entry: [{ request: { method: 'DELETE', url: path } }] }),
      );
      await unchangedBy(() => world.insurer.call('PUT', path, resource), 404);
    }
    await unchangedBy(() => owner.call('PUT', consent, { ...body, status: 'inactive' }));
    await unchangedBy(() => owner.call('DELETE', consent));
    const patched = await server.admin.call('PATCH', consent, [{ op: 'replace', path: '/status', value: 'inactive' }], {
      'content-type': 'application/json-patch+json',
    });
    expect([405, 422]).toContain(patched.status);
    expect(await sees(world, reference)).toBe(200);
  });

  it('what is only stored, signed by nobody, permits nothing', async () => {
    const { reference, terms } = await world.person();
    expect((await world.server.admin.call('POST', 'Consent', terms)).status).toBe(201);
    expect(await sees(world, reference)).toBe(404);
  });

  it('a period is over when it is over', async () => {
    const { server, custodian } = patientOnly;
    const { reference, key } = await patientOnly.person();
    const end = new Date(server.now() + 120_000).toISOString();
    await agree(server, termsOf(server, { patient: reference, grantee: INSURER, provision: { period: { start: '2024-01-01', end } } }), [
      key,
      custodian,
    ]);
    expect(await sees(patientOnly, reference)).toBe(200);
    server.advance(180_000);
    expect(await sees(patientOnly, reference)).toBe(404);
  });

  it('a statement is signed within a week or not at all', async () => {
    const { server } = patientOnly;
    const { key, terms } = await patientOnly.person();
    const week = 7 * 86_400_000;
    server.advance(-week);
    const statement = partOf(await prepare(server.admin, terms), 'statement');
    server.advance(week + 1);
    expect((await submit(server.admin, statement, [key])).status).toBe(422);
  });
});

/** A key with more said about it. */
async function enrolled(admin: Session, owner: string, more: Json): Promise<Key> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = await admin.call('POST', '/admin/keys', { owner, jwk: publicKey.export({ format: 'jwk' }), proofing: 'in-person', ...more });
  return { kid: String(made.json['kid']), owner, privateKey };
}
