/**
 * The twin servers at their full size: `npx node test/twins/full.ts [--requests 100000] [--seed 1] [--mongodb] [--processes N] [--journal FILE]`.
 * Split by seed into parts of some worlds, each a process of test/twins/run.ts, as many at once as there are cores. What a part examined is kept in the
 * journal under the commit and the engine: asked again, the same command goes on where it was stopped. The last line says what was examined; exit 1
 * where two servers differed, a claim was not asked, or nothing was examined.
 */
import { execFileSync, fork } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Ran } from './worlds.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    mongodb: { type: 'boolean', default: false },
    processes: { type: 'string', default: String(availableParallelism()) },
    journal: { type: 'string', default: join(tmpdir(), 'assent-twins.jsonl') },
  },
});
const PART = Math.min(2000, Number(values.requests));
/** In one world: setting one up costs as much as 150 requests. */
const EACH = 500;
/** Numbers of worlds that a part may use up; in one of ten nothing can be compared. */
const SEEDS = 100;

const git = (...args: readonly string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
const commit = git('rev-parse', 'HEAD');
const isClean = git('status', '--porcelain') === '';
const engine = values.mongodb ? 'MongoDB' : 'the embedded engine';
const parts = Array.from({ length: Math.ceil(Number(values.requests) / PART) }, (_, i) => Number(values.seed) + i * SEEDS);

type Kept = Pick<Ran, 'asked' | 'worlds' | 'shown' | 'hidden' | 'unsettled'>;
type Row = Kept & { readonly commit: string; readonly engine: string; readonly seed: number };

/** Of this commit and engine; of a tree with changes nothing is known from before. */
function readJournal(): Map<number, Kept> {
  if (!isClean || !existsSync(values.journal)) return new Map();
  const rows = readFileSync(values.journal, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
  const same = rows.filter((row) => row.commit === commit && row.engine === engine && parts.includes(row.seed));
  return new Map(same.map((row) => [row.seed, row]));
}

/** Undefined: it failed, and said why. */
function runPart(seed: number): Promise<Kept | undefined> {
  const args = ['--requests', String(PART), '--seed', String(seed), '--each', String(EACH), ...(values.mongodb ? ['--mongodb'] : [])];
  const child = fork(join(import.meta.dirname, 'run.ts'), args, { silent: true });
  let said = '';
  let ran: Ran | undefined;
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  child.on('message', (message) => (ran = message as Ran));
  return new Promise((resolve) => {
    child.on('exit', (code) => {
      const isDone = code === 0 && ran !== undefined && ran.asked >= PART;
      if (!isDone) process.stderr.write(`--seed ${seed}, exit ${code}:\n${said}\n`);
      resolve(isDone ? ran : undefined);
    });
  });
}

const done = readJournal();
const known = done.size;
const waiting = parts.filter((seed) => !done.has(seed));
const began = performance.now();
let failed = 0;

async function work(): Promise<void> {
  for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
    const kept = await runPart(seed);
    if (!kept) {
      failed += 1;
      continue;
    }
    done.set(seed, kept);
    const { asked, worlds, shown, hidden, unsettled } = kept;
    if (isClean) appendFileSync(values.journal, `${JSON.stringify({ commit, engine, seed, asked, worlds, shown, hidden, unsettled })}\n`);
    process.stderr.write(`${done.size} of ${parts.length} parts\n`);
  }
}
await Promise.all(Array.from({ length: Math.max(1, Number(values.processes)) }, work));

const sum = (member: keyof Kept) => [...done.values()].reduce((total, kept) => total + kept[member], 0);
const minutes = ((performance.now() - began) / 60_000).toFixed(1);
process.stdout.write(
  `${sum('asked')} requests in ${sum('worlds')} worlds on ${engine} at ${commit.slice(0, 12)}${isClean ? '' : ' with changes'}: ${sum('shown')} versions shown and ${sum('hidden')} hidden, ${sum('unsettled')} worlds without a twin, every claim asked; ${failed} of ${parts.length} parts failed; ${minutes} min, ${known} parts known from before\n`,
);
if (failed > 0 || sum('asked') === 0) process.exitCode = 1;
