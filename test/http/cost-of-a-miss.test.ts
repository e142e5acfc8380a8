/**
 * What it takes to answer that there is nothing tells nothing: the same questions to the store, and events of as many index keys, whether the resource is
 * hidden or absent, and whomever it concerns. docs/adr/0059-a-miss-costs-the-same.md; test/timing/run.ts holds a stopwatch to it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isIndexed } from '../../server/store/driver.ts';
import type { Engine, Reindexed, ResourceStore, WriteSet } from '../../server/store/port.ts';
import {
  HOSPITAL,
  observation,
  organization,
  patient,
  put,
  register,
  type RealServer,
  type Registered,
  startRealServer,
} from '../support/real-server.ts';

let server: RealServer;
let insurer: Registered;
let asked: string[] = [];
let written: WriteSet[] = [];
let reindexed: Reindexed[] = [];
let version = '';

/** Nothing is done with these beside what is asked for. */
const ASKED_ABOUT = new Set(['Observation', 'Patient']);

/** Notes what is read, and what is written. */
function watched(engine: Engine): Engine {
  const { resources } = engine;
  const noting =
    <Question extends { readonly type?: string }, Answer>(name: string, ask: (question: Question) => Promise<Answer>) =>
    (question: Question) => {
      if (ASKED_ABOUT.has(question.type ?? '')) asked.push(name);
      return ask(question);
    };
  const commit: ResourceStore['commit'] = (writes) => {
    if (writes.resources.length > 0) written.push(writes);
    return resources.commit(writes);
  };
  const find = noting('find', (query: Parameters<ResourceStore['find']>[0]) => resources.find(query));
  const history = noting('history', (query: Parameters<ResourceStore['history']>[0]) => resources.history(query));
  const reindex: ResourceStore['reindex'] = async (slice, keysOf) => {
    const done = await resources.reindex(slice, keysOf);
    reindexed.push(done);
    return done;
  };
  return { ...engine, resources: { ...resources, find, history, commit, reindex } };
}

const note = [{ text: 'x'.repeat(200_000) }];

beforeAll(async () => {
  server = await startRealServer({}, { through: watched });
  await put(server, organization(HOSPITAL));
  for (const id of ['ada', 'ben', 'cleo']) await put(server, patient(id));
  version = await put(server, observation('one', 'Patient/ada'));
  const performers = ['ben', 'cleo'].map((id) => ({ reference: `Patient/${id}` }));
  await put(server, observation('two', 'Patient/ada', { performer: performers.slice(0, 1) }));
  await put(server, observation('three', 'Patient/ada', { performer: performers }));
  await put(server, observation('large', 'Patient/ada', { note }));
  insurer = await register(server, { actor: 'Organization/insurer' });
});
afterAll(() => server.stop());

type Cost = { readonly asked: readonly string[]; readonly rows: number; readonly entries: number; readonly keys: readonly number[] };

async function costOf(path: string): Promise<Cost> {
  // Whatever is read once for a new caller or a new type is known by now.
  await insurer.session.call('GET', path);
  asked = [];
  written = [];
  const { status } = await insurer.session.call('GET', path);
  expect(status).toBe(404);
  expect(written).toHaveLength(1);
  const [{ resources, log }] = written as [WriteSet];
  return { asked: [...asked], rows: resources.length, entries: log.length, keys: resources.map(({ keys }) => new Set(keys.filter(isIndexed)).size) };
}

describe('a miss costs the same', () => {
  it.each([
    ['a read', (id: string) => `Observation/${id}`],
    ['a read of a version', (id: string) => `Observation/${id}/_history/${version}`],
    ['a history', (id: string) => `Observation/${id}/_history`],
  ])('by %s, of one patient, of two, of three, of 200 kB and of what is not there', async (_name, path) => {
    const absent = await costOf(path('none'));
    expect(absent).toMatchObject({ rows: 2, entries: 2, asked: expect.arrayContaining(['find']) as unknown });
    for (const id of ['one', 'two', 'three', 'large']) expect([id, await costOf(path(id))]).toEqual([id, absent]);
  });

  it.each([
    ['a read', (id: string) => `Patient/${id}`],
    ['$everything', (id: string) => `Patient/${id}/$everything`],
  ])('by %s of a Patient, who is named by what was asked for', async (_name, path) => {
    expect(await costOf(path('ada'))).toEqual(await costOf(path('nobody')));
  });

  it('also after $reindex, which leaves its events as they are', async () => {
    await costOf('Observation/none');
    await costOf('Observation/two');
    reindexed = [];
    const started = await server.admin.call('POST', 'AuditEvent/$reindex', undefined, { prefer: 'respond-async' });
    expect(started.status).toBe(202);
    await expect.poll(() => reindexed.some(({ next }) => next === undefined), { timeout: 60_000 }).toBe(true);
    expect(reindexed.reduce((sum, { read }) => sum + read, 0)).toBeGreaterThan(4);
    expect(reindexed.map((slice) => slice.written)).toEqual(reindexed.map(() => 0));
  });
});
