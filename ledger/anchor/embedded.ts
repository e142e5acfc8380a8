/**
 * The default anchor: every signed checkpoint appended to a file of its own, apart from the database. ledger.md §5
 * Invariants: the file only grows; a checkpoint counts once it is on the disk; a line torn by a crash is not a checkpoint.
 */
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Anchor, Anchored } from './port.ts';

/** One line of the file. */
export type AnchorLine = Anchored & { readonly note: string };

export function createEmbeddedAnchor({ file, clock }: { readonly file: string; readonly clock: () => number }): Anchor {
  let last: Promise<AnchorLine | undefined> | undefined;
  const latest = (): Promise<AnchorLine | undefined> => (last ??= readAnchorFile(file).then((lines) => lines.at(-1)));
  return {
    name: 'embedded',
    latest,
    async anchor({ size, note }) {
      const before = await latest();
      if (before && before.size >= size) return;
      const line: AnchorLine = { size, at: clock(), note };
      await appendLine(file, JSON.stringify(line));
      last = Promise.resolve(line);
    },
  };
}

async function appendLine(file: string, line: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, 'a', 0o600);
  try {
    // The newline first ends a line that a crash tore; empty lines say nothing.
    await handle.appendFile(`\n${line}\n`);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** The checkpoints of the file in order; none when there is no file. */
export async function readAnchorFile(file: string): Promise<AnchorLine[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').flatMap(parseLine);
}

function parseLine(line: string): AnchorLine[] {
  try {
    const value = JSON.parse(line) as Partial<AnchorLine> | null;
    const whole = typeof value?.size === 'number' && typeof value.at === 'number' && typeof value.note === 'string';
    return whole ? [value as AnchorLine] : [];
  } catch {
    return [];
  }
}
