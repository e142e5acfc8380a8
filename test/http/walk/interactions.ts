/** An exercise of each interaction and of each promise about them that R4 has a code for; it throws where what is promised does not happen. */
import { demand, type Made, type Walker } from './walker.ts';

export type Exercise = (walker: Walker) => Promise<void>;

const XML = 'application/fhir+xml';
const languageTo = (value: string) => JSON.stringify([{ op: 'add', path: '/language', value }]);
const jsonPatch = { 'content-type': 'application/json-patch+json' };
const tagOf = ({ version }: Made) => ({ 'if-match': `W/"${version}"` });

/** Those of a type. https://hl7.org/fhir/R4/valueset-type-restful-interaction.html */
export const typeInteractions: Readonly<Record<string, Exercise>> = {
  async create(walker) {
    const { answer, id } = await walker.create();
    demand('the resource is in the answer', answer.json?.resourceType === walker.type && answer.json.id === id);
    demand('Last-Modified', !Number.isNaN(Date.parse(answer.headers['last-modified'] ?? '')));
  },
  async read(walker) {
    const made = await walker.one();
    const { json, headers } = await walker.ask('GET', made.url, 200);
    demand('what was written is read', json.resourceType === walker.type && json.id === made.id && json.meta.versionId === made.version);
    demand('the version is in ETag', headers['etag'] === `W/"${made.version}"`);
    await walker.ask('HEAD', made.url, 200);
  },
  async vread(walker) {
    const made = await walker.one();
    const { json } = await walker.ask('GET', `${made.url}/_history/${made.version}`, 200);
    demand('the version asked for', json.meta.versionId === made.version);
  },
  async update(walker) {
    const made = await walker.create();
    const { headers, json } = await walker.ask('PUT', made.url, 200, { body: { ...walker.sample, id: made.id, language: 'de' } });
    demand('a new version of what was sent', headers['etag'] !== `W/"${made.version}"` && json.language === 'de');
  },
  async patch(walker) {
    const made = await walker.create();
    const { json } = await walker.ask('PATCH', made.url, 200, { body: languageTo('fr'), headers: jsonPatch });
    demand('patched', json.language === 'fr');
  },
  async delete(walker) {
    const made = await walker.create();
    await walker.ask('DELETE', made.url, 204);
    await walker.ask('GET', made.url, 410);
  },
  async 'history-instance'(walker) {
    const made = await walker.create();
    await walker.ask('DELETE', made.url, 204);
    const { json } = await walker.ask('GET', `${made.url}/_history`, 200);
    demand('both versions', json.type === 'history' && json.total === 2 && json.entry.length === 2);
  },
  async 'history-type'(walker) {
    const made = await walker.create();
    const { json } = await walker.ask('GET', `${walker.type}/_history?_count=50&_since=2000-01-01T00:00:00Z`, 200);
    demand('what was made', json.type === 'history' && json.entry.some(({ fullUrl }: { fullUrl: string }) => fullUrl.endsWith(made.url)));
  },
  async 'search-type'(walker) {
    const made = await walker.one();
    const body = new URLSearchParams({ _id: made.id }).toString();
    const form = { body, headers: { 'content-type': 'application/x-www-form-urlencoded' } };
    for (const { json } of [
      await walker.ask('GET', `${walker.type}?_id=${made.id}`, 200),
      await walker.ask('POST', `${walker.type}/_search`, 200, form),
    ])
      demand('the one match', json.type === 'searchset' && json.total === 1 && json.entry[0].resource.id === made.id);
  },
};

/** Those of the system. https://hl7.org/fhir/R4/valueset-system-restful-interaction.html */
export const systemInteractions: Readonly<Record<string, Exercise>> = {
  transaction: (walker) => bundled(walker, 'transaction'),
  batch: (walker) => bundled(walker, 'batch'),
  async 'history-system'(walker) {
    const { json } = await walker.ask('GET', '_history?_count=5', 200);
    demand('some versions', json.type === 'history' && json.entry.length > 0);
  },
  async 'search-system'(walker) {
    const { json: made } = await walker.ask('POST', 'Patient', 201, { body: { resourceType: 'Patient' } });
    const body = new URLSearchParams({ _type: 'Patient,Basic', _id: made.id }).toString();
    const form = { body, headers: { 'content-type': 'application/x-www-form-urlencoded' } };
    for (const { json } of [
      await walker.ask('GET', `?_type=Patient,Basic&_id=${made.id}`, 200),
      await walker.ask('GET', `?_id=${made.id}`, 200),
      await walker.ask('POST', '_search', 200, form),
    ])
      demand('the one match', json.type === 'searchset' && json.total === 1 && json.entry[0].resource.id === made.id);
  },
};

