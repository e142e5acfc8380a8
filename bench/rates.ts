/**
 * Requests per second and CPU per request of one route, as ratios to a bare route, the two measured in turn so that what else the machine does
 * falls on both.
 */
import autocannon from 'autocannon';
import { cpuMs } from './processes.ts';

const ROUNDS = 3;
const CONNECTIONS = 32;

export type Target = { readonly name: string; readonly pid: number; readonly url: string; readonly token: string; readonly body?: string };

export type Figure = {
  readonly name: string;
  readonly requestsPerSecond: number;
  readonly cpuMsPerRequest: number;
  readonly bareRequestsPerSecond: number;
  readonly bareCpuMsPerRequest: number;
  /** Of the bare route's throughput. */
  readonly ratio: number;
  /** CPU of the bare route ÷ CPU here: what the ratio would be if all threads shared one core. */
  readonly cpuRatio: number;
  readonly p99Ms: number;
};

type Run = { readonly rate: number; readonly cpu: number; readonly p99: number };

/** The round of the middle ratio. */
export async function compare(bare: Target, target: Target, seconds: number): Promise<Figure> {
  const rounds: { readonly bare: Run; readonly ours: Run }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const measured = { bare: await load(bare, seconds), ours: await load(target, seconds) };
    if (round > 0) rounds.push(measured); // the first warms both up
  }
  const middle = rounds.toSorted((a, b) => a.ours.rate / a.bare.rate - b.ours.rate / b.bare.rate)[ROUNDS >> 1];
  if (!middle) throw new Error('nothing was measured');
  return {
    name: target.name,
    requestsPerSecond: Math.round(middle.ours.rate),
    cpuMsPerRequest: round(middle.ours.cpu, 3),
    bareRequestsPerSecond: Math.round(middle.bare.rate),
    bareCpuMsPerRequest: round(middle.bare.cpu, 3),
    ratio: round(middle.ours.rate / middle.bare.rate, 2),
    cpuRatio: round(middle.bare.cpu / middle.ours.cpu, 2),
    p99Ms: middle.ours.p99,
  };
}

async function load({ pid, url, token, body }: Target, seconds: number): Promise<Run> {
  const before = cpuMs(pid);
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: seconds,
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/fhir+json' }) },
    ...(body === undefined ? {} : { method: 'POST' as const, body }),
  });
  const answered = result['2xx'];
  if (answered === 0 || result.non2xx > 0 || result.errors > 0) throw new Error(`${url}: ${answered} answered, ${result.non2xx} refused`);
  return { rate: answered / result.duration, cpu: (cpuMs(pid) - before) / answered, p99: result.latency.p99 };
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
