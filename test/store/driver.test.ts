import fc from 'fast-check';
import { expect, test } from 'vitest';
import { all, and, any, type Expression, not, or, startsWith } from '../../server/search/expression.ts';
import { type Driver, MOST_COLLECTED, mergeableKeys, pickDriver } from '../../server/store/driver.ts';
import { packKeys, unpackKeys } from '../../server/store/packed-keys.ts';

const sizes: Readonly<Record<string, number>> = { rare: 3, some: 700, common: 15_000, huge: 1_000_000, other: 1_000_000 };
const measure = (driver: Driver, cap: number): number =>
  driver.kind === 'ids'
    ? driver.ids.length
    : driver.kind === 'keys'
      ? Math.min(
          cap,
          driver.keys.reduce((sum, key) => sum + (sizes[key] ?? 0), 0),
        )
      : cap;
const pick = (expression: Expression) => pickDriver(expression, measure);
const driving = (expression: Expression) => pick(expression)?.drivers.flatMap((driver) => (driver.kind === 'keys' ? driver.keys : driver.kind));

test('the smallest criterion drives, wherever it stands', () => {
  expect(driving(and([any(['huge']), any(['some']), any(['common'])]))).toEqual(['some']);
  expect(driving(and([any(['common']), any(['huge'])]))).toEqual(['common']);
  expect(driving(and([startsWith('c'), any(['rare'])]))).toEqual(['rare']);
  expect(driving(and([or([any(['rare']), any(['some'])]), any(['common'])]))).toEqual(['rare', 'some']);
  expect(driving(and([or([any(['rare']), and([any(['huge']), any(['some'])])]), any(['common'])]))).toEqual(['rare', 'some']);
});

test('a criterion of a handful drives without the others being counted', () => {
  const counted: string[] = [];
  const noting = (driver: Driver, cap: number): number => {
    if (driver.kind === 'keys') counted.push(...driver.keys);
    return measure(driver, cap);
  };
  const choice = pickDriver(and([any(['some']), any(['rare']), any(['huge']), any(['other'])]), noting);
  expect(choice).toMatchObject({ drivers: [{ kind: 'keys', keys: ['rare'] }], size: 3, rest: and([any(['some']), any(['huge']), any(['other'])]) });
  expect(counted).toEqual(['some', 'rare']);
  let asked = 0;
  pickDriver(and([any(['some']), any(['rare']), any(['huge'])]), () => asked++ && 0);
  expect(asked).toBe(3);
});

test('among large criteria one that is in result order drives', () => {
  const wide = any(Array.from({ length: 60 }, () => 'huge').map((key, i) => `${key}${i}`));
  const large = (driver: Driver, cap: number) => (driver.kind === 'ids' ? 0 : cap);
  for (const of of [
    [wide, any(['huge'])],
    [startsWith('c'), any(['huge'])],
    [any(['huge']), wide],
  ]) {
    expect(pickDriver(and(of), large)?.drivers).toEqual([{ kind: 'keys', keys: ['huge'] }]);
  }
  // A driver that cannot be walked in order is known to be too large to collect.
  expect(pickDriver(wide, large)?.size).toBeGreaterThan(MOST_COLLECTED);
  expect(pickDriver(startsWith('c'), large)?.size).toBeGreaterThan(MOST_COLLECTED);
});

test('a handful of ids drives without anything being counted', () => {
  const ids: Expression = { kind: 'id', ids: new Set(['a']) };
  const choice = pickDriver(and([any(['rare']), ids]), (driver) => (driver.kind === 'ids' ? 1 : expect.unreachable()));
  expect(choice).toEqual({ drivers: [{ kind: 'ids', ids: ['a'] }], size: 1, rest: any(['rare']) });
});

test('nothing drives where it would miss rows', () => {
  const cases: Expression[] = [
    all,
    not(any(['rare'])),
    { kind: 'every', prefix: 'r', keys: new Set(['rare']) },
    any(['~facet']),
    any(['rare', '~facet']),
    startsWith('~'),
    { kind: 'range', from: 'a', to: '\u{10FFFF}' },
    { kind: 'interval', prefix: '~d' },
    { kind: 'interval', prefix: '' },
    or([any(['rare']), not(any(['rare']))]),
    or([any(['rare']), any(['~facet'])]),
  ];
  for (const expression of cases) expect(pick(expression)).toBeUndefined();
});

test('what is left to check', () => {
  expect(pick(any(['rare']))?.rest).toEqual(all);
  expect(pick(and([any(['rare']), any(['huge'])]))?.rest).toEqual(any(['huge']));
  expect(pick(or([any(['rare']), any(['some'])]))?.rest).toEqual(all);
  const mixed = or([any(['rare']), and([any(['some']), any(['huge'])])]);
  expect(pick(mixed)?.rest).toEqual(mixed);
  const interval: Expression = { kind: 'interval', prefix: 'd', low: { to: '5' } };
  expect(pick(interval)).toMatchObject({ drivers: [{ kind: 'range', from: 'd' }], rest: interval });
});

test('up to fifty keys are merged in result order', () => {
  const keys = (n: number) => Array.from({ length: n }, (_, i) => `k${i}`);
  const choice = (drivers: Driver[]) => ({ drivers, size: 1, rest: all });
  expect(mergeableKeys(choice([{ kind: 'keys', keys: keys(50) }]))).toHaveLength(50);
  expect(mergeableKeys(choice([{ kind: 'keys', keys: keys(51) }]))).toBeUndefined();
  expect(
    mergeableKeys(
      choice([
        { kind: 'keys', keys: ['a'] },
        { kind: 'keys', keys: ['a', 'b'] },
      ]),
    ),
  ).toEqual(['a', 'b']);
  expect(mergeableKeys(choice([{ kind: 'range', from: 'a', to: 'b' }]))).toBeUndefined();
});

test('packed keys come back as they went in, whatever is in them', () => {
  const key = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.constantFrom('\\', '\n', 'n', 'a')).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(fc.array(key), (keys) => {
      expect(unpackKeys(packKeys(keys))).toEqual(keys);
    }),
  );
});

test('of many branches no more is counted than tells that they are many', () => {
  const branches = Array.from({ length: 200 }, (_, i): Expression => ({ kind: 'any', keys: new Set([`a${i}`]) }));
  let counted = 0;
  const choice = pickDriver({ kind: 'or', of: branches }, (_driver, cap) => {
    counted += cap;
    return cap;
  });
  expect(choice?.drivers).toHaveLength(200);
  expect(counted).toBeLessThan(100_000);
});
