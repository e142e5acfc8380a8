import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, and, any, none, not } from '../../server/search/expression.ts';
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
