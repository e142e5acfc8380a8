/** The store without a server, for commands: the engine that the settings name, and of MongoDB's driver nothing where it is not used. */
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { createEmbeddedEngine } from '../store/embedded/engine.ts';
import type { Engine } from '../store/port.ts';

/** `mode`: of the embedded engine; only a reader may run beside a server. */
export async function openEngineAlone(
  { DATA_DIR: dataDir, MONGODB_URI: uri }: Pick<Config, 'DATA_DIR' | 'MONGODB_URI'>,
  mode?: 'read-only',
): Promise<Engine> {
  if (uri === '') return createEmbeddedEngine({ dataDir, clock: systemClock, ...(mode ? { mode } : {}) });
  const { createMongoEngine } = await import('../store/mongo/engine.ts');
  return createMongoEngine({ uri, clock: systemClock });
}
