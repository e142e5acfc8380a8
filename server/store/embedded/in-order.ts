/**
 * What a query has to look at in the order of its instant: entries of exact keys as they lie, of a short span of keys sorted in the index, else all of
 * the type; from where to where its criteria tell (between.ts).
 *
 * Invariant: every match is among them, in the query's order.
 */
import type { Expression } from '../../search/expression.ts';
import { instantsOf, MOST_BESIDE } from '../between.ts';
import { type Choice, type Driver, ENOUGH, mergeableKeys, MOST_COLLECTED, pickDriver } from '../driver.ts';
import type { Query } from '../port.ts';
import { type Check, checkOf, collect, pick, readFor, sizeOf, type Through, wholeOf } from './candidates.ts';
import { type Database, one } from './database.ts';
import { inUse } from './in-use.ts';
import { type Charge, compareEntries, type Entry, merge, OVER_BUDGET, type Place, walkKey, walkSpan, walkType, type Within } from './walk.ts';

/** Entries to check, in order; those that were collected before have been charged for. */
export type Ordered = {
  readonly entries: Iterable<Entry | typeof OVER_BUDGET>;
  readonly accept: Check['accept'];
  readonly charged: boolean;
} & Through;

/** Of more walks than this, merging costs more than collecting. */
const MOST_WALKS = 50;

type Asked = { readonly after: Place | undefined; readonly charge: Charge };

/** Candidates in the order of the query's instant. */
export function inOrder(database: Database, query: Query, { after, charge }: Asked): Ordered {
  const { type } = query;
  const whole = wholeOf(query.deleted ? query.where : inUse(database, type, query.where), query.scope);
  const { choice, bounds } = chosen(database, type, whole);
  const backward = (query.order.by === 'instant' && query.order.direction === 'oldest-first') !== (query.reversed ?? false);
  const compare = backward ? (a: Place, b: Place) => compareEntries(b, a) : compareEntries;
  const way = wayOf(database, type, { choice, bounds });
  const check = checkOf(database, choice && way !== 'type' && !bounds?.beside ? choice.rest : whole, readFor(query.total));
  const { accept } = check;
  if (way === 'collect' && choice) {
    database.trace?.way('collected and sorted');
    const within = bounds?.beside ? undefined : bounds?.within;
    const found = collect(database, type, choice, { ...check, within, deleted: query.deleted ?? false });
    return { entries: sorted(found, { after, charge, compare }), accept, charged: true, choice, all: true };
  }
  if (way === 'type') database.trace?.chose(undefined);
  database.trace?.way(way === 'type' ? 'all of the type walked in order' : way === 'keys' ? 'walked in order' : 'sorted in the index');
  if (bounds) database.trace?.way('between instants');
  const walk = { type, backward, after, ...check };
  const within = { ...walk, within: bounds?.within };
  const beside = bounds?.beside ? walksOf(database, bounds.beside, walk) : [];
  const walks = [...(way === 'type' ? [walkType(database, within)] : walksOf(database, choice?.drivers ?? [], within)), ...beside];
  const [only] = walks;
  const entries = walks.length === 1 && only && way !== 'span' ? only : distinct(merge(walks, compare));
  return { entries, accept, charged: false, choice, all: way !== 'type' || choice === undefined };
}

type Planned = { readonly choice: Choice | undefined; readonly bounds: Bounds | undefined };

/** Of a few entries it is not worth finding out between which instants they lie. */
function chosen(database: Database, type: string, whole: Expression): Planned {
  if (!instantsOf(whole)) return { choice: pick(database, type, whole), bounds: undefined };
  const few = pick(database, type, whole, { sized: 0 });
  if (few && few.size > 0 && few.size <= ENOUGH) return { choice: few, bounds: undefined };
  const bounds = boundsOf(database, type, whole);
  return { choice: pick(database, type, whole, { within: bounds?.within }), bounds };
}

/** `beside`: what else may hold matches; undefined: nothing. */
type Bounds = { readonly within: Within; readonly beside: readonly Driver[] | undefined };

/** Undefined: the criteria do not tell, or too much may be anywhere. */
function boundsOf(database: Database, type: string, whole: Expression): Bounds | undefined {
  const instants = instantsOf(whole);
  if (!instants) return undefined;
  const { from, to, unless } = instants;
  const choice = pickDriver(unless, (driver, cap) => sizeOf(database, type, driver, cap));
  if (!choice || choice.size > MOST_BESIDE || choice.drivers.length > MOST_WALKS) return undefined;
  // The newest come first: `sort` is the instant with its sign turned.
  return { within: { from: sortAt(to), to: sortAt(from) }, beside: choice.size === 0 ? undefined : choice.drivers };
}

function sortAt(instant: number): number {
  return Math.min(Math.max(0 - instant, -Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
}

/** A span is worth sorting as long as it is short, and where not nearly all that lies between the instants is in it anyway. */
function wayOf(database: Database, type: string, { choice, bounds }: Planned): 'keys' | 'span' | 'collect' | 'type' {
  if (!choice) return 'type';
  if (mergeableKeys(choice)) return 'keys';
  if (choice.size > MOST_COLLECTED) return 'type';
  if (bounds && choice.size > MOST_BESIDE && liveWithin(database, type, { within: bounds.within, most: 2 * choice.size + 1 }) <= 2 * choice.size)
    return 'type';
  const walks = choice.drivers.reduce((sum, driver) => sum + (driver.kind === 'keys' ? driver.keys.length : 1), 0);
  return walks > MOST_WALKS || choice.drivers.some(({ kind }) => kind === 'ids') ? 'collect' : 'span';
}

function liveWithin(database: Database, type: string, { within, most }: { readonly within: Within; readonly most: number }): number {
  const sql = 'SELECT count(*) FROM (SELECT 1 FROM resources WHERE type = ? AND deleted = 0 AND sort >= ? AND sort <= ? LIMIT ?)';
  const counted = one<[number]>(database.statement(sql), type, within.from, within.to, most)?.[0] ?? 0;
  database.counted?.(counted);
  return counted;
}

type Walking = Parameters<typeof walkKey>[2];

function walksOf(database: Database, drivers: readonly Driver[], walk: Walking): Generator<Entry>[] {
  return drivers.flatMap((driver) => {
    if (driver.kind === 'ids') throw new Error('Ids are in no order.'); // wayOf sends them elsewhere
    return driver.kind === 'range' ? [walkSpan(database, driver, walk)] : driver.keys.map((key) => walkKey(database, key, walk));
  });
}

type Sorting = { readonly after: Place | undefined; readonly charge: Charge; readonly compare: (a: Place, b: Place) => number };

function* sorted(entries: Iterable<Entry>, { after, charge, compare }: Sorting): Generator<Entry | typeof OVER_BUDGET> {
  const found: Entry[] = [];
  for (const entry of entries) {
    if (!charge(entry.passed ?? 1)) return yield OVER_BUDGET;
    if (!after || compare(entry, after) > 0) found.push(entry);
  }
  yield* found.sort(compare);
}

function* distinct(entries: Iterable<Entry>): Generator<Entry> {
  let last = -1;
  for (const entry of entries) {
    if (entry.passed === undefined) {
      if (entry.rid === last) continue;
      last = entry.rid;
    }
    yield entry;
  }
}
