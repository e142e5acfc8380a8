import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Expression, holds } from '../../server/search/expression.ts';
import { holdsPacked } from '../../server/store/packed-check.ts';
import { packKeys } from '../../server/store/packed-keys.ts';

/** Short texts of few characters, so that beginnings are shared and keys met; some are escaped when packed, some beyond U+D7FF. */
const text = fc
  .array(fc.constantFrom('a', 'b', 'ab', '@p/', '0', '\u{1F600}', '\u{1F601}', '\uE000', '\n', '\\'), { maxLength: 4 })
  .map((parts) => parts.join(''));
const plain = fc
  .array(fc.constantFrom('a', 'b', 'ab', '@p/', '0', '\u{1F600}', '\u{1F601}', '\uE000'), { maxLength: 4 })
  .map((parts) => parts.join(''));
const texts = fc.array(text, { minLength: 1, maxLength: 4 }).map((keys) => new Set(keys));

const leaf: fc.Arbitrary<Expression> = fc.oneof(
  fc.constantFrom<Expression>({ kind: 'all' }, { kind: 'none' }),
  fc.record({ kind: fc.constant('id' as const), ids: texts }),
  fc.record({ kind: fc.constant('any' as const), keys: texts }),
  fc.record({ kind: fc.constant('range' as const), from: text, to: text }),
  fc.record({ kind: fc.constant('every' as const), prefix: text, keys: texts }),
  fc.record({ kind: fc.constant('contains' as const), prefix: text, text }),
  fc.record({ kind: fc.constant('ends' as const), prefix: text, text, most: fc.nat(9) }),
  fc.record({
    kind: fc.constant('interval' as const),
    prefix: text,
    low: fc.record({ from: text }),
    high: fc.record({ to: text }),
    width: fc.constant(1),
  }),
);
const expression = fc.letrec<{ tree: Expression }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.record({ kind: fc.constantFrom('and' as const, 'or' as const), of: fc.array(tie('tree'), { maxLength: 3 }) }),
    fc.record({ kind: fc.constant('not' as const), of: tie('tree') }),
  ),
})).tree;

test('what holds for keys holds for them packed, and nothing else', () => {
  const held = { true: 0, false: 0 };
  const keys = fc.oneof(fc.array(plain, { maxLength: 6 }), fc.array(text, { maxLength: 6 }));
  fc.assert(
    fc.property(expression, text, fc.array(keys, { minLength: 1, maxLength: 5 }), (where, id, lists) => {
      for (const list of lists) {
        const expected = holds(where, id, list);
        held[`${expected}`]++;
        expect(holdsPacked(where, id, packKeys(list))).toBe(expected);
      }
    }),
    { numRuns: 20_000 },
  );
  expect(Math.min(held.true, held.false)).toBeGreaterThan(5_000);
});
