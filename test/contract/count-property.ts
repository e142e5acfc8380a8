/** Totals while what decides changes: what an engine remembers of rows from one question to the next must never be told of others. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, and, any, type Expression, holds, not, or, startsWith } from '../../server/search/expression.ts';
import type { StoredResource } from '../../server/store/port.ts';
import { freshType, type OpenSubject, query, resource, type Subject, store, writes } from './subject.ts';

const PATIENTS = ['@patient/1', '@patient/2', '@patient/3'];
const WORDS = ['code', 'other', 'third', ...PATIENTS, '~rank/2', '~rank/4', '~sens/HIV', '~patient?', '~any/x', '~any/y'];
const IDS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const permitted = new Set(PATIENTS.slice(0, 2));

/** As Consents make them: permits by whom a row names, exceptions by label, by code, by id, and for those who are not found. */
const SCOPES: readonly Expression[] = [
  and([any(permitted), { kind: 'every', prefix: '@patient/', keys: permitted }, not(any(['~patient?']))]),
  and([or([not(any(['@patient/1', '~patient?'])), not(any(['~sens/HIV', '~rank/4']))]), or([not(any(['@patient/2'])), not(any(['~any/x']))])]),
  and([not(any(['@patient/3'])), or([not(any(['@patient/1'])), { kind: 'id', ids: new Set(['a', 'c', 'e']) }])]),
  or([any(['@patient/1']), and([not(startsWith('@patient/')), any(['~rank/2'])])]),
  all,
];
const WHERES: readonly Expression[] = [any(['code']), any(['code', 'other']), all, and([any(['code']), any(['third', '~any/y'])])];

const keys = fc.subarray(WORDS);
const id = fc.constantFrom(...IDS);
const change = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('written' as const), id, keys }) },
  fc.record({ kind: fc.constantFrom('deleted' as const, 'erased' as const), id }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reindexed' as const), id, keys }) },
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

export function countPropertyContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());

  test('totals, and whom they name, are those of the rows as they are now', async () => {
    const seen = { some: 0, less: 0 };
    const step = fc.tuple(fc.array(change, { minLength: 1, maxLength: 6 }), fc.array(fc.constantFrom(...SCOPES), { minLength: 4, maxLength: 4 }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 6 }), async (steps) => {
        const type = freshType();
        const live = new Map<string, readonly string[]>();
        for (const [changes, scopes] of steps) {
          for (const one of changes) await make(subject, { type, live }, one);
          const epoch = await subject.engine.resources.epoch();
          for (const [i, scope] of scopes.entries()) {
            const where = WHERES[i] ?? all;
            const asked = [...live].filter(([name, theirs]) => holds(where, name, theirs));
            const expected = asked.filter(([name, theirs]) => holds(scope, name, theirs));
            const naming = i % 2 === 0 ? { naming: '@patient/' } : {};
            const counted = await subject.engine.resources.count({ type, where, scope: { epoch, where: scope }, ...naming });
            const named = i % 2 === 0 ? { named: about(expected) } : {};
            expect(counted.kind === 'count' && sorted(counted)).toEqual({ total: expected.length, ...named });
            const page = await subject.engine.resources.find(query(type, { where, scope: { epoch, where: scope }, limit: 1, total: naming }));
            expect(page.kind === 'rows' && page.total && sorted({ total: page.total.count, named: page.total.named })).toEqual({
              total: expected.length,
              ...named,
            });
            if (expected.length > 1) seen.some++;
            if (expected.length < asked.length) seen.less++;
          }
        }
      }),
      { numRuns: 15 },
    );
    expect(Math.min(seen.some, seen.less)).toBeGreaterThan(10);
  });

  test('counts up to a cap, as far as asked, and within its budget', async () => {
    const type = freshType();
    const rows = Array.from({ length: 500 }, (_, i) => resource(type, `r${i}`, { instant: i, keys: ['code', `@patient/${i % 3}`] }));
    await store(subject, ...rows);
    const scope = { epoch: await subject.engine.resources.epoch(), where: any(['@patient/0', '@patient/1']) };
    const where = any(['code']);
    const { count } = subject.engine.resources;
    for (let again = 0; again < 2; again++) {
      expect(await count({ type, where, scope }, 100)).toEqual({ kind: 'count', total: 100 });
      expect(await count({ type, where, scope, most: 334 })).toEqual({ kind: 'count', total: 334 });
      expect(await count({ type, where, scope, most: 333 })).toMatchObject({ kind: 'budget', total: 334 });
      const over = await count({ type, where, scope, budget: 300, naming: '@patient/' });
      expect(over).toMatchObject({ kind: 'budget', named: expect.arrayContaining(['0', '1']) });
      expect(over.kind === 'budget' && over.walked).toBeGreaterThan(300);
      expect(over.kind === 'budget' && over.total).toBeLessThan(334);
    }
  });
}

type World = { readonly type: string; readonly live: Map<string, readonly string[]> };

async function make(subject: Subject, { type, live }: World, one: Change): Promise<void> {
  const before = live.get(one.id);
  const stored: StoredResource = resource(type, one.id, { keys: 'keys' in one ? one.keys : (before ?? []) });
  if (one.kind === 'written') {
    await store(subject, stored);
    live.set(one.id, one.keys);
  } else if (one.kind === 'reindexed') {
    await subject.engine.resources.reindex({ type, ids: [one.id] }, ({ instant }) => ({ keys: one.keys, instant }));
    if (before) live.set(one.id, one.keys);
  } else {
    if (one.kind === 'deleted') await store(subject, { ...stored, deleted: true, body: '' });
    else await subject.engine.resources.commit(writes([], { erase: [{ type, id: one.id }] }));
    live.delete(one.id);
  }
}

function sorted({ total, named }: { readonly total: number; readonly named?: readonly string[] | undefined }): object {
  return { total, ...(named && { named: named.toSorted() }) };
}

function about(rows: readonly (readonly [string, readonly string[]])[]): readonly string[] {
  const names = rows.flatMap(([, theirs]) => theirs.filter((key) => key.startsWith('@patient/')).map((key) => key.slice('@patient/'.length)));
  return [...new Set(names)].sort();
}
