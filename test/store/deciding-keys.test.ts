import fc from 'fast-check';
import { DatabaseSync } from 'node:sqlite';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { up as first } from '../../migrations/embedded/0001-first-schema.ts';
import * as facets from '../../server/consent/facets.ts';
import { and, any, encodeInstant, type Expression, holds, not, startsWith } from '../../server/search/expression.ts';
import { decidingPart, isDeciding, judgeOf, mayBeJudged } from '../../server/store/deciding-keys.ts';
import { databasePath } from '../../server/store/embedded/database.ts';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import { migrateEmbedded } from '../../server/store/embedded/migrations.ts';
import { packKeys } from '../../server/store/packed-keys.ts';

const { facet } = facets;

/** Deciding ones, such as begin nearly alike, and such as are escaped when packed. */
const KEYS = ['@patient/1', '@patient/2', '@patient/\n', '~rank/2', '~any?', '~part?', '~any/x', '@p', '~when/', 'c', 'c\\', '~code/\u{1F600}'];
const PREFIXES = ['@patient/', '@p', '~', '~any', 'c', '', '~when/'];
const some = fc.subarray(KEYS, { minLength: 1, maxLength: 4 }).map((keys) => new Set(keys));
const prefix = fc.constantFrom(...PREFIXES);
const leaf: fc.Arbitrary<Expression> = fc.oneof(
  fc.constantFrom<Expression>({ kind: 'all' }, { kind: 'none' }),
  fc.record({ kind: fc.constant('id' as const), ids: fc.subarray(['a', 'b']).map((ids) => new Set(ids)) }),
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('any' as const), keys: some }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('every' as const), prefix, keys: some }) },
  prefix.map(startsWith),
  fc.tuple(fc.constantFrom(...KEYS), fc.constantFrom(...KEYS)).map(([from, to]) => ({ kind: 'range' as const, from, to })),
  fc.record({ kind: fc.constant('contains' as const), prefix, text: fc.constantFrom('1', 'x', '') }),
);
const expression = fc.letrec<{ tree: Expression }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    { weight: 2, arbitrary: leaf },
    fc.record({ kind: fc.constantFrom('and' as const, 'or' as const), of: fc.array(tie('tree'), { maxLength: 3 }) }),
    fc.record({ kind: fc.constant('not' as const), of: tie('tree') }),
  ),
})).tree;

/** Counts the values that are gone through one by one. */
class CountedSet extends Set<string> {
  gone = 0;
  override *values(): SetIterator<string> {
    for (const value of super.values()) {
      this.gone++;
      yield value;
    }
    return undefined;
  }
  override [Symbol.iterator](): SetIterator<string> {
    return this.values();
  }
}

