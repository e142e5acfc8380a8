/**
 * Random searches of several types: every engine finds, scopes, orders, pages and counts what the reference matcher says of each resource by
 * the criteria that were used, and a criterion is used where every type takes it by itself.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { createSearch } from '../../server/search/create-search.ts';
import { compareKeys } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { isPlain } from '../../server/search/join.ts';
import { match } from '../../server/search/match.ts';
import { parseSearch } from '../../server/search/parse.ts';
import { planSearch } from '../../server/search/plan.ts';
import type { Position, SeveralQuery, StoredResource } from '../../server/store/port.ts';
import { base, criterionOf, resourceOf, sampleTypes, terms } from '../search/samples.ts';
import { freshType, type OpenSubject, resource, type Subject, store } from './subject.ts';

const now = Date.UTC(2024, 0, 1);
const SEED = Number(process.env['ASSENT_TEST_SEED'] ?? 20_261_126);
const RESOURCES = 25;
const RUNS = 400;

/** `type`: its name in the store, which no other test uses. */
type Sample = { readonly of: string; readonly value: ResourceValue; readonly stored: StoredResource };
type Pairs = readonly [string, string][];

const search = createSearch({ base, clock: () => now, terms });
const parsed = (type: string, pairs: Pairs) => parseSearch(type, new URLSearchParams([...pairs]), { handling: 'strict', base, now, terms });

function takes(type: string, pair: [string, string]): boolean {
  try {
    parsed(type, [pair]);
    return true;
  } catch (error) {
    if (error instanceof AssentError) return false;
    throw error;
  }
}

/** Independent of the engines: by what each has of the sort parameter, in words of its own type. */
function inOrder(sort: string | undefined): (a: Sample, b: Sample) => number {
  const ties = ({ stored: a }: Sample, { stored: b }: Sample) => compareKeys(`${a.type}/${a.id}`, `${b.type}/${b.id}`);
  if (sort === undefined) return (a, b) => b.stored.instant - a.stored.instant || ties(a, b);
  const sign = sort.startsWith('-') ? -1 : 1;
  const valueOf = ({ of, stored }: Sample): string | undefined => {
    const { order } = planSearch(parsed(of, [['_sort', sort]]));
    const [by] = order.by === 'keys' ? order.keys : [];
    const values = by ? stored.keys.filter((key) => key.startsWith(by.prefix)).map((key) => key.slice(by.prefix.length)) : [];
    return values.sort((a, b) => sign * compareKeys(a, b))[0];
  };
  return (a, b) => {
    const [x, y] = [valueOf(a), valueOf(b)];
    if (x === undefined || y === undefined) return x === y ? sign * ties(a, b) : x === undefined ? 1 : -1;
    return sign * (compareKeys(x, y) || ties(a, b));
  };
}

