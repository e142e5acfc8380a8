/** What was measured, as bench/results.json and as tables with the goals beside it. Figures are reported, not judged: machines differ. */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import type { Load } from './loading.ts';
import type { EngineName } from './measured.ts';
import { type Figure, round } from './rates.ts';
import type { ReceiptFigures } from './receipt.ts';

export type EngineResults = {
  readonly engine: EngineName;
  readonly startMs: number;
  readonly residentMbAtStart: number;
  readonly residentMbAtEnd: number;
  readonly figures: readonly Figure[];
  readonly loads: readonly Load[];
  readonly receipt: ReceiptFigures;
};

export type Results = {
  /** Each measurement took so long. */
  readonly seconds: number;
  readonly engines: readonly EngineResults[];
  /** What it ran on, or that it did not. */
  readonly mongodb: string;
};

type Goals = { readonly read: string; readonly load: string; readonly start: string; readonly receipt: string };

const GOALS: Readonly<Record<EngineName, Goals>> = {
  embedded: { read: '≥ 0.5 of bare', load: '≥ 1,000/s', start: '≤ 3 s, ≤ 300 MB', receipt: '≤ 4 kB, ≤ 1 ms' },
  MongoDB: { read: '', load: '≥ 400/s', start: '', receipt: '' },
};
/** Of CPU in the server process, MongoDB to embedded; in the order of the figures. */
const RATIO_GOALS = ['≤ 2.5', '≤ 2'] as const;

export function report(results: Results, now: Date): void {
  const machine = { node: process.version, cores: availableParallelism(), cpu: cpus()[0]?.model ?? 'unknown' };
  const ratios = ratiosOf(results.engines);
  const kept = { date: now.toISOString(), machine, goals: GOALS, ...results, ratios };
  writeFileSync(new URL('results.json', import.meta.url), `${JSON.stringify(kept, null, 2)}\n`);
  for (const engine of results.engines) print(rowsOf(engine));
  if (ratios.length === 0) process.stdout.write(`MongoDB: ${results.mongodb}\n`);
  else
    print([
      [`MongoDB (${results.mongodb})`, 'CPU, to embedded', '', '', 'goal'],
      ...ratios.map((r) => [r.name, `${r.cpuToEmbedded}`, '', '', r.goal]),
    ]);
}

type Ratio = { readonly name: string; readonly cpuToEmbedded: number; readonly goal: string };

/** CPU milliseconds in the server process, MongoDB to embedded. What the members of the replica set use is not in it. */
function ratiosOf(engines: readonly EngineResults[]): Ratio[] {
  const [embedded, mongodb] = engines;
  if (!embedded || !mongodb) return [];
  const of = (theirs: number, ours: number | undefined): number => round(theirs / (ours ?? Number.NaN), 2);
  return [
    ...mongodb.figures.map((f, i) => ({
      name: f.name,
      cpuToEmbedded: of(f.cpuMsPerRequest, embedded.figures[i]?.cpuMsPerRequest),
      goal: RATIO_GOALS[i] ?? '',
    })),
    ...mongodb.loads.map((l, i) => ({ name: l.name, cpuToEmbedded: of(l.cpuMsPerResource, embedded.loads[i]?.cpuMsPerResource), goal: '' })),
  ];
}

function print(rows: readonly (readonly string[])[]): void {
  for (const row of rows)
    process.stdout.write(
      `${row
        .map((cell, i) => cell.padEnd(i === 0 ? 48 : 27))
        .join('')
        .trimEnd()}\n`,
    );
  process.stdout.write('\n');
}

function rowsOf({ engine, figures, loads, startMs, residentMbAtStart, residentMbAtEnd, receipt }: EngineResults): string[][] {
  const goals = GOALS[engine];
  return [
    [engine, 'throughput', 'CPU', 'tail', 'goal'],
    ...figures.map((f, i) => [
      f.name,
      `${f.ratio} of bare, ${f.requestsPerSecond}/s`,
      `${f.cpuMsPerRequest} ms (bare ${f.bareCpuMsPerRequest})`,
      `p99 ${f.p99Ms} ms`,
      i === 0 ? goals.read : '',
    ]),
    ...loads.map((l) => [
      `${l.name} (${l.resources} resources)`,
      `${l.resourcesPerSecond} resources/s`,
      `${l.cpuMsPerResource} ms a resource`,
      `event loop p99 ${l.eventLoopDelayP99Ms} ms`,
      l.bundles > 1 ? goals.load : '',
    ]),
    ['start to ready', `${startMs} ms`, '', `${residentMbAtStart} MB, at the end ${residentMbAtEnd}`, goals.start],
    ['receipt', `${receipt.bytes} bytes, ${receipt.packedBytes} packed`, `${receipt.verifyCpuMs} ms to verify`, '', goals.receipt],
  ];
}
