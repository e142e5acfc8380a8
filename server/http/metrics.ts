/**
 * Counts for operators, in Prometheus' text format. https://prometheus.io/docs/instrumenting/exposition_formats/
 * Invariant: labels are names of rows of the REST table and status classes; never a type, an id or anything a caller sent.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export type Metrics = {
  /** One answered request; `seconds` from first byte in to last byte out. */
  observe(interaction: string, status: number, seconds: number): void;
  /** The page for GET /metrics. */
  text(): string;
  /** Further lines of the page, one for each value of a label, which is one of a few names of ours: `name` must start with `assent_`. */
  series(name: string, help: string, lines: Lines): void;
  close(): void;
};

type Lines = { readonly label: string; readonly read: () => readonly (readonly [string, number])[] };

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

type Series = { count: number; sum: number; readonly buckets: number[] };

export function createMetrics(): Metrics {
  const requests = new Map<string, number>();
  const latency = new Map<string, Series>();
  const gauges: (() => string[])[] = [];
  const lag = monitorEventLoopDelay({ resolution: 10 });
  lag.enable();
  return {
    observe(interaction, status, seconds) {
      const key = `interaction="${interaction}",status="${Math.trunc(status / 100)}xx"`;
      requests.set(key, (requests.get(key) ?? 0) + 1);
      record(latency, interaction, seconds);
    },
    text: () =>
      [...requestLines(requests), ...latencyLines(latency), ...processLines(lag), ...gauges.flatMap((lines) => lines())].join('\n').concat('\n'),
    series: (name, help, { label, read }) =>
      void gauges.push(() => [...head(name, help, 'gauge'), ...read().map(([value, n]) => `${name}{${label}="${value}"} ${n}`)]),
    close: () => void lag.disable(),
  };
}

function record(latency: Map<string, Series>, interaction: string, seconds: number): void {
  const series = latency.get(interaction) ?? { count: 0, sum: 0, buckets: BUCKETS.map(() => 0) };
  latency.set(interaction, series);
  series.count++;
  series.sum += seconds;
  const at = BUCKETS.findIndex((bound) => seconds <= bound);
  if (at >= 0) series.buckets[at] = (series.buckets[at] ?? 0) + 1;
}

function requestLines(requests: ReadonlyMap<string, number>): string[] {
  return [
    ...head('assent_requests_total', 'Requests answered.', 'counter'),
    ...[...requests].map(([labels, n]) => `assent_requests_total{${labels}} ${n}`),
  ];
}

function latencyLines(latency: ReadonlyMap<string, Series>): string[] {
  const name = 'assent_request_seconds';
  const lines = [...latency].flatMap(([interaction, { count, sum, buckets }]) => {
    let below = 0;
    const rows = BUCKETS.map((bound, i) => `${name}_bucket{interaction="${interaction}",le="${bound}"} ${(below += buckets[i] ?? 0)}`);
    return [
      ...rows,
      `${name}_bucket{interaction="${interaction}",le="+Inf"} ${count}`,
      `${name}_sum{interaction="${interaction}"} ${sum}`,
      `${name}_count{interaction="${interaction}"} ${count}`,
    ];
  });
  return [...head(name, 'Time from the first byte of a request to the last of its answer.', 'histogram'), ...lines];
}

function processLines(lag: ReturnType<typeof monitorEventLoopDelay>): string[] {
  const seconds = (nanoseconds: number): number => (Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0);
  const lines = [
    ...single('assent_event_loop_lag_p99_seconds', 'Delay of the event loop, 99th percentile since the last look.', seconds(lag.percentile(99))),
    ...single('assent_event_loop_lag_max_seconds', 'Longest delay of the event loop since the last look.', seconds(lag.max)),
    ...single('process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
  ];
  lag.reset();
  return lines;
}

function single(name: string, help: string, value: number): string[] {
  return [...head(name, help, 'gauge'), `${name} ${value}`];
}

function head(name: string, help: string, type: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}