async function bundled(walker: Walker, type: string): Promise<void> {
  const entry = [
    { fullUrl: 'urn:uuid:3f2f7b94-6a2c-4f4e-8f6b-0d4d0b7c6a55', resource: { resourceType: 'Patient' }, request: { method: 'POST', url: 'Patient' } },
    { request: { method: 'GET', url: 'Patient?_count=1' } },
  ];
  const { json } = await walker.ask('POST', '', 200, { body: { resourceType: 'Bundle', type, entry } });
  const statuses = json.entry.map(({ response }: { response: { status: string } }) => response.status.slice(0, 3));
  demand('each entry is answered', json.type === `${type}-response` && String(statuses) === '201,200');
}

/** What else is claimed of a type, by member and value. */
export const promises: Readonly<Record<string, Exercise>> = {
  async 'versioning versioned-update'(walker) {
    const made = await walker.create();
    const body = { ...walker.sample, id: made.id, language: 'de' };
    await walker.ask('PUT', made.url, 412, { body, headers: { 'if-match': 'W/"another"' } });
    await walker.ask('PUT', made.url, 200, { body, headers: tagOf(made) });
  },
  async 'readHistory true'(walker) {
    const made = await walker.create();
    await walker.ask('PUT', made.url, 200, { body: { ...walker.sample, id: made.id, language: 'de' } });
    const { json } = await walker.ask('GET', `${made.url}/_history/${made.version}`, 200);
    demand('the version before', json.meta.versionId === made.version && json.language === walker.sample['language']);
  },
  async 'updateCreate true'(walker) {
    const id = `chosen-${walker.type}`;
    const { json } = await walker.ask('PUT', `${walker.type}/${id}`, 201, { body: { ...walker.sample, id } });
    demand('under the chosen id', json.id === id);
  },
  async 'conditionalCreate true'(walker) {
    const made = await walker.create();
    const again = await walker.ask('POST', walker.type, 200, { body: walker.sample, headers: { 'if-none-exist': `_id=${made.id}` } });
    demand('the one that is there', again.json.id === made.id && again.headers['etag'] === `W/"${made.version}"`);
    await walker.ask('POST', walker.type, 201, { body: walker.sample, headers: { 'if-none-exist': '_id=there-is-none' } });
  },
  async 'conditionalRead full-support'(walker) {
    const { url, version } = await walker.one();
    await walker.ask('GET', url, 304, { headers: { 'if-none-match': `W/"${version}"` } });
    await walker.ask('GET', url, 200, { headers: { 'if-none-match': 'W/"another"' } });
    await walker.ask('GET', url, 304, { headers: { 'if-modified-since': new Date(walker.app.server.now() + 5000).toUTCString() } });
    await walker.ask('GET', url, 200, { headers: { 'if-modified-since': new Date(0).toUTCString() } });
  },
  async 'conditionalUpdate true'(walker) {
    const made = await walker.create();
    const { id: _id, ...body } = { ...walker.sample, id: '', language: 'it' };
    const { json } = await walker.ask('PUT', `${walker.type}?_id=${made.id}`, 200, { body });
    demand('the one that matches', json.id === made.id && json.language === 'it');
  },
  async 'referencePolicy literal'(walker) {
    const references = JSON.stringify(walker.sample).match(/"reference":"[^"]*"/g) ?? [];
    const { text } = await walker.ask('GET', (await walker.one()).url, 200);
    demand(
      'each reference as it was sent',
      references.every((reference) => text.includes(reference)),
    );
  },
  async 'conditionalDelete multiple'(walker) {
    const made = [await walker.create(), await walker.create()];
    await walker.ask('DELETE', `${walker.type}?_id=${made.map(({ id }) => id).join(',')}`, 204);
    for (const { url } of made) await walker.ask('GET', url, 410);
  },
};

