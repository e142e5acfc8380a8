/**
 * Random requests over everything a CapabilityStatement claims. Each says which claims it exercises, so that a claim without a request is
 * noticed. They name hidden, shown and absent resources alike.
 */
import { type Claim, claimsOf, type Statement } from '../http/walk/claims.ts';
import { labelled } from '../support/consents.ts';
import type { Json } from '../support/reference-consent.ts';
import { builders, DATES, KINDS, namingOf, PATIENTS, SENSITIVE } from './content.ts';
import type { Random } from './random.ts';
import type { Step, World } from './world.ts';

/** `{Type/id@n}` in a path or header stands for the n-th version of what is stored, whoever may see it. */
export type Ask = {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly claims: readonly string[];
  /** Pages to follow. */
  readonly pages?: number;
  /** Asked again at Content-Location until it is done. */
  readonly waits?: boolean;
  /** What is told depends on how much was ever recorded, whoever asks: only the status is compared. */
  readonly only?: 'status';
};
/** Somebody else writes meanwhile. */
export type Meanwhile = { readonly meanwhile: Step };
export type Request = Ask | Meanwhile;

/** Claims without the types they are made for: one request stands for all types of one kind of claim. */
export function claimKinds(statement: Statement): string[] {
  return [...new Set(claimsOf(statement).flatMap(kindOf))];
}

/** What is said of the server and promises nothing about data. */
const SAID = ['fhirVersion', 'mode', 'implementation', 'security', 'supportedProfile'];

function kindOf({ of, group, name, detail }: Claim): string[] {
  if (SAID.includes(group)) return [];
  if (group === 'searchParam') return [`searchParam ${detail}`];
  if (group === 'searchInclude' || group === 'searchRevInclude') return [`${group} ${name === '*' ? '*' : 'named'}`];
  if (group === 'operation') return [`operation ${of === '' ? 'of the system ' : ''}${name}`];
  return [`${group} ${name}`];
}

type Make = (given: Given) => Ask | undefined;
export type Given = { readonly random: Random; readonly world: World; readonly search: SearchTable };
export type SearchTable = ReadonlyMap<
  string,
  { readonly parameters: readonly (readonly [string, string])[]; readonly forward: string[]; readonly backward: string[] }
>;

export function searchTable(statement: Statement): SearchTable {
  const [rest] = statement['rest'] as { resource: Json[] }[];
  const rows = (rest?.resource ?? []).filter(({ type }) => KINDS.includes(type as string));
  return new Map(
    rows.map(({ type, searchParam, searchInclude, searchRevInclude }) => [
      String(type),
      {
        parameters: (searchParam as { name: string; type: string }[]).map(({ name, type: kind }) => [name, kind] as const),
        forward: (searchInclude ?? []) as string[],
        backward: (searchRevInclude as string[]).filter((each) => each === '*' || KINDS.includes(each.split(':')[0] ?? '')),
      },
    ]),
  );
}

// What is named.

function target({ random, world }: Given, ...types: readonly string[]): readonly [string, string] {
  if (random.chance(0.12)) return [types.length > 0 ? random.one(types) : random.one(KINDS), 'absent'];
  const fitting = world.steps.filter(({ type }) => types.length === 0 || types.includes(type));
  if (fitting.length === 0) return [random.one(types), 'absent'];
  const { type, id } = random.one(fitting);
  return [type, id];
}
const named = (given: Given, ...types: readonly string[]): string => target(given, ...types).join('/');
const version = (given: Given, reference: string): string => `{${reference}@${given.random.below(3)}}`;
const contentFor = (given: Given, type: string, id: string): Json => {
  const { random, world } = given;
  const references = world.steps.map((step) => `${step.type}/${step.id}`);
  const built = builders[type]?.(random, id, { references, patient: random.one([...PATIENTS, 'nobody']), naming: namingOf(random) }) ?? {};
  return random.chance(0.4) ? { ...built, meta: { security: labelled(random.one(SENSITIVE)).securityLabel } } : built;
};
const without = ({ id: _id, ...resource }: Json): Json => resource;
const writable = (random: Random): string => random.one(KINDS);

