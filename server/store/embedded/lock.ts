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
  const held = takeLock(dataDir);
  if (typeof held === 'function') return held;
  throw new AssentError('unavailable', `Another process is using the data folder ${dataDir}; stop it first.`, { cause: held.refused });
}

/** Undefined when another process holds the folder. */
export function tryLockFolder(dataDir: string): (() => void) | undefined {
  const held = takeLock(dataDir);
  return typeof held === 'function' ? held : undefined;
}

/** For whoever copies the folder, beside a server: one at a time. Throws AssentError('unavailable') when another does. */
export function lockForCopy(dataDir: string): () => void {
  const held = takeLock(dataDir, 'copy-lock');
  if (typeof held === 'function') return held;
  throw new AssentError('unavailable', `Another process copies the data folder ${dataDir}.`, { cause: held.refused });
}

function takeLock(dataDir: string, name = 'lock'): (() => void) | { readonly refused: unknown } {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = new DatabaseSync(join(dataDir, name), { timeout: 0 });
  try {
    file.exec('BEGIN EXCLUSIVE');
  } catch (refused) {
    file.close();
    return { refused };
  }
  return () => file.close();
}
