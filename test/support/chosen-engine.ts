/** The engine that a run is about, for suites of parts beneath the whole server: embedded, or with ASSENT_TEST_ENGINE=mongodb a replica set. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { MongoClient } from 'mongodb';
import type { Clock } from '../../server/clock.ts';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import { createMongoEngine } from '../../server/store/mongo/engine.ts';
import type { Engine } from '../../server/store/port.ts';
import { borrowDatabase } from './mongod.ts';

export type ChosenEngine = {
  /** A folder that belongs to it. */
  readonly dataDir: string;
  /** Once more on the same data, or on none. */
  open(): Promise<Engine>;
  openEmpty(): Promise<Engine>;
  /** Past the engine, as whoever has the database’s password writes: whatever it will hold, undefined for nothing. */
  edit(what: Edited, value: unknown): Promise<void>;
  dispose(): Promise<void>;
};

export type Edited =
  | { readonly row: number }
  | { readonly record: string; readonly id: string }
  /** The text of the present version. */
  | { readonly type: string; readonly id: string };

export async function chooseEngine(clock: Clock): Promise<ChosenEngine> {
  const dataDir = mkdtempSync(join(tmpdir(), 'assent-engine-'));
  const removeFolder = () => rmSync(dataDir, { recursive: true, force: true });
  if (process.env['ASSENT_TEST_ENGINE'] !== 'mongodb') {
    let folder = dataDir;
    const open = () => createEmbeddedEngine({ dataDir: folder, clock });
    const openEmpty = () => {
      folder = mkdtempSync(join(dataDir, 'empty-'));
      return open();
    };
    return { dataDir, open, openEmpty, edit: async (what, value) => editEmbedded(folder, what, value), dispose: async () => removeFolder() };
  }
  const { uri, stop } = await borrowDatabase();
  const open = () => createMongoEngine({ uri, clock });
  return {
    dataDir,
    open,
    async openEmpty() {
      const client = await MongoClient.connect(uri);
      for (const name of ['resources', 'history', 'log', 'records']) await client.db().collection(name).deleteMany({});
      await client.close();
      return open();
    },
    edit: (what, value) => editMongo(uri, what, value),
    async dispose() {
      await stop();
      removeFolder();
    },
  };
}

function editEmbedded(folder: string, what: Edited, value: unknown): void {
  const database = new DatabaseSync(join(folder, 'assent.sqlite'));
  try {
    const [table, column, where, names] =
      'row' in what
        ? (['log', 'entry', 'idx = ?', [what.row]] as const)
        : 'record' in what
          ? (['records', 'value', 'kind = ? AND id = ?', [what.record, what.id]] as const)
          : (['resources', 'body', 'type = ? AND id = ?', [what.type, what.id]] as const);
    const { changes } =
      value === undefined
        ? database.prepare(`DELETE FROM ${table} WHERE ${where}`).run(...names)
        : database.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${where}`).run(value as SQLInputValue, ...names);
    if (changes !== 1) throw new Error(`There is no ${JSON.stringify(what)}.`);
  } finally {
    database.close();
  }
}

async function editMongo(uri: string, what: Edited, value: unknown): Promise<void> {
  const client = await MongoClient.connect(uri);
  try {
    const [collection, field, filter] =
      'row' in what
        ? (['log', 'entry', { n: what.row }] as const)
        : 'record' in what
          ? (['records', 'value', { kind: what.record, id: what.id }] as const)
          : (['resources', 'b', { t: what.type, i: what.id }] as const);
    const found = client.db().collection(collection);
    const changed =
      value === undefined
        ? (await found.deleteOne(filter)).deletedCount
        : (await found.updateOne(filter, { $set: { [field]: value } }, { bypassDocumentValidation: true })).matchedCount;
    if (changed !== 1) throw new Error(`There is no ${JSON.stringify(what)}.`);
  } finally {
    await client.close();
  }
}
