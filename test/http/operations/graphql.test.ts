/** $graphql through the real server: what R4's page on GraphQL promises, exact values, bounds, and that hidden is as absent. */
import { buildClientSchema, getIntrospectionQuery, type IntrospectionQuery, parse, validate, validateSchema } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Session } from '../../../server/commands/demo/session.ts';
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
} from '../../support/real-server.ts';
import { eventsOf } from '../../support/trail.ts';

const INSURER = 'Organization/insurer';
const hidden = { meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] } };

let server: RealServer;
let insurer: Session;

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  await put(server, {
    ...patient('alice'),
    name: [
      { use: 'official', given: ['Alice', 'Ann'], family: 'Liddell' },
      { use: 'nickname', given: ['Al'] },
    ],
    birthDate: '1990-05-04',
    _birthDate: { extension: [{ url: 'urn:x', valueString: 'noon' }] },
    contained: [{ resourceType: 'Practitioner', id: 'gp', name: [{ family: 'Inside' }] }],
    generalPractitioner: [{ reference: '#gp' }, { reference: 'Practitioner/doctor' }],
  });
  await put(server, patient('bob'));
  await put(server, { resourceType: 'Practitioner', id: 'doctor', name: [{ family: 'Who' }] });
  for (const [id, value] of [
    ['o1', '1.50'],
    ['o2', '2e2'],
  ] as const)
    await exact(id, value);
  await put(server, observation('o-hidden', 'Patient/alice', hidden));
  await put(server, observation('o-bob', 'Patient/bob'));
  await put(server, { resourceType: 'Condition', id: 'c1', subject: { reference: 'Patient/alice' }, asserter: { reference: 'Practitioner/never' } });
  insurer = (await register(server, { actor: INSURER })).session;
  const keys = [await enrolKey(server.admin, 'Patient/alice'), await enrolKey(server.admin, HOSPITAL)];
  const provision = { provision: [{ type: 'deny', securityLabel: hidden.meta.security }] };
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER, provision }), keys);
});
afterAll(() => server.stop());

async function send(url: string, body: string, type: string, session = insurer): Promise<Answer> {
  const headers = { authorization: `Bearer ${session.token}`, 'content-type': type };
  const response = await fetch(`${server.bootstrap.fhirBaseUrl}/${url}`, { method: 'POST', headers, body });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: JSON.parse(text) as Json };
}

async function exact(id: string, value: string): Promise<void> {
  const text = JSON.stringify(observation(id, 'Patient/alice', { performer: [{ reference: 'Practitioner/doctor' }] })).replace('72', value);
  const { fhirBaseUrl } = server.bootstrap;
  const headers = { authorization: `Bearer ${server.admin.token}`, 'content-type': 'application/fhir+json' };
  expect((await fetch(`${fhirBaseUrl}/Observation/${id}`, { method: 'PUT', headers, body: text })).status).toBe(201);
}

const ask = (query: string, { url = '$graphql', session = insurer, ...more }: Json & { url?: string; session?: Session } = {}) =>
  send(url, JSON.stringify({ query, ...more }), 'application/json', session);
const dataOf = async (query: string, more: Parameters<typeof ask>[1] = {}) => {
  const answer = await ask(query, more);
  expect([answer.status, answer.json['errors'], answer.text]).toEqual([200, undefined, expect.any(String)]);
  return answer.json['data'];
};

