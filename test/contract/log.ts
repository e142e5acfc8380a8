import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshType, type OpenSubject, type Subject, writes } from './subject.ts';

export function logContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());
  const append = (...keys: string[]) => subject.engine.resources.commit(writes([], { log: keys.map((key) => ({ key, entry: `entry of ${key}` })) }));
  const read = (from = 0, limit = 100_000) => subject.engine.resources.readLog(from, limit);

  test('rows are numbered from 0 without gaps, in the order of their write set', async () => {
    expect(await read()).toEqual([]);
    await append('a', 'b');
    await append('c');
    expect(await read()).toEqual(['a', 'b', 'c'].map((key, index) => ({ index, key, entry: `entry of ${key}` })));
    expect(await read(1, 1)).toEqual([{ index: 1, key: 'b', entry: 'entry of b' }]);
    expect(await read(3)).toEqual([]);
  });

  test('the same key is numbered once, also within one write set and when the entry differs', async () => {
    const size = (await read()).length;
    await append('once', 'once');
    await subject.engine.resources.commit(writes([], { log: [{ key: 'once', entry: 'another' }] }));
    await append('after');
    expect((await read(size)).map(({ index, key, entry }) => [index, key, entry])).toEqual([
      [size, 'once', 'entry of once'],
      [size + 1, 'after', 'entry of after'],
    ]);
  });

  test('many writers at once, some refused, leave no gap, and the order of one who waits is kept', async () => {
    const size = (await read()).length;
    const name = freshType();
    const refused = { guards: [{ kind: 'version' as const, type: name, id: 'a', version: 'never' }], log: [{ key: `${name}-no`, entry: '' }] };
    const writer = async (w: number) => {
      for (let i = 0; i < 10; i++) {
        await append(`${name}-${w}-${i}`);
        await subject.engine.resources.commit(writes([], refused));
      }
    };
    await Promise.all(Array.from({ length: 10 }, (_, w) => writer(w)));
    const rows = await read(size);
    expect(rows.map(({ index }) => index)).toEqual(Array.from({ length: 100 }, (_, i) => size + i));
    for (let w = 0; w < 10; w++) {
      const own = rows.filter(({ key }) => key.startsWith(`${name}-${w}-`)).map(({ key }) => Number(key.split('-')[2]));
      expect(own).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
  });

  test('a row that is redacted has another key and text under its number, with the rest of its write set or not at all', async () => {
    const size = (await read()).length;
    const name = freshType();
    await append(`${name}-a`, `${name}-b`, `${name}-c`);
    expect(await read(size)).toHaveLength(3);
    const redact = [{ index: size + 1, key: `${name}-gone`, entry: 'nothing' }];
    const guard = { kind: 'version' as const, type: name, id: 'a', version: 'never' };
    await subject.engine.resources.commit(writes([], { redact, guards: [guard] }));
    expect((await read(size + 1, 1))[0]?.key).toBe(`${name}-b`);
    await subject.engine.resources.commit(writes([], { redact, log: [{ key: `${name}-d`, entry: 'tombstone' }] }));
    expect((await read(size)).map(({ index, key, entry }) => [index - size, key, entry])).toEqual([
      [0, `${name}-a`, `entry of ${name}-a`],
      [1, `${name}-gone`, 'nothing'],
      [2, `${name}-c`, `entry of ${name}-c`],
      [3, `${name}-d`, 'tombstone'],
    ]);
    const none = subject.engine.resources.commit(writes([], { redact: [{ index: size + 99, key: 'x', entry: '' }], log: [{ key: 'y', entry: '' }] }));
    await expect(none).rejects.toMatchObject({ code: 'internal' });
    expect(await read(size)).toHaveLength(4);
  });

  test('numbering goes on after a restart', async () => {
    const size = (await read()).length;
    subject = { ...subject, engine: await subject.reopen() };
    await append(`after restart ${size}`);
    expect((await read(size)).map(({ index }) => index)).toEqual([size]);
  });

  test('a lease has one holder at a time; a new holder or a late one gets a larger number', async () => {
    const lease = (holder: string, ttl = 1_000) => subject.engine.resources.lease('sealer', holder, ttl);
    const first = await lease('one');
    expect(first).toBeTypeOf('number');
    expect(await lease('one')).toBe(first);
    expect(await lease('two')).toBeUndefined();
    expect(await subject.engine.resources.lease('other', 'two', 1_000)).toBeTypeOf('number');
    subject.time.now += 999;
    expect(await lease('two')).toBeUndefined();
    expect(await lease('one')).toBe(first);
    subject.time.now += 1_000;
    const second = await lease('two');
    expect(second).toBeGreaterThan(first ?? Number.NaN);
    expect(await lease('one')).toBeUndefined();
    subject.time.now += 1_000;
    expect(await lease('two')).toBeGreaterThan(second ?? Number.NaN);
  });
}
