/**
 * The environment of tests whose temporary folders are in memory where there is room: what tests store need not outlive the machine, and every
 * commit waits for the disk it is on.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { findMongod } from './mongod.ts';

const MEMORY = '/dev/shm';
const OWN = /^assent-tests-(\d+)-/;
/** A dozen mongod and what is stored in them. */
const ROOM_BYTES = 6 * 2 ** 30;

/** Empty where TMPDIR says already, or memory is short. The folder goes when this process ends; where it was killed, as the next one begins. */
export function temporaryInMemory(): Readonly<Record<string, string>> {
  if (process.env['TMPDIR'] !== undefined || !existsSync(MEMORY)) return {};
  removeOrphans();
  const { bavail, bsize } = statfsSync(MEMORY);
  if (bavail * bsize < ROOM_BYTES) return {};
  // Its program stays where it was fetched to.
  const found = findMongod();
  const folder = mkdtempSync(join(MEMORY, `assent-tests-${process.pid}-`));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return { TMPDIR: folder, ...(found && 'mongod' in found ? { MONGOD: found.mongod } : {}) };
}

function removeOrphans(): void {
  for (const name of readdirSync(MEMORY)) {
    const [, pid] = OWN.exec(name) ?? [];
    if (pid !== undefined && !runs(Number(pid))) rmSync(join(MEMORY, name), { recursive: true, force: true });
  }
}

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Somebody else's runs as well.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
