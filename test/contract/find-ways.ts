/** However a query is told where to look, it finds what a filter finds that looks at everything: enough resources for every way of walking to go on. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { and, any, compareKeys, type Expression, holds, none, not, or, startsWith } from '../../server/search/expression.ts';
import { comparePositions, positionOf } from '../../server/store/key-order.ts';
import type { Order, Position, Query, StoredResource } from '../../server/store/port.ts';
import { freshType, type OpenSubject, query, resource, type Subject, store } from './subject.ts';

const DAY = 86_400_000;
const COUNT = 600;

/**
 * Many of each key, alone and together; `d…`: what is sorted outside of the days 10 to 20; `g…`: ranges, some beginning as a value does; `wn…`, `wg…`: again
 * the values and ranges of those with `a`.
 */
function resourceAt(type: string, n: number): StoredResource {
  const day = (n * 7) % 37;
  const at = String((n * 13) % 29).padStart(2, '0');
  const ranges = n % 8 === 0 ? [`g${at}${at}`, ...(n % 16 === 0 ? ['g0500', 'g0577'] : [])] : [];
  const values = n % 4 === 0 ? ranges : [`n${at}`, ...(n % 10 === 1 ? ['n99'] : []), ...(n % 50 === 1 ? ['g0799'] : [])];
  const keys = [
    ...(n % 2 === 0 ? ['a', ...values.map((value) => `w${value}`)] : []),
    ...(n % 3 === 0 ? ['b'] : []),
    ...(n % 3 !== 0 && n < 300 ? ['c'] : []),
    ...(n % 5 === 0 ? ['t\u0001one'] : []),
    ...(n % 7 === 0 ? ['t\u0001two'] : []),
    ...(day < 10 || day > 20 ? [`d${n % 50 === 0 ? 'few' : 'many'}`] : []),
    ...values,
  ];
  return resource(type, `r${n}`, { instant: day * DAY, keys });
}

const between: Expression = { kind: 'instants', from: 10 * DAY, to: 20 * DAY, unless: any(['dfew']) };
/** What holds only there, or has the key of what may be anywhere. */
const inside = not(any(['dmany']));

const asked: readonly Expression[] = [
  any(['a']),
  and([any(['a']), any(['b'])]),
  and([any(['b']), any(['c'])]),
  and([any(['a']), any(['c'])]),
  and([any(['a', 'c']), any(['b', 't\u0001one']), not(any(['t\u0001two']))]),
  and([any(['a']), startsWith('t\u0001')]),
  startsWith('t\u0001'),
  startsWith('nothing\u0001'),
  or([startsWith('n1'), any(['t\u0001two'])]),
  and([any(['a']), startsWith('n1')]),
  and([inside, between]),
  and([any(['a']), inside, between]),
  and([any(['b']), startsWith('n0'), inside, between]),
  and([any(['a']), any(['b']), inside, { ...between, to: Number.POSITIVE_INFINITY }]),
  and([any(['a']), any(['dfew', 'none']), { ...between, from: Number.NEGATIVE_INFINITY }]),
  and([any(['b']), inside, not(any(['dfew'])), { ...between, unless: none }]),
];

const orders: readonly Order[] = [
  { by: 'instant', direction: 'newest-first' },
  { by: 'instant', direction: 'oldest-first' },
  { by: 'keys', keys: [{ prefix: 'n', direction: 'ascending' }], ids: 'ascending' },
  { by: 'keys', keys: [{ prefix: 'n', direction: 'descending' }], ids: 'ascending' },
  { by: 'keys', keys: [{ prefix: 'n', ranges: 'g', direction: 'ascending' }], ids: 'ascending' },
  { by: 'keys', keys: [{ prefix: 'n', ranges: 'g', direction: 'descending' }], ids: 'descending' },
];

function compare(order: Order): (a: StoredResource, b: StoredResource) => number {
  if (order.by === 'keys') {
    const places = comparePositions(order, false);
    return (a, b) => places(positionOf(a.id, a.keys, order), positionOf(b.id, b.keys, order));
  }
  const sign = order.direction === 'newest-first' ? 1 : -1;
  return (a, b) => sign * (b.instant - a.instant || compareKeys(a.id, b.id));
}

/** As a search does that has a criterion on `a`. */
function led(where: Expression, order: Order): Order {
  const parts = where.kind === 'and' ? where.of : [where];
  const isLed = parts.some((part) => part.kind === 'any' && part.keys.size === 1 && part.keys.has('a'));
  if (!isLed || order.by !== 'keys') return order;
  return { ...order, keys: order.keys.map((key) => ({ ...key, within: `w${key.prefix}`, ...(key.ranges && { rangesWithin: `w${key.ranges}` }) })) };
}

export function findWaysContract(open: OpenSubject): void {
  let subject: Subject;
  const type = freshType();
  const stored = Array.from({ length: COUNT }, (_, n) => resourceAt(type, n));
  beforeAll(async () => {
    subject = await open();
    await store(subject, ...stored);
  });
  afterAll(() => subject.dispose());

  test.each(asked.map((where, n) => [n, where] as const))('rows, order, pages and totals, whichever way they are come by (%i)', async (_, where) => {
    for (const plain of orders) {
      const order = led(where, plain);
      const expected = stored.filter(({ id, keys }) => holds(where, id, keys)).sort(compare(order));
      for (const [limit, reversed] of [
        [9, false],
        [100, false],
        [100, true],
      ] as const) {
        const pages = await idsOf(query(type, { where, order, limit, reversed }));
        const ids = expected.map(({ id }) => id);
        expect(pages).toEqual(reversed ? ids.toReversed() : ids);
      }
      const first = await subject.engine.resources.find(query(type, { where, order, limit: 5, total: {} }));
      expect(first).toMatchObject({ kind: 'rows', total: { count: expected.length, exact: true } });
    }
  });

  async function idsOf(all: Query): Promise<string[]> {
    const ids: string[] = [];
    let after: Position | undefined;
    do {
      const found = await subject.engine.resources.find({ ...all, ...(after && { after }) });
      if (found.kind !== 'rows') throw new Error(`The engine answered ${found.kind}.`);
      ids.push(...found.rows.map(({ id }) => id));
      after = found.next;
    } while (after);
    return ids;
  }
}
