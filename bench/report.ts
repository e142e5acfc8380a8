/** What was measured, as bench/results.json and as a table with the goals beside it. */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import type { Load } from './loading.ts';
import type { Figure } from './rates.ts';
import type { ReceiptFigures } from './receipt.ts';

export type Results = {
  readonly startMs: number;
  readonly residentMbAtStart: number;
  readonly residentMbAtEnd: number;
  readonly figures: readonly Figure[];
  readonly loads: readonly Load[];
  readonly receipt: ReceiptFigures;
};

const GOALS = { read: '≥ 0.5 of bare', load: '≥ 1,000/s', start: '≤ 3 s, ≤ 300 MB', receipt: '≤ 4 kB, ≤ 1 ms' };

export function report(results: Results, now: Date): void {
  const machine = { node: process.version, cores: availableParallelism(), cpu: cpus()[0]?.model ?? 'unknown' };
  const kept = { date: now.toISOString(), machine, goals: GOALS, ...results };
  writeFileSync(new URL('results.json', import.meta.url), `${JSON.stringify(kept, null, 2)}\n`);
  for (const row of rowsOf(results)) process.stdout.write(`${row.map((cell, i) => cell.padEnd(i === 0 ? 44 : 27)).join('')}\n`);
}

function rowsOf({ figures, loads, startMs, residentMbAtStart, residentMbAtEnd, receipt }: Results): string[][] {
  return [
    ['', 'throughput', 'CPU', 'tail', 'goal'],
    ...figures.map((f, i) => [
      f.name,
      `${f.ratio} of bare, ${f.requestsPerSecond}/s`,
      `${f.cpuMsPerRequest} ms (bare ${f.bareCpuMsPerRequest})`,
      `p99 ${f.p99Ms} ms`,
      i === 0 ? GOALS.read : '',
    ]),
    ...loads.map((l) => [
      `${l.name} (${l.resources} resources)`,
      `${l.resourcesPerSecond} resources/s`,
      `${l.cpuMsPerResource} ms a resource`,
      `event loop p99 ${l.eventLoopDelayP99Ms} ms`,
      l.bundles > 1 ? GOALS.load : '',
    ]),
    ['start to ready', `${startMs} ms`, '', `${residentMbAtStart} MB, at the end ${residentMbAtEnd}`, GOALS.start],
    ['receipt', `${receipt.bytes} bytes, ${receipt.gzipBytes} gzipped`, `${receipt.verifyCpuMs} ms to verify`, '', GOALS.receipt],
  ];
}
