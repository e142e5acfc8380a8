/** docs/operations/recovery.md, done: each row to a copy of a real server's folder, and the words it says are those the page promises. ledger.md §8 */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assent, edit, type Scene, setScene } from '../attacks/scene.ts';

const page = readFileSync(new URL('../../docs/operations/recovery.md', import.meta.url), 'utf8');

/** What the page says is seen in the row that starts so; every text in backquotes and bold aside. */
function promised(start: string): string {
  const row = page.split('\n').find((line) => line.startsWith(`| ${start}`)) ?? expect.fail(`The page has no row “${start}”.`);
  return row.split('|')[2] ?? '';
}

let scene: Scene;
beforeAll(async () => {
  scene = await setScene();
});
afterAll(() => scene.stop());

const run = (command: string, folder: string) => assent([command], { ASSENT_DATA_DIR: folder });

function damaged(work: (database: DatabaseSync) => void): string {
  const folder = scene.copy();
  edit(folder, work);
  return folder;
}

const readyz = (folder: string, options?: { readonly alone: boolean }) =>
  scene.serve(
    folder,
    async ({ bootstrap }) => {
      const answer = await fetch(new URL('/readyz', bootstrap.fhirBaseUrl));
      return { status: answer.status, text: await answer.text() };
    },
    options,
  );

describe('a log that is damaged', () => {
  it('is made anew from what is whole (test/anchoring/rebuild.test.ts: piece by piece)', async () => {
    const words = 'is missing or torn';
    expect(promised('a tile or an entry bundle')).toContain(words);
    const folder = damaged((db) => db.exec(`DELETE FROM records WHERE kind IN ('log-entries', 'log-tile')`));
    const before = await run('fsck', folder);
    expect(before.code).toBe(1);
    expect(before.said).toContain(words);
    expect(await run('rebuild', folder)).toMatchObject({ code: 0 });
    expect(await run('fsck', folder)).toMatchObject({ code: 0, said: expect.stringContaining('whole') as string });
    expect((await readyz(folder)).status).toBe(200);
  });

  it('an edited row is not written over: nothing is rebuilt that was not signed', async () => {
    expect(promised('entries are damaged')).toContain('NOT REBUILT');
    const folder = damaged((db) => {
      db.exec(`DELETE FROM records WHERE kind IN ('log-entries', 'log-tile')`);
      db.exec(`UPDATE log SET entry = replace(entry, '"occurredAt":"20', '"occurredAt":"19') WHERE idx = 3`);
    });
    const { code, said } = await run('rebuild', folder);
    expect([code, said]).toEqual([1, expect.stringContaining('NOT REBUILT')]);
  });
});

describe('a database edited by hand (test/anchoring/edited.test.ts: every record of the log)', () => {
  const words = 'cannot be read';
  it.each([
    ['a row about a Consent', `UPDATE log SET entry = 'x"Consent/' WHERE entry LIKE '{"kind":"consent-active"%'`, 'Entry '],
    ['a row about a read', `UPDATE log SET entry = '{' WHERE entry LIKE '{"kind":"disclosure"%'`, 'Entry '],
    ['all rows', `UPDATE log SET entry = 'null'`, 'Entry 0: '],
    [
      'a batch',
      `UPDATE records SET value = '{' WHERE kind = 'log-batch' AND id = (SELECT min(id) FROM records WHERE kind = 'log-batch')`,
      'Batch 0 ',
    ],
    ['a superseded Consent', `UPDATE history SET body = X'FF00FF' WHERE type = 'Consent'`, 'Entry '],
    ['what was said of a key', `UPDATE records SET value = '{' WHERE kind = 'key-event'`, 'Entry '],
  ])('%s that is nothing that was written: what cannot be read is named, and nothing fails', async (_what, sql, named) => {
    expect(promised('the database was edited by hand')).toContain(words);
    const { code, said } = await run(
      'fsck',
      damaged((db) => db.exec(sql)),
    );
    expect(code).toBe(1);
    expect(
      said.split('\n').some((line) => line.startsWith(named) && line.includes(words)),
      said,
    ).toBe(true);
    expect(said).toMatch(/NOT WHOLE\.\n/);
    expect(said).not.toMatch(/Error|^ {4}at /m);
  });
});

describe('a server that cannot start', () => {
  it('says why and ends, so that whoever watches over it knows', async () => {
    const folder = damaged((db) => db.exec(`UPDATE records SET value = '{}' WHERE kind = 'log-batch'`));
    await expect(scene.serve(folder, async () => undefined)).rejects.toThrow(
      'The server ended with 1: A record of kind log-batch is not as it was written.',
    );
  });
});

describe('a backup that was restored', () => {
  it('the database alone: the signer remembers more', async () => {
    const [folder, before] = [scene.copy(), scene.copy('before')];
    for (const end of ['', '-wal', '-shm']) rmSync(join(folder, `assent.sqlite${end}`), { force: true });
    cpSync(join(before, 'assent.sqlite'), join(folder, 'assent.sqlite'));
    const { status, text } = await readyz(folder, { alone: true });
    expect([status, text]).toEqual([503, expect.stringMatching(/signer/i)]);
  });

  it('everything: the witness remembers more, and without one nobody does', async () => {
    expect(promised('database and folder')).toContain('the database is older');
    expect(await readyz(scene.copy('before'))).toMatchObject({ status: 503, text: expect.stringContaining('the database is older') as string });
    expect((await readyz(scene.copy('before'), { alone: true })).status).toBe(200);
  });

  it('without the signer’s folder no second history begins; with it all goes on', async () => {
    const folder = scene.copy();
    const [signer, aside] = [join(folder, 'signer'), scene.temporary('signer')];
    cpSync(signer, aside, { recursive: true });
    rmSync(signer, { recursive: true });
    const { status, text } = await readyz(folder, { alone: true });
    expect([status, text]).toEqual([503, expect.stringMatching(/signer|key/i)]);
    rmSync(signer, { recursive: true });
    cpSync(aside, signer, { recursive: true });
    expect((await readyz(folder)).status).toBe(200);
  });
});
