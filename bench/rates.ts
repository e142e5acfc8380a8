/**
 * Requests per second and CPU per request of one scenario, as ratios to a bare route, all measured in turn so that what else the machine does
 * falls on all of them.
 *
 * Invariant: a figure is of requests that were answered with success; a scenario in which none was, or any was refused, is an error.
 */
import autocannon from 'autocannon';
import { cpuMs } from './processes.ts';

const ROUNDS = 3;
const CONNECTIONS = 32;
/** A slow machine may answer nothing in a second, but not in so many times as long. */
const LONGEST = 8;
const FHIR_JSON = 'application/fhir+json';

export type Target = {
  readonly name: string;
  readonly pid: number;
  readonly url: string;
  readonly token: string;
  readonly body?: string;
  /** In turn, in the place of `url` and `body`. */
  readonly requests?: readonly Asked[];
};
export type Asked = { readonly method: 'POST' | 'PUT' | 'PATCH'; readonly path: string; readonly body: string; readonly type?: string };

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
type Round = { readonly bare: Run; readonly ours: Run };

/** One figure a target: of each the round of the middle ratio. */
export async function compare(bare: Target, targets: readonly Target[], seconds: number): Promise<Figure[]> {
  const rounds = targets.map((): Round[] => []);
  for (let round = 0; round <= ROUNDS; round++) {
    const baseline = await load(bare, seconds);
    for (const [i, target] of targets.entries()) {
      const ours = await load(target, seconds);
      if (round > 0) rounds[i]?.push({ bare: baseline, ours }); // the first warms all up
    }
  }
  return targets.map((target, i) => figureOf(target, rounds[i] ?? []));
}

function figureOf({ name }: Target, rounds: readonly Round[]): Figure {
  const middle = rounds.toSorted((a, b) => a.bare.cpu / a.ours.cpu - b.bare.cpu / b.ours.cpu)[rounds.length >> 1];
  if (!middle) throw new Error(`${name}: nothing was measured`);
  const { bare, ours } = middle;
  return {
    name,
    requestsPerSecond: Math.round(ours.rate),
    cpuMsPerRequest: round(ours.cpu, 3),
    bareRequestsPerSecond: Math.round(bare.rate),
    bareCpuMsPerRequest: round(bare.cpu, 3),
    ratio: round(ours.rate / bare.rate, 2),
    cpuRatio: round(bare.cpu / ours.cpu, 2),
    p99Ms: ours.p99,
  };
}

async function load(target: Target, seconds: number, longer = 1): Promise<Run> {
  const { name, pid, url, token, body, requests } = target;
  const typed = (type: string) => ({ authorization: `Bearer ${token}`, 'content-type': type });
  const turns = requests?.map(({ type = FHIR_JSON, ...each }) => ({ ...each, headers: typed(type) }));
  let clients = 0;
  const before = cpuMs(pid);
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: seconds * longer,
    timeout: 30,
    headers: body === undefined ? { authorization: `Bearer ${token}` } : typed(FHIR_JSON),
    ...(body === undefined ? {} : { method: 'POST' as const, body }),
    ...(turns ? { requests: turns, setupClient: (client) => client.setRequests(rotated(turns, clients++ / CONNECTIONS)) } : {}),
  });
  const answered = result['2xx'];
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${name}: ${result.non2xx} refused, ${result.errors} not answered`);
  if (answered === 0 && longer < LONGEST) return load(target, seconds, longer * 2);
  if (answered === 0) throw new Error(`${name}: nothing was answered`);
  return { rate: answered / result.duration, cpu: (cpuMs(pid) - before) / answered, p99: result.latency.p99 };
}

/** Each connection begins at another place, so that they do not meet. */
function rotated<T>(all: readonly T[], share: number): T[] {
  const at = Math.floor(all.length * share);
  return [...all.slice(at), ...all.slice(0, at)];
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
