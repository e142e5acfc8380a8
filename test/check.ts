/**
 * `npm run check`: every gate of test/support/gates.ts, one line each; what failed is shown in full. Exits 1 when any failed. Gates named after
 * `--without` are left out, for whoever has just run them.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { type Gate, gates } from './support/gates.ts';

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

const { values } = parseArgs({ options: { without: { type: 'string', multiple: true, default: [] } } });
const unknown = values.without.filter((name) => !gates.some((gate) => gate.name === name));
if (unknown.length > 0) throw new Error(`No such gate: ${unknown.join(', ')}.`);
const wanted = gates.filter(({ name }) => !values.without.includes(name));
let failed = 0;
for (const gate of wanted) failed += (await pass(gate)) ? 0 : 1;
process.stdout.write(`${wanted.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
