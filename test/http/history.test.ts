/** History of a resource, a type and the system: spans, order, pages and totals, and that nothing of them tells what is hidden. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, enrolKey, type Json, type Key, type Session } from '../../server/commands/demo/session.ts';
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
import { eventsOf } from '../support/trail.ts';

const INSURER = 'Organization/insurer';
const secret = (id: string, value: number): Json =>
  observation(id, 'Patient/alice', {
    valueQuantity: { value, unit: '/min' },
    meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] },
  });
const plain = (id: string, value: number, of = 'alice'): Json => observation(id, `Patient/${of}`, { valueQuantity: { value, unit: '/min' } });

let server: RealServer;
let admin: Session;
let insurer: Session;
let alice: Session;
let keys: readonly Key[];
/** Instants between the writes. */
const marks: number[] = [];

async function mark(): Promise<void> {
  server.advance(1000);
  marks.push(server.now());
  server.advance(1000);
}

beforeAll(async () => {
  server = await startRealServer();
  admin = server.admin;
  for (const reference of [HOSPITAL, INSURER]) await put(server, organization(reference));
  for (const id of ['alice', 'bob']) await put(server, patient(id));
  insurer = (await register(server, { actor: INSURER })).session;
  alice = (await register(server, { actor: 'Patient/alice' })).session;
  keys = [await enrolKey(admin, 'Patient/alice'), await enrolKey(admin, HOSPITAL)];
  await mark(); // 0
  for (const value of [1, 2]) await put(server, plain('a', value));
  await put(server, plain('b', 1, 'bob'));
  await mark(); // 1
  // What the insurer may see begins and ends with versions it may not.
  await put(server, secret('mixed', 1));
  await put(server, plain('mixed', 2));
  await put(server, plain('mixed', 3));
  await mark(); // 2
  await put(server, secret('hidden', 1));
  await put(server, plain('gone', 1));
  await admin.call('DELETE', 'Observation/gone');
  await put(server, secret('hidden-gone', 1));
  await admin.call('DELETE', 'Observation/hidden-gone');
  await mark(); // 3
  await put(server, plain('a', 3));
  const provision = { provision: [{ type: 'deny', securityLabel: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'HIV' }] }] };
  await agree(server, termsOf(server, { patient: 'Patient/alice', grantee: INSURER, provision }), keys);
});
afterAll(() => server.stop());

type Entry = {
  readonly fullUrl: string;
  readonly resource?: Json;
  readonly request: { method: string };
  readonly response: { status: string; lastModified: string };
};
const entriesOf = ({ json }: Answer): Entry[] => (json['entry'] ?? []) as Entry[];
const short = ({ fullUrl, resource, request }: Entry): string => {
  const id = fullUrl.split('/').at(-1) ?? '';
  return request.method === 'DELETE' ? `${id}-` : `${id}${String((resource?.['valueQuantity'] as { value?: number } | undefined)?.value ?? '')}`;
};
const linkOf = ({ json }: Answer, relation: string) =>
  ((json['link'] ?? []) as { relation: string; url: string }[]).find((l) => l.relation === relation)?.url;
const iso = (ms: number | undefined) => new Date(ms ?? 0).toISOString();

async function pages(session: Session, url: string): Promise<{ readonly shown: string[]; readonly totals: unknown[]; readonly sizes: number[] }> {
  const [shown, totals, sizes] = [[] as string[], [] as unknown[], [] as number[]];
  for (let next: string | undefined = url; next !== undefined; ) {
    const answer: Answer = await session.call('GET', next);
    expect(answer.status).toBe(200);
    shown.push(...entriesOf(answer).map(short));
    totals.push(answer.json['total']);
    sizes.push(entriesOf(answer).length);
    next = linkOf(answer, 'next');
  }
  return { shown, totals, sizes };
}

