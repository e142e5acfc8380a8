/**
 * `npx node test/races/run.ts --races 10000 [--mongodb] [--rivals N]`: withdrawals raced against reads, pages, includes, histories, $everything, GraphQL
 * and jobs, each against N of these rivals in turn, or all. With --mongodb on two server processes that share a replica set. Every two minutes it begins
 * again with an empty database: tokens last ten, and histories are walked past what is hidden.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSession } from '../../server/commands/demo/session.ts';
import { freePort } from '../support/ports.ts';
import { temporaryInMemory } from '../support/in-memory.ts';
import { startReplicaSet } from '../support/mongod.ts';
import { ADMIN_SCOPE, put, register } from '../support/real-server.ts';
import { launchServer, type LaunchedServer } from '../support/server-process.ts';
import { directory, INSURER, nothingRaced, race, type Raced, rivals, type Side } from './race.ts';

const { values } = parseArgs({
  options: {
    races: { type: 'string', default: '1000' },
    rivals: { type: 'string', default: String(rivals.length) },
    mongodb: { type: 'boolean', default: false },
  },
});
Object.assign(process.env, temporaryInMemory());
const ROUND_MS = 120_000;
const races = Number(values.races);
const set = values.mongodb ? await startReplicaSet(1) : undefined;
const processes = set ? 2 : 1;

async function sideOf({ bootstrap: told }: LaunchedServer, port: number): Promise<Side> {
  const at = (url: string) => url.replace(/^http:\/\/[^/]+/, `http://127.0.0.1:${port}`);
  const bootstrap = { ...told, fhirBaseUrl: at(told.fhirBaseUrl), tokenUrl: at(told.tokenUrl) };
  const admin = await createSession(bootstrap, told.admin, ADMIN_SCOPE);
  for (const organization of directory) await put({ admin }, organization);
  return { admin, insurer: (await register({ admin, bootstrap }, { actor: INSURER })).session };
}

/** On servers of its own. */
async function raceFor(left: number, round: number): Promise<Raced> {
  const dataDir = mkdtempSync(join(tmpdir(), 'assent-races-'));
  const servers: LaunchedServer[] = [];
  try {
    const ports = await Promise.all(Array.from({ length: processes }, () => freePort()));
    for (const port of ports) {
      const own = { ASSENT_PORT: String(port), ASSENT_PUBLIC_URL: `http://127.0.0.1:${ports[0]}`, ASSENT_MAX_JOBS: '4' };
      servers.push(await launchServer(dataDir, { ...own, ...(set ? { ASSENT_MONGODB_URI: set.uri(`races${round}`) } : {}) }));
    }
    const [one, other = one] = await Promise.all(servers.map((server, i) => sideOf(server, ports[i] ?? 0)));
    if (!one || !other) throw new Error('No server.');
    return await race([one, other], left, { until: performance.now() + ROUND_MS, asking: Number(values.rivals) });
  } finally {
    for (const server of servers) await server.end('SIGTERM');
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const all = nothingRaced();
const began = performance.now();
try {
  for (let round = 0; all.races < races && all.leaks.length === 0; round++) {
    const raced = await raceFor(races - all.races, round);
    all.races += raced.races;
    all.before += raced.before;
    all.after += raced.after;
    for (const name of raced.asked) all.asked.add(name);
    all.leaks.push(...raced.leaks);
    process.stderr.write(`${all.races} of ${races} races\n`);
  }
} finally {
  await set?.stop();
}
const seconds = ((performance.now() - began) / 1000).toFixed(0);
process.stdout.write(
  `${all.races} races on ${processes} process(es): ${all.before} answers told before their withdrawal, ${all.after} asked after it, ${all.leaks.length} leaks, ${seconds} s\n`,
);
for (const leak of all.leaks) process.stdout.write(`${leak}\n`);
const unasked = rivals.filter(({ name }) => !all.asked.has(name)).map(({ name }) => name);
if (unasked.length > 0) process.stdout.write(`Never asked: ${unasked.join(', ')}\n`);
if (all.leaks.length > 0 || all.races < races || all.before === 0 || unasked.length > 0) process.exitCode = 1;
