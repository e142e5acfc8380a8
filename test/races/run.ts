/**
 * `npx node test/races/run.ts --races 10000 [--mongodb]`: withdrawals raced against reads, pages, includes, histories, $everything, GraphQL and
 * jobs. With --mongodb on two server processes that share a replica set. Tokens last ten minutes, so a new pair is taken every four.
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
import { directory, INSURER, race, type Raced, type Side } from './race.ts';

const { values } = parseArgs({ options: { races: { type: 'string', default: '1000' }, mongodb: { type: 'boolean', default: false } } });
Object.assign(process.env, temporaryInMemory());
const ROUND_MS = 240_000;
const races = Number(values.races);
const set = values.mongodb ? await startReplicaSet(1) : undefined;
const dataDir = mkdtempSync(join(tmpdir(), 'assent-races-'));
const ports = [await freePort(), ...(set ? [await freePort()] : [])];
const servers: LaunchedServer[] = [];
for (const port of ports) {
  const own = { ASSENT_PORT: String(port), ASSENT_PUBLIC_URL: `http://127.0.0.1:${ports[0]}`, ASSENT_MAX_JOBS: '4' };
  servers.push(await launchServer(dataDir, { ...own, ...(set ? { ASSENT_MONGODB_URI: set.uri('races') } : {}) }));
}

async function sideOf({ bootstrap: told }: LaunchedServer, port: number): Promise<Side> {
  const at = (url: string) => url.replace(/^http:\/\/[^/]+/, `http://127.0.0.1:${port}`);
  const bootstrap = { ...told, fhirBaseUrl: at(told.fhirBaseUrl), tokenUrl: at(told.tokenUrl) };
  const admin = await createSession(bootstrap, told.admin, ADMIN_SCOPE);
  for (const organization of directory) await put({ admin }, organization);
  return { admin, insurer: (await register({ admin, bootstrap }, { actor: INSURER })).session };
}

const all: Raced = { races: 0, before: 0, after: 0, leaks: [] };
const began = performance.now();
try {
  for (let round = 0; all.races < races && all.leaks.length === 0; round++) {
    const sides = await Promise.all(servers.map((server, i) => sideOf(server, ports[i] ?? 0)));
    const [one, other = one] = sides;
    if (!one || !other) throw new Error('No server.');
    const raced = await race([one, other], races - all.races, `racer${round}x`, performance.now() + ROUND_MS);
    all.races += raced.races;
    all.before += raced.before;
    all.after += raced.after;
    all.leaks.push(...raced.leaks);
    process.stderr.write(`${all.races} of ${races} races\n`);
  }
} finally {
  for (const server of servers) await server.end('SIGTERM');
  await set?.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
const seconds = ((performance.now() - began) / 1000).toFixed(0);
process.stdout.write(
  `${all.races} races on ${servers.length} process(es): ${all.before} answers told before their withdrawal, ${all.after} asked after it, ${all.leaks.length} leaks, ${seconds} s\n`,
);
for (const leak of all.leaks) process.stdout.write(`${leak}\n`);
if (all.leaks.length > 0 || all.races < races || all.before === 0) process.exitCode = 1;
