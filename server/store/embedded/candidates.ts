/** The entries a query has to look at, through the driver that the shared rule picks, and how each is checked. */
import { and, type Expression, holds } from '../../search/expression.ts';
import { type Choice, type Driver, isIndexed, mergeableKeys, pickDriver } from '../driver.ts';
import { isDeciding, judgeOf, mayBeJudged } from '../deciding-keys.ts';
import { holdsPacked, searchesOfKeys } from '../packed-check.ts';
import type { Counting, ScopeOrInternal } from '../port.ts';
import type { Trace } from '../trace.ts';
import { type Database, one } from './database.ts';
import { newestOf, packedKeys } from './rows.ts';
import { COUNTED_AS_ONE, type Entry, type Reading, SOUGHT, walkKey, walkRange, type Within } from './walk.ts';

/** Reads what `accept` needs, and no more. */
export type Check = Reading & {
  readonly accept: (entry: Entry) => boolean;
  /** What is not sought in the index. */
  readonly remaining: Expression;
};

/** Searches of a row's keys, each for one criterion, in the time of one row. */
const SEARCHES_AS_ONE = 8;

/** What a row costs of which only the keys that decide are read, or none: one of which all are is 1. */
export const EFFORT_OF_FEW = 1 / 4;

/** How many of more keys lie between two instants takes longer to count than it is worth. */
const MOST_WITHIN = 50;

/** Seeking more keys than this for one entry costs more than reading the resource's own. */
const MOST_SOUGHT = 4;

export function wholeOf(where: Expression, scope: ScopeOrInternal): Expression {
  return scope === 'internal' ? where : and([where, scope.where]);
}

/**
 * Criteria of a few indexed keys are sought in the index; what then remains is checked against the keys that decide, and where these do not settle it
 * against all of them. `needs`: what is read in any case.
 */
export function checkOf(database: Database, rest: Expression, needs: Reading['keys'] = 'none'): Check {
  const parts = (rest.kind === 'and' ? rest.of : [rest]).filter(({ kind }) => kind !== 'instants');
  const sought = parts.filter(isSought);
  const having = sought.map((part) => [...part.keys]);
  const remaining = and(parts.filter((part) => !isSought(part)));
  const keys = needs === 'all' || !mayBeJudged(remaining) ? 'all' : remaining.kind === 'all' ? needs : 'deciding';
  const remains = weighing(database, remainsOf(database, remaining, keys));
  const accept = (entry: Entry): boolean => (entry.row ? holds(rest, entry.id, entry.row.keys) : remains(entry));
  const { trace } = database;
  return { having, keys, remaining, accept: trace ? noting(accept, trace) : accept };
}

function remainsOf(database: Database, remaining: Expression, read: Reading['keys']): Check['accept'] {
  if (remaining.kind === 'all') return ({ keys }) => keys !== null;
  if (read === 'all') return ({ id, keys }) => keys !== null && holdsPacked(remaining, id, keys);
  const judge = judgeOf(remaining);
  return ({ id, rid, keys }) => keys !== null && (judge(keys) ?? holdsPacked(remaining, id, packedKeys(database, rid)));
}

/** A row that is held against hundreds of alternatives takes the time of many. */
function weighing({ counted }: Database, check: Check['accept']): Check['accept'] {
  if (!counted) return check;
  return (entry) => {
    const before = searchesOfKeys();
    const held = check(entry);
    const more = searchesOfKeys() - before - SEARCHES_AS_ONE;
    if (more > 0) counted((more / SEARCHES_AS_ONE) * COUNTED_AS_ONE);
    return held;
  };
}

export function noting(accept: Check['accept'], trace: Trace): Check['accept'] {
  return (entry) => {
    const held = accept(entry);
    trace.checked(held);
    return held;
  };
}

function isSought(part: Expression): part is Expression & { kind: 'any' } {
  return part.kind === 'any' && part.keys.size <= MOST_SOUGHT && [...part.keys].every(isIndexed);
}

/** `sized`: up to which number of entries the choice's size matters to the caller even where nothing else could drive. `within`: exact keys are walked only there. */
type Picking = { readonly sized?: number | undefined; readonly within?: Within | undefined };

export function pick(database: Database, type: string, expression: Expression, { sized, within }: Picking = {}): Choice | undefined {
  const end = database.trace?.begin('plan');
  const choice = choose(database, type, { expression, sized, within });
  database.trace?.chose(choice);
  end?.();
  return choice;
}