describe('the history of a type', () => {
  const whole = ['a3', 'gone-', 'gone1', 'mixed3', 'mixed2', 'a2', 'a1'];

  it('holds the visible versions, newest first, with their total', async () => {
    const answer = await insurer.call('GET', 'Observation/_history');
    expect([answer.status, answer.json['type'], answer.json['total']]).toEqual([200, 'history', whole.length]);
    expect(entriesOf(answer).map(short)).toEqual(whole);
    expect(new Set(entriesOf(answer).map(({ response }) => response.status))).toEqual(new Set(['200 OK', '204 No Content']));
    expect(answer.headers.get('assent-receipt')).toMatch(/AuditEvent/);
  });

  it('an insurer without a permit sees nothing, whatever there is', async () => {
    const stranger = (await register(server, { actor: 'Organization/stranger' })).session;
    for (const url of ['Observation/_history', `Observation/_history?_at=${iso(marks[1])}`, 'Observation/_history?_count=0'])
      expect((await stranger.call('GET', url)).json).toMatchObject({ type: 'history', total: 0 });
  });

  it('oldest first is its reversal', async () => {
    const answer = await insurer.call('GET', 'Observation/_history?_sort=_lastUpdated');
    expect(entriesOf(answer).map(short)).toEqual([...whole].reverse());
    expect(entriesOf(await insurer.call('GET', 'Observation/_history?_sort=-_lastUpdated')).map(short)).toEqual(whole);
  });

  it.each(['-_lastUpdated', '_lastUpdated'])('pages by %s are full, none is empty, and the total is that of the first', async (sort) => {
    const ordered = sort === '_lastUpdated' ? [...whole].reverse() : whole;
    for (const count of [1, 2, 3, 7, 100]) {
      const { shown, totals, sizes } = await pages(insurer, `Observation/_history?_count=${count}&_sort=${sort}`);
      expect(shown).toEqual(ordered);
      expect(new Set(totals)).toEqual(new Set([whole.length]));
      expect(sizes).toEqual(Array.from({ length: Math.ceil(whole.length / count) }, (_, i) => Math.min(count, whole.length - i * count)));
    }
  });

  it('only the total', async () => {
    const answer = await insurer.call('GET', 'Observation/_history?_count=0');
    expect([answer.json['total'], entriesOf(answer), linkOf(answer, 'next')]).toEqual([whole.length, [], undefined]);
  });

  it('since an instant', async () => {
    const since = async (mark: number) => entriesOf(await insurer.call('GET', `Observation/_history?_since=${iso(marks[mark])}`)).map(short);
    expect(await since(0)).toEqual(whole);
    expect(await since(1)).toEqual(['a3', 'gone-', 'gone1', 'mixed3', 'mixed2']);
    expect(await since(3)).toEqual(['a3']);
    const exact = entriesOf(await insurer.call('GET', 'Observation/_history'))[0]?.response.lastModified;
    expect(entriesOf(await insurer.call('GET', `Observation/_history?_since=${String(exact)}`)).map(short)).toEqual(['a3']);
  });

  it('what was current at an instant, and in a period', async () => {
    const at = async (text: string) => entriesOf(await insurer.call('GET', `Observation/_history?_at=${text}`)).map(short);
    expect(await at(iso(marks[0]))).toEqual([]);
    expect(await at(iso(marks[1]))).toEqual(['a2']);
    expect(await at(iso(marks[2]))).toEqual(['mixed3', 'a2']);
    expect(await at(iso(marks[3]))).toEqual(['mixed3', 'a2']);
    expect(await at(iso(server.now()).slice(0, 4))).toEqual(whole);
    expect(await at('1999-12')).toEqual([]);
    expect(await at('2999')).toEqual(['a3', 'mixed3']);
  });

  it('a version that was replaced by one that is hidden is as current as if that had never been', async () => {
    await put(server, plain('later', 1));
    await put(server, secret('later', 2));
    await mark();
    const between = marks.at(-1);
    await put(server, plain('later', 3));
    const at = entriesOf(await insurer.call('GET', `Observation/_history?_at=${iso(between)}`)).map(short);
    expect(at).toContain('later1');
    expect(at.filter((each) => each.startsWith('later'))).toEqual(['later1']);
  });

  it.each([
    ['_since', 'yesterday'],
    ['_since', '2024'],
    ['_at', 'x'],
    ['_at', '2024-13'],
    ['_sort', 'name'],
    ['_count', '-1'],
    ['_since', '2024-01-01T00:00:00Z&_since=2024-01-01T00:00:00Z'],
    ['name', 'x'],
    ['_cursor', 'forged'],
  ])('%s=%s is refused with words', async (name, value) => {
    const answer = await insurer.call('GET', `Observation/_history?${name}=${value}`);
    expect(answer.status).toBe(400);
    expect(answer.json['resourceType']).toBe('OperationOutcome');
  });

  it('a page link serves its caller and its question only', async () => {
    const next = linkOf(await insurer.call('GET', 'Observation/_history?_count=2'), 'next') ?? '';
    expect((await insurer.call('GET', next)).status).toBe(200);
    expect((await alice.call('GET', next)).status).toBe(400);
    expect((await insurer.call('GET', next.replace('Observation/_history', '_history'))).status).toBe(400);
    expect((await insurer.call('GET', next.replace('_count=2', '_count=2&_since=2024-01-01T00:00:00Z'))).status).toBe(400);
  });

  it('pages stay whole while others write', async () => {
    const before = (await pages(insurer, 'Observation/_history')).shown;
    const shown: string[] = [];
    let at = 0;
    for (let next: string | undefined = 'Observation/_history?_count=2'; next !== undefined; ) {
      const answer: Answer = await insurer.call('GET', next);
      shown.push(...entriesOf(answer).map(short));
      await put(server, plain(`concurrent-${at++}`, 9));
      await put(server, plain('a', 10 + at));
      next = linkOf(answer, 'next');
    }
    expect(shown).toEqual(before);
  });
});