// Searches.

function valueFor(given: Given, type: string, [name, kind]: readonly [string, string]): string {
  const { random } = given;
  switch (kind) {
    case 'token': {
      if (name === 'identifier') return `urn:test|${random.one(['i1', 'i2', 'i3', 'i4', 'none'])}`;
      if (name === '_id') return target(given, type)[1];
      if (name === '_security') return random.one(SENSITIVE);
      if (name === '_tag') return random.one(['red', 'blue']);
      if (name.includes('value-quantity')) return '72';
      return random.one(['A', 'B', '8867-4', 'final', 'active', 'finished', 'female', 'true', 'AMB', 'current', 'order']);
    }
    case 'reference':
      return random.chance(0.5) ? named(given) : `Patient/${random.one(PATIENTS)}`;
    case 'date':
      return `${random.one(['', 'ge', 'lt', 'ne', 'sa'])}${random.one([...DATES, '2024', '2024-05'])}`;
    case 'string':
      return random.one(['We', 'Weiss', 'hospital', 'alice', 'No']);
    case 'number':
    case 'quantity':
      return `${random.one(['', 'gt', 'le'])}${random.one([71, 72])}`;
    case 'uri':
      return random.one(['urn:tag', 'urn:test']);
    case 'composite':
      return '8867-4$72';
    default:
      return 'x';
  }
}

const MODIFIERS: Readonly<Record<string, readonly string[]>> = {
  token: [':not', ':missing', ':text', ':not'],
  reference: [':missing', ':identifier', ':Patient'],
  string: [':exact', ':contains', ':missing'],
  date: [':missing'],
};

/** Written criteria of a type, and the claims they exercise. */
function criterion(given: Given, type: string): { readonly text: string; readonly claims: string[] } {
  const { random, search } = given;
  const { parameters = [] } = search.get(type) ?? {};
  const parameter = random.one(parameters);
  const [name, kind] = parameter;
  const claims = [`searchParam ${kind}`];
  const modifier = random.chance(0.25) ? random.one(MODIFIERS[kind] ?? ['']) : '';
  if (modifier === ':missing') return { text: `${name}:missing=${random.one(['true', 'false'])}`, claims };
  if (modifier === ':Patient') return { text: `${name}:Patient=${random.one(PATIENTS)}`, claims };
  if (modifier === ':identifier') return { text: `${name}:identifier=urn:test|i1`, claims };
  return { text: `${name}${modifier}=${encodeURIComponent(valueFor(given, type, parameter))}`, claims };
}

function joined(given: Given, type: string): string {
  const { random, search } = given;
  const references = (search.get(type)?.parameters ?? []).filter(([, kind]) => kind === 'reference');
  const chained = random.one(references.length > 0 ? references : [['subject', 'reference'] as const])[0];
  const to = random.one(['Patient', 'Encounter', 'Practitioner', 'Observation', 'Medication']);
  const back = random.one(KINDS);
  const backward = (search.get(back)?.parameters ?? []).filter(([, kind]) => kind === 'reference');
  return random.one([
    `${chained}:${to}.${criterion(given, to in builders ? to : 'Patient').text}`,
    `${chained}:${to}._id=${target(given, to)[1]}`,
    `_has:${back}:${random.one(backward.length > 0 ? backward : [['subject', 'reference'] as const])[0]}:${criterion(given, back).text}`,
    `_list=${target(given, 'List')[1]}`,
    `_filter=${encodeURIComponent(`identifier eq "urn:test|i1" or _id eq "${target(given, type)[1]}"`)}`,
    `subject:Patient.identifier=urn:test|i1`,
  ]);
}