function choose(database: Database, type: string, { expression, sized, within }: Picking & { readonly expression: Expression }): Choice | undefined {
  if (sized === undefined) {
    let asked = 0;
    const unmeasured = pickDriver(expression, () => asked++ && 0);
    if (!unmeasured || (asked === 1 && mergeableKeys(unmeasured))) return unmeasured;
  }
  // What has no entry is as one that has one: what is hidden is looked for as what is absent.
  return pickDriver(expression, (driver, cap) => Math.max(1, measure(database, type, driver, { cap, within })), sized);
}

/** `choice`: what was walked. `all`: a walk to its end is the best way to count all matches as well. */
export type Through = { readonly choice: Choice | undefined; readonly all: boolean };

/** Names are in the keys. */
export function readFor(counting: Counting | undefined): Reading['keys'] {
  const { naming } = counting ?? {};
  return naming === undefined ? 'none' : isDeciding(naming) ? 'deciding' : 'all';
}

type Collecting = Reading & { readonly deleted: boolean; readonly within?: Within | undefined };

/** Every entry of a choice's drivers, once, in no order; read as it is asked for. */
export function* collect(database: Database, type: string, { drivers }: Choice, reading: Collecting): Generator<Entry> {
  const walks = drivers.flatMap((driver) => walksOf(database, type, driver, reading));
  const [only] = walks;
  // A span of keys names a resource once for each of its keys in it.
  if (walks.length === 1 && only && !drivers.some(({ kind }) => kind === 'range')) return yield* only;
  const seen = new Set<number>();
  for (const walk of walks) {
    for (const entry of walk) {
      if (entry.passed === undefined && seen.has(entry.rid)) continue;
      seen.add(entry.rid);
      yield entry;
    }
  }
}

function walksOf(database: Database, type: string, driver: Driver, reading: Collecting): Iterable<Entry>[] {
  if (driver.kind === 'ids') return [entriesById(database, type, driver.ids, reading.deleted)];
  const walk = { type, backward: false, after: undefined, ...reading };
  return driver.kind === 'range' ? [walkRange(database, driver, walk)] : driver.keys.map((key) => walkKey(database, key, walk));
}

function* entriesById(database: Database, type: string, ids: readonly string[], deleted: boolean): Generator<Entry> {
  for (const id of ids) {
    database.counted?.(SOUGHT);
    const found = newestOf(database, type, id);
    if (!found || (found.resource.deleted && !deleted)) continue;
    const { rid, resource } = found;
    yield { sort: 0 - resource.instant, id, rid, keys: '', row: resource };
  }
}

function measure(database: Database, type: string, driver: Driver, sizing: Sizing): number {
  const size = sized(database, type, driver, sizing);
  database.trace?.sized(driver, size, sizing.cap);
  return size;
}

type Sizing = { readonly cap: number; readonly within?: Within | undefined };

/** Entries of a driver, counted up to a cap. */
export function sizeOf(database: Database, type: string, driver: Driver, cap: number): number {
  return sized(database, type, driver, { cap });
}

function sized(database: Database, type: string, driver: Driver, sizing: Sizing): number {
  if (driver.kind === 'ids') return driver.ids.length;
  const size = entriesOf(database, type, driver, sizing);
  database.counted?.(size);
  return size;
}

const COUNT = 'SELECT count(*) FROM (SELECT 1 FROM keys WHERE type = ? AND key = ? LIMIT ?)';
const COUNT_WITHIN = 'SELECT count(*) FROM (SELECT 1 FROM keys WHERE type = ? AND key = ? AND sort >= ? AND sort <= ? LIMIT ?)';

function entriesOf(database: Database, type: string, driver: Exclude<Driver, { readonly kind: 'ids' }>, { cap, within }: Sizing): number {
  if (driver.kind === 'range') {
    database.counted?.(SOUGHT);
    const counted = database.statement('SELECT count(*) FROM (SELECT 1 FROM keys WHERE type = ? AND key >= ? AND key < ? LIMIT ?)');
    return one<[number]>(counted, type, driver.from, driver.to, cap)?.[0] ?? 0;
  }
  const sorts = within && driver.keys.length <= MOST_WITHIN ? [within.from, within.to] : [];
  const counted = database.statement(sorts.length > 0 ? COUNT_WITHIN : COUNT);
  let size = 0;
  for (const key of driver.keys) {
    if (size >= cap) break;
    database.counted?.(SOUGHT);
    size += one<[number]>(counted, type, key, ...sorts, cap - size)?.[0] ?? 0;
  }
  return size;
}
