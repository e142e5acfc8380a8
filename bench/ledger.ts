/**
 * What the log costs: `node --expose-gc bench/ledger.ts [--entries N] [--rate N] [--mongodb]`. What they mean: docs/cost.md
 * Through the store and the sealer as a server has them, with nothing of FHIR around them: entries are committed, sealed into tiles, signed. Rebuilding
 * and memory are measured on the tree alone.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { logRow } from '../ledger/entry.ts';
import { leafHash } from '../ledger/hash.ts';
import { createMap, lookUp } from '../ledger/map.ts';
import { createTree } from '../ledger/tree.ts';
import { createAnchoring } from '../server/anchoring/anchoring.ts';
import { systemSchedule } from '../server/anchoring/schedule.ts';
import { systemClock } from '../server/clock.ts';
import { readConfig } from '../server/config.ts';
import { createEmbeddedEngine } from '../server/store/embedded/engine.ts';
import type { Engine } from '../server/store/port.ts';
import { startBenchedSet } from './replica-set.ts';

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '1000000' },
    rate: { type: 'string', default: '2000' },
    mongodb: { type: 'boolean', default: false },
  },
});
const entries = Number(values.entries);
const rate = Number(values.rate);
/** Of entries that are committed at once: a busy server groups what arrives in one moment. */
const GROUP = 256;
const BURST = 100_000;
const STEADY_SECONDS = 10;
const REPLACED = 200_000;
const PROOFS = 2_000;

const told = (name: string, figure: string, goal = ''): void => void process.stdout.write(`${name.padEnd(64)}${figure.padEnd(44)}${goal}\n`);
const percentile = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
const milliseconds = (all: readonly number[]): string => {
  const sorted = [...all].sort((a, b) => a - b);
  return `p50 ${percentile(sorted, 0.5).toFixed(1)} ms, p99 ${percentile(sorted, 0.99).toFixed(1)} ms`;
};

async function theTree(): Promise<void> {
  const leaves = Array.from({ length: 1024 }, (_, i) => leafHash(createHash('sha256').update(String(i)).digest()));
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const began = process.cpuUsage();
  const tree = createTree({ size: 0, edge: [] });
  for (let i = 0; i < entries; i++) {
    tree.append(leaves[i % leaves.length] as Uint8Array);
    if (i % GROUP === 0) tree.grown();
  }
  const { user, system } = process.cpuUsage(began);
  globalThis.gc?.();
  const bytes = process.memoryUsage().heapUsed - before;
  told(`tree of ${entries} entries rebuilt`, `${((user + system) / 1e6).toFixed(2)} s of CPU`, '≤ 6 s for 10⁶');
  told(`memory of the log at ${entries} entries`, `${(bytes / 1e6).toFixed(2)} MB`, '≤ 100 MB at 10⁷');
}

/** Of the map of replaced Consents: what it takes to build, to change, and what a proof is. */
function theMap(): void {
  const hashed = (text: string): Buffer => createHash('sha256').update(text).digest();
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  const map = createMap();
  const cpu = (): number => {
    const { user, system } = process.cpuUsage();
    return user + system;
  };
  const began = cpu();
  for (let i = 0; i < REPLACED; i++) map.set(hashed(`key ${i}`), hashed(`value ${i}`));
  map.root();
  const built = cpu() - began;
  const bytes = process.memoryUsage().rss - before;
  const changing = cpu();
  for (let i = 0; i < PROOFS; i++) {
    map.set(hashed(`later ${i}`), hashed(`value ${i}`));
    map.root();
  }
  const changed = (cpu() - changing) / PROOFS;
  const root = map.root();
  const keys = Array.from({ length: PROOFS }, (_, i) => hashed(i % 2 === 0 ? `key ${i}` : `absent ${i}`));
  const proving = cpu();
  const proofs = keys.map((key) => map.prove(key));
  const proved = (cpu() - proving) / PROOFS;
  const checking = cpu();
  if (!proofs.every((proof, i) => lookUp(proof, { root, key: keys[i] as Buffer }))) throw new Error('A proof of the map does not hold.');
  const checked = (cpu() - checking) / PROOFS;
  const lengths = proofs.map(({ length }) => length);
  const mean = lengths.reduce((sum, length) => sum + length, 0) / PROOFS;
  told(`map of ${REPLACED} replaced entries built`, `${(built / 1e6).toFixed(2)} s of CPU, ${(bytes / 1e6).toFixed(0)} MB`);
  told('one more replaced, and the root', `${changed.toFixed(1)} µs of CPU`);
  told('a proof of the map', `${mean.toFixed(0)} bytes, at most ${Math.max(...lengths)}`, '≤ 1000');
  told('a proof made, and checked', `${proved.toFixed(1)} and ${checked.toFixed(1)} µs of CPU`);
}

