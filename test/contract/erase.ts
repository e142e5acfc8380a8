/** Erasure: of a resource nothing can be read any more, by any way, and its id is as if it had never been used. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { any } from '../../server/search/expression.ts';
import { commits, freshType, idsFound, type OpenSubject, query, resource, store, type Subject, total, writes } from './subject.ts';

export function eraseContract(open: OpenSubject): void {
  let subject: Subject;
  beforeEach(async () => {
    subject = await open();
  });
  afterEach(() => subject.dispose());

  const versionsOf = async (type: string, id?: string) => {
    const found = await subject.engine.resources.history({ type, ...(id === undefined ? {} : { id }), scope: 'internal', limit: 100 });
    return found.kind === 'rows' ? found.rows.map((row) => `${row.id} ${row.version}`) : [];
  };

  test('takes every version of a resource away, live or deleted, and none of another', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a', { keys: ['k'] }), resource(type, 'b', { keys: ['k'] }), resource(type, 'gone', { keys: ['k'] }));
    await store(subject, resource(type, 'a', { keys: ['k', 'new'], lastUpdated: 2_000 }), resource(type, 'gone', { deleted: true, body: '' }));
    const b = await versionsOf(type, 'b');
    const done = await subject.engine.resources.commit(writes([], { erase: ['a', 'gone', 'never'].map((id) => ({ type, id })) }));
    expect(done).toEqual({ kind: 'committed' });
    expect(await idsFound(subject, query(type))).toEqual(['b']);
    expect(await idsFound(subject, query(type, { where: { kind: 'id', ids: new Set(['gone']) }, deleted: true }))).toEqual([]);
    expect([await total(subject, type, any(['k'])), await total(subject, type, any(['new']))]).toEqual([1, 0]);
    expect(await versionsOf(type)).toEqual(b);
    expect(await versionsOf(type, 'a')).toEqual([]);
    expect(await commits(subject, [{ kind: 'version', type, id: 'a', version: null }], [resource(type, 'a', { keys: ['again'] })])).toBe(true);
    expect(await versionsOf(type, 'a')).toHaveLength(1);
    expect(await total(subject, type, any(['k']))).toBe(1);
  });

  test('happens with the rest of its write set or not at all', async () => {
    const type = freshType();
    const stored = resource(type, 'a');
    await store(subject, stored);
    const erase = [{ type, id: 'a' }];
    const guard = { kind: 'version' as const, type, id: 'a', version: 'another' };
    const refused = await subject.engine.resources.commit(writes([resource(type, 'told')], { guards: [guard], erase }));
    expect(refused.kind).toBe('conflict');
    expect(await idsFound(subject, query(type))).toEqual(['a']);
    const held = await subject.engine.resources.commit(writes([resource(type, 'told')], { guards: [{ ...guard, version: stored.version }], erase }));
    expect(held.kind).toBe('committed');
    expect(await idsFound(subject, query(type))).toEqual(['told']);
  });
}
