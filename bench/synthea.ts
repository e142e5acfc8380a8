/**
 * `node bench/synthea.ts FOLDER [--mongodb] [--rounds 3] [--profile FOLDER]`: loads a folder of Synthea bundles into a fresh server, validated,
 * audited and durable, and prints one line of JSON a round. CPU is of the server process with all of its threads; the bare route of the same run
 * says how fast the machine is. `--profile` writes a CPU profile of every thread.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Bootstrap, createSession } from '../server/commands/demo/session.ts';
import { bundlesIn, loadAll } from './loading.ts';
import { startBare } from './measured.ts';
import { residentMb, start } from './processes.ts';
import { compare } from './rates.ts';
import { startBenchedSet } from './replica-set.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { mongodb: { type: 'boolean', default: false }, rounds: { type: 'string', default: '3' }, profile: { type: 'string' } },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('Name the folder of bundles.');
const bundles = bundlesIn(folder);
const profiling = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`];
const set = values.mongodb ? await startBenchedSet() : undefined;

async function bareCpuMs(): Promise<number> {
  const bare = await startBare('{}');
  try {
    const url = `http://127.0.0.1:${String(bare.ready['port'])}/plain`;
    const plain = { name: 'bare', pid: bare.pid, url, token: '' };
    const [figure] = await compare(plain, [plain], 1);
    return figure?.bareCpuMsPerRequest ?? Number.NaN;
  } finally {
    await bare.stop();
  }
}

async function round(number: number): Promise<object> {
  const dataDir = mkdtempSync(join(tmpdir(), 'assent-synthea-'));
  // Each round in a database of its own.
  const engine = set ? { ASSENT_MONGODB_URI: set.uri.replace(/(assent_bench_[0-9a-f]+)/, `$1_${number}`) } : {};
  const server = await start([...profiling, 'server/main.ts', 'serve'], {
    ASSENT_PORT: '0',
    ASSENT_DATA_DIR: dataDir,
    ASSENT_LOG_LEVEL: 'error',
    ...engine,
  });
  try {
    const bootstrap = JSON.parse(readFileSync(String(server.ready['bootstrap']), 'utf8')) as Bootstrap;
    const admin = await createSession(bootstrap, bootstrap.admin, 'system/*.cruds admin');
    const load = await loadAll(set ? 'MongoDB' : 'embedded', bundles, { admin, pid: server.pid });
    return { ...load, residentMb: residentMb(server.pid) };
  } finally {
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

try {
  const bare = await bareCpuMs();
  for (let number = 1; number <= Number(values.rounds); number++)
    process.stdout.write(`${JSON.stringify({ ...(await round(number)), bareCpuMsPerRequest: bare })}\n`);
} finally {
  await set?.stop();
}