describe('a query of the system', () => {
  it('reads a resource, its elements, aliases and lists', async () => {
    expect(
      await dataOf(
        '{ Patient(id: "alice") { id resourceType __typename birth: birthDate gender name { given family } _birthDate { extension { url valueString } } } }',
      ),
    ).toEqual({
      Patient: {
        id: 'alice',
        resourceType: 'Patient',
        __typename: 'Patient',
        birth: '1990-05-04',
        gender: null,
        name: [
          { given: ['Alice', 'Ann'], family: 'Liddell' },
          { given: ['Al'], family: null },
        ],
        _birthDate: { extension: [{ url: 'urn:x', valueString: 'noon' }] },
      },
    });
  });

  it('keeps every digit', async () => {
    const { text } = await ask('{ ObservationList(_sort: "date", subject: "Patient/alice") { id valueQuantity { value } } }');
    expect(text).toContain('{"value":1.50}');
    expect(text).toContain('{"value":2e2}');
  });

  it('filters lists within a resource', async () => {
    expect(
      await dataOf(
        '{ Patient(id: "alice") { name(use: official) { family } second: name(_offset: 1, _count: 1) { given } none: name(use: old) { given } } }',
      ),
    ).toEqual({
      Patient: { name: [{ family: 'Liddell' }], second: [{ given: ['Al'] }], none: null },
    });
  });

  it('follows references, also contained ones, by fragments', async () => {
    const query = `query ($id: String!) {
      Patient(id: $id) { generalPractitioner { reference resource { ...who ... on Organization { active } } } managingOrganization { resource(type: Patient) { id } org: resource { id ... on Organization { name } } } }
    }
    fragment who on Practitioner { __typename name { family } }`;
    expect(await dataOf(query, { variables: { id: 'alice' } })).toEqual({
      Patient: {
        generalPractitioner: [
          { reference: '#gp', resource: { __typename: 'Practitioner', name: [{ family: 'Inside' }] } },
          { reference: 'Practitioner/doctor', resource: { __typename: 'Practitioner', name: [{ family: 'Who' }] } },
        ],
        managingOrganization: { resource: null, org: { id: 'hospital', name: HOSPITAL } },
      },
    });
  });

  it('a reference that leads to nothing is an error with its path, or null when optional', async () => {
    const answer = await ask('{ ConditionList(subject: "Patient/alice") { asserter { resource { id } } } }');
    expect(answer.json['errors']).toEqual([{ message: expect.any(String), path: ['ConditionList', 0, 'asserter', 'resource'] }]);
    expect(await dataOf('{ ConditionList(subject: "Patient/alice") { asserter { resource(optional: true) { id } } } }')).toEqual({
      ConditionList: [{ asserter: { resource: null } }],
    });
  });

  it('@include, @skip and variables', async () => {
    const query =
      'query q($yes: Boolean = true, $no: Boolean) { Patient(id: "alice") { id @include(if: $yes) active @skip(if: $yes) ... @include(if: $no) { birthDate } } } query other { Patient(id: "bob") { id } }';
    expect(await dataOf(query, { operationName: 'q', variables: { no: false } })).toEqual({ Patient: { id: 'alice' } });
    expect((await ask(query)).status).toBe(400);
  });

  it('@flatten, @first, @singleton and @slice', async () => {
    expect(await dataOf('{ Patient(id: "alice") { id name @flatten { given family } } }')).toEqual({
      Patient: { id: 'alice', given: ['Alice', 'Ann', 'Al'], family: ['Liddell'] },
    });
    expect(await dataOf('{ Patient(id: "alice") { name @flatten { family @singleton given @first } } }')).toEqual({
      Patient: { family: 'Liddell', given: ['Alice', 'Al'] },
    });
    expect(await dataOf('{ Patient(id: "alice") { name @first { given @first } } }')).toEqual({ Patient: { name: { given: 'Alice' } } });
    expect(await dataOf('{ Patient(id: "alice") { name @slice(path: "use") { given } } }')).toEqual({
      Patient: { 'name.official': [{ given: ['Alice', 'Ann'] }], 'name.nickname': [{ given: ['Al'] }] },
    });
    expect(await dataOf('{ Patient(id: "alice") { name @slice(path: "$index") @flatten { given } } }')).toEqual({
      Patient: { 'given.0': ['Alice', 'Ann'], 'given.1': ['Al'] },
    });
  });

  it('pages through a connection', async () => {
    const shown: unknown[] = [];
    for (let cursor: string | null = null; ; ) {
      const query =
        'query ($c: String) { ObservationConnection(subject: "Patient/alice", _count: 1, _cursor: $c) { count pagesize offset next previous edges { mode score resource { id } } } }';
      const data = (await dataOf(query, { variables: { c: cursor } })) as {
        ObservationConnection: { count: number; pagesize: number; next: string | null; edges: { resource: Json }[] };
      };
      const { count, pagesize, next, edges } = data.ObservationConnection;
      expect([count, pagesize]).toEqual([2, 1]);
      shown.push(...edges.map(({ resource }) => resource['id']));
      cursor = next;
      if (cursor === null) break;
    }
    expect(new Set(shown)).toEqual(new Set(['o1', 'o2']));
    expect(shown).toHaveLength(2);
  });

  it('by GET and as application/graphql', async () => {
    const query = '{ Patient(id: "alice") { id } }';
    const got = await insurer.call('GET', `$graphql?query=${encodeURIComponent(query)}`);
    expect([got.status, got.json['data']]).toEqual([200, { Patient: { id: 'alice' } }]);
    expect((await send('$graphql', query, 'application/graphql')).json['data']).toEqual({ Patient: { id: 'alice' } });
    expect((await send('$graphql', query, 'text/plain')).status).toBe(415);
  });
});

