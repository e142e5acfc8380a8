/** The engine that a run is about, for suites of parts beneath the whole server: embedded, or with ASSENT_TEST_ENGINE=mongodb a replica set. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import type { Clock } from '../../server/clock.ts';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import { createMongoEngine } from '../../server/store/mongo/engine.ts';
import type { Engine } from '../../server/store/port.ts';
import { startReplicaSet } from './mongod.ts';

export type ChosenEngine = {
  /** A folder that belongs to it. */
  readonly dataDir: string;
  /** Once more on the same data, or on none. */
  open(): Promise<Engine>;
  openEmpty(): Promise<Engine>;
  dispose(): Promise<void>;
};

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
    return { dataDir, open, openEmpty, dispose: async () => removeFolder() };
  }
  const set = await startReplicaSet(1);
  const uri = set.uri('assent');
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
    async dispose() {
      await set.stop();
      removeFolder();
    },
  };
}
