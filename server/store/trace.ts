/**
 * Notes what an engine does for a query that wants to be explained: handed along with the database, so that the plan shown is the one that ran.
 * Invariant: what is noted are parameters' codes, numbers and times; never a key's value and never an id.
 */
import { codeOfKey } from '../search/param-codes.ts';
import type { Choice, Driver } from './driver.ts';
import { DEFAULT_BUDGET, type Pace } from './meter.ts';
import type { CountResult, DriverTrace, FindResult, ReadTrace, SizedDriver, Traced } from './port.ts';

export type Trace = {
  sized(driver: Driver, size: number, cap: number): void;
  chose(choice: Choice | undefined): void;
  way(words: string): void;
  /** One row whose other criteria were looked at. */
  checked(held: boolean): void;
  /** Begins a step; the answer ends it. */
  begin(step: 'plan' | 'load'): () => void;
  /** Counts what the meter charges, then does what the pace is for. */
  pace(pace: Pace | undefined): Pace;
  done(): ReadTrace;
};

/** `thread`: where the query runs, in words. */
export function createTrace(thread: string, budget = DEFAULT_BUDGET): Trace {
  const started = performance.now();
  const considered = new Map<string, SizedDriver>();
  const ways = new Set<string>();
  const spent = { plan: 0, load: 0 };
  let chosen: readonly DriverTrace[] = [];
  let [walked, checked, matched] = [0, 0, 0];
  return {
    sized: (driver, size, cap) => void considered.set(JSON.stringify(driver), { ...traceOf(driver), size, cap }),
    chose: (choice) => void (chosen = choice?.drivers.map(traceOf) ?? []),
    way: (words) => void ways.add(words),
    checked(held) {
      checked++;
      if (held) matched++;
    },
    begin(step) {
      const began = performance.now();
      return () => void (spent[step] += performance.now() - began);
    },
    pace: (pace) => (effort, rows) => {
      walked = rows;
      pace?.(effort, rows);
    },
    done() {
      const walk = performance.now() - started - spent.plan - spent.load;
      return { considered: [...considered.values()], chosen, ways: [...ways], walked, budget, checked, matched, ms: { ...spent, walk }, thread };
    },
  };
}

/** The answer with what was noted; one that has become stale says nothing. */
export function withTrace<T extends FindResult | CountResult>(result: T, trace: Trace | undefined): T {
  return trace === undefined || result.kind === 'stale' ? result : { ...result, ...({ trace: trace.done() } satisfies Traced) };
}

/** Facets begin with their name, all other keys with the code of their parameter. */
const FACET = /^@[a-z]+\//;

function traceOf(driver: Driver): DriverTrace {
  if (driver.kind === 'ids') return { kind: 'ids', heads: [], names: driver.ids.length };
  const keys = driver.kind === 'keys' ? driver.keys : [driver.from];
  return { kind: driver.kind, heads: [...new Set(keys.map((key) => FACET.exec(key)?.[0] ?? codeOfKey(key)))], names: keys.length };
}
