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
      const found = await subject.engine.resources.history({ scope: 'internal', ...asked, ...(last && { before: last }) });
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

  test('a resource may be written again after its deletion', async () => {
    const type = freshType();
    await threeVersions(type, 'a', 10);
    await store(subject, resource(type, 'a', { lastUpdated: 20, deleted: true, body: '' }));
    await store(subject, resource(type, 'a', { lastUpdated: 30, keys: ['back'] }));
    expect((await history({ type, id: 'a' })).map(({ deleted }) => deleted)).toEqual([false, true, false, false, false]);
  });
}
