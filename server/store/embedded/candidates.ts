/** The entries a query has to look at, through the driver that the shared rule picks, and how each is checked. */
import { and, type Expression, holds } from '../../search/expression.ts';
import { type Choice, type Driver, isIndexed, mergeableKeys, MOST_COLLECTED, pickDriver } from '../driver.ts';
import { isDeciding, judgeOf, mayBeJudged } from '../deciding-keys.ts';
import { holdsPacked } from '../packed-check.ts';
import type { Counting, Query, ScopeOrInternal } from '../port.ts';
import type { Trace } from '../trace.ts';
import { type Database, one } from './database.ts';
import { newestOf, packedKeys } from './rows.ts';
import { type Charge, compareEntries, type Entry, merge, OVER_BUDGET, type Place, type Reading, walkKey, walkRange, walkType } from './walk.ts';

/** Index entries that SQLite counts in the time of one row that is looked at. */
export const COUNTED_AS_ONE = 100;

/** Reads what `accept` needs, and no more. */
export type Check = Reading & { readonly accept: (entry: Entry) => boolean };

/** What a row costs of which only the keys that decide are read, or none: one of which all are is 1. */
export const EFFORT_OF_FEW = 1 / 4;

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
  const parts = rest.kind === 'and' ? rest.of : [rest];
  const sought = parts.filter(isSought);
  const having = sought.map((part) => [...part.keys]);
  const remaining = and(parts.filter((part) => !isSought(part)));
  const keys = needs === 'all' || !mayBeJudged(remaining) ? 'all' : remaining.kind === 'all' ? needs : 'deciding';
  const remains = remainsOf(database, remaining, keys);
  const accept = (entry: Entry): boolean => (entry.row ? holds(rest, entry.id, entry.row.keys) : remains(entry));
  const { trace } = database;
  return { having, keys, accept: trace ? noting(accept, trace) : accept };
}

