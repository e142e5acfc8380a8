/** Several types as one list: random resources, criteria, orders and page sizes against a list made by looking at everything. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, any, compareKeys, type Expression, holds, none, not } from '../../server/search/expression.ts';
import type { FindResult, Order, Position, SeveralQuery, StoredResource } from '../../server/store/port.ts';
import { freshType, newestFirst, type OpenSubject, resource, type Subject, store } from './subject.ts';

/** Keys of a type's own parameter begin with its own code, as `clinical-code` of one type and `code` of another do. */
const CODES = ['aa', 'bb', 'cc'];
const VALUES = ['1', '2', '3', '3\u{1F600}'];
const content = fc.record({
  part: fc.nat(2),
  id: fc.stringMatching(/^[A-Za-z0-9.-]{1,2}$/),
  instant: fc.integer({ min: -2, max: 2 }).map((n) => n * 1_000),
  values: fc.subarray(VALUES),
  flags: fc.subarray(['x', 'y']),
});
const where = fc.constantFrom<Expression>(all, all, any(['x']), any(['x', 'y']), not(any(['y'])), none);
const direction = fc.constantFrom('ascending' as const, 'descending' as const);
type Asked = { readonly by: 'instant' | 'value' | 'id'; readonly direction: 'ascending' | 'descending' };
const asked: fc.Arbitrary<Asked> = fc.record({ by: fc.constantFrom('instant' as const, 'value' as const, 'id' as const), direction });

function orderFor({ by, direction }: Asked, part: number): Order {
  if (by === 'instant') return { by, direction: direction === 'ascending' ? 'oldest-first' : 'newest-first' };
  return { by: 'keys', keys: by === 'id' ? [] : [{ prefix: CODES[part] ?? '', direction }], ids: direction };
}

function valueOf({ keys }: StoredResource, sign: number): string | undefined {
  const values = keys.filter((key) => CODES.some((code) => key.startsWith(code))).map((key) => key.slice(2));
  return values.sort((a, b) => sign * compareKeys(a, b))[0];
}

/** Independent of the engines: what comes first of two. */
function compare({ by, direction }: Asked): (a: StoredResource, b: StoredResource) => number {
  const sign = direction === 'ascending' ? 1 : -1;
  const ties = (a: StoredResource, b: StoredResource) => compareKeys(a.type, b.type) || compareKeys(a.id, b.id);
  return (a, b) => {
    if (by === 'id') return sign * ties(a, b);
    if (by === 'instant') return -sign * (b.instant - a.instant || ties(a, b));
    const [x, y] = [valueOf(a, sign), valueOf(b, sign)];
    if (x === undefined || y === undefined) return x === y ? sign * ties(a, b) : x === undefined ? 1 : -1;
    return sign * (compareKeys(x, y) || ties(a, b));
  };
}

