import fc from 'fast-check';
import { expect, test } from 'vitest';
import { any, type Expression } from '../../server/search/expression.ts';
import { createScopeKeeper, createScopeTeller, MOST_KEPT } from '../../server/store/embedded/kept-scopes.ts';
import type { LongRead } from '../../server/store/embedded/reads.ts';
import { query } from '../contract/subject.ts';

const SCOPES = Array.from({ length: MOST_KEPT + 8 }, (_, i) => any([`@patient/${i}`, '@patient/common']));
const scope = fc.oneof(fc.nat(3), fc.nat(SCOPES.length - 1)).map((i) => ({ epoch: i, where: SCOPES[i] as Expression }));
const read: fc.Arbitrary<LongRead> = fc.oneof(
  fc.oneof(scope, fc.constant('internal' as const)).map((each): LongRead => ({ kind: 'find', query: query('T', { scope: each }) })),
  scope.map((each): LongRead => ({ kind: 'count', query: { type: 'T', where: any(['k']), scope: each }, cap: undefined })),
  fc.array(scope, { maxLength: 60 }).map((some): LongRead => {
    const parts = some.map((each, i) => ({ type: `T${i}`, where: any(['k']), scope: each, order: query('T').order }));
    return { kind: 'several', query: { parts, limit: 1 } };
  }),
);

test('what is read in the reader thread has the scopes it was asked with, each told once as long as it is kept', () => {
  let again = 0;
  fc.assert(
    fc.property(fc.array(read, { minLength: 20, maxLength: 80, size: 'max' }), (reads) => {
      const [tell, keep] = [createScopeTeller(), createScopeKeeper()];
      const seen = new Map<string, Expression>();
      for (const each of reads) {
        const told = structuredClone(tell(each));
        const kept = keep(told);
        expect(kept).toEqual(each);
        if (told.read.kind !== 'count' || kept.kind !== 'count' || kept.query.scope === 'internal') continue;
        // The same object, as long as it was not told anew.
        const name = JSON.stringify([...(kept.query.scope.where as Expression & { kind: 'any' }).keys]);
        if (told.scopes[0]?.where === undefined && seen.has(name)) again++;
        seen.set(name, kept.query.scope.where);
      }
    }),
    { numRuns: 200 },
  );
  expect(again).toBeGreaterThan(50);
  const [tell, keep] = [createScopeTeller(), createScopeKeeper()];
  const asked: LongRead = {
    kind: 'count',
    query: { type: 'T', where: any(['k']), scope: { epoch: 1, where: SCOPES[0] as Expression } },
    cap: undefined,
  };
  const [first, second] = [tell(asked), tell(asked)].map((told) => ({ told, kept: keep(structuredClone(told)) }));
  expect([first?.told.scopes[0]?.where, second?.told.scopes[0]?.where]).toEqual([SCOPES[0], undefined]);
  const whereOf = (kept: LongRead | undefined) => kept?.kind === 'count' && kept.query.scope !== 'internal' && kept.query.scope.where;
  expect(whereOf(second?.kept)).toBe(whereOf(first?.kept));
});
