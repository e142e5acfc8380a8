/**
 * The environment of tests whose temporary folders are in memory where there is room: what tests store need not outlive the machine, and every
 * commit waits for the disk it is on.
 */
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { findMongod } from './mongod.ts';

const MEMORY = '/dev/shm';
/** A dozen mongod and what is stored in them. */
const ROOM_BYTES = 6 * 2 ** 30;

/** Empty where TMPDIR says already, or memory is short. The folder goes when this process ends. */
export function temporaryInMemory(): Readonly<Record<string, string>> {
  if (process.env['TMPDIR'] !== undefined || !existsSync(MEMORY)) return {};
  const { bavail, bsize } = statfsSync(MEMORY);
  if (bavail * bsize < ROOM_BYTES) return {};
  // Its program stays where it was fetched to.
  const found = findMongod();
  const folder = mkdtempSync(join(MEMORY, 'assent-tests-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return { TMPDIR: folder, ...(found && 'mongod' in found ? { MONGOD: found.mongod } : {}) };
}
