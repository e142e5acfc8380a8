/** The entries a query has to look at, through the driver that the shared rule picks. */
import { and, type Expression, holds } from '../../search/expression.ts';
import { type Choice, type Driver, mergeableKeys, pickDriver } from '../driver.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { Query, ScopeOrInternal } from '../port.ts';
import { type Database, one } from './database.ts';
import { newestOf } from './rows.ts';
import { compareEntries, type Entry, merge, type Place, walkKey, walkType } from './walk.ts';

export type Candidates = { readonly entries: Iterable<Entry>; readonly rest: Expression };

/** Above this many entries, walking the type in order beats collecting a driver that is not in order. */
const MOST_COLLECTED = 5_000;

export function wholeOf(where: Expression, scope: ScopeOrInternal): Expression {
  return scope === 'internal' ? where : and([where, scope.where]);
}

export function matches(rest: Expression, entry: Entry): boolean {
  return rest.kind === 'all' || holds(rest, entry.id, entry.row?.keys ?? unpackKeys(entry.keys));
}

export function pick(database: Database, type: string, expression: Expression): Choice | undefined {
  return pickDriver(expression, (driver, cap) => measure(database, type, driver, cap));
}

/** Candidates in the order of the query's instant. */
export function inOrder(database: Database, query: Query, after: Place | undefined): Candidates {
  const whole = wholeOf(query.where, query.scope);
  const choice = pick(database, query.type, whole);
  const backward = query.order.direction === 'oldest-first';
  const walkOf = (rest: Expression) => ({ type: query.type, backward, after, keys: rest.kind !== 'all' });
  const direction = backward ? -1 : 1;
  if (choice) {
    const keys = mergeableKeys(choice);
    if (keys?.length === 1) return { entries: walkKey(database, keys[0] as string, walkOf(choice.rest)), rest: choice.rest };
    if (keys) {
      const walks = keys.map((key) => walkKey(database, key, walkOf(choice.rest)));
      return { entries: distinct(merge(walks, (a, b) => direction * compareEntries(a, b))), rest: choice.rest };
    }
    if (choice.size <= MOST_COLLECTED) {
      const found = [...collect(database, query.type, choice, query.deleted ?? false)].sort((a, b) => direction * compareEntries(a, b));
      return { entries: after ? found.filter((entry) => direction * compareEntries(entry, after) > 0) : found, rest: choice.rest };
    }
  }
  return { entries: walkType(database, walkOf(whole)), rest: whole };
}

/** Every entry of a choice's drivers, once, in no order; read as it is asked for. */
export function* collect(database: Database, type: string, { drivers, rest }: Choice, deleted: boolean): Generator<Entry> {
  if (drivers.length === 1) return yield* entriesOf(database, type, drivers[0] as Driver, { keys: rest.kind !== 'all', deleted });
  const seen = new Set<number>();
  for (const driver of drivers) {
    for (const entry of entriesOf(database, type, driver, { keys: rest.kind !== 'all', deleted })) {
      if (seen.has(entry.rid)) continue;
      seen.add(entry.rid);
      yield entry;
    }
  }
}

type Reading = { readonly keys: boolean; readonly deleted: boolean };

function* entriesOf(database: Database, type: string, driver: Driver, { keys, deleted }: Reading): Generator<Entry> {
  if (driver.kind === 'ids') return yield* entriesById(database, type, driver.ids, deleted);
  const walk = { type, backward: false, after: undefined, keys };
  const [only] = driver.kind === 'keys' ? driver.keys : [];
  if (driver.kind === 'keys' && driver.keys.length === 1) return yield* walkKey(database, only as string, walk);
  const seen = new Set<number>();
  const walks = driver.kind === 'range' ? [walkRange(database, type, driver, keys)] : driver.keys.map((key) => walkKey(database, key, walk));
  for (const entries of walks) {
    for (const entry of entries) {
      if (seen.has(entry.rid)) continue;
      seen.add(entry.rid);
      yield entry;
    }
  }
}

function* entriesById(database: Database, type: string, ids: readonly string[], deleted: boolean): Generator<Entry> {
  for (const id of ids) {
    const found = newestOf(database, type, id);
    if (!found || (found.resource.deleted && !deleted)) continue;
    const { rid, resource } = found;
    yield { sort: 0 - resource.instant, id, rid, keys: '', row: resource };
  }
}

function* walkRange(database: Database, type: string, { from, to }: Driver & { kind: 'range' }, keys: boolean): Generator<Entry> {
  const source = keys ? 'r.keys FROM keys k CROSS JOIN resources r ON r.rid = k.rid' : "'' FROM keys k";
  const sql = `SELECT k.sort, k.id, k.rid, ${source} WHERE k.type = ? AND k.key >= ? AND k.key < ?`;
  for (const row of database.statement(sql).iterate(type, from, to)) {
    const [sort, id, rid, packed] = row as unknown as [number, string, number, string];
    yield { sort, id, rid, keys: packed };
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
  if (driver.kind === 'ids') return driver.ids.length;
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
