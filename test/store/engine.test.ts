/** The embedded engine as its operator meets it: who may open a data folder, of which version, and what happens when the writer dies. */
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { migrate } from '../../server/commands/migrate.ts';
import { readConfig } from '../../server/config.ts';
import { databasePath } from '../../server/store/embedded/database.ts';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import { createWriter } from '../../server/store/embedded/writer.ts';
import { all } from '../../server/search/expression.ts';
import { query, resource, writes } from '../contract/subject.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'assent-engine-'));
});
afterEach(() => rm(dataDir, { recursive: true }));
const clock = () => 1_000;
const open = (mode?: 'read-only') => createEmbeddedEngine({ dataDir, clock, ...(mode && { mode }) });
const refusal = async (mode?: 'read-only'): Promise<string> => {
  try {
    await (await open(mode)).resources.close();
    return 'opened';
  } catch (error) {
    return error instanceof Error ? error.message : 'no error';
  }
};
async function edit(sql: string): Promise<void> {
  const database = new DatabaseSync(databasePath(dataDir));
  database.exec(sql);
  database.close();
}
const makeDatabase = async () => (await open()).resources.close();

describe('whether somebody else has written', () => {
  test('is told by a number that the engine’s own writes leave as it is, and every other commit moves', async () => {
    const { resources, records } = await open();
    const asked = () => resources.writtenByOthers?.();
    const before = await asked();
    expect(before).toBeTypeOf('number');
    // More than the write-ahead log takes before it is moved into the database.
    const many = (round: number) => Array.from({ length: 2_000 }, (_, i) => resource('Patient', `p${round}-${i}`, { keys: [`k${i}`, 'all'] }));
    for (let round = 0; round < 6; round++) await resources.commit(writes(many(round)));
    await resources.commit(writes([resource('Patient', 'a')], { log: [{ key: 'k', entry: 'e' }], bumpEpoch: true }));
    const refused = writes([resource('Patient', 'b')], { guards: [{ kind: 'epoch', epoch: 99 }] });
    expect((await resources.commit(refused)).kind).toBe('conflict');
    await records.put('kind', 'id', 1);
    await resources.reindex({ type: 'Patient', ids: ['a'] }, ({ instant }) => ({ keys: ['other'], instant }));
    // Empties the write-ahead log.
    await resources.commit(writes([], { erase: [{ type: 'Patient', id: 'a' }] }));
    await resources.check();
    expect(await asked()).toBe(before);
    await edit("UPDATE resources SET body = body || ' ' WHERE id = 'p0-0'");
    const after = await asked();
    expect(after).not.toBe(before);
    expect(await asked()).toBe(after);
    await edit("DELETE FROM resources WHERE id = 'p0-1'");
    expect(await asked()).not.toBe(after);
    await resources.close();
  });

  test('is not told to whoever reads beside a server', async () => {
    await makeDatabase();
    const reader = await open('read-only');
    expect(reader.resources.writtenByOthers).toBeUndefined();
    await reader.resources.close();
  });
});

describe('a data folder', () => {
  test('is open to one process that writes at a time', async () => {
    const first = await open();
    expect(await refusal()).toBe(`Another process is using the data folder ${dataDir}; stop it first.`);
    await first.resources.close();
    expect(await refusal()).toBe('opened');
  });

  test('may be read beside a running server, which sees new writes and can write nothing', async () => {
    const server = await open();
    const reader = await open('read-only');
    await server.resources.commit(writes([resource('Patient', 'a')], { log: [{ key: 'k', entry: 'e' }] }));
    expect(await reader.resources.readLog(0, 5)).toEqual([{ index: 0, key: 'k', entry: 'e' }]);
    expect(await reader.resources.find(query('Patient'))).toMatchObject({ rows: [{ id: 'a' }] });
    await expect(reader.resources.commit(writes([resource('Patient', 'b')]))).rejects.toMatchObject({ code: 'unavailable' });
    await expect(reader.records.put('k', 'a', 1)).rejects.toMatchObject({ code: 'unavailable' });
    await reader.resources.close();
    await server.resources.close();
    const later = await open('read-only');
    expect(await later.resources.readLog(0, 5)).toHaveLength(1);
    await later.resources.close();
  });

  test('with nothing in it is not created by a reader', async () => {
    expect(await refusal('read-only')).toBe(`There is no database in ${dataDir}.`);
    expect(await readdir(dataDir)).toEqual([]);
  });

  test('is readable by its owner only', async () => {
    const engine = await open();
    await engine.resources.commit(writes([resource('Patient', 'a')]));
    const files = (await readdir(dataDir)).filter((file) => file.startsWith('assent.sqlite'));
    expect(files).toContain('assent.sqlite-wal');
    for (const file of files) expect((await stat(join(dataDir, file))).mode & 0o077, file).toBe(0);
    await engine.resources.close();
  });

  test('gives a new fencing number to whoever opens it next, at once', async () => {
    const first = await open();
    const fence = await first.resources.lease('sealer', 'one', 60_000);
    await first.resources.close();
    const second = await open();
    expect(await second.resources.lease('sealer', 'two', 60_000)).toBeGreaterThan(fence ?? Number.NaN);
    await second.resources.close();
  });
});