function remainsOf(database: Database, remaining: Expression, read: Reading['keys']): Check['accept'] {
  if (remaining.kind === 'all') return ({ keys }) => keys !== null;
  if (read === 'all') return ({ id, keys }) => keys !== null && holdsPacked(remaining, id, keys);
  const judge = judgeOf(remaining);
  return ({ id, rid, keys }) => keys !== null && (judge(keys) ?? holdsPacked(remaining, id, packedKeys(database, rid)));
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

/** `sized`: whether the choice's size matters to the caller even where nothing else could drive. */
export function pick(database: Database, type: string, expression: Expression, sized = false): Choice | undefined {
  const end = database.trace?.begin('plan');
  const choice = choose(database, type, { expression, sized });
  database.trace?.chose(choice);
  end?.();
  return choice;
}

function choose(database: Database, type: string, { expression, sized }: { expression: Expression; sized: boolean }): Choice | undefined {
  if (!sized) {
    let asked = 0;
    const unmeasured = pickDriver(expression, () => asked++ && 0);
    if (!unmeasured || (asked === 1 && mergeableKeys(unmeasured))) return unmeasured;
  }
  return pickDriver(expression, (driver, cap) => measure(database, type, driver, cap));
}

/** Entries to check, in order; those that were collected before have been charged for. */
export type Ordered = {
  readonly entries: Iterable<Entry | typeof OVER_BUDGET>;
  readonly accept: Check['accept'];
  readonly charged: boolean;
} & Through;

/** `choice`: what was walked. `all`: a walk to its end is the best way to count all matches as well. */
export type Through = { readonly choice: Choice | undefined; readonly all: boolean };

/** Candidates in the order of the query's instant. */
export function inOrder(database: Database, query: Query, { after, charge }: { after: Place | undefined; charge: Charge }): Ordered {
  const { type } = query;
  const whole = wholeOf(query.where, query.scope);
  const choice = pick(database, type, whole);
  const backward = (query.order.by === 'instant' && query.order.direction === 'oldest-first') !== (query.reversed ?? false);
  const compare = backward ? (a: Place, b: Place) => compareEntries(b, a) : compareEntries;
  if (choice) {
    const check = checkOf(database, choice.rest, readFor(query.total));
    const { accept } = check;
    const through = { choice, all: true };
    const [first, ...others] = mergeableKeys(choice)?.map((key) => walkKey(database, key, { type, backward, after, ...check })) ?? [];
    if (first) database.trace?.way(others.length === 0 ? 'walked in order' : 'walked in order, merged');
    if (first) return { entries: others.length === 0 ? first : distinct(merge([first, ...others], compare)), accept, charged: false, ...through };
    if (choice.size <= MOST_COLLECTED) {
      database.trace?.way('collected and sorted');
      const found = collect(database, type, choice, { ...check, deleted: query.deleted ?? false });
      return { entries: sorted(found, { after, charge, compare }), accept, charged: true, ...through };
    }
  }
  const check = checkOf(database, whole, readFor(query.total));
  database.trace?.chose(undefined);
  database.trace?.way('all of the type walked in order');
  const entries = walkType(database, { type, backward, after, ...check });
  return { entries, accept: check.accept, charged: false, choice, all: choice === undefined };
}

/** Names are in the keys. */
export function readFor(counting: Counting | undefined): Reading['keys'] {
  const { naming } = counting ?? {};
  return naming === undefined ? 'none' : isDeciding(naming) ? 'deciding' : 'all';
}

type Sorting = { readonly after: Place | undefined; readonly charge: Charge; readonly compare: (a: Place, b: Place) => number };

function* sorted(entries: Iterable<Entry>, { after, charge, compare }: Sorting): Generator<Entry | typeof OVER_BUDGET> {
  const found: Entry[] = [];
  for (const entry of entries) {
    if (!charge(1)) return yield OVER_BUDGET;
    if (!after || compare(entry, after) > 0) found.push(entry);
  }
  yield* found.sort(compare);
}

type Collecting = Reading & { readonly deleted: boolean };

/** Every entry of a choice's drivers, once, in no order; read as it is asked for. */
export function* collect(database: Database, type: string, { drivers }: Choice, reading: Collecting): Generator<Entry> {
  const walks = drivers.flatMap((driver) => walksOf(database, type, driver, reading));
  const [only] = walks;
  // A span of keys names a resource once for each of its keys in it.
  if (walks.length === 1 && only && !drivers.some(({ kind }) => kind === 'range')) return yield* only;
  const seen = new Set<number>();
  for (const walk of walks) {
    for (const entry of walk) {
      if (seen.has(entry.rid)) continue;
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
    const found = newestOf(database, type, id);
    if (!found || (found.resource.deleted && !deleted)) continue;
    const { rid, resource } = found;
    yield { sort: 0 - resource.instant, id, rid, keys: '', row: resource };
  }
}

function* distinct(entries: Iterable<Entry>): Generator<Entry> {
  let last = -1;
  for (const entry of entries) {
    if (entry.rid === last) continue;
    last = entry.rid;
    yield entry;
  }
}

function measure(database: Database, type: string, driver: Driver, cap: number): number {
  const size = sizeOf(database, type, driver, cap);
  database.trace?.sized(driver, size, cap);
  return size;
}

/** Entries of a driver, counted up to a cap. */
export function sizeOf(database: Database, type: string, driver: Driver, cap: number): number {
  if (driver.kind === 'ids') return driver.ids.length;
  const size = entriesOf(database, type, driver, cap);
  database.counted?.(size);
  return size;
}

function entriesOf(database: Database, type: string, driver: Exclude<Driver, { readonly kind: 'ids' }>, cap: number): number {
  if (driver.kind === 'range') {
    const counted = database.statement('SELECT count(*) FROM (SELECT 1 FROM keys WHERE type = ? AND key >= ? AND key < ? LIMIT ?)');
    return one<[number]>(counted, type, driver.from, driver.to, cap)?.[0] ?? 0;
  }
  const counted = database.statement('SELECT count(*) FROM (SELECT 1 FROM keys WHERE type = ? AND key = ? LIMIT ?)');
  let size = 0;
  for (const key of driver.keys) {
    if (size >= cap) break;
    size += one<[number]>(counted, type, key, cap - size)?.[0] ?? 0;
  }
  return size;
}
