/** What was acknowledged is there after kill -9; a full disk refuses, and breaks nothing. Real processes, real limits. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { any } from '../../server/search/expression.ts';
import { createEmbeddedEngine } from '../../server/store/embedded/engine.ts';
import { query } from '../contract/subject.ts';

const child = new URL('./child.ts', import.meta.url).pathname;
let dataDir: string;
const started = new Set<ChildProcess>();
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'assent-durability-'));
});
afterEach(async () => {
  for (const running of started) running.kill('SIGKILL');
  started.clear();
  await rm(dataDir, { recursive: true });
});

const KILLS = 4;

test('kill -9 loses no acknowledged write and leaves no gap in the log', async () => {
  const acknowledged: string[] = [];
  for (let run = 0; run < KILLS; run++) {
    const process_ = spawn(process.execPath, [child, dataDir, String(run)], { stdio: ['ignore', 'pipe', 'inherit'] });
    acknowledged.push(...(await linesUntil(process_, (lines) => lines.length > 60 + run * 37)).filter((line) => line !== 'open'));
  }
  expect(acknowledged.length).toBeGreaterThan(KILLS * 50);
  await expectIntact(acknowledged);
});

test('a write that does not fit on the disk is refused as unavailable, reading goes on, and nothing is half-written', async () => {
  // 4 MB per file, counted in 512-byte blocks by this shell: the write-ahead log cannot grow beyond it.
  const limited = spawn('sh', ['-c', 'ulimit -f 8192; exec "$0" "$@"', process.execPath, child, dataDir, 'full', '20000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = await linesUntil(limited, () => false);
  expect(lines.filter((line) => line.startsWith('refused'))).toEqual(Array(5).fill('refused: write unavailable, check unavailable'));
  expect(lines).toContain('still reads: 1');
  const acknowledged = lines.filter((line) => line.startsWith('full-'));
  expect(acknowledged.length).toBeGreaterThan(5);
  await expectIntact(acknowledged);
});

async function expectIntact(acknowledged: readonly string[]): Promise<void> {
  const { resources } = await createEmbeddedEngine({ dataDir, clock: () => 0 });
  try {
    const log = await resources.readLog(0, 1_000_000);
    expect(log.map(({ index }) => index)).toEqual(log.map((_, i) => i));
    const found = await resources.find(query('Observation', { where: any(['k']), limit: 1_000_000, budget: 1_000_000 }));
    const stored = new Set(found.kind === 'rows' ? found.rows.map(({ id }) => id) : []);
    expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
    // Row, keys and log entry of a write set came together or not at all, acknowledged or not.
    expect(new Set(log.map(({ key }) => key))).toEqual(stored);
    for (const id of acknowledged.slice(-3)) {
      expect(await resources.find(query('Observation', { where: any([`id-${id}`]) }))).toMatchObject({ rows: [{ id }] });
    }
    await resources.check();
  } finally {
    await resources.close();
  }
}

/** Reads the child's lines until there are enough, then kills it the hard way; or until it ends. */
async function linesUntil(running: ChildProcess, enough: (lines: readonly string[]) => boolean): Promise<string[]> {
  started.add(running);
  const lines: string[] = [];
  const exit = once(running, 'exit');
  if (!running.stdout) throw new Error('The child has no output.');
  for await (const line of createInterface({ input: running.stdout })) {
    lines.push(line);
    if (enough(lines)) running.kill('SIGKILL');
  }
  await exit;
  return lines;
}