describe('in a batch', () => {
  it('its answer stands in a Binary', async () => {
    const url = `$graphql?query=${encodeURIComponent('{ Patient(id: "alice") { id } }')}`;
    const { json } = await insurer.call('POST', '', { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url } }] });
    const [entry] = json['entry'] as { resource: { resourceType: string; contentType: string; data: string } }[];
    expect([entry?.resource.resourceType, entry?.resource.contentType]).toEqual(['Binary', 'application/json; charset=utf-8']);
    expect(JSON.parse(Buffer.from(entry?.resource.data ?? '', 'base64').toString())).toMatchObject({ data: { Patient: { id: 'alice' } } });
  });
});

describe('a query of a resource', () => {
  it('starts there, and finds what refers to it', async () => {
    const query = '{ id ObservationList(_reference: patient, _count: 5) { id } ConditionConnection(_reference: subject) { count } }';
    const data = (await dataOf(query, { url: 'Patient/alice/$graphql' })) as { ObservationList: { id: string }[] };
    expect(data).toEqual({ id: 'alice', ObservationList: expect.any(Array), ConditionConnection: { count: 1 } });
    expect(data.ObservationList.map(({ id }) => id).sort()).toEqual(['o1', 'o2']);
  });
});

describe('what is hidden', () => {
  it('is as what is absent, everywhere', async () => {
    for (const [one, other] of [
      ['{ Patient(id: "bob") { id } }', '{ Patient(id: "nobody") { id } }'],
      ['{ Observation(id: "o-hidden") { id subject { resource { id } } } }', '{ Observation(id: "o-never") { id subject { resource { id } } } }'],
      ['{ ObservationList(_id: "o-hidden") { id } }', '{ ObservationList(_id: "o-never") { id } }'],
      [
        '{ ObservationConnection(subject: "Patient/bob") { count next edges { resource { id } } } }',
        '{ ObservationConnection(subject: "Patient/nobody") { count next edges { resource { id } } } }',
      ],
    ] as const) {
      const answers = await Promise.all([ask(one), ask(other)]);
      const plain = answers.map(({ status, json: { data, errors } }) => ({ status, data, errors }));
      expect(plain[0]).toEqual(plain[1]);
      expect(JSON.stringify(plain[0])).not.toMatch(/bob|o-hidden|"HIV"/);
    }
    const statuses = await Promise.all(['bob', 'nobody'].map(async (id) => (await ask('{ id }', { url: `Patient/${id}/$graphql` })).status));
    expect(statuses).toEqual([404, 404]);
  });

  it('every resource that is told leaves its event and receipt', async () => {
    const events = await eventsOf(server.admin, async () => {
      const answer = await ask('{ Patient(id: "alice") { id ObservationList(_reference: subject) { id } } }');
      const { receipts } = answer.json['extensions'] as { receipts: string[] };
      expect(receipts).toHaveLength(2);
    });
    for (const reference of ['Patient/alice/_history', 'Observation/o1/_history', 'Observation/o2/_history'])
      expect(JSON.stringify(events)).toContain(reference);
  });

  it('needs the scopes of what it names', async () => {
    const narrow = (await register(server, { actor: INSURER, scope: 'system/Patient.r system/Observation.s' })).session;
    expect((await ask('{ PatientList { id } }', { session: narrow })).status).toBe(403);
    expect((await ask('{ Observation(id: "o1") { id } }', { session: narrow })).status).toBe(403);
    expect((await ask('{ Patient(id: "alice") { ObservationList(_reference: subject) { id } } }', { session: narrow })).status).toBe(200);
    const answer = await ask('{ Patient(id: "alice") { managingOrganization { resource { id } } } }', { session: narrow });
    expect(answer.json['errors']).toHaveLength(1);
  });
});

