/** SearchParameters posted by an administrator, over HTTP: refused by name until $reindex has made their keys, then as any other. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Session } from '../../server/commands/demo/session.ts';
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
} from '../support/real-server.ts';

const EYES = 'http://example.org/eyes';

const INSURER = 'Organization/insurer';
const PATIENTS = ['green', 'brown', 'meanwhile', 'after', 'contacts'];

let server: RealServer;
let insurer: Session;
let insurerId: string;
beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  await put(server, withEyes('green', 'green'));
  await put(server, { ...withEyes('brown', 'brown'), link: [{ other: { reference: 'Patient/green' }, type: 'seealso' }] });
  await put(server, observation('of-green', 'Patient/green', { note: [{ text: 'Seen by daylight' }] }));
  await put(server, observation('of-brown', 'Patient/brown'));
  const custodian = await enrolKey(server.admin, HOSPITAL);
  for (const id of PATIENTS) {
    if (!['green', 'brown'].includes(id)) await put(server, patient(id));
    await agree(server, termsOf(server, { patient: `Patient/${id}`, grantee: INSURER }), [await enrolKey(server.admin, `Patient/${id}`), custodian]);
  }
  const registered = await register(server, { actor: INSURER });
  insurer = registered.session;
  insurerId = registered.client.client_id;
});
afterAll(() => server.stop());

const withEyes = (id: string, colour: string): Json => ({ ...patient(id), extension: [{ url: EYES, valueCode: colour }] });

const parameter = (code: string, base: string, expression: string, more: Json = {}): Json => ({
  resourceType: 'SearchParameter',
  id: `sp-${code}`,
  url: `http://example.org/SearchParameter/${code}`,
  name: code,
  status: 'active',
  description: code,
  code,
  base: [base],
  type: 'token',
  expression,
  ...more,
});

const eyes = parameter('eyes', 'Patient', `Patient.extension('${EYES}').value`);
const remark = parameter('remark', 'Observation', 'Observation.note.text', { type: 'string' });

const ask = (query: string, handling = 'strict'): Promise<Answer> => insurer.call('GET', query, undefined, { prefer: `handling=${handling}` });
const found = async (query: string): Promise<string[]> => {
  const { status, json, text } = await ask(query);
  expect(status, text).toBe(200);
  const entries = (json['entry'] ?? []) as { resource: { id: string }; search: { mode: string } }[];
  return entries.map(({ resource }) => resource.id).sort();
};

async function reindex(type = ''): Promise<void> {
  const started = await server.admin.call('POST', type === '' ? '$reindex' : `${type}/$reindex`);
  expect(started.status).toBe(202);
  const job = (started.headers.get('content-location') ?? '').replace(/^.*\/fhir\//, '');
  await expect.poll(async () => (await server.admin.call('GET', job)).status).toBe(200);
}

async function claimed(type: string): Promise<string[]> {
  const { json } = await server.admin.call('GET', 'metadata');
  const [{ resource }] = json['rest'] as [{ resource: { type: string; searchParam: { name: string }[] }[] }];
  return resource.find((one) => one.type === type)?.searchParam.map(({ name }) => name) ?? [];
}

describe('a search parameter', () => {
  it('is refused wherever it is named until it is ready, then finds what was written before, meanwhile and after', async () => {
    await put(server, eyes);
    await put(server, withEyes('meanwhile', 'green'));
    const everywhere = [
      'Patient?eyes=green',
      'Patient?eyes:missing=true',
      'Patient?_sort=-eyes',
      'Observation?subject:Patient.eyes=green',
      'Observation?subject.eyes=green',
      'Patient?_has:Patient:link:eyes=green',
      'Patient?_filter=eyes%20eq%20green',
      '?_type=Patient&eyes=green',
    ];
    for (const query of everywhere)
      for (const handling of ['strict', 'lenient']) {
        const { status, text } = await ask(query, handling);
        expect(status, `${query} ${text}`).toBe(400);
        expect(text).toContain('POST /fhir/Patient/$reindex');
      }
    expect(await claimed('Patient')).not.toContain('eyes');
    await reindex('Patient');
    expect(await claimed('Patient')).toContain('eyes');
    await put(server, withEyes('after', 'green'));
    expect(await found('Patient?eyes=green')).toEqual(['after', 'green', 'meanwhile']);
    expect(await found('Observation?subject:Patient.eyes=green')).toEqual(['of-green']);
    expect(await found('Observation?subject.eyes=brown')).toEqual(['of-brown']);
    expect(await found('Patient?_has:Patient:link:eyes=brown')).toEqual(['green']);
    expect(await found('Patient?_filter=eyes%20eq%20brown')).toEqual(['brown']);
    expect(await found('?_type=Patient&eyes=brown')).toEqual(['brown']);
    const explained = await server.admin.call('POST', '/admin/explain', { search: 'Patient?eyes=green', as: insurerId });
    const [page] = explained.json['reads'] as { considered: { of: string }[] }[];
    expect(page?.considered.map(({ of }) => of)).toContain('eyes (a SearchParameter stored here or of a package)');
    const sorted = ((await ask('Patient?_sort=eyes')).json['entry'] as { resource: { id: string } }[]).map(({ resource }) => resource.id);
    expect(sorted[0]).toBe('brown');
    await server.restart();
    expect(await found('Patient?eyes=green')).toEqual(['after', 'green', 'meanwhile']);
  });

  it('that refers is followed by chains, _has and _include once it is ready', async () => {
    const twin = parameter('twin', 'Patient', "Patient.link.where(type = 'seealso').other", { type: 'reference', target: ['Patient'] });
    await put(server, twin);
    for (const query of [
      'Patient?twin.active=true',
      'Patient?_include=Patient:twin',
      'Patient?_revinclude=Patient:twin',
      'Patient?_has:Patient:twin:_id=brown',
    ])
      expect((await ask(query)).text, query).toContain('$reindex');
    await reindex();
    expect(await found('Patient?twin=Patient/green')).toEqual(['brown']);
    expect(await found('Patient?twin:Patient.active=true')).toEqual(['brown']);
    expect(await found('Patient?_has:Patient:twin:_id=brown')).toEqual(['green']);
    expect(await found('Patient?_id=brown&_include=Patient:twin')).toEqual(['brown', 'green']);
    expect(await found('Patient?_id=green&_revinclude=Patient:twin')).toEqual(['brown', 'green']);
  });

  it('is another one with another definition, the same one with other words, and none when it is retired or deleted', async () => {
    await put(server, remark);
    await reindex('Observation');
    expect(await found('Observation?remark=seen')).toEqual(['of-green']);
    await put(server, { ...remark, description: 'What was remarked' });
    expect(await found('Observation?remark=seen')).toEqual(['of-green']);
    await put(server, { ...remark, expression: 'Observation.code.text' });
    expect((await ask('Observation?remark=seen')).status).toBe(400);
    await reindex('Observation');
    expect(await found('Observation?remark=seen')).toEqual([]);
    await put(server, { ...remark, status: 'retired' });
    expect((await ask('Observation?remark=seen')).text).toContain('is not known');
    // Kept by no process: what was written without keys is not taken for what has none.
    await put(server, observation('between', 'Patient/brown', { note: [{ text: 'Seen between' }] }));
    await put(server, remark);
    expect((await ask('Observation?remark=seen')).status).toBe(400);
    await reindex('Observation');
    expect(await found('Observation?remark=seen')).toEqual(['between', 'of-green']);
    expect((await server.admin.call('DELETE', 'SearchParameter/sp-remark')).status).toBe(204);
    expect((await ask('Observation?remark=seen')).text).toContain('is not known');
    expect((await ask('Observation?remark=seen', 'lenient')).status).toBe(200);
    expect(await claimed('Observation')).not.toContain('remark');
  });

  it('is asked by whoever may search the type, in their own view', async () => {
    const { session } = await register(server, { actor: 'Organization/stranger' });
    expect((await session.call('GET', 'Patient?eyes=green')).json['total']).toBe(0);
  });

  it('is for administrators to make, change and delete; a draft changes nothing', async () => {
    const { session } = await register(server, { actor: 'Organization/other', choosesIds: true });
    const { id: _id, ...mine } = parameter('mine', 'Patient', 'Patient.active');
    expect((await session.call('POST', 'SearchParameter', mine)).status).toBe(403);
    expect((await session.call('POST', 'SearchParameter', { ...mine, status: 'draft' })).status).toBe(201);
    expect((await session.call('PUT', 'SearchParameter/sp-eyes', { ...eyes, status: 'retired' })).status).toBe(403);
    expect((await session.call('DELETE', 'SearchParameter/sp-eyes')).status).toBe(403);
    expect((await ask('Patient?mine=true')).text).toContain('is not known');
  });

  it.each<readonly [string, Json, string]>([
    ['does not parse', { expression: 'Patient.name.(' }, 'expression'],
    ['leads to no element', { expression: 'Patient.nam.family' }, 'expression'],
    ['leads to what the type does not find', { expression: 'Patient.birthDate', type: 'quantity' }, 'expression'],
    ['has no part for the base', { expression: 'Observation.code' }, 'expression'],
    ['recurses', { expression: 'Patient.repeat(contact).name' }, 'expression'],
    ['tries patterns', { expression: "Patient.name.where(family.matches('(a+)+$')).family", type: 'string' }, 'expression'],
    ['asks within what it asks', { expression: "Patient.contact.where(name.where(family = 'a').exists()).gender" }, 'expression'],
    ['unites what is not simple', { expression: '(Patient.name.exists() | Patient.active)' }, 'expression'],
    ['is too long', { expression: `Patient.active${'.first()'.repeat(200)}` }, 'expression'],
    ['is for no type', { base: ['Person', 'Nobody'] }, 'base[1]'],
    ['is for every type', { base: ['Resource'] }, 'base[0]'],
    ['is for the trail', { base: ['AuditEvent'], expression: 'AuditEvent.outcome' }, 'base[0]'],
    ['has the name of one of R4', { code: 'birthdate', type: 'date', expression: 'Patient.birthDate' }, 'code'],
    ['has the name of another', { code: 'Eyes' }, 'code'],
    ['has a name that cannot be asked', { code: 'a.b' }, 'code'],
    ['is of a type that is not offered', { type: 'special' }, 'type'],
    ['has no expression', { expression: undefined }, 'expression'],
    ['refers to no type', { type: 'reference', expression: 'Patient.generalPractitioner', target: ['Doctor'] }, 'target[0]'],
    [
      'has a component nobody knows',
      { type: 'composite', expression: 'Patient.contact', component: [{ definition: 'http://example.org/x-unknown', expression: 'gender' }] },
      'component[0]',
    ],
  ])('that %s is refused, with the element at fault', async (_how, wrong, element) => {
    const { status, json, text } = await server.admin.call('PUT', 'SearchParameter/sp-wrong', {
      ...parameter('wrong', 'Patient', 'Patient.active'),
      ...wrong,
    });
    expect(status, text).toBe(422);
    const [issue] = json['issue'] as { expression?: string[]; diagnostics: string }[];
    expect(issue?.expression, text).toEqual([`SearchParameter.${element}`]);
  });

  it('of R4 itself, or of a package on board, may be stored and changes nothing', async () => {
    const r4 = parameter('birthdate', 'Patient', 'Patient.birthDate', {
      url: 'http://hl7.org/fhir/SearchParameter/individual-birthdate',
      type: 'date',
    });
    await put(server, r4);
    expect((await ask('Patient?birthdate=2020')).status).toBe(200);
  });

  it('whose parts are of one element is answered by the parts together', async () => {
    await put(server, parameter('kind', 'Patient', 'Patient.contact.gender'));
    await put(
      server,
      parameter('contact-of', 'Patient', 'Patient.contact', {
        type: 'composite',
        component: [
          { definition: 'http://example.org/SearchParameter/Patient-kind', expression: 'gender' },
          { definition: 'http://hl7.org/fhir/SearchParameter/Patient-organization', expression: 'organization' },
        ],
      }),
    );
    const contacts = [
      { gender: 'female', organization: { reference: 'Organization/a' } },
      { gender: 'male', organization: { reference: 'Organization/b' } },
    ];
    await put(server, { ...patient('contacts'), contact: contacts });
    await reindex('Patient');
    expect(await found('Patient?contact-of=female$Organization/a')).toEqual(['contacts']);
    expect(await found('Patient?contact-of=female$Organization/b')).toEqual([]);
  });
});
