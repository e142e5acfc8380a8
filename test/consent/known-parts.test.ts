/** Once its parts are known, what is decided of a container's own keys is what is decided of these with the keys of its parts. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { facet, REFERENCES_KEPT, SEALED, SENSITIVITY, UNKNOWN_PART, UNKNOWN_PATIENT, UNKNOWN_SOURCE } from '../../server/consent/facets.ts';
import { refinementOf, type Row, withParts } from '../../server/consent/sources.ts';
import { and, any, type Expression, holds, not, or } from '../../server/search/expression.ts';
import { decisionOn, observation } from '../support/consents.ts';

const ranks = [0, 1, 2, 3, 4, 5].map(facet.rank);
const others = [
  facet.patient('a'),
  facet.patient('b'),
  UNKNOWN_PATIENT,
  facet.sensitivity('HIV'),
  facet.sensitivity('SUD'),
  facet.anyCode('s', 'c'),
  facet.partAuthor('Practitioner/p'),
  facet.labelledBy('1'),
  facet.labelledBy('2'),
  REFERENCES_KEPT,
];
const leaf: fc.Arbitrary<Expression> = fc.oneof(
  fc.uniqueArray(fc.constantFrom(...ranks, ...others, UNKNOWN_PART, UNKNOWN_SOURCE), { minLength: 1, maxLength: 4 }).map(any),
  fc
    .uniqueArray(fc.constantFrom('HIV', 'SUD'))
    .map((codes): Expression => ({ kind: 'every', prefix: SENSITIVITY, keys: new Set(codes.map(facet.sensitivity)) })),
);
const { tree: expression } = fc.letrec<{ tree: Expression }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('tree'), { maxLength: 3 }).map(and),
    fc.array(tie('tree'), { maxLength: 3 }).map(or),
    tie('tree').map(not),
  ),
}));
const keysOf = (more: readonly string[]) =>
  fc.tuple(fc.constantFrom(...ranks), fc.subarray([...others, ...more])).map(([rank, keys]) => [rank, ...keys]);
const REFERENCES = ['Observation/1', 'Observation/2'];
const found = fc.option(fc.record({ keys: keysOf([SEALED]), deleted: fc.boolean() }));
const parts = fc
  .tuple(found, found)
  .map(
    (each) =>
      new Map(each.flatMap((row, i): [string, Row][] => (row ? [[REFERENCES[i] ?? '', { type: 'Observation', id: String(i), ...row }]] : []))),
  );

it('holds of a version’s own keys exactly where it holds of them with those of its parts', () => {
  const { input } = decisionOn(observation(), {});
  let permitted = 0;
  let denied = 0;
  fc.assert(
    fc.property(expression, keysOf([UNKNOWN_SOURCE]), parts, (scope, own, sources) => {
      const keys = [...own, UNKNOWN_PART, ...REFERENCES.map(facet.source)];
      const once = refinementOf({ ...input, type: 'Composition' }, () => scope)?.once(REFERENCES, sources);
      const whole = holds(scope, 'c', withParts(keys, sources));
      if (whole) permitted += 1;
      else denied += 1;
      expect(once && holds(once, 'c', keys)).toBe(whole);
    }),
    { numRuns: 5000 },
  );
  expect(Math.min(permitted, denied)).toBeGreaterThan(500);
});
