/**
 * `_text` and `_content` through the whole server, by a caller who may see one of two patients: what is hidden is found by no word, counted
 * nowhere and gone with its erasure. https://hl7.org/fhir/R4/search.html#text
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enrolKey, type Session } from '../../server/commands/demo/session.ts';
import {
  agree,
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  type RealServer,
  register,
  settled,
  startRealServer,
  termsOf,
} from '../support/real-server.ts';

const INSURER = 'Organization/insurer';
let server: RealServer;
let insurer: Session;
let hospital: Session;

const narrative = (words: string) => ({ status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml"><p>${words}</p></div>` });

beforeAll(async () => {
  server = await startRealServer();
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const [id, words] of [
    ['seen', 'Lives in <b>K</b>öln with a cat'],
    ['hidden', 'Lives in Köln with a dog'],
  ] as const) {
    await put(server, { ...patient(id), name: [{ family: `Family-${id}` }], text: narrative(words) });
    const reference = `Patient/${id}`;
    await put(server, observation(`${id}-1`, reference, { note: [{ text: `High blood pressure since 7.2 weeks, ${id}` }] }));
    await put(server, observation(`${id}-2`, reference, { text: narrative('患者高血壓，用aspirin治療'), note: [{ text: 'Pressure of blood' }] }));
    await put(server, observation(`${id}-3`, reference, { code: { text: 'Bone and liver metastases' } }));
  }
  const custodian = await enrolKey(server.admin, HOSPITAL);
  for (const id of ['seen', 'hidden']) {
    const keys = [await enrolKey(server.admin, `Patient/${id}`), custodian];
    await agree(server, termsOf(server, { patient: `Patient/${id}`, grantee: HOSPITAL }), keys);
    if (id === 'seen') await agree(server, termsOf(server, { patient: 'Patient/seen', grantee: INSURER }), keys);
  }
  hospital = (await register(server, { actor: HOSPITAL })).session;
  insurer = (await register(server, { actor: INSURER })).session;
});
afterAll(() => server.stop());

type Entry = { readonly resource: { readonly resourceType: string; readonly id: string } };

async function found(query: string, session = insurer): Promise<readonly string[]> {
  const answer = await session.call('GET', query, undefined, { prefer: 'handling=strict' });
  expect([query, answer.status, answer.status === 200 ? '' : answer.text]).toEqual([query, 200, '']);
  const ids = ((answer.json['entry'] ?? []) as readonly Entry[]).map(({ resource }) => resource.id);
  expect(answer.json['total']).toBe(ids.length);
  return ids.sort();
}

const asked = (type: string, name: string, value: string) => `${type}?${new URLSearchParams([[name, value]]).toString()}`;

test.each([
  ['Patient', '_text', 'KOLN', ['seen']],
  ['Patient', '_text', 'cat OR dog', ['seen']],
  ['Patient', '_text', 'dog', []],
  ['Patient', '_text', 'family', []],
  ['Patient', '_content', 'family köln', ['seen']],
  ['Patient', '_content', 'NOT dog', ['seen']],
  ['Observation', '_content', 'blood pressure', ['seen-1', 'seen-2']],
  ['Observation', '_content', '"blood pressure"', ['seen-1']],
  ['Observation', '_content', '"blood pressure",metastases', ['seen-1', 'seen-3']],
  ['Observation', '_content', '(bone OR kidney) and metastases', ['seen-3']],
  ['Observation', '_content', '7.2', ['seen-1']],
  ['Observation', '_text', '高血壓', ['seen-2']],
  ['Observation', '_text', '血', ['seen-2']],
  ['Observation', '_text', '"blood pressure"', []],
  ['Observation', '_content', 'hidden', []],
  ['Observation', 'subject:Patient._text', 'koln', ['seen-1', 'seen-2', 'seen-3']],
  ['Observation', 'subject:Patient._content', 'dog', []],
  ['Patient', '_has:Observation:subject:_content', 'blood', ['seen']],
  ['Patient', '_has:Observation:subject:_text', 'metastases', []],
  ['Observation', '_filter', '_content eq "bone liver" or _text eq "aspirin"', ['seen-2', 'seen-3']],
  ['', '_type', 'Patient,Observation&_content=aspirin', ['seen-2']],
] as const)('%s?%s=%s', async (type, name, value, expected) => {
  const query = name === '_type' ? `?${name}=${value}` : asked(type, name, value);
  expect(await found(query)).toEqual(expected);
});

test('the hospital finds both, in pages and in any order', async () => {
  expect(await found(asked('Observation', '_content', 'pressure'), hospital)).toHaveLength(4);
  const first = await hospital.call('GET', `${asked('Observation', '_content', 'pressure')}&_sort=_id&_count=3`);
  const next = (first.json['link'] as { relation: string; url: string }[]).find(({ relation }) => relation === 'next')?.url ?? '';
  const second = await hospital.call('GET', next.replace(/^.*\/fhir\//, ''));
  const ids = [first, second].flatMap(({ json }) => (json['entry'] as Entry[]).map(({ resource }) => resource.id));
  expect(ids).toEqual(['hidden-1', 'hidden-2', 'seen-1', 'seen-2']);
});

test('what cannot be read is refused and named, whatever the handling', async () => {
  for (const query of ['_content="blood', '_text=(a', '_content=a OR', '_text=%2B', '_content:contains=a', 'subject:Patient._content=(a'])
    for (const handling of ['strict', 'lenient']) {
      const { status, text } = await insurer.call('GET', `Observation?${query}`, undefined, { prefer: `handling=${handling}` });
      expect([query, status]).toEqual([query, 400]);
      expect(text).toContain(query.split(/[:=]/)[0]);
    }
});

test('words are those of the newest version', async () => {
  await put(server, observation('seen-4', 'Patient/seen', { note: [{ text: 'Quixotic' }] }));
  expect(await found(asked('Observation', '_content', 'quixotic'))).toEqual(['seen-4']);
  await put(server, observation('seen-4', 'Patient/seen', { note: [{ text: 'Pragmatic' }] }));
  expect(await found(asked('Observation', '_content', 'quixotic'))).toEqual([]);
  expect(await found(asked('Observation', '_content', 'pragmatic'))).toEqual(['seen-4']);
  await server.admin.call('DELETE', 'Observation/seen-4');
  expect(await found(asked('Observation', '_content', 'pragmatic'))).toEqual([]);
});

test('a condition may ask by words, and what is hidden never meets it', async () => {
  const { id: _id, ...fresh } = observation('fresh', 'Patient/seen', { code: { text: 'Bone' } });
  const create = async (words: string) => (await insurer.call('POST', 'Observation', fresh, { 'if-none-exist': `_content="${words}"` })).status;
  expect(await create('liver metastases')).toBe(200);
  expect(await create('weeks hidden')).toBe(201);
});

/** As a server of KEY_RULES 3 left them: neither words nor pairs. */
async function forgetWords(): Promise<void> {
  await server.offline(async ({ resources, records }) => {
    for (const type of ['Patient', 'Observation'])
      await resources.reindex({ type }, ({ keys, instant }) => ({ keys: keys.filter((key) => !/^~?1b[ef]b|^1b[gh]m/.test(key)), instant }));
    await records.put('key-rules', 'stored', '3');
  });
}

test('what was stored before is found once everything was indexed again', async () => {
  const says = () => server.logs.filter((line) => line.includes('$reindex')).length;
  const before = says();
  await forgetWords();
  expect(says()).toBe(before + 1);
  expect(await found(asked('Observation', '_content', 'aspirin'))).toEqual([]);
  // What has two keys a key together is asked by one each until all have it.
  const together = 'Observation?patient=Patient/seen&code=http://loinc.org|8867-4';
  expect(await found(together)).toEqual(['seen-1', 'seen-2']);
  const started = await server.admin.call('POST', '$reindex', undefined, { prefer: 'respond-async' });
  const done = await settled(server.admin, (started.headers.get('content-location') ?? '').replace(/^.*\/fhir\//, ''));
  expect(done.status).toBe(200);
  expect(await found(asked('Observation', '_content', 'aspirin'))).toEqual(['seen-2']);
  expect(await found(together)).toEqual(['seen-1', 'seen-2']);
  await server.restart();
  expect(says()).toBe(before + 1);
});
