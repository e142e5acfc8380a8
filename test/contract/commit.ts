import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, any } from '../../server/search/expression.ts';
import type { Guard } from '../../server/store/port.ts';
import { commits, freshType, idsFound, type OpenSubject, query, resource, type Subject, store, writes } from './subject.ts';

export function commitContract(open: OpenSubject): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject.dispose());
  const version = (type: string, id: string, at: string | null): Guard => ({ kind: 'version', type, id, version: at });

  test('a version guard lets through exactly the version it names', async () => {
    const type = freshType();
    const first = resource(type, 'a');
    expect(await commits(subject, [version(type, 'a', 'x')], [first])).toBe(false);
    expect(await commits(subject, [version(type, 'a', null)], [first])).toBe(true);
    expect(await commits(subject, [version(type, 'a', null)], [resource(type, 'a')])).toBe(false);
    const gone = resource(type, 'a', { deleted: true, body: '' });
    expect(await commits(subject, [version(type, 'a', first.version)], [gone])).toBe(true);
    expect(await commits(subject, [version(type, 'a', null)], [resource(type, 'a')])).toBe(false);
    expect(await commits(subject, [version(type, 'a', first.version)], [resource(type, 'a')])).toBe(false);
    expect(await commits(subject, [version(type, 'a', gone.version)], [resource(type, 'a')])).toBe(true);
  });

  test('of many who race for one version, one wins and nothing of the others is there', async () => {
    const type = freshType();
    const first = resource(type, 'a');
    await store(subject, first);
    const racers = Array.from({ length: 20 }, (_, i) => resource(type, 'a', { keys: [`racer-${i}`] }));
    const results = await Promise.all(
      racers.map((racer, i) =>
        subject.engine.resources.commit(
          writes([racer, resource(type, `side-${i}`)], {
            guards: [version(type, 'a', first.version)],
            log: [{ key: `${type}-race-${i}`, entry: String(i) }],
            records: [{ kind: 'put', recordKind: type, id: String(i), value: i }],
          }),
        ),
      ),
    );
    const winners = results.flatMap(({ kind }, i) => (kind === 'committed' ? [i] : []));
    expect(winners).toHaveLength(1);
    const [winner = -1] = winners;
    expect((await idsFound(subject, query(type))).sort()).toEqual(['a', `side-${winner}`]);
    expect(await idsFound(subject, query(type, { where: any([`racer-${winner}`]) }))).toEqual(['a']);
    expect((await subject.engine.records.list(type)).map(({ id }) => id)).toEqual([String(winner)]);
    const log = await subject.engine.resources.readLog(0, 100_000);
    expect(log.filter(({ key }) => key.startsWith(`${type}-race-`)).map(({ entry }) => entry)).toEqual([String(winner)]);
    expect(results.filter(({ kind }) => kind === 'conflict')).toHaveLength(19);
  });

  test('of many conditional creates of the same thing, one creates', async () => {
    const type = freshType();
    const guard: Guard = { kind: 'no-match', type, where: any(['identifier|1']), scope: 'internal' };
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => commits(subject, [guard], [resource(type, `r${i}`, { keys: ['identifier|1'] })])),
    );
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await idsFound(subject, query(type))).toHaveLength(1);
  });

  test('a no-match guard sees live resources of its scope only, and refuses a stale scope', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a', { keys: ['k', '@patient/1'] }), resource(type, 'b', { keys: ['gone'] }));
    await store(subject, resource(type, 'b', { keys: ['gone'], deleted: true, body: '' }));
    const epoch = await subject.engine.resources.epoch();
    const guard = (key: string, patient: string, at = epoch): Guard => ({
      kind: 'no-match',
      type,
      where: any([key]),
      scope: { epoch: at, where: any([`@patient/${patient}`]) },
    });
    expect(await commits(subject, [guard('k', '1')], [])).toBe(false);
    expect(await commits(subject, [guard('k', '2')], [])).toBe(true);
    expect(await commits(subject, [guard('k', '2', epoch - 1)], [])).toBe(false);
    expect(await commits(subject, [{ kind: 'no-match', type, where: any(['gone']), scope: 'internal' }], [])).toBe(true);
    expect(await commits(subject, [{ kind: 'no-match', type, where: all, scope: 'internal' }], [])).toBe(false);
  });

  test('epoch and record guards', async () => {
    const type = freshType();
    const { resources, records } = subject.engine;
    const epoch = await resources.epoch();
    expect(await commits(subject, [{ kind: 'epoch', epoch }], [])).toBe(true);
    expect(await commits(subject, [{ kind: 'epoch', epoch: epoch - 1 }], [])).toBe(false);
    const record = (revision: number | null): Guard => ({ kind: 'record', recordKind: type, id: 'r', revision });
    expect(await commits(subject, [record(null)], [])).toBe(true);
    const put = await records.put(type, 'r', 1, { expires: subject.time.now + 1_000 });
    const revision = put.kind === 'written' ? put.revision : -1;
    expect(await commits(subject, [record(null)], [])).toBe(false);
    expect(await commits(subject, [record(revision + 1)], [])).toBe(false);
    expect(await commits(subject, [record(revision)], [])).toBe(true);
    subject.time.now += 1_000;
    expect(await commits(subject, [record(revision)], [])).toBe(false);
    expect(await commits(subject, [record(null)], [])).toBe(true);
  });

  test('a refusal names the guard that failed, and one failed guard among many keeps everything out', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a'));
    const failing = version(type, 'a', null);
    const guards = [version(type, 'b', null), failing];
    const result = await subject.engine.resources.commit(writes([resource(type, 'b')], { guards }));
    expect(result).toEqual({ kind: 'conflict', guard: failing });
    expect(await idsFound(subject, query(type))).toEqual(['a']);
  });

  test('one write set may hold everything: rows, records and log appear together', async () => {
    const type = freshType();
    const many = Array.from({ length: 300 }, (_, i) => resource(type, `r${String(i).padStart(3, '0')}`, { keys: ['k'] }));
    const { resources, records } = subject.engine;
    await records.put(type, 'old', 'x');
    const commit = resources.commit(
      writes(many, {
        records: [
          { kind: 'put', recordKind: type, id: 'new', value: { a: [1, null] }, lookup: ['l'] },
          { kind: 'delete', recordKind: type, id: 'old' },
          { kind: 'delete', recordKind: type, id: 'absent' },
        ],
        log: [{ key: `${type}-1`, entry: 'one' }],
      }),
    );
    // Whatever a reader sees meanwhile is nothing or all of it.
    const during = (await idsFound(subject, query(type, { where: any(['k']) }))).length;
    expect([0, 300]).toContain(during);
    expect(await commit).toEqual({ kind: 'committed' });
    expect(await idsFound(subject, query(type, { where: any(['k']) }))).toEqual(many.map(({ id }) => id));
    expect((await records.list(type)).map(({ id, value }) => [id, value])).toEqual([['new', { a: [1, null] }]]);
    expect(await records.list(type, { lookup: 'l' })).toHaveLength(1);
  });

  test('what was committed is there after a restart', async () => {
    const type = freshType();
    await store(subject, resource(type, 'a', { keys: ['k'], instant: 1 }));
    const kept = resource(type, 'a', { keys: ['k'], instant: 2 });
    await store(subject, kept);
    await subject.engine.records.put(type, 'r', { kept: true });
    const engine = await subject.reopen();
    subject = { ...subject, engine };
    expect(await engine.resources.find(query(type, { where: any(['k']) }))).toMatchObject({ kind: 'rows', rows: [kept] });
    const history = await engine.resources.history({ type, id: 'a', scope: 'internal', limit: 5 });
    expect(history.kind === 'rows' && history.rows).toHaveLength(2);
    expect((await engine.records.get(type, 'r'))?.value).toEqual({ kept: true });
  });

  test('a closed store answers nothing more', async () => {
    const other = await open();
    await other.engine.resources.close();
    await expect(other.engine.resources.commit(writes([]))).rejects.toMatchObject({ code: 'unavailable' });
    await expect(other.engine.resources.check()).rejects.toMatchObject({ code: 'unavailable' });
    await other.dispose();
  });
}
