/**
 * The long form: `node --expose-gc test/load/bad-requests.ts [--requests 100000]`. Server and callers in one process: its heap after a fifth of the
 * requests and after all of them must be the same but for a bound, and its resident memory must not grow with every fifth. Exits 1 on any violation.
 */
import { parseArgs } from 'node:util';
import { call, createServedApp } from '../support/served-app.ts';
import { type Storm, storm } from './storm.ts';

const { values } = parseArgs({ options: { requests: { type: 'string', default: '100000' } } });
const requests = Number(values.requests);
const { gc } = globalThis;
if (!Number.isInteger(requests) || requests < 100) throw new Error('--requests takes a number from 100 on.');
if (!gc) throw new Error('Memory is measured after a collection: start with --expose-gc.');

const PARTS = 5;
const MOST_HEAP_MB = 16;
/** In each part. What is lost with requests grows with all of them; what the allocator keeps of a peak grows once, by what the machine does beside. */
const MOST_RESIDENT_KB_A_REQUEST = 4;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const app = await createServedApp();
const problems: string[] = [];
try {
  const token = await app.tokenOf('alice');
  await call(app, 'PUT', 'Patient/there-is', { body: { resourceType: 'Patient', id: 'there-is', gender: 'female' } });
  const count = Math.floor(requests / PARTS);
  const begun = performance.now();
  const measured: Memory[] = [];
  for (let part = 0; part < PARTS; part++) {
    keep(await storm({ base: app.base, token, from: part * count, count }));
    measured.push(await memory());
  }
  say(`${PARTS * count} requests in ${Math.round((performance.now() - begun) / 1000)} s`);
  for (const [part, { heap, resident }] of measured.entries()) say(`after ${(part + 1) * count}: heap ${heap} MB, resident ${resident} MB`);
  const grown = (of: keyof Memory) => measured.slice(1).map((each, i) => each[of] - (measured[i]?.[of] ?? 0));
  if (grown('heap').reduce((sum, each) => sum + each, 0) > MOST_HEAP_MB) problems.push(`the heap grew by more than ${MOST_HEAP_MB} MB`);
  if (Math.min(...grown('resident')) * 1000 > MOST_RESIDENT_KB_A_REQUEST * count)
    problems.push(`resident memory grew by more than ${MOST_RESIDENT_KB_A_REQUEST} kB a request in each part`);
  const { status, json } = await call(app, 'GET', 'Patient/there-is');
  if (status !== 200 || json.gender !== 'female') problems.push('the server does not serve any more');
} finally {
  await app.stop();
}
for (const problem of problems.slice(0, 50)) say(`VIOLATION ${problem}`);
say(`${problems.length} violations`);
process.exitCode = problems.length === 0 ? 0 : 1;

function keep({ statuses, violations }: Storm): void {
  say(JSON.stringify(statuses));
  problems.push(...violations);
}

/** In MB. */
type Memory = { readonly heap: number; readonly resident: number };

/** The log is kept by the test's server, not by a real one. */
async function memory(): Promise<Memory> {
  app.server.logs.length = 0;
  for (let i = 0; i < 3; i++) {
    gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { heapUsed, heapTotal, rss } = process.memoryUsage();
  // What V8 keeps in reserve for its next objects comes and goes with the machine's speed.
  return { heap: Math.round(heapUsed / 1e6), resident: Math.round((rss - (heapTotal - heapUsed)) / 1e6) };
}
