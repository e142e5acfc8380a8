/**
 * The mark of a data folder whose data set lives elsewhere now. It lies beside the database, so that whoever wants it back takes it away by hand.
 *
 * Invariant: a folder that bears it is opened for writing by no server.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AssentError } from '../../errors.ts';

/** `to`: without user and password. `at`: ISO 8601. */
export type Moved = { readonly to: string; readonly at: string };

const fileOf = (dataDir: string): string => join(dataDir, 'moved.json');

/** Throws AssentError('unavailable') when there is a mark that cannot be read: it is still a mark. */
export function readMoved(dataDir: string): Moved | undefined {
  let text: string;
  try {
    text = readFileSync(fileOf(dataDir), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new AssentError('unavailable', `${fileOf(dataDir)} cannot be read.`, { cause: error });
  }
  try {
    const { to, at } = JSON.parse(text) as Moved;
    return { to: String(to), at: String(at) };
  } catch (cause) {
    throw new AssentError('unavailable', `${fileOf(dataDir)} says that this data set has moved, but not where to.`, { cause });
  }
}

/** On the disk, whole, when this returns. */
export function markMoved(dataDir: string, moved: Moved): void {
  const draft = `${fileOf(dataDir)}.draft`;
  const file = openSync(draft, 'w', 0o600);
  try {
    writeSync(file, `${JSON.stringify(moved)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, fileOf(dataDir));
  const folder = openSync(dataDir, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Throws AssentError('unavailable') with where it went and how to take it back. */
export function requireNotMoved(dataDir: string): void {
  const moved = readMoved(dataDir);
  if (moved) throw new AssentError('unavailable', movedSentence(dataDir, moved));
}

export function movedSentence(dataDir: string, { to, at }: Moved): string {
  return (
    `The data set in ${dataDir} was moved to ${to} at ${at}: start the server with ASSENT_MONGODB_URI. ` +
    `To take it back, which gives up whatever was written there since, stop every server there and remove ${fileOf(dataDir)}.`
  );
}
