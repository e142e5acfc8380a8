/**
 * `npm run check`: every gate, one line each. A gate passes only if its tool succeeded AND says that it examined something:
 * a linter without rules or a test runner without files exits 0 and proves nothing.
 */
import { spawn } from 'node:child_process';

type Gate = {
  readonly name: string;
  readonly command: readonly string[];
  /** What the tool says it examined; empty when it says nothing, which fails the gate. */
  readonly examined: (output: string) => string;
};

const numbers = (output: string, pattern: RegExp): string => {
  const match = pattern.exec(output);
  return match && match.slice(1).every((count) => Number(count) > 0) ? match[0] : '';
};
/** Skipped and todo tests examine nothing, so their presence fails the gate. */
const tests = (output: string): string => (/^\s*Tests\b.*(skipped|todo)/m.test(output) ? '' : numbers(output, /(\d+) passed/));
const compiled = (output: string): string => {
  const count = output.split('\n').filter((line) => line.endsWith('.ts') && !line.includes('node_modules')).length;
  return count > 0 ? `${count} files` : '';
};
const project = ['.', '--colors=off'];

const gates: readonly Gate[] = [
  { name: 'format', command: ['biome', 'format', ...project], examined: (text) => numbers(text, /(\d+) files/) },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'], examined: (text) => numbers(text, /(\d+) files with (\d+) rules/) },
  { name: 'types', command: ['tsc', '-p', '.', '--listFiles'], examined: compiled },
  { name: 'architecture', command: ['vitest', 'run', '--no-color', 'test/architecture'], examined: tests },
  {
    name: 'dead code',
    command: ['knip', '--reporter', 'symbols', '--reporter', './test/support/knip-count.ts'],
    examined: (text) => numbers(text, /(\d+) files/),
  },
  { name: 'tests', command: ['vitest', 'run', '--no-color', '--exclude', 'test/architecture/**'], examined: tests },
];

async function run([tool = '', ...args]: readonly string[]): Promise<{ code: number; output: string }> {
  const child = spawn(`node_modules/.bin/${tool}`, args, { cwd: new URL('..', import.meta.url), stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output: Buffer.concat(chunks).toString('utf8') }));
  });
}

async function pass({ name, command, examined }: Gate): Promise<boolean> {
  const started = performance.now();
  const { code, output } = await run(command);
  const looked = examined(output);
  const good = code === 0 && looked !== '';
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${good ? 'ok  ' : 'FAIL'}  ${name.padEnd(13)}${(looked || 'examined nothing, or skipped some').padEnd(36)}${seconds} s\n`);
  // The list of compiled files is proof, not news.
  if (!good) process.stdout.write(`${output.replace(/^\/.*\.[cm]?[jt]s$\n/gm, '')}\n`);
  return good;
}

let failed = 0;
for (const gate of gates) failed += (await pass(gate)) ? 0 : 1;
process.stdout.write(`${gates.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