describe('what cannot be asked', () => {
  it.each([
    '',
    '{',
    '{ Patient }',
    '{ Patient(id: "alice") }',
    '{ Patient(id: "alice") { nonsense } }',
    '{ Patient(id: "alice") { id { x } } }',
    '{ Patient(id: "alice") { name } }',
    '{ Patient(id: "alice", x: 1) { id } }',
    '{ Patient(id: $x) { id } }',
    'query ($x: String!) { Patient(id: $x) { id } }',
    '{ PatientList(nonsense: "x") { id } }',
    '{ PatientList(_reference: patient) { id } }',
    '{ NonsenseList { id } }',
    '{ Patient(id: "alice") { ObservationList { id } } }',
    '{ Patient(id: "alice") { id: birthDate id } }',
    '{ Patient(id: "alice") { ... on Observation { id } } }',
    '{ Patient(id: "alice") { ...missing } }',
    '{ Patient(id: "alice") { ...a } } fragment a on Patient { ...a }',
    '{ Patient(id: "alice") { name(fhirpath: "x") { use } } }',
    '{ Patient(id: "alice") { id @unknown } }',
    '{ Patient(id: "alice") { name @slice(path: "a()") { use } } }',
    '{ Patient(id: "alice") { generalPractitioner { resource { name { family } } } } }',
    '{ Patient(id: "alice") { __schema { types { name } } } }',
    '{ __schema }',
    '{ __schema { nonsense } }',
    '{ __type { name } }',
    '{ __schema { types { name { x } } } }',
    '{ __schema { ... on __Field { name } } }',
    '{ __schema { ...a } } fragment a on __Schema { ...a }',
    'mutation { Patient(id: "alice") { id } }',
    'subscription { Patient(id: "alice") { id } }',
    'query a { Patient(id: "alice") { id } } query b { Patient(id: "alice") { id } }',
  ])('%s: 400', async (query) => {
    const answer = await ask(query);
    expect([answer.status, answer.json['resourceType']]).toEqual([400, 'OperationOutcome']);
  });

  it.each<[string, string, number]>([
    ['deep', `{ Patient(id: "alice") { ${'extension { '.repeat(30)}url${' }'.repeat(30)} } }`, 422],
    [
      'a fragment bomb',
      `{ Patient(id: "alice") { ...f0 } } ${Array.from({ length: 20 }, (_, i) => `fragment f${i} on Patient { ...f${i + 1} ...f${i + 1} }`).join(' ')} fragment f20 on Patient { id }`,
      422,
    ],
    ['tokens', `{ ${'x '.repeat(5000)} }`, 400],
    ['brackets', '{a'.repeat(3000), 400],
    ['length', `{ ${' '.repeat(200_000)} }`, 413],
  ])('%s is refused', async (_, query, status) => {
    expect((await ask(query)).status).toBe(status);
  });

  it.each([
    '[]',
    'null',
    '"x"',
    '{"query":1}',
    '{"query":"{ PatientList { id } }","variables":[]}',
    '{"query":"{ PatientList { id } }","operationName":1}',
    '{',
  ])('body %s: 400', async (body) => {
    expect((await send('$graphql', body, 'application/json')).status).toBe(400);
  });
});

