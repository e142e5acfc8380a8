/** Following the embedded database beside its writer: whatever is written between any two pages, the rounds give all of it in the end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../server/commands/demo/generator.ts';
import { type Dump, openDump } from '../../server/store/embedded/dump.ts';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import { markMoved } from '../../server/store/embedded/moved.ts';
import type { Engine } from '../../server/store/port.ts';
import { type Change, type DataSet, type Section, sections } from '../../server/store/transfer.ts';
import { resource, writes } from '../contract/subject.ts';

let dataDir: string;
let engine: Engine;
let now: number;
const open = () => createEmbeddedEngine({ dataDir, clock: () => now });

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'assent-follow-'));
  now = 1_000;
  engine = await open();
});
afterEach(async () => {
  await engine.resources.close();
  rmSync(dataDir, { recursive: true, force: true });
});

describe('the rounds of a follower', () => {
  test.for([1, 2, 3, 4, 5, 6])('add up to what is stored, whatever happens between their pages (seed %i)', async (seed) => {
    const random = seededRandom(seed);
    const write = (times: number) => Promise.all(Array.from({ length: times }, () => somethingWritten(random)));
    await write(150);
    const dump = openDump(dataDir);
    try {
      const copy = emptyCopy();
      for (let round = 0; round < 5; round++) {
        for (const change of dump.round(now)) {
          applyTo(copy, change);
          await write(5);
        }
        await write(round * 3);
        now += 1_000;
      }
      expect(dump.behind()).toBeGreaterThan(0);
      await engine.resources.close();
      expect(dump.hold()).toBe(true);
      for (const change of dump.round(now)) applyTo(copy, change);
      expect(dump.behind()).toBe(0);
      for (const change of dump.round(now)) expect(change.gone ?? change.rows).toEqual([]);
      expect(living(copy, now)).toEqual(await allOf(dump, now));
    } finally {
      dump.close();
    }
  });

  test('a record that is deleted and made again between two rounds is the new one; rows that did not change do not come again', async () => {
    await engine.records.put('k', 'once', 1);
    await engine.records.put('k', 'again', 1);
    await engine.records.put('k', 'stays', 1);
    const dump = openDump(dataDir);
    try {
      const copy = emptyCopy();
      for (const change of dump.round(now)) applyTo(copy, change);
      await engine.records.delete('k', 'again');
      await engine.records.delete('k', 'once');
      await engine.records.put('k', 'again', 2);
      const changes = [...dump.round(now)];
      expect(changes.map((change) => (change.gone ?? change.rows).map((row) => ('id' in row ? row.id : '')))).toEqual([['once'], ['again']]);
      for (const change of changes) applyTo(copy, change);
      expect(living(copy, now)).toEqual(await allOf(dump, now));
    } finally {
      dump.close();
    }
  });

  test('nothing is erased or indexed anew meanwhile: neither leaves a version to follow. Afterwards both go on, also at once', async () => {
    await engine.resources.commit(writes([resource('T', 'a')]));
    const erase = () => engine.resources.commit({ ...writes([]), erase: [{ type: 'T', id: 'a' }] });
    const reindex = () => engine.resources.reindex({ type: 'T' }, ({ keys, instant }) => ({ keys: [...keys, '@made/anew'], instant }));
    const dump = openDump(dataDir);
    try {
      await expect(reindex()).rejects.toMatchObject({ code: 'unavailable' });
      await expect(erase()).rejects.toMatchObject({ code: 'unavailable' });
    } finally {
      dump.close();
    }
    expect((await Promise.all([reindex(), reindex(), erase()]))[0]).toMatchObject({ read: 1 });
  });

  test('what is read frozen is of one moment', async () => {
    await engine.resources.commit(writes([resource('T', 'a')]));
    const dump = openDump(dataDir);
    try {
      await dump.frozen(async () => {
        await engine.resources.commit(writes([resource('T', 'b')]));
        expect((await allOf(dump, now)).resources).toHaveLength(1);
      });
      expect((await allOf(dump, now)).resources).toHaveLength(2);
    } finally {
      dump.close();
    }
  });
});

describe('a folder that is marked as moved', () => {
  test('is not opened for writing, says where to and how back, and is as before once the mark is gone', async () => {
    await engine.records.put('k', 'id', 'value');
    await engine.resources.close();
    markMoved(dataDir, { to: 'mongodb://host/assent', at: '2026-01-01T00:00:00.000Z' });
    await expect(open()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/mongodb:\/\/host\/assent at 2026.*remove .*moved\.json/),
    });
    // For fsck.
    const reading = await createEmbeddedEngine({ dataDir, clock: () => now, mode: 'read-only' });
    expect((await reading.records.get('k', 'id'))?.value).toBe('value');
    await reading.resources.close();
    rmSync(join(dataDir, 'moved.json'));
    engine = await open();
    expect((await engine.records.get('k', 'id'))?.value).toBe('value');
  });
});

async function somethingWritten(random: ReturnType<typeof seededRandom>): Promise<void> {
  const { below } = random;
  const id = String(below(60));
  const entry = `${id}-${below(2 ** 31)}`;
  switch (below(5)) {
    case 0:
      await engine.records.delete('k', id);
      return;
    case 1:
      await engine.records.put('k', id, entry, { lookup: [`l${below(3)}`], ...(below(3) === 0 && { expires: now + below(3_000) }) });
      return;
    case 2:
      await engine.resources.commit(writes([resource('T', `new-${entry}`, { version: entry })], { log: [{ key: entry, entry }] }));
      return;
    default:
      await engine.resources.commit(
        writes([resource('T', id, { version: entry, deleted: below(5) === 0, body: entry, keys: [entry] })], {
          log: [{ key: entry, entry }],
          records: [{ kind: 'put', recordKind: 'r', id, value: entry }],
          bumpEpoch: true,
        }),
      );
  }
}

type Copy = Readonly<Record<Section, Map<string, Row>>>;
type Row = { readonly expires?: number | null };

function emptyCopy(): Copy {
  return { resources: new Map(), history: new Map(), log: new Map(), records: new Map() };
}

/** A record may come again under another number; anything else that does was not known to be there. */
function applyTo(copy: Copy, change: Change): void {
  if (change.gone) {
    for (const { kind, id } of change.gone) copy.records.delete(`${kind} ${id}`);
    return;
  }
  for (const row of change.rows) {
    const name = nameOf(change.section, row);
    if (!change.again && change.section !== 'records' && copy[change.section].has(name)) throw new Error(`${change.section} ${name} came twice`);
    copy[change.section].set(name, row as Row);
  }
}

function nameOf(section: Section, row: object): string {
  const { type, kind, id, version, index } = row as Readonly<Record<string, string>>;
  return { resources: `${type} ${id}`, history: `${type} ${id} ${version}`, log: String(index), records: `${kind} ${id}` }[section];
}

type All = Readonly<Record<Section, readonly unknown[]>>;

function living(copy: Copy, at: number): All {
  const rows = (section: Section) =>
    [...copy[section]]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, row]) => row)
      .filter(({ expires = null }) => expires === null || expires > at);
  return { resources: rows('resources'), history: rows('history'), log: rows('log'), records: rows('records') };
}

async function allOf(data: Dump | DataSet, at: number): Promise<All> {
  const copy = emptyCopy();
  for (const section of sections) {
    for await (const slice of section === 'records' ? data.records(at) : data[section]())
      for (const row of slice) copy[section].set(nameOf(section, row), row as Row);
  }
  return living(copy, at);
}
