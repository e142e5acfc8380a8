/** Databases that were not used yet, in one replica set; of the embedded engine there is nothing to find. */
import { startReplicaSet } from '../support/mongod.ts';

export async function databases(mongodb: boolean): Promise<{ readonly next: () => string | undefined; stop(): Promise<void> }> {
  if (!mongodb) return { next: () => undefined, stop: () => Promise.resolve() };
  const set = await startReplicaSet(1);
  let made = 0;
  return { next: () => set.uri(`twin${(made += 1)}`), stop: () => set.stop() };
}