function results(given: Given, type: string): { readonly text: string[]; readonly claims: string[] } {
  const { random, search } = given;
  const { parameters = [], forward = [], backward = [] } = search.get(type) ?? {};
  const text: string[] = [];
  const claims: string[] = [];
  const include = (member: 'searchInclude' | 'searchRevInclude', from: readonly string[], name: string) => {
    if (from.length === 0) return;
    const value = random.one(from);
    text.push(`${name}${random.chance(0.3) ? ':iterate' : ''}=${encodeURIComponent(value)}`);
    claims.push(`${member} ${value === '*' ? '*' : 'named'}`);
  };
  if (random.chance(0.3)) include('searchInclude', forward, '_include');
  if (random.chance(0.3)) include('searchRevInclude', backward, '_revinclude');
  if (random.chance(0.5)) text.push(`_count=${random.below(5)}`);
  if (random.chance(0.4)) text.push(`_sort=${random.one(['', '-'])}${random.one([...parameters.map(([name]) => name), '_lastUpdated', '_id'])}`);
  if (random.chance(0.2)) text.push(`_total=${random.one(['none', 'estimate', 'accurate'])}`);
  if (random.chance(0.2)) text.push(`_summary=${random.one(['count', 'true', 'text', 'data', 'false'])}`);
  if (random.chance(0.1)) text.push(`_elements=${random.one(['identifier', 'code', 'subject'])}`);
  return { text, claims };
}

function query(given: Given, type: string): { readonly text: string; readonly claims: string[] } {
  const { random } = given;
  const criteria = Array.from({ length: random.below(3) }, () => criterion(given, type));
  const extra = random.chance(0.25) ? [joined(given, type)] : [];
  const shown = results(given, type);
  return {
    text: [...criteria.map(({ text }) => text), ...extra, ...shown.text].join('&'),
    claims: [...criteria.flatMap(({ claims }) => claims), ...shown.claims],
  };
}

const form = { 'content-type': 'application/x-www-form-urlencoded' };

function searching(given: Given, at: string, type: string, claims: readonly string[]): Ask {
  const { random } = given;
  const asked = query(given, type);
  const all = { claims: [...claims, ...asked.claims], pages: 3 };
  if (random.chance(0.75)) return { method: 'GET', path: `${at}?${asked.text}`, ...all };
  return { method: 'POST', path: `${at}/_search`.replace(/\/\*\/_search$/, '/_search'), body: asked.text, headers: form, ...all };
}

/** A listing of the trail may be asked for after anything. */
const trail: Make = ({ random }) => ({
  method: 'GET',
  path: `AuditEvent?${random.one(['_sort=-date', '', '_sort=_lastUpdated', 'action=R'])}&_count=${random.one([3, 20])}`,
  claims: ['interaction search-type'],
  pages: 2,
});

// Everything else, by claim.

const parameters = (...parameter: readonly object[]) => ({ resourceType: 'Parameters', parameter });
const tagged = (given: Given) =>
  parameters({ name: 'meta', valueMeta: given.random.chance(0.5) ? { tag: [{ code: 'x' }] } : { security: labelled('HIV').securityLabel } });
const get = (path: string, ...claims: string[]): Ask => ({ method: 'GET', path, claims });
const post = (path: string, body: unknown, ...claims: string[]): Ask => ({ method: 'POST', path, body, claims });
const jsonPatch = { 'content-type': 'application/json-patch+json' };
const patchOf = (random: Random) => [{ op: 'add', path: '/language', value: random.one(['de', 'fr']) }];
const fhirPatch = (type: string) =>
  parameters({
    name: 'operation',
    part: [
      { name: 'type', valueCode: 'add' },
      { name: 'path', valueString: type },
      { name: 'name', valueString: 'language' },
      { name: 'value', valueCode: 'nl' },
    ],
  });
