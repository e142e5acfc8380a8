/** Kinds of search parameters and modifiers through the whole server, with a package of definitions on board. https://hl7.org/fhir/R4/search.html */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Json, type Session } from '../../server/commands/demo/session.ts';
import { HOSPITAL, organization, put, type RealServer, startRealServer } from '../support/real-server.ts';
import { writePackage } from '../support/package.ts';

const folder = mkdtempSync(join(tmpdir(), 'assent-kinds-'));
const system = 'http://example.org/cs';
const definitions = [
  {
    resourceType: 'SearchParameter',
    url: 'http://example.org/sp/floor',
    code: 'floor',
    base: ['Location'],
    type: 'string',
    expression: "Location.extension.where(url = 'http://example.org/floor').value.ofType(string)",
  },
  { resourceType: 'SearchParameter', url: 'http://example.org/sp/odd', code: 'odd', base: ['Location'], type: 'token', expression: 'Location.((' },
  { resourceType: 'CodeSystem', url: system, content: 'complete', concept: [{ code: 'ward', concept: [{ code: 'icu' }] }, { code: 'lab' }] },
  {
    resourceType: 'ValueSet',
    url: 'http://example.org/vs',
    compose: { include: [{ system, filter: [{ property: 'concept', op: 'is-a', value: 'ward' }] }] },
  },
];
let server: RealServer;
let caller: Session;

const ucum = (value: number, code: string) => ({ value, unit: code, system: 'http://unitsofmeasure.org', code });
const location = (id: string, code: string, more: object): Json => ({
  resourceType: 'Location',
  id,
  name: `Haus ${id}`,
  physicalType: { coding: [{ system, code }] },
  type: [{ coding: [{ system, code, display: `Ebene ${code}` }] }],
  ...more,
});
const substance = (id: string, quantity: object): Json => ({
  resourceType: 'Substance',
  id,
  code: { text: 'salt' },
  instance: [{ quantity }],
});

beforeAll(async () => {
  const path = await writePackage(join(folder, 'kinds.tgz'), definitions);
  server = await startRealServer({ ASSENT_PACKAGES: path });
  caller = server.admin;
  await put(server, organization(HOSPITAL));
  const role = { system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode', code: 'PSYCHF' };
  await put(server, { ...organization('Organization/psychiatry'), type: [{ coding: [role] }] });
  await put(
    server,
    location('a', 'icu', {
      position: { latitude: 25.03, longitude: 121.56 },
      extension: [{ url: 'http://example.org/floor', valueString: 'Third' }],
    }),
  );
  await put(server, location('b', 'lab', { position: { latitude: 25.1, longitude: 121.56 } }));
  await put(server, location('c', 'ward', {}));
  await put(server, substance('gram', ucum(1, 'g')));
  await put(server, substance('milli', ucum(1000, 'mg')));
  await put(server, substance('other', ucum(2, 'kg')));
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function found(query: string): Promise<string[]> {
  const { status, json } = await caller.call('GET', query);
  expect(status, query).toBe(200);
  const entries = (json['entry'] ?? []) as { resource: { id: string }; search: { mode: string } }[];
  return entries
    .filter(({ search }) => search.mode === 'match')
    .map(({ resource }) => resource.id)
    .toSorted();
}

test.each([
  ['Location?floor=third', ['a']],
  ['Location?floor:missing=true', ['b', 'c']],
  ['Location?floor:contains=HIR', ['a']],
  ['Location?type:in=http://example.org/vs', ['a', 'c']],
  ['Location?type:not-in=http://example.org/vs', ['b']],
  [`Location?type:below=${system}|ward`, ['a', 'c']],
  [`Location?type:above=${system}|icu`, ['a', 'c']],
  ['Organization?type:below=http://terminology.hl7.org/CodeSystem/v3-RoleCode|HOSP', ['psychiatry']],
  ['Organization?type:above=http://terminology.hl7.org/CodeSystem/v3-RoleCode|PSYCHF', ['psychiatry']],
  ['Location?type:text=ebene', ['a', 'b', 'c']],
  ['Location?type=ICU', ['a']],
  ['Location?near=25.03|121.56|5|km', ['a']],
  ['Location?_sort=floor', ['a', 'b', 'c']],
  ['Location?_sort=-floor,_id&_count=2', ['a', 'b']],
  ['Location?near=25.03|121.56|10000|m', ['a', 'b']],
  ['Substance?quantity=1|http://unitsofmeasure.org|g', ['gram', 'milli']],
  ['Substance?quantity=gt1500000|http://unitsofmeasure.org|mg', ['other']],
])('%s', async (query, expected) => {
  expect(await found(query)).toEqual(expected);
});

test('what cannot be answered whole is refused and named, or left out with a warning', async () => {
  for (const query of ['type:in=http://example.org/none', 'odd=1', 'near=1|2|3|kg', 'type:below=http://loinc.org|1', 'name:below=x']) {
    const strict = await caller.call('GET', `Location?${query}`, undefined, { prefer: 'handling=strict' });
    expect(strict.status, query).toBe(400);
    expect(strict.text).toContain(query.split('=')[0]);
    const lenient = await caller.call('GET', `Location?${query}`, undefined, { prefer: 'handling=lenient' });
    expect(lenient.status, query).toBe(200);
    expect(lenient.text).toContain('OperationOutcome');
  }
});

test('the capability statement names what a package brought', async () => {
  const { text } = await caller.call('GET', 'metadata');
  expect(text).toContain('"floor"');
  expect(text).not.toContain('"odd"');
});

test('a start says when what is stored was indexed by other rules, until everything was indexed again', async () => {
  const says = () => server.logs.filter((line) => line.includes('$reindex')).length;
  await server.restart();
  expect(says()).toBe(0);
  expect(server.logs.join()).toContain('http://example.org/sp/odd');
  // A database from before the rules were remembered.
  await server.restart(() => server.hand.removeRecord('key-rules', 'stored'));
  expect(says()).toBe(1);
  const started = await caller.call('POST', '$reindex', undefined, { prefer: 'respond-async' });
  expect(started.status).toBe(202);
  const job = (started.headers.get('content-location') ?? '').replace(/^.*\/fhir\//, '');
  await expect.poll(async () => (await caller.call('GET', job)).status).toBe(200);
  await server.restart();
  expect(says()).toBe(1);
});
