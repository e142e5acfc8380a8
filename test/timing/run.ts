/**
 * `npx node test/timing/run.ts [--probes 10000] [--mongodb] [--only 'create|vread'] [--quantum MS]`: whether a stopwatch tells what is hidden from what is absent, or a denied search from
 * one that is permitted and finds nothing. The two sides of each question are asked in random order on one connection, and compared by Welch's t of
 * the times below their 90th percentile, as dudect does (Reparaz, Balasch, Verbauwhede 2017): beyond 4.5 they differ. Exit 1 where they do.
 */
import { Agent, request } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSession } from '../../server/commands/demo/session.ts';
import { systemClock } from '../../server/clock.ts';
import { startReplicaSet } from '../support/mongod.ts';
import { ADMIN_SCOPE, register } from '../support/real-server.ts';
import { launchServer } from '../support/server-process.ts';
import { createRandom } from '../twins/random.ts';
import { fill, INSURER, padded, type Probe, type Question, questions } from './questions.ts';
import { compared, type Compared } from './statistic.ts';

const { values } = parseArgs({
  options: {
    probes: { type: 'string', default: '10000' },
    mongodb: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    /** ms; 0: nothing is held, and what the work takes is told. */
    quantum: { type: 'string', default: '' },
  },
});
const PROBES = Number(values.probes);
/** Of each kind, so that no single row is warm. */
const MANY = 50;
const DIFFERENT = 4.5;
/** Tokens last ten minutes. */
const TOKEN_MS = 240_000;

const set = values.mongodb ? await startReplicaSet(1) : undefined;
const dataDir = mkdtempSync(join(tmpdir(), 'assent-timing-'));
const server = await launchServer(dataDir, {
  ...(values.quantum === '' ? {} : { ASSENT_MISS_QUANTUM_MS: values.quantum }),
  ...(set ? { ASSENT_MONGODB_URI: set.uri('timing') } : {}),
});
const { bootstrap } = server;
const base = new URL(bootstrap.fhirBaseUrl);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

async function tokenFor(): Promise<string> {
  const admin = await createSession(bootstrap, bootstrap.admin, ADMIN_SCOPE);
  return (await register({ admin, bootstrap }, { actor: INSURER })).session.token;
}

/** ms until the whole answer is there. */
function timed(token: string, { method, path, body, headers }: Probe): Promise<{ readonly ms: number; readonly status: number }> {
  return new Promise((resolve, reject) => {
    const began = process.hrtime.bigint();
    const sent = request(
      { agent, method, host: base.hostname, port: base.port, path: `/fhir/${path}`, headers: { authorization: `Bearer ${token}`, ...headers } },
      (answer) => {
        answer.resume();
        answer.on('end', () => resolve({ ms: Number(process.hrtime.bigint() - began) / 1e6, status: answer.statusCode ?? 0 }));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const asked = questions.filter(({ name }) => new RegExp(values.only).test(name));
if (asked.length === 0) throw new Error(`No question is called ${values.only}.`);

async function measure({ sides, ask, status }: Question, world: Awaited<ReturnType<typeof fill>>): Promise<Compared> {
  const random = createRandom(PROBES);
  const times: [number[], number[]] = [[], []];
  let token = '';
  let until = 0;
  for (let n = 0; n < 2 * PROBES + 200; n++) {
    if (performance.now() > until) {
      token = await tokenFor();
      until = performance.now() + TOKEN_MS;
    }
    const side = random.below(2) as 0 | 1;
    const probe = await timed(token, ask(padded(sides[side], random.below(MANY)), world));
    if (probe.status !== status) throw new Error(`${sides[side]} was answered ${probe.status}.`);
    // The first are of a cold server.
    if (n >= 200) times[side].push(probe.ms);
  }
  return compared(...times);
}

let different = 0;
try {
  const admin = await createSession(bootstrap, bootstrap.admin, ADMIN_SCOPE);
  const world = await fill({ admin, now: systemClock }, MANY);
  for (const question of asked) {
    const { t, medians, counts } = await measure(question, world);
    if (Math.abs(t) > DIFFERENT) different += 1;
    const [first, second] = question.sides.map((side, i) => `${side} ${medians[i as 0 | 1].toFixed(3)} ms (${counts[i as 0 | 1]})`);
    process.stdout.write(
      `${Math.abs(t) > DIFFERENT ? 'DIFFER' : 'alike '}  t = ${t.toFixed(2).padStart(6)}  ${question.name}: ${first}, ${second}\n`,
    );
  }
} finally {
  agent.destroy();
  await server.end('SIGTERM');
  await set?.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
process.stdout.write(`${asked.length - different} of ${asked.length} alike\n`);
process.exitCode = different === 0 ? 0 : 1;
