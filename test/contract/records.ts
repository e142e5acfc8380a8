import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshType, type OpenSubject, type Subject, writes } from './subject.ts';

export function recordContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());
  const records = () => subject.engine.records;

  test('a value comes back as it went in, JSON or bytes', async () => {
    const kind = freshType();
    const values = [
      { a: { b: [1, 'x', null, true] }, 中: '😀' },
      'text',
      '',
      0,
      -1.5,
      false,
      null,
      [],
      new Uint8Array([0, 255, 10]),
      new Uint8Array(),
    ];
    for (const [i, value] of values.entries()) {
      await records().put(kind, String(i), value);
      expect((await records().get(kind, String(i)))?.value).toEqual(value);
    }
    expect((await records().get(kind, '8'))?.value).toBeInstanceOf(Uint8Array);
    expect(await records().get(kind, 'absent')).toBeUndefined();
    expect(await records().get(freshType(), '0')).toBeUndefined();
  });

  test('a revision is given, grows, and guards a put', async () => {
    const kind = freshType();
    const put = (value: string, revision?: number | null) => records().put(kind, 'a', value, revision === undefined ? {} : { revision });
    expect(await put('x', 1)).toEqual({ kind: 'conflict' });
    const first = await put('one', null);
    expect(await put('again', null)).toEqual({ kind: 'conflict' });
    const at = first.kind === 'written' ? first.revision : Number.NaN;
    expect((await records().get(kind, 'a'))?.revision).toBe(at);
    expect(await put('two', at)).toMatchObject({ kind: 'written' });
    expect(await put('late', at)).toEqual({ kind: 'conflict' });
    expect((await records().get(kind, 'a'))?.value).toBe('two');
    expect((await records().get(kind, 'a'))?.revision).toBeGreaterThan(at);
    expect(await put('three')).toMatchObject({ kind: 'written' });
    expect((await records().get(kind, 'a'))?.value).toBe('three');
  });

  test('a revision of a deleted record never fits the one made after it', async () => {
    const kind = freshType();
    const first = await records().put(kind, 'a', 1);
    await records().delete(kind, 'a');
    await records().put(kind, 'a', 2);
    const revision = first.kind === 'written' ? first.revision : null;
    expect(await records().put(kind, 'a', 3, { revision })).toEqual({ kind: 'conflict' });
  });

  test('of many who put at one revision, one wins', async () => {
    const kind = freshType();
    const race = (revision: number | null) => Promise.all(Array.from({ length: 20 }, (_, i) => records().put(kind, 'a', i, { revision })));
    const first = await race(null);
    expect(first.filter((r) => r.kind === 'written')).toHaveLength(1);
    const second = await race((await records().get(kind, 'a'))?.revision ?? null);
    expect(second.filter((r) => r.kind === 'written')).toHaveLength(1);
  });

  test('of many who delete, exactly one removed it', async () => {
    const kind = freshType();
    await records().put(kind, 'code', 'once');
    const results = await Promise.all(Array.from({ length: 20 }, () => records().delete(kind, 'code')));
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await records().get(kind, 'code')).toBeUndefined();
    expect(await records().delete(kind, 'code')).toBe(false);
  });

  test('an expired record is absent in every way', async () => {
    const kind = freshType();
    const expires = subject.time.now + 100;
    const put = await records().put(kind, 'a', 1, { expires, lookup: ['l'] });
    await records().put(kind, 'b', 2, { expires, lookup: ['l'] });
    await records().put(kind, 'stays', 3, { lookup: ['l'] });
    subject.time.now += 99;
    expect(await records().get(kind, 'a')).toMatchObject({ value: 1, expires });
    expect(await records().list(kind)).toHaveLength(3);
    subject.time.now += 1;
    expect(await records().get(kind, 'a')).toBeUndefined();
    expect((await records().list(kind)).map(({ id }) => id)).toEqual(['stays']);
    expect((await records().list(kind, { lookup: 'l' })).map(({ id }) => id)).toEqual(['stays']);
    expect(await records().put(kind, 'a', 4, { revision: put.kind === 'written' ? put.revision : null })).toEqual({ kind: 'conflict' });
    expect(await records().delete(kind, 'b')).toBe(false);
    expect(await records().put(kind, 'a', 4, { revision: null })).toMatchObject({ kind: 'written' });
    expect(await records().get(kind, 'a')).toMatchObject({ value: 4, expires: undefined });
  });

  test('expired records are cleared away by later writes', async () => {
    const kind = freshType();
    await Promise.all(Array.from({ length: 50 }, (_, i) => records().put(kind, `r${i}`, i, { expires: subject.time.now + 1, lookup: ['l'] })));
    subject.time.now += 3_600_000;
    await records().put(kind, 'later', 1);
    subject.time.now -= 3_600_000;
    // Back before their end they would be there again, had they only been hidden.
    const left = await records().list(kind);
    expect(left.length).toBeLessThanOrEqual(51);
    subject.time.now += 3_600_000;
    expect((await records().list(kind)).map(({ id }) => id)).toEqual(['later']);
  });

  test('lists are in byte order, by page, by secondary key', async () => {
    const kind = freshType();
    const ids = ['\u{1F600}', '\uFFFD', 'b', 'a', 'ab', 'B', 'é'];
    for (const id of ids) await records().put(kind, id, id, { lookup: id === 'a' ? [] : ['all', `of:${id}`, `of:${id}`] });
    const ordered = ['B', 'a', 'ab', 'b', 'é', '\uFFFD', '\u{1F600}'];
    const list = async (options?: Parameters<ReturnType<typeof records>['list']>[1]) => (await records().list(kind, options)).map(({ id }) => id);
    expect(await list()).toEqual(ordered);
    expect(await list({ limit: 2 })).toEqual(['B', 'a']);
    expect(await list({ after: 'a', limit: 2 })).toEqual(['ab', 'b']);
    expect(await list({ lookup: 'all' })).toEqual(ordered.filter((id) => id !== 'a'));
    expect(await list({ lookup: 'all', after: 'b', limit: 1 })).toEqual(['é']);
    expect(await list({ lookup: 'of:b' })).toEqual(['b']);
    expect(await list({ lookup: 'of' })).toEqual([]);
    await records().put(kind, 'b', 'moved', { lookup: ['other'] });
    expect(await list({ lookup: 'all' })).not.toContain('b');
    expect(await list({ lookup: 'other' })).toEqual(['b']);
    await records().delete(kind, 'b');
    expect(await list({ lookup: 'other' })).toEqual([]);
  });

  test('records of a write set are records like others', async () => {
    const kind = freshType();
    const put = { kind: 'put' as const, recordKind: kind, id: 'a', value: new Uint8Array([1]), lookup: ['l'], expires: subject.time.now + 10 };
    await subject.engine.resources.commit(writes([], { records: [put] }));
    expect(await records().list(kind, { lookup: 'l' })).toMatchObject([{ id: 'a', value: new Uint8Array([1]), expires: put.expires }]);
    await subject.engine.resources.commit(writes([], { records: [{ kind: 'delete', recordKind: kind, id: 'a' }] }));
    expect(await records().get(kind, 'a')).toBeUndefined();
  });
}
