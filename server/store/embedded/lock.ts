/**
 * One process at a time owns a data folder. The lock is the operating system's, held through an open file, so it ends with its
 * process however that ends: nothing stale is left to clean up.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AssentError } from '../../errors.ts';

/** Returns the release. Throws AssentError('unavailable') when another process holds the folder. */
export function lockFolder(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = new DatabaseSync(join(dataDir, 'lock'), { timeout: 0 });
  try {
    file.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    file.close();
    throw new AssentError('unavailable', `Another process is using the data folder ${dataDir}; stop it first.`, { cause });
  }
  return () => file.close();
}
