import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, and, any, encodeInstant, type Expression, holds, none, not, or } from '../../server/search/expression.ts';
import { freshType, idsFound, type OpenSubject, query, resource, type Subject, store, writes } from './subject.ts';

export function scopeContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());
  const epoch = () => subject.engine.resources.epoch();

  test('the scope narrows rows, pages and totals like one more criterion', async () => {
    const type = freshType();
    const patients = ['1', '2', '1', '2', '1'];
    await store(subject, ...patients.map((patient, i) => resource(type, `r${i}`, { keys: ['code', `@patient/${patient}`] })));
    const scope = { epoch: await epoch(), where: any(['@patient/1']) };
    expect(await idsFound(subject, query(type, { scope }))).toEqual(['r0', 'r2', 'r4']);
    expect(await idsFound(subject, query(type, { scope, where: any(['code']) }))).toEqual(['r0', 'r2', 'r4']);
    expect(await idsFound(subject, query(type, { scope, where: any(['@patient/2']) }))).toEqual([]);
    expect(await idsFound(subject, query(type, { scope: { ...scope, where: none }, where: all }))).toEqual([]);
    const count = (where = all) => subject.engine.resources.count({ type, where, scope });
    expect([await count(), await count(any(['@patient/2']))]).toEqual([
      { kind: 'count', total: 3 },
      { kind: 'count', total: 0 },
    ]);
    const page = await subject.engine.resources.find(query(type, { scope, limit: 3 }));
    expect(page).toMatchObject({ kind: 'rows', next: undefined });
  });

  test('up to 50 permitted patients drive the query, more are tested for row by row, and both find the same', async () => {
    const type = freshType();
    const rows = Array.from({ length: 1_200 }, (_, i) => resource(type, `r${i}`, { instant: i, keys: ['code', `@patient/${i % 400}`] }));
    await store(subject, ...rows);
    const permitted = async (patients: number) => {
      const keys = Array.from({ length: patients }, (_, i) => `@patient/${i}`);
      const scope = { epoch: await epoch(), where: any(keys) };
      const found = await subject.engine.resources.find(query(type, { scope, where: any(['code']), limit: 1_000 }));
      if (found.kind !== 'rows') throw new Error(`The engine answered ${found.kind}.`);
      expect(found.rows).toHaveLength(patients * 3);
      return found.walked;
    };
    expect([await permitted(1), await permitted(50)]).toEqual([3, 150]);
    expect(await permitted(333)).toBeGreaterThan(333 * 2);
  });

  test('what decides is counted by as it is now: written anew, deleted, written again, reindexed, erased', async () => {
    const type = freshType();
    const [shown, hidden] = [
      ['code', '@patient/1', '~rank/2'],
      ['code', '@patient/1', '~rank/4'],
    ];
    const count = async () => {
      const scope = { epoch: await epoch(), where: and([any(['@patient/1', '@patient/2']), any(['~rank/2'])]) };
      return subject.engine.resources.count({ type, where: any(['code']), scope, naming: '@patient/' });
    };
    const counts = async (total: number) => expect(await count()).toEqual({ kind: 'count', total, named: total === 0 ? [] : ['1'] });
    await store(subject, resource(type, 'a', { keys: shown }), resource(type, 'b', { keys: hidden }));
    await counts(1);
    await store(subject, resource(type, 'b', { keys: shown }));
    await counts(2);
    await store(subject, resource(type, 'a', { keys: shown, deleted: true, body: '' }));
    await counts(1);
    await store(subject, resource(type, 'a', { keys: shown }));
    await counts(2);
    await subject.engine.resources.reindex({ type }, ({ instant }) => ({ keys: hidden, instant }));
    await counts(0);
    await subject.engine.resources.reindex({ type }, ({ instant }) => ({ keys: shown, instant: instant + 1 }));
    await counts(2);
    await subject.engine.resources.commit(writes([], { erase: [{ type, id: 'a' }] }));
    await counts(1);
  });

  test('where the keys that decide settle it for some and others differ by a code, a date or their id, all are counted', async () => {
    const type = freshType();
    const rows = Array.from({ length: 60 }, (_, i) =>
      resource(type, `r${i}`, {
        keys: ['code', `@patient/${i % 3}`, `~rank/${i % 2}`, `~any/${i % 5}`, '~when/' + encodeInstant(i) + encodeInstant(i)],
      }),
    );
    await store(subject, ...rows);
    const perhaps: Expression[] = [
      any(['~any/3']),
      { kind: 'interval', prefix: '~when/', low: { to: encodeInstant(20) } },
      { kind: 'id', ids: new Set(['r1', 'r4', 'r7']) },
      and([any(['~rank/1']), not(any(['~any/1', '~any/3']))]),
    ];
    for (const residual of perhaps) {
      const where = and([any(['@patient/0', '@patient/1']), or([not(any(['@patient/1'])), residual])]);
      const expected = rows.filter(({ id, keys }) => holds(where, id, keys));
      expect(expected.length).toBeGreaterThan(20);
      const scope = { epoch: await epoch(), where };
      const counted = await subject.engine.resources.count({ type, where: any(['code']), scope, naming: '@patient/' });
      expect(counted).toEqual({ kind: 'count', total: expected.length, named: expect.arrayContaining(['0', '1']) });
      const page = await subject.engine.resources.find(query(type, { where: any(['code']), scope, limit: 5, total: {} }));
      expect(page).toMatchObject({ kind: 'rows', total: { count: expected.length, exact: true } });
    }
  });

  test('an id look-up outside the scope finds nothing, deleted or not', async () => {
    const type = freshType();
    const where = { kind: 'id' as const, ids: new Set(['mine', 'other']) };
    await store(subject, resource(type, 'mine', { keys: ['@patient/1'] }), resource(type, 'other', { keys: ['@patient/2'] }));
    await store(
      subject,
      resource(type, 'mine', { keys: ['@patient/1'], deleted: true }),
      resource(type, 'other', { keys: ['@patient/2'], deleted: true }),
    );
    const scope = { epoch: await epoch(), where: any(['@patient/1']) };
    expect(await idsFound(subject, query(type, { where, scope, deleted: true }))).toEqual(['mine']);
    expect(await idsFound(subject, query(type, { where, scope }))).toEqual([]);
    const closed = { epoch: await epoch(), where: and([any(['@patient/1']), not(any(['@patient/1']))]) };
    expect(await idsFound(subject, query(type, { where, scope: closed, deleted: true }))).toEqual([]);
  });

  test('a scope of another epoch is stale for every kind of reading, before the commit that moved the epoch is even acknowledged to others', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a', { keys: ['k'] }));
    const old = await epoch();
    const scope = { epoch: old, where: all };
    const { resources } = subject.engine;
    expect(await resources.find(query(type, { scope }))).toMatchObject({ kind: 'rows' });
    expect(await resources.commit(writes([], { bumpEpoch: false }))).toEqual({ kind: 'committed' });
    expect(await epoch()).toBe(old);
    expect(await resources.commit(writes([], { bumpEpoch: true }))).toEqual({ kind: 'committed' });
    expect(await epoch()).toBeGreaterThan(old);
    expect(await resources.find(query(type, { scope }))).toEqual({ kind: 'stale' });
    expect(await resources.find(query(type, { scope, where: { kind: 'id', ids: new Set(['a']) } }))).toEqual({ kind: 'stale' });
    expect(await resources.find(query(type, { scope, where: none }))).toEqual({ kind: 'stale' });
    expect(await resources.count({ type, where: all, scope })).toEqual({ kind: 'stale' });
    expect(await resources.history({ type, scope: { epoch: old, where: () => all }, limit: 5 })).toEqual({ kind: 'stale' });
    expect(await resources.find(query(type, { scope: { ...scope, epoch: old + 1_000 } }))).toEqual({ kind: 'stale' });
  });

  test('the epoch stays when a write set that would move it is refused, and survives a restart', async () => {
    const type = freshType();
    const before = await epoch();
    const guards = [{ kind: 'version' as const, type, id: 'a', version: 'never' }];
    expect(await subject.engine.resources.commit(writes([], { guards, bumpEpoch: true }))).toMatchObject({ kind: 'conflict' });
    expect(await epoch()).toBe(before);
    const engine = await subject.reopen();
    expect(await engine.resources.epoch()).toBe(before);
    subject = { ...subject, engine };
  });
}