describe('the history of the system', () => {
  it('holds every type the token may search and nothing hidden', async () => {
    const { shown } = await pages(insurer, '_history?_count=50');
    const all = entriesOf(await insurer.call('GET', '_history?_count=1000'));
    expect(new Set(all.map(({ fullUrl }) => fullUrl.split('/').at(-2)))).toEqual(new Set(['Observation', 'Patient', 'Organization', 'AuditEvent']));
    expect(all.some(({ fullUrl }) => fullUrl.endsWith('Patient/bob'))).toBe(false);
    expect(shown.filter((each) => /hidden|^b1$/.test(each))).toEqual([]);
    expect(JSON.stringify(all)).not.toMatch(/"HIV"|Patient\/bob|hidden/);
  });

  it('is narrowed by the scope of the token, and refused without any', async () => {
    const narrow = (await register(server, { actor: INSURER, scope: 'system/Patient.rs system/Observation.r' })).session;
    const answer = await narrow.call('GET', '_history');
    expect(entriesOf(answer).map(({ fullUrl }) => fullUrl.split('/').slice(-2).join('/'))).toEqual(['Patient/alice']);
    expect(answer.json['total']).toBe(1);
    const none = (await register(server, { actor: INSURER, scope: 'system/Patient.r' })).session;
    expect((await none.call('GET', '_history')).status).toBe(403);
    expect((await none.call('GET', 'Patient/_history')).status).toBe(403);
  });

  it('leaves its trail: one event per patient with what was shown, and one with the request', async () => {
    const url = `_history?_since=${iso(marks[2])}&_count=3`;
    const events = await eventsOf(admin, () => insurer.call('GET', url));
    expect(events.map(({ subtype }) => subtype)).toEqual(Array(2).fill([expect.objectContaining({ code: 'history-system' })]));
    expect(JSON.stringify(events)).toContain('Patient/alice');
    expect(JSON.stringify(events)).toContain(Buffer.from(url).toString('base64'));
  });
});

describe('the history of one resource', () => {
  it('of hidden, absent and deleted-and-hidden is the same 404', async () => {
    const answers = await Promise.all(['hidden', 'hidden-gone', 'never'].map((id) => insurer.call('GET', `Observation/${id}/_history?_at=2024`)));
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(new Set(answers.map((answer) => JSON.stringify(normalised(answer)))).size).toBe(1);
  });

  it('counts and shows its visible versions; a span without any is empty, not absent', async () => {
    const answer = await insurer.call('GET', 'Observation/mixed/_history');
    expect([answer.json['total'], entriesOf(answer).map(short)]).toEqual([2, ['mixed3', 'mixed2']]);
    expect((await insurer.call('GET', 'Observation/mixed/_history?_since=2999-01-01T00:00:00Z')).json).toMatchObject({ type: 'history', total: 0 });
    expect(linkOf(await insurer.call('GET', 'Observation/mixed/_history?_count=2'), 'next')).toBeUndefined();
    expect(entriesOf(await insurer.call('GET', `Observation/mixed/_history?_at=${iso(marks[2])}`)).map(short)).toEqual(['mixed3']);
  });
});
