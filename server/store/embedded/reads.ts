/**
 * Where a search is read: short ones here, at once; one that turns out long is left off and begun again in a reader thread, so that it holds
 * up nobody. https://nodejs.org/api/worker_threads.html
 *
 * Invariant: a search looks at SHORT rows at most before the event loop turns. Each attempt reads epoch and data in one snapshot of its own.
 */
import { AssentError } from '../../errors.ts';
import type { CountQuery, CountResult, FindResult, Query, Scope, SeveralQuery } from '../port.ts';
import type { Pace } from '../meter.ts';
import { createTrace, withTrace } from '../trace.ts';
import { COUNTED_AS_ONE } from './walk.ts';
import { type Database, readEpoch, snapshot } from './database.ts';
import { countRows, findRows } from './find.ts';
import { findSeveral } from './find-several.ts';

/** A few milliseconds. */
export const SHORT = 1_000;

export type LongRead =
  | { readonly kind: 'find'; readonly query: Omit<Query, 'signal'> }
  | { readonly kind: 'several'; readonly query: Omit<SeveralQuery, 'signal'> }
  | { readonly kind: 'count'; readonly query: Omit<CountQuery, 'signal'>; readonly cap: number | undefined };

/** Rejects with `abandoned` once the signal is aborted. */
export type ReadElsewhere = <T extends FindResult | CountResult>(read: LongRead, signal: AbortSignal | undefined) => Promise<T>;

type Stale = { readonly kind: 'stale' };

/** Epoch and data in one snapshot: a permission that has just ended never meets data read after it. */
export function within<T>(database: Database, scope: Pick<Scope, 'epoch'> | 'internal', read: () => T): T | Stale {
  return snapshot(database, () => (scope !== 'internal' && scope.epoch !== readEpoch(database) ? { kind: 'stale' } : read()));
}

/** `thread`: in words. */
export function runLong(given: Database, read: LongRead, each: Pace, thread = 'main thread'): FindResult | CountResult {
  const { database, pace } = countingToo(given, each);
  if (read.kind === 'several')
    return within(database, read.query.parts[0]?.scope ?? 'internal', () => findSeveral(database, read.query, pace, thread));
  if (!read.query.explain) return run(database, read, pace);
  const trace = createTrace(thread, read.query.budget);
  return withTrace(run({ ...database, trace }, read, trace.pace(pace)), trace);
}

/** The pace is told of rows and of what is counted to choose among them. */
function countingToo(database: Database, pace: Pace): { readonly database: Database; readonly pace: Pace } {
  let [spent, rows, counted] = [0, 0, 0];
  const told = (): void => pace(spent + counted, rows);
  return {
    database: {
      ...database,
      counted: (entries) => {
        counted += entries / COUNTED_AS_ONE;
        told();
      },
    },
    pace: (effort, walked) => {
      [spent, rows] = [effort, walked];
      told();
    },
  };
}

function run(database: Database, read: Exclude<LongRead, { kind: 'several' }>, pace: Pace): FindResult | CountResult {
  const { scope } = read.query;
  if (read.kind === 'find') return within(database, scope, () => findRows(database, read.query, pace));
  return within(database, scope, () => countRows(database, read.query, { cap: read.cap, pace }));
}

export type Reads = {
  find(query: Query): Promise<FindResult>;
  findSeveral(query: SeveralQuery): Promise<FindResult>;
  count(query: CountQuery, cap?: number): Promise<CountResult>;
};

export function createReads({ database, elsewhere }: { readonly database: Database; readonly elsewhere: ReadElsewhere }): Reads {
  async function read<T extends FindResult | CountResult>(asked: LongRead, signal: AbortSignal | undefined): Promise<T> {
    if (signal?.aborted) throw new AssentError('abandoned');
    try {
      return runLong(database, asked, untilLong) as T;
    } catch (left) {
      if (left !== LONG) throw left;
    }
    return elsewhere<T>(asked, signal);
  }
  return {
    find: async ({ signal, ...query }) => read<FindResult>({ kind: 'find', query }, signal),
    findSeveral: async ({ signal, ...query }) => read<FindResult>({ kind: 'several', query }, signal),
    count: async ({ signal, ...query }, cap) => read<CountResult>({ kind: 'count', query, cap }, signal),
  };
}

/** Thrown through a walk to leave it; never leaves this file. */
const LONG = new Error('A long read.');

function untilLong(effort: number): void {
  if (effort > SHORT) throw LONG;
}
