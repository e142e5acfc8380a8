import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, and, any, type Expression, none, not, or, startsWith } from '../../server/search/expression.ts';
import type { Order, Position } from '../../server/store/port.ts';
import { freshType, idsFound, type OpenSubject, query, resource, type Subject, store, total } from './subject.ts';

export function findContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());
  const byKey = (prefix: string): Order => ({ by: 'keys', keys: [{ prefix, direction: 'ascending' }], ids: 'ascending' });
  const id = (...ids: string[]) => ({ kind: 'id' as const, ids: new Set(ids) });

  test('a resource comes back exactly as it was stored', async () => {
    const type = freshType();
    const keys = ['plain', 'new\nline', 'back\\slash', '\\n', 'nul\u0000one\u0001', '~facet', '😀', '', 'é'];
    const stored = resource(type, 'a', { body: '{"n":1.10, "s":"\\ud83d\\ude00 中"}', keys, lastUpdated: 1_700_000_000_123, instant: -5_000 });
    await store(subject, stored);
    const found = await subject.engine.resources.find(query(type, { where: id('a') }));
    expect(found).toMatchObject({ kind: 'rows', rows: [stored], next: undefined });
    expect(await idsFound(subject, query(type, { where: any(['new\nline']) }))).toEqual(['a']);
    expect(await idsFound(subject, query(type, { where: any(['nul\u0000one\u0001']) }))).toEqual(['a']);
    expect(await idsFound(subject, query(type, { where: any(['nul']) }))).toEqual([]);
  });

  test('types are apart, also when they share an id and keys', async () => {
    const [one, two] = [freshType(), freshType()];
    await store(subject, resource(one, 'same', { keys: ['k'] }), resource(two, 'same', { keys: ['k'] }));
    await store(subject, resource(one, 'same', { deleted: true, body: '', keys: ['k'] }));
    expect(await idsFound(subject, query(one, { where: any(['k']) }))).toEqual([]);
    expect(await idsFound(subject, query(two, { where: any(['k']) }))).toEqual(['same']);
    expect([await total(subject, one, all), await total(subject, two, all)]).toEqual([0, 1]);
  });

  test('a changed resource is found by its new keys and instant only', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a', { keys: ['old', 'both'], instant: 1 }), resource(type, 'b', { keys: ['both'], instant: 2 }));
    await store(subject, resource(type, 'a', { keys: ['new', 'both'], instant: 3 }));
    expect(await idsFound(subject, query(type, { where: any(['old']) }))).toEqual([]);
    expect(await idsFound(subject, query(type, { where: any(['new']) }))).toEqual(['a']);
    expect(await idsFound(subject, query(type, { where: any(['both']) }))).toEqual(['a', 'b']);
    expect(await idsFound(subject, query(type))).toEqual(['a', 'b']);
  });

  test('a deletion is a row only for an id look-up that asks for it', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a', { keys: ['k'] }));
    await store(subject, resource(type, 'a', { keys: ['k'], deleted: true, body: '' }));
    expect(await idsFound(subject, query(type))).toEqual([]);
    expect(await idsFound(subject, query(type, { where: id('a') }))).toEqual([]);
    expect(await idsFound(subject, query(type, { where: id('a', 'b'), deleted: true }))).toEqual(['a']);
    expect(await idsFound(subject, query(type, { where: and([id('a'), any(['k'])]), deleted: true }))).toEqual(['a']);
    expect(await idsFound(subject, query(type, { where: and([id('a'), any(['other'])]), deleted: true }))).toEqual([]);
    expect([await total(subject, type, all), await total(subject, type, any(['k'])), await total(subject, type, id('a'))]).toEqual([0, 0, 0]);
  });

  test('facets (~) filter, alone or beside an indexed key', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a', { keys: ['k', '~x'] }), resource(type, 'b', { keys: ['k'] }), resource(type, 'c', { keys: ['~x'] }));
    expect(await idsFound(subject, query(type, { where: any(['~x']) }))).toEqual(['a', 'c']);
    expect(await idsFound(subject, query(type, { where: and([any(['k']), any(['~x'])]) }))).toEqual(['a']);
    expect(await idsFound(subject, query(type, { where: any(['~x', 'k']) }))).toEqual(['a', 'b', 'c']);
    expect(await idsFound(subject, query(type, { where: startsWith('~') }))).toEqual(['a', 'c']);
    expect(await idsFound(subject, query(type, { where: { kind: 'range', from: 'a', to: '\u{10FFFF}' } }))).toEqual(['a', 'b', 'c']);
    expect(await total(subject, type, any(['~x']))).toBe(2);
    const byFacet = query(type, { order: byKey('~') });
    expect(await idsFound(subject, byFacet)).toEqual(['a', 'c', 'b']);
  });

  test('nothing asked of anything finds nothing', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a', { keys: ['k'] }));
    for (const where of [none, or([]), and([any(['k']), none]), any([]), id()]) {
      expect(await idsFound(subject, query(type, { where }))).toEqual([]);
      expect(await total(subject, type, where)).toBe(0);
    }
    expect(await idsFound(subject, query(freshType(), { where: not(none) }))).toEqual([]);
    expect(await subject.engine.resources.find(query(type, { limit: 0 }))).toMatchObject({ kind: 'rows', rows: [] });
  });

  test('a page says where the next one begins, and the last one that it is the last', async () => {
    const type = freshType();
    await store(subject, ...['a', 'b', 'c', 'd'].map((name) => resource(type, name, { keys: ['k'] })));
    const page = (limit: number, after?: Position) =>
      subject.engine.resources.find(query(type, { where: any(['k']), limit, ...(after && { after }) }));
    const first = await page(2);
    expect(first).toMatchObject({ kind: 'rows', rows: [{ id: 'a' }, { id: 'b' }], next: { sort: 1_000, id: 'b' } });
    const second = first.kind === 'rows' ? await page(2, first.next) : first;
    expect(second).toMatchObject({ kind: 'rows', rows: [{ id: 'c' }, { id: 'd' }], next: undefined });
    expect(await page(4)).toMatchObject({ next: undefined });
  });

  test('counts stop at the cap', async () => {
    const type = freshType();
    await store(subject, ...['a', 'b', 'c'].map((name) => resource(type, name, { keys: ['k', `k${name}`] })));
    for (const where of [all, any(['k']), any(['ka', 'kb', 'kc']), not(any(['x']))]) {
      const scope = 'internal';
      expect(await subject.engine.resources.count({ type, where, scope }, 2)).toEqual({ kind: 'count', total: 2 });
      expect(await subject.engine.resources.count({ type, where, scope }, 3)).toEqual({ kind: 'count', total: 3 });
      expect(await subject.engine.resources.count({ type, where, scope }, 9)).toEqual({ kind: 'count', total: 3 });
      expect(await subject.engine.resources.count({ type, where, scope }, 0)).toEqual({ kind: 'count', total: 0 });
    }
  });

  test('a search that would walk more than its budget is refused, and one that fits is not', async () => {
    const type = freshType();
    await store(subject, ...Array.from({ length: 60 }, (_, i) => resource(type, `r${i}`, { keys: ['big', i === 59 ? '~odd' : '~even'] })));
    const where = and([any(['big']), any(['~odd'])]);
    const { resources } = subject.engine;
    expect(await resources.find(query(type, { where, budget: 20 }))).toMatchObject({ kind: 'budget' });
    expect(await resources.count({ type, where, scope: 'internal', budget: 20 })).toMatchObject({ kind: 'budget' });
    expect(await resources.find(query(type, { where, budget: 60 }))).toMatchObject({ kind: 'rows', rows: [{ id: 'r59' }] });
    expect(await resources.count({ type, where, scope: 'internal', budget: 60 })).toEqual({ kind: 'count', total: 1 });
    const keyed = query(type, { where, order: byKey('~'), budget: 20 });
    expect(await resources.find(keyed)).toMatchObject({ kind: 'budget' });
  });

  test('a total up to some number of matches is told or not by how many there are, however much is walked for it', async () => {
    const type = freshType();
    await store(subject, ...Array.from({ length: 60 }, (_, i) => resource(type, `r${i}`, { keys: ['big', i % 2 === 0 ? '~odd' : '~even'] })));
    const total = async (most: number, where: Expression, order = query(type).order) => {
      const found = await subject.engine.resources.find(query(type, { where, order, limit: 5, total: { most } }));
      return found.kind === 'rows' ? found.total : found;
    };
    for (const where of [and([any(['big']), any(['~odd'])]), any(['~odd'])]) {
      for (const order of [query(type).order, byKey('big')]) {
        expect(await total(30, where, order)).toEqual({ count: 30, exact: true });
        expect(await total(29, where, order)).toMatchObject({ exact: false });
      }
    }
    // A page that is all there is has its total in any case.
    expect(await total(1, and([any(['big']), { kind: 'id', ids: new Set(['r2', 'r4']) }]))).toEqual({ count: 2, exact: true });
    // What one index range answers alone is counted however large it is.
    expect(await total(10, any(['big']))).toEqual({ count: 60, exact: true });
    const { count } = subject.engine.resources;
    const asked = { type, where: any(['~odd']), scope: 'internal' as const };
    expect(await count({ ...asked, most: 29 })).toMatchObject({ kind: 'budget' });
    expect(await count({ ...asked, most: 30 })).toEqual({ kind: 'count', total: 30 });
  });

  test('a selective criterion keeps the walk short wherever it stands', async () => {
    const type = freshType();
    const many = Array.from({ length: 300 }, (_, i) => resource(type, `r${i}`, { instant: i, keys: ['big', 'huge', `p${i % 100}`] }));
    await store(subject, ...many);
    const criteria = [any(['big']), any(['p7']), any(['huge'])];
    for (const of of [criteria, criteria.toReversed()]) {
      const found = await subject.engine.resources.find(query(type, { where: and(of) }));
      expect(found).toMatchObject({ kind: 'rows', rows: [{ id: 'r207' }, { id: 'r107' }, { id: 'r7' }] });
      expect(found.kind === 'rows' && found.walked).toBeLessThanOrEqual(10);
    }
    const newest = await subject.engine.resources.find(query(type, { where: any(['big']), limit: 5 }));
    expect(newest.kind === 'rows' && newest.walked).toBeLessThanOrEqual(10);
  });

  test('more alternatives than are worth seeking one by one still find everything', async () => {
    const type = freshType();
    await store(subject, ...Array.from({ length: 40 }, (_, i) => resource(type, `r${String(i).padStart(2, '0')}`, { keys: [`p${i}`, 'k'] })));
    const wide = any(Array.from({ length: 5_000 }, (_, i) => `p${i * 2}`));
    const evens = Array.from({ length: 20 }, (_, i) => `r${String(i * 2).padStart(2, '0')}`);
    expect(await idsFound(subject, query(type, { where: wide }))).toEqual(evens);
    expect(await idsFound(subject, query(type, { where: and([any(['k']), wide]) }))).toEqual(evens);
    expect(await total(subject, type, wide)).toBe(20);
    const branches = or(Array.from({ length: 300 }, (_, i) => and([any(['k']), any([`p${i * 2}`])])));
    expect(await idsFound(subject, query(type, { where: branches }))).toEqual(evens);
    const hundred = any(Array.from({ length: 100 }, (_, i) => `p${i * 2}`));
    expect(await idsFound(subject, query(type, { where: hundred, limit: 3 }))).toEqual(evens.slice(0, 3));
  });

  test('rewritten keys are found at once, and only live resources are rewritten', async () => {
    const type = freshType();
    const many = Array.from({ length: 450 }, (_, i) => resource(type, `r${String(i).padStart(3, '0')}`, { keys: ['old'] }));
    await store(subject, ...many);
    await store(subject, resource(type, 'r000', { deleted: true, body: '', keys: ['old'] }));
    const seen: string[] = [];
    let written = 0;
    for (let after: string | undefined, first = true; first || after !== undefined; first = false) {
      const slice = await subject.engine.resources.reindex({ type, ...(after === undefined ? {} : { after }) }, ({ id, instant }) => {
        seen.push(id);
        return { keys: ['new', `is-${id}`], instant: instant + 1 };
      });
      written += slice.written;
      after = slice.next;
    }
    expect(seen).toEqual(many.slice(1).map(({ id }) => id));
    expect(written).toBe(449);
    const again = await subject.engine.resources.reindex({ type, after: 'r448' }, ({ keys, instant }) => ({ keys, instant }));
    expect(again).toEqual({ read: 1, written: 0, next: undefined });
    expect([await total(subject, type, any(['old'])), await total(subject, type, any(['new']))]).toEqual([0, 449]);
    const [row] = await rowsOf(any(['is-r449']));
    expect(row).toMatchObject({ id: 'r449', instant: 1_001, keys: ['new', 'is-r449'], version: many[449]?.version, body: many[449]?.body });

    const one = await subject.engine.resources.reindex({ type, ids: ['r449', 'r000', 'absent'] }, async ({ keys, instant }) => ({
      keys: [...keys, 'named'],
      instant,
    }));
    expect(one).toEqual({ read: 1, written: 1, next: undefined });
    expect(await total(subject, type, any(['named']))).toBe(1);

    async function rowsOf(where: ReturnType<typeof any>) {
      const found = await subject.engine.resources.find(query(type, { where }));
      return found.kind === 'rows' ? found.rows : [];
    }
  });

  test('texts are found by many ids without keys, newest first, and only what is live', async () => {
    const type = freshType();
    const rows = ['a', 'b', 'c', '10'].map((id, i) => resource(type, id, { instant: i % 2, keys: ['k'] }));
    await store(subject, ...rows, resource(type, 'gone', {}), resource(type, 'other', {}));
    await store(subject, resource(type, 'gone', { deleted: true, body: '' }));
    const where = { kind: 'id' as const, ids: new Set(['c', '10', 'b', 'gone', 'absent', 'a']) };
    const found = await subject.engine.resources.find(query(type, { where, limit: 6, keys: false }));
    const texts = found.kind === 'rows' ? found.rows.map(({ id, version, body, deleted, instant }) => ({ id, version, body, deleted, instant })) : [];
    const expected = rows.map(({ id, version, body, deleted, instant }) => ({ id, version, body, deleted, instant }));
    expect(texts).toEqual(['10', 'b', 'a', 'c'].map((id) => expected.find((row) => row.id === id)));
    expect(await idsFound(subject, query(type, { where, limit: 2, keys: false }))).toEqual(['10', 'b']);
  });

  test('keys that somebody else rewrote meanwhile are not overwritten: they are computed again from what that left', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a', { keys: ['k'] }), resource(type, 'b', { keys: ['k'] }));
    const { reindex } = subject.engine.resources;
    let overtaken = false;
    const slice = await reindex({ type }, async ({ id, keys, instant }) => {
      if (id === 'a' && !overtaken) {
        overtaken = true;
        await reindex({ type, ids: ['a'] }, (stored) => ({ keys: [...stored.keys, 'by the other'], instant: stored.instant }));
      }
      return { keys: keys.includes('by this one') ? keys : [...keys, 'by this one'], instant };
    });
    expect(slice).toEqual({ read: 2, written: 2, next: undefined });
    expect(await idsFound(subject, query(type, { where: any(['by this one']) }))).toEqual(['a', 'b']);
    expect(await idsFound(subject, query(type, { where: any(['by the other']) }))).toEqual(['a']);
  });

  test('the store says that it can read and write', async () => {
    await expect(subject.engine.resources.check()).resolves.toBeUndefined();
  });
}
