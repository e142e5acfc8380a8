import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, any, not } from '../../server/search/expression.ts';
import type { HistoryQuery, StoredResource } from '../../server/store/port.ts';
import { freshType, type OpenSubject, resource, type Subject, store } from './subject.ts';

export function historyContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());

  async function history(asked: Partial<HistoryQuery>): Promise<readonly StoredResource[]> {
    const found = await subject.engine.resources.history({ scope: 'internal', limit: 100, ...asked });
    if (found.kind !== 'rows') throw new Error(`The engine answered ${found.kind}.`);
    return found.rows;
  }
  async function threeVersions(type: string, id: string, start: number, keys: readonly string[][] = [[], [], []]): Promise<StoredResource[]> {
    const versions = keys.map((k, i) => resource(type, id, { lastUpdated: start + i, instant: i, keys: k, body: `{"n":${i}.10,"中":"${id}"}` }));
    for (const version of versions) await store(subject, version);
    return versions;
  }

  test('every version comes back exactly as it was stored, newest first', async () => {
    const type = freshType();
    const [first, second, third] = await threeVersions(type, 'a', 10);
    const gone = resource(type, 'a', { lastUpdated: 20, deleted: true, body: '', keys: third?.keys ?? [] });
    await store(subject, gone);
    expect(await history({ type, id: 'a' })).toEqual([gone, third, second, first]);
    expect(await history({ type, id: 'a', version: second?.version ?? '' })).toEqual([second]);
    expect(await history({ type, id: 'a', version: 'never' })).toEqual([]);
    expect(await history({ type, id: 'other' })).toEqual([]);
    expect(await history({ type, id: 'a', since: 12 })).toEqual([gone, third]);
  });

  test('of a type and of everything, page by page', async () => {
    const [one, two] = [freshType(), freshType()];
    const start = 5_000_000;
    const rows = [...(await threeVersions(one, 'b', start)), ...(await threeVersions(one, 'a', start)), ...(await threeVersions(two, 'a', start))];
    const ordered = (types: string[]) =>
      rows
        .filter(({ type }) => types.includes(type))
        .sort((a, b) => b.lastUpdated - a.lastUpdated || (a.type < b.type ? -1 : a.type > b.type ? 1 : 0) || (a.id < b.id ? -1 : 1));
    expect(await history({ type: one })).toEqual(ordered([one]));
    expect((await history({ since: start })).filter(({ type }) => type === one || type === two)).toEqual(ordered([one, two]));
    for (const limit of [1, 2, 4]) {
      expect(await pages({ type: one, limit })).toEqual(ordered([one]));
      expect(await pages({ since: start, limit })).toEqual(ordered([one, two]));
    }
  });

  async function pages(asked: Partial<HistoryQuery> & { limit: number }): Promise<StoredResource[]> {
    const rows: StoredResource[] = [];
    for (;;) {
      const last = rows.at(-1);
      const found = await subject.engine.resources.history({ scope: 'internal', ...asked, ...(last && { after: last }) });
      if (found.kind !== 'rows') throw new Error(`The engine answered ${found.kind}.`);
      rows.push(...found.rows);
      if (!found.next) return rows;
    }
  }

  test('a version is a row only if the scope holds for it and for the newest content', async () => {
    const type = freshType();
    await threeVersions(type, 'opened', 10, [['secret'], ['open'], ['open']]);
    await threeVersions(type, 'closed', 20, [['open'], ['open'], ['secret']]);
    await threeVersions(type, 'gone', 30, [['open'], ['secret'], ['open']]);
    await store(subject, resource(type, 'gone', { lastUpdated: 40, deleted: true, body: '', keys: ['open'] }));
    const epoch = await subject.engine.resources.epoch();
    const seen = async (asked: Partial<HistoryQuery>) =>
      (await history({ type, ...asked, scope: { epoch, where: (of) => (of === type ? any(['open']) : all) } })).map((r) => `${r.id} ${r.keys[0]}`);
    expect(await seen({})).toEqual(['gone open', 'gone open', 'gone open', 'opened open', 'opened open']);
    expect(await seen({ id: 'closed' })).toEqual([]);
    expect(await seen({ id: 'opened' })).toEqual(['opened open', 'opened open']);
    const denied = await history({ type, scope: { epoch, where: () => not(all) } });
    expect(denied).toEqual([]);
  });

  test('oldest first is the exact reversal, page by page and within every span', async () => {
    const [one, two] = [freshType(), freshType()];
    const start = 6_000_000;
    for (const type of [two, one]) for (const id of ['b', 'a']) await threeVersions(type, id, start);
    for (const asked of [
      { type: one },
      { types: [one, two] },
      { types: [one, two], since: start + 1 },
      { types: [two, one], at: { from: 0, to: start + 1 } },
    ]) {
      const forward = await history(asked);
      expect(forward.length).toBeGreaterThan(5);
      const backward = [...forward].reverse();
      expect(await history({ ...asked, direction: 'oldest-first' })).toEqual(backward);
      for (const limit of [1, 2, 3, 5]) {
        expect(await pages({ ...asked, limit })).toEqual(forward);
        expect(await pages({ ...asked, limit, direction: 'oldest-first' })).toEqual(backward);
      }
    }
  });

  test('of some types only; of none', async () => {
    const [one, two, three] = [freshType(), freshType(), freshType()];
    for (const type of [one, two, three]) await threeVersions(type, 'a', 7_000_000);
    expect((await history({ types: [one, three] })).map(({ type }) => type)).toEqual([one, three, one, three, one, three]);
    expect(await history({ types: [] })).toEqual([]);
  });

  test('a version was current in a span unless replaced before it or written after it', async () => {
    const type = freshType();
    await threeVersions(type, 'a', 10); // 10, 11, 12
    await store(subject, resource(type, 'b', { lastUpdated: 5, keys: ['open'] }));
    await store(subject, resource(type, 'c', { lastUpdated: 6 }));
    await store(subject, resource(type, 'c', { lastUpdated: 8, deleted: true, body: '' }));
    const at = async (from: number, to: number) =>
      (await history({ type, at: { from, to } })).map((r) => `${r.id}${r.lastUpdated}${r.deleted ? '-' : ''}`);
    expect(await at(0, 4)).toEqual([]);
    expect(await at(5, 5)).toEqual(['b5']);
    expect(await at(7, 7)).toEqual(['c6', 'b5']);
    expect(await at(7, 8)).toEqual(['c8-', 'c6', 'b5']);
    expect(await at(8, 8)).toEqual(['c8-', 'b5']);
    expect(await at(9, 9)).toEqual(['b5']);
    expect(await at(11, 11)).toEqual(['a11', 'b5']);
    expect(await at(10, 11)).toEqual(['a11', 'a10', 'b5']);
    expect(await at(9, 99)).toEqual(['a12', 'a11', 'a10', 'b5']);
    expect(await at(50, 99)).toEqual(['a12', 'b5']);
  });

  test('a replacement that the scope hides has not happened', async () => {
    const type = freshType();
    await threeVersions(type, 'a', 10, [['open'], ['secret'], ['open']]);
    const epoch = await subject.engine.resources.epoch();
    const scope = { epoch, where: () => any(['open']) };
    expect((await history({ type, scope, at: { from: 11, to: 11 } })).map((r) => r.lastUpdated)).toEqual([10]);
    expect((await history({ type, scope, at: { from: 12, to: 12 } })).map((r) => r.lastUpdated)).toEqual([12]);
  });

  test('without bodies the rows are only which versions there are', async () => {
    const type = freshType();
    const versions = await threeVersions(type, 'a', 10, [['k'], ['k'], ['k']]);
    const bare = await history({ type, bodies: false });
    const expected = versions.map(({ version, lastUpdated, id }) => ({ type, id, version, lastUpdated, deleted: false, body: '', keys: [] }));
    expect(bare).toMatchObject(expected.reverse());
  });

  test('a walk that ends early says where it goes on, and walking on loses nothing', async () => {
    const type = freshType();
    for (const id of ['a', 'b', 'c']) await threeVersions(type, id, 10, [['secret'], ['secret'], ['secret']]);
    const [open] = await threeVersions(type, 'd', 1, [['open'], ['open'], ['open']]);
    const epoch = await subject.engine.resources.epoch();
    const scope = { epoch, where: () => any(['open']) };
    const found = await subject.engine.resources.history({ type, scope, limit: 100, budget: 4 });
    expect(found).toMatchObject({ kind: 'rows', rows: [], walked: 4, next: { type } });
    const seen: StoredResource[] = [];
    let after: HistoryQuery['after'];
    do {
      const page = await subject.engine.resources.history({ type, scope, limit: 100, budget: 4, ...(after ? { after } : {}) });
      if (page.kind !== 'rows') throw new Error(page.kind);
      seen.push(...page.rows);
      after = page.next;
    } while (after);
    expect(seen).toHaveLength(3);
    expect(seen.at(-1)).toEqual(open);
  });

  test('one call walks two thousand versions of one resource at most, so that others get their turn; an exact version is walked to at once', async () => {
    const type = freshType();
    const versions = Array.from({ length: 2_400 }, (_, i) => resource(type, 'a', { lastUpdated: i, keys: [i === 2_399 ? 'open' : 'secret'] }));
    for (let i = 0; i < versions.length; i += 400) await store(subject, ...versions.slice(i, i + 400));
    const epoch = await subject.engine.resources.epoch();
    for (const where of [any(['open']), all]) {
      for (const at of [undefined, { from: 2_300, to: 6_000 }]) {
        const asked = { type, id: 'a', scope: { epoch, where: () => where }, limit: 10_000, bodies: false, ...(at ? { at } : {}) };
        let after: HistoryQuery['after'];
        let walked = 0;
        do {
          const found = await subject.engine.resources.history({ ...asked, ...(after ? { after } : {}) });
          if (found.kind !== 'rows') throw new Error(found.kind);
          expect(found.walked).toBeLessThanOrEqual(2_000);
          walked += found.walked;
          after = found.next;
        } while (after);
        expect(walked).toBe(versions.length);
      }
    }
    const [first] = versions;
    const exact = { type, id: 'a', version: first?.version ?? '', scope: 'internal' as const, limit: 1 };
    expect(await subject.engine.resources.history(exact)).toMatchObject({ rows: [first], walked: 1 });
  });

  test('a resource may be written again after its deletion', async () => {
    const type = freshType();
    await threeVersions(type, 'a', 10);
    await store(subject, resource(type, 'a', { lastUpdated: 20, deleted: true, body: '' }));
    await store(subject, resource(type, 'a', { lastUpdated: 30, keys: ['back'] }));
    expect((await history({ type, id: 'a' })).map(({ deleted }) => deleted)).toEqual([false, true, false, false, false]);
  });
}