/** What the server as a whole claims, by member and value. */
export const wholes: Readonly<Record<string, Exercise>> = {
  'fhirVersion 4.0.1': async (walker) => {
    const made = await patientFor(walker);
    const accept = (version: string) => ({ headers: { accept: `application/fhir+json; fhirVersion=${version}` } });
    await walker.ask('GET', made, 200, accept('4.0'));
    await walker.ask('GET', made, 406, accept('3.0'));
  },
  'mode server': async (walker) => void (await walker.ask('GET', 'metadata', 200, { token: '' })),
  implementation: async (walker) => {
    const { json } = await walker.ask('GET', 'metadata', 200, { token: '' });
    demand('the address it is reached at', json.implementation.url === walker.app.base);
  },
  security: async (walker) => {
    const { json } = await walker.ask('GET', 'metadata', 200, { token: '' });
    const [{ security }] = json.rest;
    const [oauth] = security.extension;
    const uris = new Map((oauth.extension as { url: string; valueUri: string }[]).map(({ url, valueUri }) => [url, valueUri]));
    demand('the endpoint tokens are from', uris.get('token') === walker.app.server.bootstrap.tokenUrl);
    demand(
      'claims no more',
      String(Object.keys(security)) === 'cors,service,extension' && String([...uris.keys()]) === 'token,authorize,introspect,revoke',
    );
    for (const [name, method] of [
      ['authorize', 'GET'],
      ['introspect', 'POST'],
      ['revoke', 'POST'],
    ] as const) {
      const { status } = await fetch(uris.get(name) ?? '', { method, redirect: 'manual' });
      demand(`${name} is there, and refuses what asks for nothing: ${status}`, status === 400 || status === 401);
    }
  },
  ...Object.fromEntries(
    ['application/fhir+json', XML, 'json', 'xml'].map((format) => [`format ${format}`, (walker: Walker) => formatted(walker, format)]),
  ),
  'patchFormat application/json-patch+json': async (walker) => patched(walker, languageTo('nl'), 'application/json-patch+json'),
  'patchFormat application/fhir+json': async (walker) => patched(walker, JSON.stringify(FHIR_PATCH), 'application/fhir+json'),
  'patchFormat application/fhir+xml': async (walker) => patched(walker, FHIR_PATCH_XML, XML),
};

const part = (name: string, value: object) => ({ name, ...value });
const FHIR_PATCH = {
  resourceType: 'Parameters',
  parameter: [
    {
      name: 'operation',
      part: [
        part('type', { valueCode: 'add' }),
        part('path', { valueString: 'Patient' }),
        part('name', { valueString: 'language' }),
        part('value', { valueCode: 'nl' }),
      ],
    },
  ],
};
const FHIR_PATCH_XML = `<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>${FHIR_PATCH.parameter[0]?.part
  .map(({ name, ...value }) => {
    const [[element, text] = []] = Object.entries(value);
    return `<part><name value="${name}"/><${element} value="${String(text)}"/></part>`;
  })
  .join('')}</parameter></Parameters>`;

async function patientFor(walker: Walker): Promise<string> {
  const { json } = await walker.ask('POST', 'Patient', 201, { body: { resourceType: 'Patient', gender: 'female' } });
  return `Patient/${json.id}`;
}

async function patched(walker: Walker, body: string, type: string): Promise<void> {
  const { json } = await walker.ask('PATCH', await patientFor(walker), 200, { body, headers: { 'content-type': type } });
  demand('patched', json.language === 'nl' && json.gender === 'female');
}

/** In and out, by Accept and by _format. */
async function formatted(walker: Walker, format: string): Promise<void> {
  const type = format.includes('/') ? format : `application/fhir+${format}`;
  const body = type === XML ? '<Patient xmlns="http://hl7.org/fhir"><gender value="male"/></Patient>' : '{"resourceType":"Patient","gender":"male"}';
  const made = await walker.ask('POST', `Patient?_format=${encodeURIComponent(format)}`, 201, { body, headers: { 'content-type': type } });
  const [, url = ''] = /(Patient\/[^/]+)\/_history/.exec(made.headers['location'] ?? '') ?? [];
  // The short names are values of _format only.
  const read = await walker.ask('GET', format === type ? url : `${url}?_format=${format}`, 200, {
    headers: { accept: format === type ? type : '*/*' },
  });
  for (const { headers, text } of [made, read]) {
    demand(`answered as ${type}`, headers['content-type']?.startsWith(type) ?? false);
    demand('holds what was sent', text.includes(type === XML ? '<gender value="male"/>' : '"gender":"male"'));
  }
}

/** By the name of the compartment in the statement's canonical. */
export async function compartmentExercise(walker: Walker, name: string): Promise<void> {
  const type = name.charAt(0).toUpperCase() + name.slice(1);
  const id = `compartment-${name.toLowerCase()}`;
  const body = { resourceType: 'Basic', code: { text: 'x' }, ...(type === 'Patient' ? { subject: { reference: `Patient/${id}` } } : {}) };
  if (type === 'Patient') await walker.ask('POST', 'Basic', 201, { body });
  const { json } = await walker.ask('GET', `${type}/${id}/*`, 200);
  demand(
    'a search set',
    json.type === 'searchset' && (type !== 'Patient' || json.entry.some(({ resource }: { resource: object }) => isBasic(resource))),
  );
  const one = await walker.ask('GET', `${type}/${id}/${type === 'Patient' ? 'Basic' : 'Observation'}`, 200);
  demand('a search set of one type', one.json.type === 'searchset' && one.json.total === (type === 'Patient' ? 1 : 0));
}

const isBasic = (resource: { readonly resourceType?: string }) => resource.resourceType === 'Basic';
