/**
 * What searches cost by the size of the record, with consent checks, audit and log on, for a caller whom most patients permit:
 * `node bench/search.ts [--resources 10000,100000] [--mongodb] [--seconds 1] [--only WORDS]`; a million on its own: `--resources 10000,1000000`.
 * `--keep DIRECTORY` keeps the embedded worlds there and measures those it finds there, which have to be of today's keys.
 * CPU is of the server process, with eight callers; p50 and p99 are of one caller. Goals are scaled by this run's own bare route.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../server/clock.ts';
import type { Bootstrap } from '../server/commands/demo/session.ts';
import { createEmbeddedEngine } from '../server/store/embedded/engine.ts';
import { createMongoEngine } from '../server/store/mongo/engine.ts';
import type { Engine } from '../server/store/port.ts';
import { startBare } from './measured.ts';
import { cpuMs, residentMb, type Started, start } from './processes.ts';
import { round } from './rates.ts';
import { type BenchedSet, startBenchedSet } from './replica-set.ts';
import { type Case, casesOf, GOALS_ARE_FOR } from './search-cases.ts';
import { commitOf, patientsIn, permit, permittingIn, recordOf, seed, storedOf } from './search-world.ts';

const { values } = parseArgs({
  options: {
    resources: { type: 'string', default: '10000,100000' },
    seconds: { type: 'string', default: '1' },
    mongodb: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    keep: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const sizes = values.resources.split(',').map(Number);
const cases = (resources: number): readonly Case[] => casesOf(resources).filter(({ name }) => name.includes(values.only));
const CALLERS = 8;
/** A server on MongoDB reads more carefully for its first 15 s (server/store/mongo/topology.ts). */
const SETTLES_MS = 15_000;

type Figure = { readonly cpu: number; readonly p50: number; readonly p99: number; readonly bytes: number; readonly refused: boolean };
type Target = { readonly pid: number; readonly origin: string; readonly token: string };

const agent = new Agent({ keepAlive: true, maxSockets: CALLERS });

function ask({ origin, token }: Target, path: string, body?: string): Promise<{ status: number; bytes: number }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/fhir+json' }) };
    const sent = request(`${origin}/${path}`, { agent, method: body === undefined ? 'GET' : 'POST', headers }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => void (bytes += chunk.length));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, bytes }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function measure(target: Target, path: Case['path'], body?: string): Promise<Figure> {
  let n = 0;
  let [bytes, refused] = [0, 0];
  const times: number[] = [];
  const once = async (): Promise<void> => {
    const began = performance.now();
    const answer = await ask(target, path(n++), body);
    times.push(performance.now() - began);
    bytes += answer.bytes;
    if (answer.status === 422) refused++;
    else if (answer.status !== 200 && answer.status !== 201) throw new Error(`${path(n - 1)} answered ${answer.status}`);
  };
  const during = async (ms: number): Promise<void> => {
    for (const until = performance.now() + ms; performance.now() < until; ) await once();
  };
  const together = () => Promise.all(Array.from({ length: CALLERS }, () => during(seconds * 1000)));
  await together(); // warms all up
  times.length = 0;
  await during(seconds * 1000);
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const [before, first] = [cpuMs(target.pid), n];
  await together();
  const cpu = (cpuMs(target.pid) - before) / (n - first);
  return { cpu, p50: at(0.5), p99: at(0.99), bytes: bytes / n, refused: refused > 0 };
}

type Measured = {
  readonly resources: number;
  readonly bare: Figure;
  readonly figures: readonly Figure[];
  /** None in a world that is kept: it would not stay what it is. */
  readonly create: Figure | undefined;
};

async function measureSize(resources: number, set: BenchedSet | undefined): Promise<Measured> {
  const { keep } = values;
  const dataDir = keep === undefined ? mkdtempSync(join(tmpdir(), 'assent-search-')) : join(keep, String(resources));
  const made = join(dataDir, 'made');
  const isMade = keep !== undefined && existsSync(made);
  const uri = set?.uri.replace(/(assent_bench_[0-9a-f]+)/, `$1_${resources}`);
  let server: Started | undefined;
  let bare: Started | undefined;
  try {
    const rate = isMade ? undefined : await seedInto(dataDir, uri, resources);
    server = await start(['server/main.ts', 'serve'], {
      ASSENT_DATA_DIR: dataDir,
      ASSENT_PORT: '0',
      ASSENT_MISS_QUANTUM_MS: '0',
      ASSENT_APPROVALS: 'patient',
      ...(uri === undefined ? {} : { ASSENT_MONGODB_URI: uri }),
    });
    const bootstrap = JSON.parse(readFileSync(String(server.ready['bootstrap']), 'utf8')) as Bootstrap;
    const began = performance.now();
    if (!isMade) await permit(bootstrap, resources, systemClock());
    if (keep !== undefined) writeFileSync(made, '');
    const consenting = Math.round((performance.now() - began) / 1000);
    if (set) await new Promise((resolve) => setTimeout(resolve, SETTLES_MS));
    const { admin, insurer } = await permit(bootstrap, 0, systemClock());
    say(
      `${resources} resources of ${patientsIn(resources)} patients, ${rate ?? 'kept, 0'}/s; ${permittingIn(resources)} Consents in ${consenting} s; ${residentMb(server.pid)} MB`,
    );
    const target = { pid: server.pid, origin: bootstrap.fhirBaseUrl, token: insurer.token };
    bare = await startBare('x'.repeat(1500));
    const plain = { pid: bare.pid, origin: `http://127.0.0.1:${String(bare.ready['port'])}`, token: '' };
    const control = await measure(plain, () => 'plain');
    const figures: Figure[] = [];
    for (const { path } of cases(resources)) figures.push(await measure(target, path));
    const [example] = recordOf(0, resources).filter(({ resourceType }) => resourceType === 'Observation');
    const creating = { ...target, token: admin.token };
    const create = keep === undefined ? await measure(creating, () => 'Observation', JSON.stringify({ ...example, id: undefined })) : undefined;
    return { resources, bare: control, figures, create };
  } finally {
    await bare?.stop();
    await server?.stop();
    if (keep === undefined) rmSync(dataDir, { recursive: true, force: true });
  }
}

