/** Files that are made once: keys, and what was signed last. Of several processes that make the same one, one does. */
import { randomBytes } from 'node:crypto';
import { link, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Whole and on the disk, or not at all, also when the power fails in between. False: it was there already, and stays as it was. */
export async function createFile(file: string, content: string | Uint8Array): Promise<boolean> {
  const folder = join(file, '..');
  const draft = join(folder, `draft-${randomBytes(8).toString('hex')}`);
  try {
    await writeSynced(draft, content);
    // A link, not a rename: it never replaces what is there.
    await link(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(folder);
  return true;
}

async function writeSynced(file: string, content: string | Uint8Array): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
