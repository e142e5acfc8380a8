/**
 * Random resources and random searches as a caller writes them: every engine finds, scopes, orders, pages and counts what the reference
 * matcher says, which looks at resources and knows no index key. ASSENT_TEST_SEARCHES: how many, over all types; ASSENT_TEST_SEED: another world.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { searchParameters } from '../../server/fhir/search-parameters.ts';
import type { ResourceValue } from '../../server/fhir/resource.ts';
import { compareKeys } from '../../server/search/expression.ts';
import { indexKeys } from '../../server/search/index-values.ts';
import { match } from '../../server/search/match.ts';
import { parseSearch } from '../../server/search/parse.ts';
import { planSearch, type SearchPlan } from '../../server/search/plan.ts';
import type { ParsedQuery } from '../../server/search/query.ts';
import { readSort } from '../../server/search/sort.ts';
import { comparePositions, type KeyOrder, positionOf } from '../../server/store/key-order.ts';
import type { Position, StoredResource } from '../../server/store/port.ts';
import { base, anyCriterionOf, resourceOf, sampleTypes, terms, windowsOn } from '../search/samples.ts';
import { type OpenSubject, query, resource, type Subject, store } from './subject.ts';

const now = Date.UTC(2024, 0, 1);
const SEARCHES = Number(process.env['ASSENT_TEST_SEARCHES'] ?? 20_000);
const SEED = Number(process.env['ASSENT_TEST_SEED'] ?? 20_261_125);
/** Asked side by side: an engine that mixes up two calls would be seen. */
const AT_ONCE = 12;
const RESOURCES = 60;

type Sample = { readonly value: ResourceValue; readonly stored: StoredResource };
type Search = { readonly criteria: [string, string][]; readonly scope: [string, string][]; readonly sort: string[]; readonly limit: number };

/** Of one type, in a fixed order; ids first from the pool that references and `_id` draw on. */
function samplesOf(type: string, seed: number): Sample[] {
  const ids = ['1', '2', 'abc-3'];
  return fc.sample(resourceOf(type), { numRuns: RESOURCES, seed }).map((random, i) => {
    const id = ids[i] ?? `r-${i}`;
    const value = { ...random, id } as ResourceValue & { id: string };
    const { keys, instant } = indexKeys(value, base);
    return { value, stored: resource(type, id, { keys: [...keys], instant: instant ?? now - i }) };
  });
}

function searchOf(type: string): fc.Arbitrary<Search> {
  const sortable = [...searchParameters(type).keys()].filter((name) => Array.isArray(readSort(name, searchParameters(type))));
  const by = fc.tuple(fc.constantFrom('', '-'), fc.constantFrom(...sortable)).map((parts) => parts.join(''));
  return fc.record({
    criteria: fc.oneof({ arbitrary: fc.array(anyCriterionOf(type), { maxLength: 3 }), weight: 4 }, windowsOn(type)),
    scope: fc.array(anyCriterionOf(type), { maxLength: 1 }),
    sort: fc.array(by, { maxLength: 2 }),
    limit: fc.constantFrom(7, 20, 100),
  });
}

const parsed = (type: string, criteria: [string, string][]): ParsedQuery =>
  parseSearch(type, new URLSearchParams(criteria), { handling: 'strict', base, now, terms });

function inOrder({ order }: SearchPlan): (a: Sample, b: Sample) => number {
  if (order.by === 'instant') return ({ stored: a }, { stored: b }) => b.instant - a.instant || compareKeys(a.id, b.id);
  const compare = comparePositions(order as KeyOrder, false);
  const place = ({ stored: { id, keys } }: Sample) => positionOf(id, keys, order as KeyOrder);
  return (a, b) => compare(place(a), place(b));
}

export function searchPropertyContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());

  test.each(sampleTypes)('%s', async (type) => {
    const samples = samplesOf(type, SEED);
    await store(subject, ...samples.map(({ stored }) => stored));
    const epoch = await subject.engine.resources.epoch();
    const seen = { some: 0, none: 0, several: 0 };
    const batch = fc.array(searchOf(type), { minLength: AT_ONCE, maxLength: AT_ONCE });
    const runs = Math.ceil(SEARCHES / sampleTypes.length / AT_ONCE);
    const property = fc.asyncProperty(batch, async (searches) => {
      await Promise.all(searches.map((search) => agrees(search, { type, samples, epoch, seen })));
    });
    await fc.assert(property, { numRuns: runs, seed: SEED + 1 });
    // Searches that never find, or never turn a page, would prove nothing.
    expect(Math.min(seen.some, seen.none, seen.several)).toBeGreaterThan(runs / 10);
  });

  type World = {
    readonly type: string;
    readonly samples: readonly Sample[];
    readonly epoch: number;
    readonly seen: { some: number; none: number; several: number };
  };

  async function agrees({ criteria, scope, sort, limit }: Search, { type, samples, epoch, seen }: World): Promise<void> {
    const asked = parsed(type, [...criteria, ...(sort.length > 0 ? [['_sort', sort.join(',')] as [string, string]] : [])]);
    const permitted = parsed(type, scope);
    const plan = planSearch(asked);
    const expected = samples.filter(({ value }) => match(value, asked, base) && match(value, permitted, base)).sort(inOrder(plan));
    const narrowed = { type, where: plan.where, scope: { epoch, where: planSearch(permitted).where } };
    const rows = await readPages({ ...query(type), ...narrowed, order: plan.order, limit }, expected.length);
    const say = () => JSON.stringify({ criteria, scope, sort, limit });
    expect(
      rows.map(({ id }) => id),
      say(),
    ).toEqual(expected.map(({ stored }) => stored.id));
    seen[expected.length === 0 ? 'none' : 'some']++;
    if (expected.length > limit) seen.several++;
  }

  async function readPages(asked: Parameters<Subject['engine']['resources']['find']>[0], total: number): Promise<StoredResource[]> {
    const rows: StoredResource[] = [];
    for (let after: Position | undefined, page = 0; page < RESOURCES; page++) {
      const found = await subject.engine.resources.find({ ...asked, total: {}, ...(after && { after }) });
      expect(found).toMatchObject({ kind: 'rows', total: { count: total, exact: true } });
      if (found.kind !== 'rows') break;
      rows.push(...found.rows);
      if (!found.next) return rows;
      after = found.next;
    }
    throw new Error('The pages do not end.');
  }
}