describe('the schema', () => {
  const whole = getIntrospectionQuery({ inputValueDeprecation: true, specifiedByUrl: true, directiveIsRepeatable: true, schemaDescription: true });
  const asJson = (query: string, session = insurer) => send('$graphql', JSON.stringify({ query }), 'application/json', session);

  it('is what a client library makes one of, and queries of this page are valid by it', async () => {
    const answer = await asJson(whole);
    expect(answer.status).toBe(200);
    const schema = buildClientSchema(answer.json['data'] as unknown as IntrospectionQuery);
    expect(validateSchema(schema)).toEqual([]);
    const queries = [
      '{ Patient(id: "alice") { id resourceType __typename birthDate name(use: "official") { given family } _birthDate { extension { url valueString } } } }',
      '{ ObservationList(code: "8867-4", _count: 2, value_quantity: ["gt1"]) { id subject { resource(optional: true) { ... on Patient { gender } } } } }',
      '{ ConditionConnection(patient: "alice") { count edges { resource { id asserter { reference } } } next } }',
      '{ Patient(id: "alice") { name @flatten { given @first } contact { name { family } } contained { id } } }',
    ];
    for (const query of queries) {
      expect(validate(schema, parse(query))).toEqual([]);
      expect([query, (await asJson(query)).status]).toEqual([query, 200]);
    }
    expect(validate(schema, parse('{ Patient(id: "alice") { nonsense } }'))).toHaveLength(1);
  });

  it('is the same for everyone, and tells of no data', async () => {
    const stranger = (await register(server, { actor: 'Organization/stranger', scope: 'system/Basic.r' })).session;
    const [one, other] = [await asJson(whole), await asJson(whole, stranger)];
    expect(other.text).toBe(one.text);
    expect(one.headers.get('assent-receipt')).toBeNull();
  });

  it('in part, and beside data', async () => {
    const query = `query ($of: String!) { kind: __type(name: $of) { kind name fields { name type { ...t } } interfaces { name } } none: __type(name: "Nonsense") { name }
      __schema { queryType { name } directives { name locations } } Patient(id: "alice") { id } } fragment t on __Type { name kind ofType { name } }`;
    const answer = await send('$graphql', JSON.stringify({ query, variables: { of: 'PatientLink' } }), 'application/json');
    expect(answer.json['data']).toMatchObject({
      kind: {
        kind: 'OBJECT',
        fields: expect.arrayContaining([{ name: 'other', type: { name: 'Reference', kind: 'OBJECT', ofType: null } }]),
        interfaces: [],
      },
      none: null,
      __schema: { queryType: { name: 'Query' } },
      Patient: { id: 'alice' },
    });
  });

  it.each([
    ['types of fields of types of fields', '{ __schema { types { fields { type { fields { type { name } } } } } } }'],
    ['the whole under many names', `{ __schema { types { fields { ${Array.from({ length: 400 }, (_, i) => `a${i}: name`).join(' ')} } } } }`],
    [
      'a fragment bomb',
      `{ __schema { ...f0 } } ${Array.from({ length: 22 }, (_, i) => `fragment f${i} on __Schema { ...f${i + 1} ...f${i + 1} }`).join(' ')} fragment f22 on __Schema { description }`,
    ],
  ])('%s are too much', async (_, query) => {
    expect((await asJson(query)).status).toBe(422);
  });
});