let number = 0;
const some = (count: number) =>
  Array.from({ length: count }, () => {
    const reference = `AuditEvent/event-${++number}`;
    const digest = createHash('sha256').update(reference).digest('base64url');
    return logRow({ kind: 'disclosure', occurredAt: new Date(systemClock()).toISOString(), subject: `Patient/${number % 1000}`, reference, digest });
  });

async function theLog(engine: Engine, dataDir: string): Promise<void> {
  const config = readConfig({ ASSENT_DATA_DIR: dataDir });
  const fault = (error: unknown) => process.stderr.write(`${String(error)}\n`);
  const anchoring = await createAnchoring({
    log: engine.resources,
    records: engine.records,
    clock: systemClock,
    schedule: systemSchedule,
    config,
    report: fault,
  });
  await anchoring.sealer.start();
  const append = async (count: number): Promise<void> => {
    await engine.resources.commit({ guards: [], resources: [], records: [], log: some(count), bumpEpoch: false });
    anchoring.sealer.nudge(count);
  };
  const burst = performance.now();
  const cpu = process.cpuUsage();
  for (let done = 0; done < BURST; done += GROUP) await append(GROUP);
  const durable = performance.now() - burst;
  await anchoring.sealer.flush();
  const sealed = performance.now() - burst;
  const { user, system } = process.cpuUsage(cpu);
  told('durable appends', `${Math.round(BURST / (durable / 1000))}/s, sealed and signed ${Math.round(BURST / (sealed / 1000))}/s`, '≥ 10,000/s');
  told('CPU of an entry, committed, sealed and signed', `${((user + system) / BURST).toFixed(1)} µs`);
  await steady(append, async () => (await anchoring.status()).checkpoint?.size ?? 0);
  await anchoring.sealer.stop();
}

/** Entries one by one at a rate: how long each takes to be durable, and until a checkpoint holds it. */
async function steady(append: (count: number) => Promise<void>, signed: () => Promise<number>): Promise<void> {
  const [durable, held]: [number[], number[]] = [[], []];
  const waiting: { readonly size: number; readonly at: number }[] = [];
  const began = performance.now();
  const all: Promise<void>[] = [];
  const look = setInterval(() => {
    void signed().then((size) => {
      while (waiting[0] && waiting[0].size <= size) held.push(performance.now() - (waiting.shift()?.at ?? 0));
    });
  }, 20);
  for (let due = 0; due < rate * STEADY_SECONDS; ) {
    const now = performance.now() - began;
    for (; due < (now / 1000) * rate && due < rate * STEADY_SECONDS; due++) {
      const at = performance.now();
      all.push(
        append(1).then(() => {
          durable.push(performance.now() - at);
          waiting.push({ size: number, at });
        }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(all);
  const until = performance.now() + 10_000;
  while (waiting.length > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  clearInterval(look);
  told(`durable at ${rate}/s`, milliseconds(durable), 'p50 10 ms, p99 50 ms');
  told(`entry until a signed checkpoint at ${rate}/s`, milliseconds(held), 'p99 ≤ 1.5 s');
}

await theTree();
theMap();
const dataDir = mkdtempSync(join(tmpdir(), 'assent-ledger-bench-'));
const set = values.mongodb ? await startBenchedSet() : undefined;
if (values.mongodb && !set) throw new Error('No mongod was found.');
const { createMongoEngine } = await import('../server/store/mongo/engine.ts');
const engine = set ? await createMongoEngine({ uri: set.uri, clock: systemClock }) : await createEmbeddedEngine({ dataDir, clock: systemClock });
try {
  await theLog(engine, dataDir);
} finally {
  await engine.resources.close();
  await set?.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