const xmlPatch = (type: string) =>
  `<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/><part><name value="type"/><valueCode value="add"/></part><part><name value="path"/><valueString value="${type}"/></part><part><name value="name"/><valueString value="language"/></part><part><name value="value"/><valueCode value="it"/></part></parameter></Parameters>`;

function preconditions(given: Given, reference: string): Readonly<Record<string, string>> {
  return given.random.one([{}, {}, { 'if-match': `W/"${version(given, reference)}"` }, { 'if-match': 'W/"stale"' }, { 'if-none-match': '*' }]);
}

function update(given: Given): Ask {
  const [type, id] = target(given);
  return {
    method: 'PUT',
    path: `${type}/${id}`,
    body: contentFor(given, type, id),
    headers: preconditions(given, `${type}/${id}`),
    claims: ['interaction update', 'updateCreate true', 'versioning versioned-update'],
  };
}

function entryFor(given: Given): object {
  const { random } = given;
  const [type, id] = target(given);
  return random.one<() => object>([
    () => ({ request: { method: 'GET', url: `${type}/${id}` } }),
    () => ({ request: { method: 'GET', url: `${type}?${query(given, type).text}` } }),
    () => ({ request: { method: 'PUT', url: `${type}/${id}` }, resource: contentFor(given, type, id) }),
    () => ({ request: { method: 'DELETE', url: `${type}/${id}` } }),
    () => ({ request: { method: 'PUT', url: `${type}/${id}`, ifMatch: 'W/"stale"' }, resource: contentFor(given, type, id) }),
    () => ({ request: { method: 'POST', url: type, ifNoneExist: 'identifier=urn:test|i2' }, resource: without(contentFor(given, type, id)) }),
    () => ({ request: { method: 'POST', url: type }, resource: without(contentFor(given, type, id)) }),
    () => ({ request: { method: 'DELETE', url: `${type}?identifier=urn:test|i3` } }),
    () => ({ request: { method: 'PATCH', url: `${type}/${id}` }, resource: fhirPatch(type) }),
  ])();
}

function bundled(given: Given, type: 'batch' | 'transaction'): Ask {
  const entry = Array.from({ length: 1 + given.random.below(3) }, () => entryFor(given));
  return post('', { resourceType: 'Bundle', type, entry }, `interaction ${type}`);
}

function graphql(given: Given): Ask {
  const { random } = given;
  const [type, id] = target(given);
  const [first] = target(given, 'Observation', 'Condition', 'Encounter');
  const text = random.one([
    `{ ${type}(id: "${id}") { id } }`,
    `{ ${first}List(_count: 3) { id subject { reference resource { ... on Patient { id birthDate } } } } }`,
    `{ ${first}Connection(_count: 2) { count next previous edges { resource { id } } } PatientConnection(_count: 9) { count edges { resource { id } } } }`,
    `{ Patient(id: "${random.one(PATIENTS)}") { id ObservationList(_reference: subject) { id performer { resource { ... on Patient { id } } } } } }`,
  ]);
  if (random.chance(0.7)) return get(`$graphql?query=${encodeURIComponent(text)}`, 'operation of the system graphql');
  return { ...post('$graphql', { query: text }, 'operation of the system graphql'), headers: { 'content-type': 'application/json' } };
}

const consentOf = (given: Given): Json => ({
  resourceType: 'Consent',
  status: 'active',
  scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
  category: [{ coding: [{ system: 'http://loinc.org', code: '59284-0' }] }],
  patient: { reference: `Patient/${given.random.one([...PATIENTS, 'nobody'])}` },
  organization: [{ reference: 'Organization/hospital' }],
  policy: [{ uri: 'urn:assent:consent-semantics:1' }],
  provision: { type: 'permit', data: [{ meaning: 'related', reference: { reference: named(given) } }] },
});

