import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import type { Subject } from './subject.ts';
import { contractSuite } from './suite.ts';

contractSuite('embedded', async (): Promise<Subject> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'assent-contract-'));
  const time = { now: Date.UTC(2026, 0, 1) };
  const open = () => createEmbeddedEngine({ dataDir, clock: () => time.now });
  let current = await open();
  return {
    engine: current,
    time,
    reopen: async () => {
      await current.resources.close();
      current = await open();
      return current;
    },
    dispose: async () => {
      await current.resources.close();
      await rm(dataDir, { recursive: true });
    },
  };
});
