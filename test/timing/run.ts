/**
 * `npx node test/timing/run.ts [--probes 10000] [--mongodb] [--only 'create|vread'] [--quantum MS]`: whether a stopwatch tells what is hidden from what is absent, or a denied search from
 * one that is permitted and finds nothing. The two sides of each question are asked in random order on one connection, and compared by Welch's t of
 * the times below their 90th percentile, as dudect does (Reparaz, Balasch, Verbauwhede 2017): beyond 4.5 they differ. Compared in the same way is how
 * long after it was sent each was recorded, by the AuditEvents that whoever asked can read. Exit 1 where they differ.
 */
import { Agent, request } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSession, type Session } from '../../server/commands/demo/session.ts';
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
const COLD = 200;
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

async function sessionOfInsurer(): Promise<Session> {
  const admin = await createSession(bootstrap, bootstrap.admin, ADMIN_SCOPE);
  return (await register({ admin, bootstrap }, { actor: INSURER })).session;
}

/** ms since 1970, with fractions. */
const now = (): number => performance.timeOrigin + performance.now();

type Sent = { readonly side: 0 | 1; readonly at: number };

/** ms from when each was sent until the first event after it; one after the other, each has an event before the next is sent. */
async function recordedAfter({ call }: Session, sent: readonly Sent[]): Promise<readonly { readonly side: 0 | 1; readonly ms: number }[]> {
  const recorded: number[] = [];
  for (let path: string | undefined = 'AuditEvent?_count=200&_elements=recorded'; path !== undefined; ) {
    const { json } = await call('GET', path);
    for (const { resource } of (json['entry'] ?? []) as { resource: { recorded: string } }[]) recorded.push(Date.parse(resource.recorded));
    const next = ((json['link'] ?? []) as { relation: string; url: string }[]).find(({ relation }) => relation === 'next');
    path = next?.url.slice(`${bootstrap.fhirBaseUrl}/`.length);
  }
  recorded.sort((a, b) => a - b);
  let first = 0;
  return sent.flatMap(({ side, at }) => {
    // Recorded in whole ms.
    while ((recorded[first] ?? Number.POSITIVE_INFINITY) < at - 1) first++;
    const found = recorded[first];
    return found === undefined ? [] : [{ side, ms: found - at }];
  });
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

type Measured = { readonly answered: Compared; readonly recorded: Compared };

async function measure({ sides, ask, status }: Question, world: Awaited<ReturnType<typeof fill>>): Promise<Measured> {
  const random = createRandom(PROBES);
  const answered: [number[], number[]] = [[], []];
  const recorded: [number[], number[]] = [[], []];
  // The first are of a cold server.
  for (let n = -COLD; n < 2 * PROBES; ) {
    const session = await sessionOfInsurer();
    const sent: Sent[] = [];
    for (const until = performance.now() + TOKEN_MS; n < 2 * PROBES && performance.now() < until; n++) {
      const side = random.below(2) as 0 | 1;
      const probe = ask(padded(sides[side], random.below(MANY)), world);
      const at = now();
      const answer = await timed(session.token, probe);
      if (answer.status !== status) throw new Error(`${sides[side]} was answered ${answer.status}.`);
      if (n < 0) continue;
      sent.push({ side, at });
      answered[side].push(answer.ms);
    }
    for (const { side, ms } of await recordedAfter(session, sent)) recorded[side].push(ms);
  }
  return { answered: compared(...answered), recorded: compared(...recorded) };
}

const differs = ({ t }: Compared): boolean => Math.abs(t) > DIFFERENT;

function lineOf({ name, sides }: Question, what: string, result: Compared): string {
  const [first, second] = sides.map((side, i) => `${side} ${result.medians[i as 0 | 1].toFixed(3)} ms (${result.counts[i as 0 | 1]})`);
  return `${differs(result) ? 'DIFFER' : 'alike '}  t = ${result.t.toFixed(2).padStart(6)}  ${name}, ${what}: ${first}, ${second}\n`;
}

let different = 0;
try {
  const admin = await createSession(bootstrap, bootstrap.admin, ADMIN_SCOPE);
  const world = await fill({ admin, now: systemClock }, MANY);
  for (const question of asked) {
    const { answered, recorded } = await measure(question, world);
    if (differs(answered) || differs(recorded)) different += 1;
    process.stdout.write(lineOf(question, 'answered', answered) + lineOf(question, 'recorded', recorded));
  }
} finally {
  agent.destroy();
  await server.end('SIGTERM');
  await set?.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
process.stdout.write(`${asked.length - different} of ${asked.length} alike\n`);
process.exitCode = different === 0 ? 0 : 1;