export function findSeveralContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());

  async function rowsOf(query: SeveralQuery): Promise<FindResult & { readonly kind: 'rows' }> {
    const found = await subject.engine.resources.findSeveral(query);
    if (found.kind !== 'rows') throw new Error(`The engine answered ${found.kind}.`);
    return found;
  }
  const named = (rows: readonly StoredResource[]) => rows.map(({ type, id }) => `${type}/${id}`);

  async function pages(query: SeveralQuery): Promise<{ readonly names: string[]; readonly ends: (Position | undefined)[] }> {
    const names: string[] = [];
    const ends: (Position | undefined)[] = [];
    let after = query.after;
    do {
      const { rows, next, first } = await rowsOf({ ...query, ...(after ? { after } : {}) });
      names.push(...named(rows));
      ends.push(first);
      after = next;
    } while (after);
    return { names, ends };
  }

  test('rows, order, pages in both directions and totals', async () => {
    const world = fc.record({
      contents: fc.uniqueArray(content, { minLength: 3, maxLength: 30, selector: ({ part, id }) => `${part}/${id}` }),
      wheres: fc.tuple(where, where, where),
      asked: fc.array(asked, { minLength: 2, maxLength: 3 }),
      limit: fc.integer({ min: 1, max: 7 }),
    });
    const holdsFor = async ({ contents, wheres, asked, limit }: typeof world extends fc.Arbitrary<infer T> ? T : never): Promise<void> => {
      const types = CODES.map(freshType);
      const rows = contents.map(({ part, id, instant, values, flags }) =>
        resource(types[part] ?? '', id, { instant, keys: [...values.map((value) => `${CODES[part]}${value}`), ...flags] }),
      );
      await store(subject, ...rows);
      for (const one of asked) {
        const parts = types.map((type, i) => ({ type, where: wheres[i] ?? all, scope: 'internal' as const, order: orderFor(one, i) }));
        const expected = named(rows.filter(({ type, id, keys }) => holds(wheres[types.indexOf(type)] ?? none, id, keys)).sort(compare(one)));
        expect((await pages({ parts, limit })).names).toEqual(expected);
        expect((await pages({ parts, limit, reversed: true })).names).toEqual(expected.toReversed());
        const first = await rowsOf({ parts, limit, total: {} });
        expect(first.total).toEqual({ count: expected.length, exact: true });
        expect((await rowsOf({ parts, limit: 0, total: {} })).total).toEqual(first.total);
        if (first.next) {
          const second = await rowsOf({ parts, limit, after: first.next, total: {} });
          expect(second.total).toEqual(first.total);
          const back = await rowsOf({ parts, limit, reversed: true, ...(second.first ? { after: second.first } : {}) });
          expect(named(back.rows)).toEqual(named(first.rows).toReversed());
        }
      }
    };
    await fc.assert(fc.asyncProperty(world, holdsFor), { numRuns: 40 });
  });

  test('one budget for all types, and totals as far as it goes', async () => {
    const types = [freshType(), freshType()];
    for (const type of types) await store(subject, ...Array.from({ length: 30 }, (_, i) => resource(type, `r${i}`, { keys: [`k${i}`] })));
    const parts = types.map((type) => ({ type, where: not(any(['k29'])), scope: 'internal' as const, order: newestFirst }));
    const none = types.map((type) => ({
      type,
      where: { kind: 'contains', prefix: 'k', text: 'none' } as const,
      scope: 'internal' as const,
      order: newestFirst,
    }));
    expect((await subject.engine.resources.findSeveral({ parts: none, limit: 5, budget: 40 })).kind).toBe('budget');
    expect((await rowsOf({ parts: none, limit: 5, budget: 60 })).rows).toEqual([]);
    expect((await rowsOf({ parts, limit: 5, total: { budget: 40 } })).total?.exact).toBe(false);
    expect((await rowsOf({ parts, limit: 5, total: { budget: 60 } })).total).toEqual({ count: 58, exact: true });
  });

  test('stale under an epoch that has passed, and abandoned when nobody waits', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a'));
    const epoch = await subject.engine.resources.epoch();
    const asked = (at: number): SeveralQuery => ({ parts: [{ type, where: all, scope: { epoch: at, where: all }, order: newestFirst }], limit: 5 });
    expect((await subject.engine.resources.findSeveral(asked(epoch - 1))).kind).toBe('stale');
    expect((await rowsOf(asked(epoch))).rows).toHaveLength(1);
    const gone = AbortSignal.abort();
    await expect(subject.engine.resources.findSeveral({ ...asked(epoch), signal: gone })).rejects.toMatchObject({ code: 'abandoned' });
  });

  test('a walk that nobody waits for any more ends in the middle', async () => {
    const types = [freshType(), freshType()];
    for (const type of types) await store(subject, ...Array.from({ length: 2_500 }, (_, i) => resource(type, `r${i}`, { keys: ['k'] })));
    const where: Expression = { kind: 'contains', prefix: 'k', text: 'none' };
    const part = (type: string) => ({ type, where, scope: 'internal' as const, order: newestFirst });
    const { resources } = subject.engine;
    const asks: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => resources.findSeveral({ parts: types.map(part), limit: 5, signal }),
      (signal) => resources.findSeveral({ parts: types.map(part), limit: 0, total: {}, signal }),
      (signal) => resources.find({ ...part(types[0] ?? ''), limit: 5, signal }),
      (signal) => resources.count({ ...part(types[0] ?? ''), signal }),
    ];
    for (const ask of asks) {
      const leaving = new AbortController();
      const asked = ask(leaving.signal);
      setImmediate(() => leaving.abort());
      await expect(asked).rejects.toMatchObject({ code: 'abandoned' });
    }
  });
}