function openEngine(dataDir: string, uri: string | undefined): Promise<Engine> {
  return uri === undefined ? createEmbeddedEngine({ dataDir, clock: systemClock }) : createMongoEngine({ uri, clock: systemClock });
}

async function seedInto(dataDir: string, uri: string | undefined, resources: number): Promise<number> {
  const { resources: store } = await openEngine(dataDir, uri);
  try {
    return await seed(store, resources, systemClock());
  } finally {
    await store.close();
  }
}

/** CPU a stored resource costs because it can be searched: its keys made and stored, to the same without any key of a search parameter. */
async function indexing(set: BenchedSet | undefined): Promise<number> {
  const dataDir = mkdtempSync(join(tmpdir(), 'assent-search-'));
  const { resources: store } = await openEngine(dataDir, set?.uri.replace(/(assent_bench_[0-9a-f]+)/, '$1_writes'));
  try {
    const cost = { with: [] as number[], without: [] as number[] };
    for (let round = 0; round < 8; round++)
      for (const kind of ['without', 'with'] as const) {
        const record = recordOf(round * 2 + (kind === 'with' ? 1 : 0), 10_000);
        const before = process.cpuUsage();
        await Promise.all(record.map((resource) => store.commit(commitOf([storedOf(resource, systemClock(), kind === 'with')]))));
        const { user, system } = process.cpuUsage(before);
        if (round > 1) cost[kind].push((user + system) / 1000 / record.length);
      }
    const middle = (all: number[]): number => all.toSorted((a, b) => a - b)[all.length >> 1] ?? 0;
    return middle(cost.with) - middle(cost.without);
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const row = (cells: readonly string[]): void =>
  say(
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(32) : cell.padStart(i === 1 ? 12 : 10)))
      .join('')
      .trimEnd(),
  );

function report({ resources, bare, figures }: Measured, smallest: Measured): void {
  const scale = bare.cpu / GOALS_ARE_FOR;
  say(`\n${resources} resources; a bare route costs ${round(bare.cpu, 3)} ms, goals are times ${round(scale, 2)}`);
  row(['search', 'CPU ms', 'goal', 'to bare', 'p50 ms', 'p99 ms', 'kB', 'growth']);
  for (const [i, { name, goal }] of cases(resources).entries()) {
    const figure = figures[i];
    if (!figure) continue;
    const allowed = goal === undefined ? undefined : goal * scale;
    const grown = figure.p50 / (smallest.figures[i]?.p50 ?? Number.NaN);
    row([
      name,
      `${round(figure.cpu, 2)}${figure.refused ? ' refused' : ''}`,
      allowed === undefined ? '' : `${round(allowed, 2)}${figure.cpu > allowed ? ' !' : ''}`,
      String(round(figure.cpu / bare.cpu, 1)),
      String(round(figure.p50, 2)),
      String(round(figure.p99, 2)),
      String(round(figure.bytes / 1000, 1)),
      smallest.resources === resources ? '' : `${round(grown, 2)}${grown > 1.5 ? ' !' : ''}`,
    ]);
  }
}

const set = values.mongodb ? await startBenchedSet() : undefined;
if (values.mongodb && !set) throw new Error('no mongod was found');
try {
  say(`${set ? `MongoDB: ${set.members}` : 'embedded'}; ! marks what is short of its goal; growth of p50 to the smallest, goal 1.5`);
  if (set && values.keep !== undefined) throw new Error('only embedded worlds are kept');
  const keys = values.keep === undefined ? await indexing(set) : 0;
  const all: Measured[] = [];
  for (const resources of sizes) {
    const measured = await measureSize(resources, set);
    all.push(measured);
    report(measured, all[0] ?? measured);
    if (!measured.create) continue;
    const { cpu } = measured.create;
    say(
      `create, validated: ${round(cpu, 2)} ms CPU, of it ${round(keys, 2)} for its index keys: ${round(cpu / (cpu - keys), 2)} of one without, goal 1.3`,
    );
  }
} finally {
  agent.destroy();
  await set?.stop();
}
