/**
 * What Assent costs on the embedded engine and on a replica set of three local members, as ratios to a bare Fastify route and of one engine to
 * the other, all measured in turn in the same run: `npm run bench [-- seconds [folder of bundles]]`.
 * Writes bench/results.json and prints tables. Absolute figures of a shared machine mean little; ratios and CPU per request do.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { bundlesIn, generatedBundles, largeBundle, type Load, loadAll } from './loading.ts';
import { type Measured, startBare, startMeasured } from './measured.ts';
import { residentMb, type Started } from './processes.ts';
import { compare, type Figure, type Target } from './rates.ts';
import { receiptFigures } from './receipt.ts';
import { startBenchedSet } from './replica-set.ts';
import { writesOf } from './writes.ts';
import { type EngineResults, report } from './report.ts';

const seconds = Number(process.argv[2] ?? 5);
const folder = process.argv[3];

/** A server on MongoDB reads more carefully for its first 15 s (server/store/mongo/topology.ts). */
const SETTLES_MS = 15_000;

/** Undone in the opposite order, whatever happens. */
const undo: (() => Promise<void>)[] = [];
try {
  const measured = [keep(await startMeasured('embedded', {}))];
  const set = await startBenchedSet();
  if (set) keep(set);
  if (set) measured.push(keep(await startMeasured('MongoDB', { ASSENT_MONGODB_URI: set.uri })));
  if (set) await sleep(SETTLES_MS);
  const bare = keep(await startBare(measured[0]?.world.body ?? ''));
  const figures = await rates(await bareTarget(bare), measured);
  const engines: EngineResults[] = [];
  for (const [i, one] of measured.entries()) engines.push(await finish(one, figures[i] ?? []));
  report({ seconds, engines, mongodb: set?.members ?? 'NOT RUN: no mongod was found' }, new Date());
} finally {
  for (const each of undo.toReversed()) await each();
}

function keep<T extends { stop(): Promise<void> }>(running: T): T {
  undo.push(running.stop);
  return running;
}

async function bareTarget({ pid, ready }: Started): Promise<Target> {
  const origin = `http://127.0.0.1:${String(ready['port'])}`;
  return { name: 'bare', pid, url: `${origin}/resource`, token: await (await fetch(`${origin}/token`)).text() };
}

/** Every scenario on all engines in turn; the figures of each engine together. */
async function rates(bare: Target, measured: readonly Measured[]): Promise<Figure[][]> {
  const scenarios = measured.map(scenariosOf);
  const all: Figure[][] = measured.map(() => []);
  for (const i of (scenarios[0] ?? []).keys()) {
    const targets = scenarios.flatMap((of) => of.slice(i, i + 1));
    for (const [engine, figure] of (await compare(bare, targets, seconds)).entries()) all[engine]?.push(figure);
  }
  return all;
}

function scenariosOf({ server: { pid }, world: { base, patient, observation, admin, insurer } }: Measured): Target[] {
  const search = `${base}/Observation?subject=${patient}&_count=20`;
  return [
    { name: 'GET Patient, consent-checked and audited', pid, url: `${base}/${patient}`, token: insurer.token },
    { name: 'search of 20, permitted', pid, url: search, token: insurer.token },
    { name: 'create Observation, validated and durable', pid, url: `${base}/Observation`, token: admin.token, body: observation },
    ...writesOf(base).map((writes) => ({ ...writes, pid, url: base, token: admin.token })),
  ];
}

async function finish({ engine, server, residentMbAtStart, world }: Measured, figures: readonly Figure[]): Promise<EngineResults> {
  const loads = await loading(world.admin, server.pid);
  const receipt = await receiptFigures(world);
  return { engine, startMs: server.startedMs, residentMbAtStart, residentMbAtEnd: residentMb(server.pid), figures, loads, receipt };
}

async function loading(admin: Measured['world']['admin'], pid: number): Promise<Load[]> {
  const target = { admin, pid };
  const [first, ...rest] = generatedBundles(Math.max(4, Math.round(seconds * 4)));
  await admin.call('POST', '', first); // starts the validation threads
  return [
    await loadAll('transactions, generated', rest, target),
    await loadAll('one large transaction', [largeBundle()], target),
    ...(folder === undefined ? [] : [await loadAll('transactions, from the folder', bundlesIn(folder), target)]),
  ];
}