export function searchSeveralContract(open: OpenSubject): void {
  let subject: Subject;
  const samples: Sample[] = [];
  const names = new Map(sampleTypes.map((type) => [type, freshType()]));
  const nameOf = (type: string): string => names.get(type) ?? '';
  beforeAll(async () => {
    subject = await open();
    for (const type of sampleTypes) {
      for (const [i, random] of fc.sample(resourceOf(type), { numRuns: RESOURCES, seed: SEED }).entries()) {
        const id = ['1', '2', 'abc-3'][i] ?? `r-${i}`;
        const value = { ...random, id } as ResourceValue & { id: string };
        const { keys, instant } = indexKeys(value, base);
        samples.push({ of: type, value, stored: resource(nameOf(type), id, { keys: [...keys], instant: instant ?? now - (i % 5) }) });
      }
    }
    await store(subject, ...samples.map(({ stored }) => stored));
  });
  afterAll(() => subject.dispose());

  const asked = fc.uniqueArray(fc.constantFrom(...sampleTypes), { minLength: 2, maxLength: 4 }).chain((types) =>
    fc.record({
      types: fc.constant(types),
      criteria: fc.array(fc.oneof(...types.map((type) => criterionOf(type))), { maxLength: 3 }),
      scope: fc.option(criterionOf(types[0] ?? ''), { nil: undefined }),
      sort: fc.option(fc.constantFrom('_lastUpdated', '-_lastUpdated', '_id', '-_id', 'identifier', '-status', 'date', '-code', 'patient'), {
        nil: undefined,
      }),
      limit: fc.constantFrom(5, 20, 200),
    }),
  );
  type Asked = typeof asked extends fc.Arbitrary<infer T> ? T : never;

  const seen = { some: 0, none: 0, paged: 0, dropped: 0, sorted: 0 };

  async function agrees({ types, criteria, scope, sort, limit }: Asked): Promise<void> {
    // A filter that cannot be used whole is refused, whatever the handling.
    const usable = criteria.filter((pair) => pair[0] !== '_filter' || types.every((type) => takes(type, pair)));
    const given: [string, string][] = [...usable, ...(sort === undefined ? [] : [['_sort', sort] as [string, string]])];
    const taken = given.filter((pair) => types.every((type) => takes(type, pair)));
    const planned = () => search.planSeveral(types, new URLSearchParams(given), { handling: 'lenient', reach: () => true, named: true });
    // What cannot be left out is refused, in lenient handling too.
    if (given.some((pair) => pair[0] === '_filter' && !taken.includes(pair))) {
      expect(planned, JSON.stringify(given)).toThrow(AssentError);
      return;
    }
    const plan = planned();
    const used: [string, string][] = [...new URLSearchParams(plan.used)];
    const usedSort = used.find(([name]) => name === '_sort')?.[1];
    const plain = (pairs: Pairs) => pairs.filter(([name]) => name !== '_sort');
    expect(plain(used), JSON.stringify(given)).toEqual(plain(taken));
    expect(usedSort === undefined || taken.some(([name]) => name === '_sort')).toBe(true);
    const permits = (type: string) => scope !== undefined && type === types[0];
    const expected = samples
      .filter(({ of, value }) => types.includes(of) && match(value, parsed(of, plain(used)), base))
      .filter(({ of, value }) => !permits(of) || match(value, parsed(of, [scope as [string, string]]), base))
      .sort(inOrder(usedSort));
    const epoch = await subject.engine.resources.epoch();
    const parts = plan.parts.map(({ type, where, order }): SeveralQuery['parts'][number] => {
      if (!isPlain(where)) throw new Error('There is no join.');
      const seenBy = permits(type) ? planSearch(parsed(type, [scope as [string, string]])).where : ({ kind: 'all' } as const);
      return { type: nameOf(type), where, order, scope: { epoch, where: seenBy } };
    });
    const rows = await readPages({ parts, limit }, expected.length);
    const name = ({ type, id }: StoredResource) => `${type}/${id}`;
    expect(rows.map(name), JSON.stringify({ types, given, scope, limit })).toEqual(expected.map(({ stored }) => name(stored)));
    seen[expected.length === 0 ? 'none' : 'some']++;
    if (expected.length > limit) seen.paged++;
    if (used.length < given.length) seen.dropped++;
    if (usedSort !== undefined) seen.sorted++;
  }

  async function readPages(query: SeveralQuery, total: number): Promise<StoredResource[]> {
    const rows: StoredResource[] = [];
    for (let after: Position | undefined, page = 0; page < 50; page++) {
      const found = await subject.engine.resources.findSeveral({ ...query, total: {}, ...(after && { after }) });
      expect(found).toMatchObject({ kind: 'rows', total: { count: total, exact: true } });
      if (found.kind !== 'rows') break;
      rows.push(...found.rows);
      if (!found.next) return rows;
      after = found.next;
    }
    throw new Error('The pages do not end.');
  }

  test('as the reference matcher says', async () => {
    await fc.assert(fc.asyncProperty(asked, agrees), { numRuns: RUNS, seed: SEED });
    // Searches that never find, never turn a page, or of which everything is used would prove nothing.
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(RUNS / 20);
  });
}
