/**
 * How joins are resolved: from whichever side is small, whole or not at all, and only through what the scope shows. What they mean is tested
 * in test/http/search-joins.test.ts.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { resolveJoins } from '../../../server/consent/enforce/joins.ts';
import type { View } from '../../../server/consent/enforce/view.ts';
import { PATIENT } from '../../../server/consent/facets.ts';
import { AssentError } from '../../../server/errors.ts';
import { createSearch } from '../../../server/search/create-search.ts';
import { type Expression, holds } from '../../../server/search/expression.ts';
import { indexKeys } from '../../../server/search/index-values.ts';
import type { FindResult, Query, ResourceStore, StoredResource } from '../../../server/store/port.ts';

const base = 'https://fhir.example.org/fhir';
const search = createSearch({ base, clock: () => 0 });

type Json = { readonly resourceType: string; readonly id: string; readonly [element: string]: unknown };

const stored = (resource: Json, owner: string): StoredResource => ({
  type: resource.resourceType,
  id: resource.id,
  version: '1',
  lastUpdated: 0,
  instant: 0,
  deleted: false,
  body: '',
  keys: [...indexKeys(resource, base).keys, `${PATIENT}${owner}`],
});
const person = (n: number) => stored({ resourceType: 'Patient', id: `p${n}`, gender: 'male', name: [{ family: `Family ${n}` }] }, `p${n}`);
const result = (n: number, subject: number, code = 'common') =>
  stored({ resourceType: 'Observation', id: `o${n}`, code: { coding: [{ code }] }, subject: { reference: `Patient/p${subject}` } }, `p${subject}`);

function storeOf(rows: readonly StoredResource[], { stale = false } = {}) {
  const asked: Query[] = [];
  const find = async (query: Query): Promise<FindResult> => {
    asked.push(query);
    if (stale) return { kind: 'stale' };
    const scope: Expression = query.scope === 'internal' ? { kind: 'all' } : query.scope.where;
    const found = rows.filter(({ type, id, keys }) => type === query.type && holds(query.where, id, keys) && holds(scope, id, keys));
    const from = query.after ? found.findIndex(({ id }) => id === query.after?.id) + 1 : 0;
    const page = found.slice(from, from + query.limit);
    const place = (row: StoredResource | undefined) => row && { sort: 0, id: row.id };
    return { kind: 'rows', rows: page, first: place(page[0]), next: from + query.limit < found.length ? place(page.at(-1)) : undefined, walked: 0 };
  };
  return { asked, resources: { find } as unknown as ResourceStore };
}

const viewOf = (where: (type: string) => Expression = () => ({ kind: 'all' })): View =>
  ({ epoch: 1, scope: (type: string) => ({ epoch: 1, where: where(type) }), basis: () => [], patients: [] }) as unknown as View;

async function matching(rows: readonly StoredResource[], type: string, query: string, view = viewOf()) {
  const store = storeOf(rows);
  const { where } = search.planJoined(type, query, { handling: 'strict', reach: () => true });
  const joined = await resolveJoins({ resources: store.resources, base }, view, { type, where });
  if (joined.kind !== 'where') throw new Error(joined.kind);
  const ids = rows.filter((row) => row.type === type && holds(joined.where, row.id, row.keys)).map(({ id }) => id);
  return { ids, through: [...joined.through].sort(), asked: store.asked };
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('joins', () => {
  test('what needs none is left as it is and reads nothing', async () => {
    const { asked, through } = await matching([person(1)], 'Patient', 'gender=male');
    expect([asked, through]).toEqual([[], []]);
  });

  test('go from the few that are searched where most of the other type match', async () => {
    const rows = [...range(3_000).map(person), ...range(3_000).map((n) => result(n, n, n < 3 ? 'rare' : 'common'))];
    const chain = await matching(rows, 'Observation', 'code=rare&patient.gender=male');
    expect([chain.ids, chain.through]).toEqual([
      ['o0', 'o1', 'o2'],
      ['p0', 'p1', 'p2'],
    ]);
    const has = await matching(rows, 'Patient', '_id=p1,p2,p2999&_has:Observation:patient:code=common');
    expect(has.ids).toEqual(['p2999']);
    // What was asked for stays small.
    for (const { asked } of [chain, has]) expect(asked.reduce((sum, { limit }) => sum + limit, 0)).toBeLessThan(2_500);
  });

  test('go through thousands where neither side is small', async () => {
    const rows = [...range(600).map(person), ...range(1_500).map((n) => result(n, n % 500))];
    expect((await matching(rows, 'Patient', 'gender=male&_has:Observation:patient:code=common')).ids).toHaveLength(500);
    expect((await matching(rows, 'Observation', 'code=common&patient.gender=male')).ids).toHaveLength(1_500);
  });

  describe('among tens of thousands', () => {
    let people: StoredResource[];
    let results: StoredResource[];
    beforeAll(() => {
      people = range(12_000).map(person);
      results = range(50_100).map((n) => result(n, n));
    });

    test('go through all of them', async () => {
      const rows = [...people, ...results.slice(0, 12_000)];
      expect((await matching(rows, 'Observation', 'patient.gender=male')).ids).toHaveLength(12_000);
      expect((await matching(rows, 'Patient', '_has:Observation:patient:code=common')).ids).toHaveLength(12_000);
    });

    test('go candidate by candidate where more lies beyond than can be gone through', async () => {
      const few = [...people.slice(0, 150), person(60_000), ...results];
      const { ids, through } = await matching(few, 'Patient', '_has:Observation:patient:code=common');
      expect(ids).toEqual(people.slice(0, 150).map(({ id }) => id));
      expect(through).toHaveLength(151);
    });

    test('are refused, with words, where neither can be gone through: never cut short', async () => {
      const refused = await matching([...people, ...results], 'Patient', '_has:Observation:patient:code=common').catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(AssentError);
      expect([(refused as AssentError).code, (refused as AssentError).message]).toEqual(['too-costly', expect.stringContaining('narrow it')]);
    });
  });

  test('see of each type what its scope shows, and name the patients they went through', async () => {
    const rows = [...range(4).map(person), ...range(4).map((n) => result(n, n))];
    const only = (ids: readonly string[]): Expression => ({ kind: 'any', keys: new Set(ids.map((id) => `${PATIENT}${id}`)) });
    const chain = await matching(
      rows,
      'Observation',
      'patient.gender=male',
      viewOf((type) => (type === 'Patient' ? only(['p1']) : { kind: 'all' })),
    );
    expect([chain.ids, chain.through]).toEqual([['o1'], ['p1']]);
    const has = await matching(
      rows,
      'Patient',
      '_has:Observation:patient:code=common',
      viewOf((type) => (type === 'Observation' ? only(['p2', 'p3']) : { kind: 'all' })),
    );
    expect([has.ids, has.through]).toEqual([
      ['p2', 'p3'],
      ['p2', 'p3'],
    ]);
    for (const { scope, bodies } of [...chain.asked, ...has.asked]) expect([scope === 'internal', bodies]).toEqual([false, false]);
  });

  test('are stale when any of their reads is', async () => {
    const { where } = search.planJoined('Observation', 'patient.gender=male', { handling: 'strict', reach: () => true });
    const { resources } = storeOf([], { stale: true });
    expect(await resolveJoins({ resources, base }, viewOf(), { type: 'Observation', where })).toEqual({ kind: 'stale' });
  });
});