describe('migrations', () => {
  test('a database of a newer server is refused', async () => {
    await makeDatabase();
    await edit("INSERT INTO migrations VALUES ('9999-from-the-future')");
    for (const mode of [undefined, 'read-only'] as const) {
      expect(await refusal(mode)).toBe('The database was migrated by a newer server (9999-from-the-future). Run that version or a later one.');
    }
    await expect(migrate(config())).rejects.toThrow('newer server');
  });

  test('a database of an older server is refused with the remedy, and left as it is', async () => {
    await makeDatabase();
    await edit('DELETE FROM migrations');
    for (const mode of [undefined, 'read-only'] as const) {
      expect(await refusal(mode)).toBe('The database is older than this server. Back it up, then run `npm run migrate`.');
    }
  });

  test.each([
    ['DROP INDEX resources_live', 'index resources_live is missing or different'],
    ['DROP INDEX records_id; CREATE INDEX records_id ON records (kind, id)', 'index records_id is missing or different'],
    ['ALTER TABLE resources ADD COLUMN extra TEXT', 'table resources is missing or different'],
    ['CREATE TRIGGER quiet AFTER INSERT ON log BEGIN DELETE FROM log WHERE idx = new.idx; END', 'unexpected quiet'],
    ['CREATE TABLE other (a)', 'unexpected table other'],
  ])('a meddled schema is refused: %s', async (sql, problem) => {
    await makeDatabase();
    await edit(sql);
    expect(await refusal()).toBe(`The database is not as this server left it: ${problem}.`);
  });

  test('`npm run migrate` creates a database, and has nothing to do the second time', async () => {
    const printed = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    try {
      expect(await migrate(config())).toBe(0);
      expect(await migrate(config())).toBe(0);
      expect(printed.mock.calls.map(([line]) => line)).toEqual([
        'migrated 0001-first-schema\n',
        'migrated 0002-deciding-keys\n',
        `The database in ${dataDir} is now at this version.\n`,
        `The database in ${dataDir} is already at this version.\n`,
      ]);
    } finally {
      printed.mockRestore();
    }
    expect(await refusal()).toBe('opened');
  });

  test('`npm run migrate` leaves a running server alone', async () => {
    const server = await open();
    await expect(migrate(config())).rejects.toThrow('Another process is using the data folder');
    await server.resources.close();
  });

  test('a file that is not a database is refused', async () => {
    await writeFile(databasePath(dataDir), 'not a database, but long enough to be looked at '.repeat(50));
    expect(await refusal()).toContain('not a database');
  });

  const config = () => ({ ...readConfig({}), DATA_DIR: dataDir, MONGODB_URI: '' });
});

describe('the writer', () => {
  test('one write set that cannot be written takes no other with it', async () => {
    const engine = await open();
    const { resources } = engine;
    const bad = resource('Patient', 'bad', { instant: Number.NaN });
    const results = await Promise.allSettled([
      resources.commit(writes([resource('Patient', 'before')], { log: [{ key: '1', entry: '' }] })),
      resources.commit(writes([resource('Patient', 'beside'), bad], { log: [{ key: '2', entry: '' }] })),
      resources.commit(writes([resource('Patient', 'after')], { log: [{ key: '3', entry: '' }] })),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'internal' } });
    expect(await resources.find(query('Patient'))).toMatchObject({ rows: [{ id: 'after' }, { id: 'before' }] });
    expect((await resources.readLog(0, 9)).map(({ index, key }) => [index, key])).toEqual([
      [0, '1'],
      [1, '3'],
    ]);
    await resources.close();
  });

  test('its death fails what is waiting and everything after, and is not hidden', async () => {
    await makeDatabase();
    const worker = new Worker(new URL('../../server/store/embedded/writer-worker.ts', import.meta.url), { workerData: dataDir, execArgv: [] });
    const writer = await createWriter({ worker, clock });
    expect(await writer.submit({ kind: 'check' })).toBe(true);
    const waiting = [1, 2, 3].map(() => writer.submit({ kind: 'check' }));
    const ended = worker.terminate();
    for (const result of await Promise.allSettled(waiting)) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } });
    await expect(writer.submit({ kind: 'check' })).rejects.toMatchObject({ code: 'unavailable' });
    await ended;
    await writer.close();
  });

  test('a store that is closed finishes what was handed to it first', async () => {
    const engine = await open();
    const commits = ['a', 'b', 'c'].map((id) => engine.resources.commit(writes([resource('Patient', id)])));
    await engine.resources.close();
    expect(await Promise.all(commits)).toEqual([{ kind: 'committed' }, { kind: 'committed' }, { kind: 'committed' }]);
    const reader = await open('read-only');
    expect(await reader.resources.count({ type: 'Patient', where: all, scope: 'internal' })).toEqual({ kind: 'count', total: 3 });
    await reader.resources.close();
  });
});
