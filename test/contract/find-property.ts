/** Random resources, expressions, orders and page sizes, against a filter that looks at everything. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { and, type Bounds, compareKeys, encodeInstant, type Expression, holds, not, or } from '../../server/search/expression.ts';
import type { Order, Position, Query, SortKey, StoredResource } from '../../server/store/port.ts';
import { freshType, type OpenSubject, query, resource, type Subject, store } from './subject.ts';

const WORDS = ['a', 'ab', 'abc', 'b', 'b\n', 'b\\n', 'c\u0001x', 'c\u0001y', 'é', '\uFFFD', '\u{1F600}', '~a', '~rank/1', '@patient/1', '@patient/2'];
const instant = fc.integer({ min: -3, max: 3 }).map((n) => n * 86_400_000);
const period = fc
  .tuple(fc.constantFrom('d', '~d'), instant, instant)
  .map(([of, a, b]) => of + encodeInstant(Math.min(a, b)) + encodeInstant(Math.max(a, b)));
const key = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...WORDS) }, period);
const prefix = fc.constantFrom('a', 'ab', 'b', 'c\u0001', 'd', '~', '~rank/', '@patient/', 'zz', '\u{1F600}');
const words = fc.subarray(WORDS);
const content = fc.record({
  instant,
  keys: fc.tuple(words, fc.array(period, { maxLength: 3 })).map(([some, periods]) => [...new Set([...some, ...periods])]),
});
const ids = fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9.-]{1,3}$/), { minLength: 5, maxLength: 40 });

const bounds: fc.Arbitrary<Bounds> = fc.record({ from: instant.map(encodeInstant), to: instant.map(encodeInstant) }, { requiredKeys: [] });
const leaf = (names: readonly string[]): fc.Arbitrary<Expression> =>
  fc.oneof(
    fc.record({ kind: fc.constant('any' as const), keys: fc.subarray(WORDS, { maxLength: 4 }).map((keys) => new Set(keys)) }),
    fc.tuple(key, key).map(([a, b]) => ({ kind: 'range' as const, from: compareKeys(a, b) < 0 ? a : b, to: compareKeys(a, b) < 0 ? b : a })),
    fc.record({ kind: fc.constant('every' as const), prefix, keys: fc.array(key, { maxLength: 3 }).map((keys) => new Set(keys)) }),
    fc.record({ kind: fc.constant('interval' as const), prefix: fc.constantFrom('d', '~d'), low: bounds, high: bounds }),
    fc.record({ kind: fc.constant('id' as const), ids: fc.subarray([...names]).map((some) => new Set([...some, 'absent'])) }),
    fc.constantFrom<Expression>({ kind: 'all' }, { kind: 'none' }),
  );
const expression = (names: readonly string[]): fc.Arbitrary<Expression> =>
  fc.letrec<{ tree: Expression }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      { weight: 3, arbitrary: leaf(names) },
      { weight: 2, arbitrary: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }).map(and) },
      { weight: 2, arbitrary: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }).map(or) },
      { weight: 1, arbitrary: tie('tree').map(not) },
    ),
  })).tree;
const direction = fc.constantFrom('ascending' as const, 'descending' as const);
const order: fc.Arbitrary<Order> = fc.oneof(
  fc.record({ by: fc.constant('instant' as const), direction: fc.constantFrom('newest-first' as const, 'oldest-first' as const) }),
  fc.record({
    by: fc.constant('keys' as const),
    keys: fc.array(fc.record({ prefix, direction }), { maxLength: 3 }),
    ids: direction,
  }),
);

export function findPropertyContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());

  test('rows, order, pages and totals', async () => {
    const world = ids.chain((names) =>
      fc.record({
        contents: fc.array(content, { minLength: names.length, maxLength: names.length }),
        names: fc.constant(names),
        gone: fc.subarray(names),
        asked: fc.array(fc.record({ where: expression(names), order, limit: fc.integer({ min: 1, max: 7 }) }), { minLength: 15, maxLength: 15 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(world, async ({ contents, names, gone, asked }) => {
        const type = freshType();
        const stored = names.map((name, i) => resource(type, name, contents[i]));
        await store(subject, ...stored);
        await store(
          subject,
          ...stored.filter(({ id }) => gone.includes(id)).map((old) => resource(type, old.id, { ...old, deleted: true, body: '' })),
        );
        const live = stored.filter(({ id }) => !gone.includes(id));
        for (const [i, { where, order, limit }] of asked.entries()) {
          const expected = live.filter(({ id, keys }) => holds(where, id, keys)).sort((a, b) => compare(a, b, order));
          const pages = await readPages(query(type, { where, order, limit }));
          expect(pages.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
          const back = await readPages(query(type, { where, order, limit, reversed: true }));
          expect(back.map(({ id }) => id)).toEqual(expected.map(({ id }) => id).reverse());
          const counting = i % 2 === 0 ? {} : { naming: '@patient/' };
          await walksBack(query(type, { where, order, limit, total: counting }), expected);
          const counted = await subject.engine.resources.count({ type, where, scope: 'internal', ...counting });
          expect(counted).toMatchObject({ kind: 'count', total: expected.length });
          expect(counted.kind === 'count' && counted.named?.toSorted()).toEqual(i % 2 === 0 ? undefined : about(expected));
        }
      }),
      { numRuns: 60 },
    );
  });

  test('pages under concurrent writes: what was not touched comes once, in order', async () => {
    const world = ids.chain((names) =>
      fc.record({
        names: fc.constant(names),
        contents: fc.array(content, { minLength: names.length, maxLength: names.length }),
        where: expression(names),
        order,
        reversed: fc.boolean(),
        between: fc.array(fc.tuple(fc.constantFrom(...names), fc.boolean(), content), { minLength: 1, maxLength: 8 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(world, async ({ names, contents, where, order, reversed, between }) => {
        const type = freshType();
        const stored = names.map((name, i) => resource(type, name, contents[i]));
        await store(subject, ...stored);
        const touched = new Set(between.map(([name]) => name));
        const changes = [...between];
        const pages = await readPages(query(type, { where, order, limit: 2, reversed }), async () => {
          const [name, deleted, fresh] = changes.pop() ?? [];
          if (name === undefined) return;
          const added = resource(type, `new-${changes.length}`, fresh);
          await store(subject, resource(type, name, { ...fresh, deleted: deleted ?? false }), added);
        });
        const untouched = stored
          .filter(({ id, keys }) => !touched.has(id) && holds(where, id, keys))
          .sort((a, b) => (reversed ? -1 : 1) * compare(a, b, order));
        const old = new Set(names);
        expect(pages.filter(({ id }) => old.has(id) && !touched.has(id)).map(({ id }) => id)).toEqual(untouched.map(({ id }) => id));
      }),
      { numRuns: 60 },
    );
  });

  /** The second page says how many there are, and leads back to the first. */
  async function walksBack(asked: Query, expected: readonly StoredResource[]): Promise<void> {
    const total = { count: expected.length, exact: true };
    const first = await subject.engine.resources.find(asked);
    expect(first).toMatchObject({ kind: 'rows', total });
    expect(first.kind === 'rows' && first.total?.named?.toSorted()).toEqual(asked.total?.naming === undefined ? undefined : about(expected));
    if (first.kind !== 'rows' || !first.next) return;
    const second = await subject.engine.resources.find({ ...asked, after: first.next });
    expect(second).toMatchObject({ kind: 'rows', total });
    const { total: _, ...uncounted } = asked;
    const back =
      second.kind === 'rows' && second.first && (await subject.engine.resources.find({ ...uncounted, after: second.first, reversed: true }));
    expect(back && back.kind === 'rows' && back.rows.map(({ id }) => id)).toEqual(first.rows.map(({ id }) => id).reverse());
  }

  async function readPages(asked: Query, betweenPages: () => Promise<void> = async () => undefined): Promise<StoredResource[]> {
    const rows: StoredResource[] = [];
    let after: Position | undefined;
    for (let page = 0; page < 200; page++) {
      const found = await subject.engine.resources.find({ ...asked, ...(after && { after }) });
      if (found.kind !== 'rows') throw new Error(`The engine answered ${found.kind}.`);
      expect(found.rows.length).toBeLessThanOrEqual(asked.limit);
      rows.push(...found.rows);
      if (!found.next) return rows;
      after = found.next;
      await betweenPages();
    }
    throw new Error('The pages do not end.');
  }
}

/** Whom they name. */
function about(rows: readonly StoredResource[]): string[] {
  return [
    ...new Set(rows.flatMap(({ keys }) => keys.filter((key) => key.startsWith('@patient/')).map((key) => key.slice('@patient/'.length)))),
  ].sort();
}

function compare(a: StoredResource, b: StoredResource, order: Order): number {
  if (order.by === 'instant') {
    const newest = b.instant - a.instant || compareKeys(a.id, b.id);
    return order.direction === 'newest-first' ? newest : -newest;
  }
  for (const by of order.keys) {
    const [x, y] = [sortKey(a, by), sortKey(b, by)];
    if (x === y) continue;
    if (x === undefined || y === undefined) return x === undefined ? 1 : -1;
    return (by.direction === 'ascending' ? 1 : -1) * compareKeys(x, y);
  }
  return (order.ids === 'ascending' ? 1 : -1) * compareKeys(a.id, b.id);
}

function sortKey({ keys }: StoredResource, { prefix, direction }: SortKey): string | undefined {
  const sorted = keys.filter((key) => key.startsWith(prefix)).sort(compareKeys);
  return direction === 'ascending' ? sorted[0] : sorted.at(-1);
}