/** Weight and what is made. Several may exercise one claim. */
export const makers: readonly (readonly [number, Make])[] = [
  [10, (given) => get(named(given), 'interaction read', 'referencePolicy literal')],
  [2, (given) => ({ ...get(named(given), 'interaction read'), method: 'HEAD' })],
  [3, (given) => ((reference) => get(`${reference}/_history/${version(given, reference)}`, 'interaction vread', 'readHistory true'))(named(given))],
  [
    4,
    (given) =>
      get(
        `${named(given)}/_history?${given.random.one(['', '_count=1', '_count=0', '_at=2026', '_sort=_lastUpdated'])}`,
        'interaction history-instance',
      ),
  ],
  [3, (given) => ({ ...get(`${target(given)[0]}/_history?_count=${given.random.below(4)}`, 'interaction history-type'), pages: 3 })],
  [2, (given) => ({ ...get(`_history?_count=${1 + given.random.below(6)}`, 'interaction history-system'), pages: 3 })],
  [20, (given) => ((type) => searching(given, type, type, ['interaction search-type']))(target(given)[0])],
  [
    5,
    (given) => ({
      ...get(
        `?_type=${given.random.some(KINDS, 3).concat('Observation').join(',')}&_count=${given.random.below(6)}&${given.random.one(['', '_sort=_lastUpdated', '_id=obs1', 'identifier=urn:test|i1'])}`,
        'interaction search-system',
      ),
      pages: 3,
    }),
  ],
  [2, () => ({ ...post('_search', '_type=Patient,Observation&_lastUpdated=gt2020', 'interaction search-system'), headers: form, pages: 1 })],
  [
    4,
    ({ random, ...given }) =>
      ((type) =>
        searching({ random, ...given }, `${named({ random, ...given }, type)}/${random.one(KINDS)}`, 'Observation', [
          `compartment http://hl7.org/fhir/CompartmentDefinition/${type.toLowerCase()}`,
        ]))(random.one(['Patient', 'Encounter', 'Device'])),
  ],
  [
    2,
    ({ random }) =>
      get(
        `Patient/${random.one(PATIENTS)}/*?_count=4&_type=Observation,Condition,Encounter`,
        'compartment http://hl7.org/fhir/CompartmentDefinition/patient',
      ),
  ],
  [
    1,
    ({ random }) =>
      ((name) =>
        get(
          `${name}/${random.one(['doc', 'absent'])}/${random.one(['Observation', 'Condition', 'Composition'])}`,
          `compartment http://hl7.org/fhir/CompartmentDefinition/${name.charAt(0).toLowerCase()}${name.slice(1)}`,
        ))(random.one(['Practitioner', 'RelatedPerson'])),
  ],
  [1, trail],
  [2, (given) => ((type) => ({ ...post(type, without(contentFor(given, type, 'x'))), claims: ['interaction create'] }))(writable(given.random))],
  [
    4,
    (given) =>
      ((type) => ({
        ...post(type, without(contentFor(given, type, 'x')), 'interaction create', 'conditionalCreate true'),
        headers: { 'if-none-exist': given.random.one(['identifier=urn:test|i1', 'identifier=urn:test|none', `_id=${target(given, type)[1]}`]) },
      }))(target(given)[0]),
  ],
  [4, update],
  [
    2,
    (given) =>
      ((type) => ({
        method: 'PUT',
        path: `${type}?${given.random.one(['identifier=urn:test|i2', `_id=${target(given, type)[1]}`])}`,
        body: without(contentFor(given, type, 'x')),
        claims: ['interaction update', 'conditionalUpdate true'],
      }))(target(given)[0]),
  ],
  [
    2,
    (given) =>
      ((reference) => ({ method: 'DELETE', path: reference, headers: preconditions(given, reference), claims: ['interaction delete'] }))(
        named(given),
      ),
  ],
  [
    2,
    (given) =>
      ((type) => ({
        method: 'DELETE',
        path: `${type}?identifier=urn:test|${given.random.one(['i1', 'i4', 'none'])}`,
        claims: ['interaction delete', 'conditionalDelete multiple'],
      }))(target(given)[0]),
  ],
  [
    2,
    (given) =>
      ((reference) => ({
        method: 'PATCH',
        path: reference,
        body: patchOf(given.random),
        headers: { ...jsonPatch, ...preconditions(given, reference) },
        claims: ['interaction patch', 'patchFormat application/json-patch+json'],
      }))(named(given)),
  ],
  [
    1,
    (given) =>
      (([type, id]) => ({
        method: 'PATCH',
        path: `${type}/${id}`,
        body: fhirPatch(type),
        claims: ['interaction patch', 'patchFormat application/fhir+json'],
      }))(target(given)),
  ],
  [
    1,
    (given) =>
      (([type, id]) => ({
        method: 'PATCH',
        path: `${type}/${id}`,
        body: xmlPatch(type),
        headers: { 'content-type': 'application/fhir+xml' },
        claims: ['interaction patch', 'patchFormat application/fhir+xml'],
      }))(target(given)),
  ],
  [
    1,
    (given) =>
      ((type) => ({
        method: 'PATCH',
        path: `${type}?identifier=urn:test|i3`,
        body: patchOf(given.random),
        headers: jsonPatch,
        claims: ['interaction patch'],
      }))(target(given)[0]),
  ],
  [
    3,
    (given) =>
      ((reference) => ({
        ...get(reference, 'conditionalRead full-support'),
        headers: given.random.one([
          { 'if-none-match': `W/"${version(given, reference)}"` },
          { 'if-none-match': '*' },
          { 'if-modified-since': 'Mon, 01 Jan 2035 00:00:00 GMT' },
        ]),
      }))(named(given)),
  ],
  [4, (given) => bundled(given, 'batch')],
  [3, (given) => bundled(given, 'transaction')],
  [
    2,
    (given) =>
      ((reference) => ({
        ...get(
          `${reference}?_format=${encodeURIComponent(given.random.one(['xml', 'application/fhir+xml']))}`,
          'format xml',
          'format application/fhir+xml',
        ),
      }))(named(given)),
  ],
  [1, (given) => get(`${named(given)}?_format=json`, 'format json', 'format application/fhir+json')],
  [
    3,
    (given) => ({
      ...get(
        `${named(given, 'Patient')}/$everything?${given.random.one(['', '_count=2', '_type=Observation,Encounter', 'start=2024-04-01'])}`,
        'operation everything',
      ),
      pages: 3,
    }),
  ],
  [1, (given) => post(`${named(given, 'Encounter')}/$everything`, parameters(), 'operation everything')],
  [2, (given) => get(`${named(given, 'Composition')}/$document`, 'operation document')],
  [2, (given) => get(`Observation/$lastn?patient=${given.random.one(PATIENTS)}&max=2`, 'operation lastn')],
  [2, (given) => get(given.random.one([`${named(given)}/$meta`, `${target(given)[0]}/$meta`]), 'operation meta')],
  [1, () => get('$meta', 'operation of the system meta')],
  [
    1,
    (given) =>
      ((reference) => ({ ...post(`${reference}/$meta-add`, tagged(given), 'operation meta-add'), headers: preconditions(given, reference) }))(
        named(given),
      ),
  ],
  [1, (given) => post(`${named(given)}/$meta-delete`, tagged(given), 'operation meta-delete')],
  [
    2,
    (given) =>
      (([type, id]) =>
        given.random.chance(0.5)
          ? get(`${type}/${id}/$validate`, 'operation validate')
          : post(`${type}/${id}/$validate`, contentFor(given, type, id), 'operation validate'))(target(given)),
  ],
  [1, (given) => (([type, id]) => post('$convert', contentFor(given, type, id), 'operation of the system convert'))(target(given))],
  [4, graphql],
  [1, (given) => get(`${named(given)}/$graphql?query=${encodeURIComponent('{ id }')}`, 'operation graphql')],
  [1, (given) => post(`${named(given)}/$purge`, parameters(), 'operation purge')],
  [1, () => post('$reindex', parameters(), 'operation of the system reindex')],
  [1, (given) => post(`${target(given)[0]}/$reindex`, parameters(), 'operation reindex')],
  [
    2,
    (given) =>
      post(
        'Consent/$prepare',
        parameters({ name: 'consent', resource: consentOf(given) }, { name: 'language', valueCode: 'en' }),
        'operation prepare',
      ),
  ],
  [1, () => post('Consent/$sign', parameters({ name: 'statement', valueString: '{}' }), 'operation sign')],
  [
    1,
    ({ random }) =>
      post(
        `Consent/${random.one(['{Consent/alice@0}', 'absent'])}/$withdraw`,
        parameters({ name: 'jws', valueString: 'a.b.c' }),
        'operation withdraw',
      ),
  ],
  [
    1,
    ({ random }) =>
      post(
        `Consent/${random.one(['{Consent/alice@0}', 'absent'])}/$approve`,
        parameters({
          name: 'signature',
          part: [
            { name: 'who', valueReference: { reference: 'Patient/alice' } },
            { name: 'jws', valueString: 'a.b.c' },
          ],
        }),
        'operation approve',
      ),
  ],
  [
    1,
    ({ random }) =>
      post(`Consent/${random.one(['{Consent/alice@0}', 'absent'])}/$refuse`, parameters({ name: 'jws', valueString: 'a.b.c' }), 'operation refuse'),
  ],
  [
    1,
    (given) =>
      post(
        'Consent/$request',
        parameters({ name: 'consent', resource: consentOf(given) }, { name: 'deadline', valueInstant: '2020-01-01T00:00:00Z' }),
        'operation request',
      ),
  ],
  [
    1,
    ({ random }) => ({
      ...get(`${random.one(['Consent/{Consent/alice@0}', 'Consent/absent', 'AuditEvent/absent'])}/$receipt`, 'operation receipt'),
      only: 'status',
    }),
  ],
  [
    1,
    ({ random }) => ({
      ...get(`${random.one(['Consent/{Consent/alice@0}', 'Consent/absent'])}/$ledger-proof`, 'operation ledger-proof'),
      only: 'status',
    }),
  ],
  [1, () => get('Consent/{Consent/alice@0}', 'interaction read')],
  [1, (given) => post(`${named(given, 'Patient')}/$break-glass`, parameters(), 'operation break-glass')],
  [
    1,
    ({ random }) =>
      ((name) => post(`$${name}`, parameters(), `operation of the system ${name}`))(
        random.one(['recover-key', 'rotate-key', 'revoke-key', 'stop-recovery', 'grant-authority', 'end-authority']),
      ),
  ],
  [1, ({ random }) => get(random.one(['RiskAssessment?probability=gt0.5', 'MolecularSequence?variant-start=lt9']), 'searchParam number')],
  [1, () => get('Location?near=52.5|13.4|10|km', 'searchParam special')],
  [1, () => get('Observation?value-quantity=gt71', 'searchParam quantity')],
  [
    1,
    (given) =>
      get(
        `${named(given)}/$explain-access?${given.random.one(['', 'actor=Organization/other', 'actor=Organization/insurer&purpose=TREAT'])}`,
        'operation explain-access',
      ),
  ],
  // How long the log is, is no secret, and differs.
  [1, (given) => ({ ...get(`${named(given, 'Patient')}/$disclosures`, 'operation disclosures'), only: 'status' })],
  [
    1,
    (given) => ({
      ...get(given.random.one([`${named(given)}`, `${target(given)[0]}?_count=5`, `${named(given, 'Patient')}/$everything`])),
      headers: { prefer: 'respond-async' },
      waits: true,
    }),
  ],
];