describe('the keys that decide', () => {
  test('settle what they settle as all keys do, whatever the others and the id are', () => {
    const settled = { true: 0, false: 0, undefined: 0 };
    fc.assert(
      fc.property(expression, fc.array(fc.subarray(KEYS), { minLength: 1, maxLength: 5 }), (where, lists) => {
        for (const keys of lists) {
          const judged = judgeOf(where)(decidingPart(packKeys(keys)));
          settled[`${judged}`]++;
          for (const id of ['a', 'b']) expect(judged ?? holds(where, id, keys)).toBe(holds(where, id, keys));
          expect(judgeOf(where)(decidingPart(packKeys(keys)))).toBe(judged);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(Math.min(settled.true, settled.false, settled.undefined)).toBeGreaterThan(500);
    expect(mayBeJudged(and([any(['@patient/1']), any(['c'])]))).toBe(false);
  });

  test('of whom a scope names, and they may be all there are, nobody is gone through again in the next search', () => {
    const patients = new CountedSet(Array.from({ length: 5_000 }, (_, n) => `@patient/${n}`));
    const scope = [not({ kind: 'any', keys: patients }), { kind: 'every', prefix: '@patient/', keys: patients } as const];
    const asked = (criterion: string) => {
      const where = and([...scope, any([criterion])]);
      return [mayBeJudged(where), judgeOf(where)('@patient/7\n'), judgeOf(where)('@patient/x\n'), judgeOf(where)('~rank/2\n')];
    };
    expect(asked('a')).toEqual([false, false, false, undefined]);
    const before = patients.gone;
    expect(before).toBeGreaterThan(5_000);
    expect(asked('b')).toEqual([false, false, false, undefined]);
    expect(patients.gone - before).toBeLessThan(5);
  });

  test('are those of the packed keys, in their order', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(KEYS), (keys) => {
        expect(decidingPart(packKeys(keys))).toBe(
          packKeys(keys)
            .split('\n')
            .filter((line) => isDeciding(line))
            .map((line) => `${line}\n`)
            .join(''),
        );
      }),
    );
  });

  test('are facets that many resources share, none that is one row’s own', () => {
    const deciding = [
      facet.patient('p'),
      facet.writer('Organization/o'),
      facet.own('client'),
      facet.owner('Organization/o'),
      facet.rank(3),
      facet.sensitivity('HIV'),
      facet.labelledBy('rules'),
      facet.part('Observation'),
      facets.SEALED,
      facets.UNKNOWN_PART,
      facets.UNKNOWN_PATIENT,
      facets.UNKNOWN_CODE,
      facets.UNKNOWN_TARGET,
      facets.UNDATED,
      facets.HAS_CONTEXT,
      facets.REFERENCES_KEPT,
    ];
    expect(deciding.filter((key) => !isDeciding(key))).toEqual([]);
    const own = [
      facet.primaryCode('s', 'c'),
      facet.anyCode('s', 'c'),
      facet.refersTo('Observation/o'),
      facet.partIs('Observation/o'),
      facet.source('Observation/o'),
      facet.sources(['Observation/o']),
      facet.author('Practitioner/d'),
      `${facets.WHEN}${encodeInstant(0)}${encodeInstant(0)}`,
    ];
    expect(own.filter(isDeciding)).toEqual([]);
  });

  test('of what was stored before they lay apart are made by the migration', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'assent-deciding-'));
    try {
      const keys = ['c', '@patient/1', '~rank/2', '~any/x'];
      const old = new DatabaseSync(databasePath(dataDir));
      first(old);
      old.exec("CREATE TABLE migrations (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID; INSERT INTO migrations VALUES ('0001-first-schema')");
      const insert = old.prepare("INSERT INTO resources VALUES (?, 'Observation', ?, 'v', 0, 0, ?, ?, '{}')");
      const index = old.prepare("INSERT INTO keys VALUES ('Observation', ?, 0, ?, ?)");
      for (const [rid, deleted] of [0, 0, 1].entries()) {
        insert.run(rid + 1, `o${rid}`, deleted, packKeys(keys));
        if (deleted === 0) for (const key of ['c', '@patient/1']) index.run(key, `o${rid}`, rid + 1);
      }
      old.close();
      await expect(createEmbeddedEngine({ dataDir, clock: () => 0 })).rejects.toMatchObject({ code: 'unavailable' });
      expect(await migrateEmbedded(dataDir)).toEqual(['0002-deciding-keys']);
      const { resources } = await createEmbeddedEngine({ dataDir, clock: () => 0 });
      const scope = { epoch: await resources.epoch(), where: any(['~rank/2']) };
      expect(await resources.count({ type: 'Observation', where: any(['c']), scope, naming: '@patient/' })).toEqual({
        kind: 'count',
        total: 2,
        named: ['1'],
      });
      await resources.close();
      const migrated = new DatabaseSync(databasePath(dataDir), { readOnly: true });
      expect(migrated.prepare('SELECT rid, keys FROM deciding').all()).toMatchObject([1, 2].map((rid) => ({ rid, keys: '@patient/1\n~rank/2\n' })));
      migrated.close();
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});
