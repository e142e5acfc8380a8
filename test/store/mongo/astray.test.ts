/**
 * A search that is aimed at one patient's bucket misses nothing: random histories, of two processes at once, with ids of every kind, looked
 * at in one snapshot with the aim and without.
 */
import fc from 'fast-check';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bucketOf, newId } from '../../../server/fhir/ids.ts';
import { all, and, any, type Expression, startsWith } from '../../../server/search/expression.ts';
import { type Connection, connect } from '../../../server/store/mongo/connection.ts';
import { createMongoEngine } from '../../../server/store/mongo/engine.ts';
import { countRows, findRows } from '../../../server/store/mongo/find.ts';
import { inSnapshot } from '../../../server/store/mongo/reader.ts';
import type { Engine, Guard, Query, StoredResource } from '../../../server/store/port.ts';
import { freshType, query, resource, store, writes } from '../../contract/subject.ts';
import { findMongod, type ReplicaSet, startReplicaSet } from '../../support/mongod.ts';

const PATIENTS = 4;
const IDS = 12;
type Write = {
  /** Which of the ids; those of a multiple of three were chosen by a client, the others made for a patient. */
  readonly id: number;
  readonly names: readonly number[];
  readonly byReference: boolean;
  readonly code: number;
  readonly deleted: boolean;
};
type Step =
  | { readonly kind: 'commit'; readonly writes: readonly Write[]; readonly refused: boolean; readonly other: boolean }
  | { readonly kind: 'create-unless'; readonly write: Write; readonly patient: number; readonly code: number; readonly other: boolean }
  | { readonly kind: 'reindex'; readonly shift: number };

const patient = fc.nat(PATIENTS - 1);
const write: fc.Arbitrary<Write> = fc.record({
  id: fc.nat(IDS - 1),
  names: fc.uniqueArray(patient, { maxLength: 2 }),
  byReference: fc.boolean(),
  code: fc.nat(2),
  deleted: fc.boolean().chain((some) => (some ? fc.boolean() : fc.constant(false))),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      writes: fc.uniqueArray(write, { minLength: 1, maxLength: 3, selector: ({ id }) => id }),
      refused: fc.boolean().chain((some) => (some ? fc.boolean() : fc.constant(false))),
      other: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('create-unless' as const), write, patient, code: fc.nat(2), other: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reindex' as const), shift: fc.integer({ min: 1, max: PATIENTS - 1 }) }) },
);
/** Steps of one inner list run at once. */
const history = fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 8 });

let worlds = 0;

describe.skipIf(!findMongod())('what is outside its patient’s bucket', () => {
  let set: ReplicaSet;
  let uri: string;
  let engines: readonly [Engine, Engine];
  let connection: Connection;
  let client: MongoClient;
  beforeAll(async () => {
    set = await startReplicaSet();
    uri = set.uri(`astray-${process.pid}`);
    const open = () => createMongoEngine({ uri, clock: () => 0, routed: true });
    engines = [await open(), await open()];
    connection = { ...(await connect(uri)), routed: true };
    client = await new MongoClient(uri).connect();
  });
  afterAll(async () => {
    await Promise.all([...engines.map(({ resources }) => resources.close()), connection.close(), client.close()]);
    await set.stop();
  });

  /** Two patients share a bucket, two do not. */
  function world() {
    const name = `w${++worlds}`;
    const wanted = bucketOf('Patient', `${name}-0`);
    let twin = 0;
    while (bucketOf('Patient', `${name}-1-${twin}`) !== wanted) twin++;
    const patients = [`${name}-0`, `${name}-1-${twin}`, `${name}-2`, newId()];
    const ids = Array.from({ length: IDS }, (_, i) => (i % 3 === 0 ? `chosen-${i}` : newId(patients[i % PATIENTS])));
    const type = freshType();
    const keysOf = ({ names, byReference, code }: Omit<Write, 'id' | 'deleted'>) => [
      ...names.map((n) => (byReference ? `0abrPatient/${patients[n]}` : `@patient/${patients[n]}`)),
      `code${code}`,
    ];
    const made = (one: Write): StoredResource =>
      resource(type, ids[one.id] ?? '', { instant: one.id, keys: keysOf(one), ...(one.deleted && { deleted: true, body: '' }) });
    return { type, patients, made };
  }
  type World = ReturnType<typeof world>;

  async function run({ type, patients, made }: World, one: Step): Promise<void> {
    if (one.kind === 'reindex') {
      const moved = (key: string) =>
        patients.reduce((found, id, n) => (key.endsWith(`/${id}`) ? key.replace(id, patients[(n + one.shift) % PATIENTS] ?? '') : found), key);
      await engines[0].resources.reindex({ type }, ({ keys, instant }) => ({ keys: keys.map(moved), instant }));
      return;
    }
    const engine = engines[one.other ? 1 : 0];
    if (one.kind === 'commit') {
      const guards: readonly Guard[] = one.refused ? [{ kind: 'version', type, id: 'absent', version: 'never' }] : [];
      await engine.resources.commit(writes(one.writes.map(made), { guards }));
      return;
    }
    const where = and([any([`@patient/${patients[one.patient]}`]), any([`code${one.code}`])]);
    await engine.resources.commit(
      writes([made({ ...one.write, deleted: false })], { guards: [{ kind: 'no-match', type, where, scope: 'internal' }] }),
    );
  }

  function asked({ type, patients }: World): readonly Query[] {
    const wheres = patients.flatMap((id): Expression[] => [
      any([`@patient/${id}`]),
      any([`0abrPatient/${id}`]),
      and([any([`@patient/${id}`]), any(['code1'])]),
      and([startsWith('code'), any([`0abrPatient/${id}`])]),
    ]);
    const whole = wheres.map((where) => query(type, { where, limit: 3 }));
    return [
      ...whole,
      ...wheres.map((where) =>
        query(type, { where, limit: 50, order: { by: 'keys', keys: [{ prefix: 'code', direction: 'ascending' }], ids: 'ascending' } }),
      ),
    ];
  }

  /** Answers with the aim and without it, in one snapshot; how many of them were aimed. */
  async function compare(world: World, marks: Connection['marks'] = connection.marks): Promise<{ readonly aimed: number; readonly wrong: number }> {
    let aimed = 0;
    let wrong = 0;
    await inSnapshot({ ...connection, marks }, async (reader) => {
      for (const one of asked(world)) {
        const counting = {
          ...reader,
          isThere: async (...about: Parameters<typeof reader.isThere>) => {
            const marked = await reader.isThere(...about);
            if (!marked) aimed++;
            return marked;
          },
        };
        const [some, every] = [await findRows(counting, one), await findRows({ ...reader, routed: false }, one)];
        const ids = (found: typeof some) => (found.kind === 'rows' ? found.rows.map(({ id, version }) => [id, version]) : found.kind);
        if (JSON.stringify(ids(some)) !== JSON.stringify(ids(every))) wrong++;
      }
    });
    return { aimed, wrong };
  }

  test('is found all the same, at every moment', async () => {
    let aimed = 0;
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const one = world();
        for (const together of steps) {
          const running = Promise.all(together.map((step) => run(one, step)));
          const [during] = await Promise.all([compare(one), running]);
          expect(during.wrong).toBe(0);
        }
        const after = await compare(one);
        expect(after.wrong).toBe(0);
        aimed += after.aimed;
        for (const { type, where } of asked(one)) {
          const counts = await inSnapshot(connection, async (reader) => [
            await countRows(reader, { type, where, scope: 'internal' }),
            await countRows({ ...reader, routed: false }, { type, where, scope: 'internal' }),
          ]);
          expect(counts[0]).toEqual(counts[1]);
        }
      }),
      { numRuns: 25 },
    );
    // The property says nothing where nothing is aimed.
    expect(aimed).toBeGreaterThan(50);
  });

  test('would be missed without its mark', async () => {
    const one = world();
    await run(one, { kind: 'commit', writes: [{ id: 0, names: [0], byReference: false, code: 1, deleted: false }], refused: false, other: false });
    expect(await compare(one)).toMatchObject({ wrong: 0 });
    await client
      .db()
      .collection<{ _id: string }>('astray')
      .deleteMany({ _id: `${one.type}/${one.patients[0]}` });
    expect((await compare(one, { has: () => false, add: () => undefined })).wrong).toBeGreaterThan(0);
  });

  test('a refused or failed commit marks nobody, and is not remembered as if it had', async () => {
    const one = world();
    const stray: Write = { id: 0, names: [2], byReference: false, code: 1, deleted: false };
    await run(one, { kind: 'commit', writes: [stray], refused: true, other: false });
    const large = { ...one.made(stray), body: 'x'.repeat(15 * 1024 * 1024 + 1) };
    await expect(engines[0].resources.commit(writes([large]))).rejects.toMatchObject({ code: 'too-large' });
    const marks = client.db().collection<{ _id: string }>('astray');
    expect(await marks.countDocuments({ _id: `${one.type}/${one.patients[2]}` })).toBe(0);
    await run(one, { kind: 'commit', writes: [stray], refused: false, other: false });
    expect(await marks.countDocuments({ _id: `${one.type}/${one.patients[2]}` })).toBe(1);
  });

  test('stops a conditional create, in the transaction that makes it astray too', async () => {
    const type = freshType();
    const where = and([any(['@patient/guarded']), any(['identifier'])]);
    const guards: readonly Guard[] = [{ kind: 'no-match', type, where, scope: 'internal' }];
    const create = (id: string) =>
      engines[0].resources.commit(writes([resource(type, id, { keys: ['@patient/guarded', 'identifier'] })], { guards }));
    // Sets that are committed together: the second sees what the first has written, mark and all.
    const results = await Promise.all(['chosen-a', newId('guarded'), 'chosen-b'].map(create));
    expect(results.map(({ kind }) => kind)).toEqual(['committed', 'conflict', 'conflict']);
    expect(await create(newId('guarded'))).toMatchObject({ kind: 'conflict' });
  });

  test('is marked although a transaction that had seen its own mark came to nothing', async () => {
    const type = freshType();
    const named = { keys: ['@patient/undone', 'identifier'] };
    const guards: readonly Guard[] = [{ kind: 'no-match', type, where: and([any(['@patient/undone']), any(['identifier'])]), scope: 'internal' }];
    const invalid = resource(type, 'invalid', { instant: 'no number' as unknown as number });
    // Committed together, the last takes the transaction of the others with it; they are then committed one by one.
    const sets = [writes([resource(type, 'chosen', named)]), writes([resource(type, newId('undone'), named)], { guards }), writes([invalid])];
    const [stored, refused, failed] = await Promise.allSettled(sets.map((set) => engines[0].resources.commit(set)));
    expect(stored).toMatchObject({ value: { kind: 'committed' } });
    expect(refused).toMatchObject({ value: { kind: 'conflict' } });
    expect(failed).toMatchObject({ status: 'rejected' });
    expect(
      await client
        .db()
        .collection<{ _id: string }>('astray')
        .countDocuments({ _id: `${type}/undone` }),
    ).toBe(1);
  });

  test('a count that a mark overtakes is taken again', async () => {
    const type = freshType();
    await store({ engine: engines[0] }, resource(type, newId('counted'), { keys: ['@patient/counted'] }));
    const where = any(['@patient/counted']);
    const counted = await inSnapshot(connection, (reader) => {
      const slow: typeof reader = {
        ...reader,
        size: async (filter, cap) => {
          if ('s' in filter) await store({ engine: engines[1] }, resource(type, 'chosen', { keys: ['@patient/counted'] }));
          return reader.size(filter, cap);
        },
      };
      return countRows(slow, { type, where, scope: 'internal' });
    });
    expect(counted).toEqual({ kind: 'count', total: 2 });
  });

  test('a search of all is as before', async () => {
    const type = freshType();
    await store({ engine: engines[0] }, resource(type, 'a'), resource(type, newId('b'), { keys: ['@patient/b'] }));
    expect(await engines[1].resources.count({ type, where: all, scope: 'internal' })).toEqual({ kind: 'count', total: 2 });
  });
});
