/** The documents a query has to look at, through the driver that the shared rule picks. */
import type { Filter } from 'mongodb';
import { and, compareKeys, type Expression } from '../../search/expression.ts';
import { type Choice, type Driver, isIndexed, mergeableKeys, pickDriver } from '../driver.ts';
import { holdsPacked } from '../packed-check.ts';
import type { Query, ScopeOrInternal } from '../port.ts';
import type { Trace } from '../trace.ts';
import type { Aimed } from './aim.ts';
import { byIds, type DecidingRow, indexedKey, type ResourceDocument, type Row, resourceId, typeKey } from './documents.ts';
import { KEY_INDEX, type Reader } from './reader.ts';
import { DECIDING_ONLY, KEYS_ONLY, keyFilter, type Place, WHOLE, walkKeys } from './walk.ts';

/** `all`: every candidate is read at once anyway. */
export type Candidates = { readonly rows: AsyncIterable<Row>; readonly rest: Expression; readonly all: boolean };

/** One answer of a walk, with the value it is sorted by. */
export type Found = { readonly row: Row; readonly sort: number | readonly (string | null)[] } | typeof OVER_BUDGET;
export const OVER_BUDGET = 'over-budget';
export type Charge = (count: number) => boolean;

/** Counting this many index entries costs less than asking a second time. */
const COUNTED_AT_ONCE = 1_000;
const LARGE_SPAN = 5_000;
/** Above this many entries, walking the type in order beats collecting a driver that is not in order. */
const MOST_COLLECTED = 5_000;
const BATCH = 1_000;
/** Pages' worth of whole documents that cost less than asking a second time. */
const WITH_TOTAL = 4;

export function wholeOf(where: Expression, scope: ScopeOrInternal): Expression {
  return scope === 'internal' ? where : and([where, scope.where]);
}

export function matches(rest: Expression, { i, f }: Row, trace?: Trace): boolean {
  const held = rest.kind === 'all' || holdsPacked(rest, i, f);
  trace?.checked(held);
  return held;
}

/**
 * The shared rule asks for sizes as it goes and cannot wait: it is run until every size it asks for is known, each round's sizes being
 * measured at once. Where only one driver could be chosen nothing is measured.
 */
export async function pick(reader: Aimed, type: string, expression: Expression): Promise<Choice | undefined> {
  const end = reader.trace?.begin('plan');
  const choice = await choose(reader, type, expression);
  reader.trace?.chose(choice);
  end?.();
  return choice;
}

async function choose(reader: Aimed, type: string, expression: Expression): Promise<Choice | undefined> {
  const known = new Map<string, { readonly size: number; readonly most: number }>();
  const measure = async (driver: Driver, cap: number): Promise<number> => {
    const most = Math.max(cap, COUNTED_AT_ONCE);
    const size = await reader.sizes(`${most} ${type} ${nameOf(driver)}`, () => sizeOf(reader, type, driver, most));
    reader.trace?.sized(driver, size, most);
    known.set(nameOf(driver), { size, most });
    return size;
  };
  for (let round = 0; ; round++) {
    const asked = new Map<string, () => Promise<number>>();
    let anyIds = false;
    const choice = pickDriver(expression, (driver, cap) => {
      anyIds ||= driver.kind === 'ids';
      if (driver.kind === 'ids') return sizeOfIds(reader, driver, cap);
      const name = nameOf(driver);
      const measured = known.get(name);
      if (measured && (measured.size < measured.most || cap <= measured.most)) return Math.min(Math.max(1, measured.size), cap);
      asked.set(name, () => measure(driver, cap));
      return 0;
    });
    if (!choice || asked.size === 0) return choice;
    // Nobody asked how large it is: it may be of any size.
    if (round === 0 && !anyIds && asked.size === 1 && mergeableKeys(choice)) return { ...choice, size: Number.POSITIVE_INFINITY };
    const own = round === 0 ? ownPart(reader, expression) : undefined;
    if (own && !choice.drivers.some(({ kind }) => kind === 'ids')) {
      const size = await measure(own.driver, COUNTED_AT_ONCE);
      if (size < COUNTED_AT_ONCE) return { drivers: [own.driver], size, rest: own.rest };
    }
    await Promise.all([...asked.values()].map((measure) => measure()));
  }
}

type Part = { readonly driver: Driver; readonly rest: Expression };

/** Of an aimed query the patient's own key: where it has few entries it drives, so that nobody else has to be asked how many the others have. */
function ownPart({ own }: Aimed, expression: Expression): Part | undefined {
  if (own === undefined || expression.kind !== 'and' || !isIndexed(own)) return undefined;
  const part = expression.of.find((one) => one.kind === 'any' && one.keys.size === 1 && one.keys.has(own));
  return part && { driver: { kind: 'keys', keys: [own] }, rest: and(expression.of.filter((one) => one !== part)) };
}

/** Known without asking, and they may be too many to be worth a name. */
function sizeOfIds({ trace }: Aimed, driver: Driver & { readonly kind: 'ids' }, cap: number): number {
  trace?.sized(driver, driver.ids.length, cap);
  return Math.min(driver.ids.length, cap);
}

function nameOf(driver: Driver): string {
  return JSON.stringify(driver);
}

async function sizeOf(reader: Reader, type: string, driver: Driver, cap: number): Promise<number> {
  if (driver.kind === 'ids') return driver.ids.length;
  if (driver.kind === 'keys') return reader.size(filterOf(type, driver), cap);
  // Of a span MongoDB has to look at the documents, not the index alone: past a point it is large, whatever its size.
  const most = Math.min(cap, LARGE_SPAN);
  const size = await reader.size(filterOf(type, driver), most);
  return size < most ? size : cap;
}

/** Candidates in the order of the query's instant. */
export async function inOrder(reader: Aimed, query: Query): Promise<Candidates> {
  const { type, after } = query;
  const whole = wholeOf(query.where, query.scope);
  const place = after && { d: Number(after.sort ?? 0), _id: resourceId(type, after.id) };
  const oldestFirst = isOldestFirst(query);
  const walk = (keys: readonly string[], first: number) => walkKeys(reader, { keys, oldestFirst, after: place, first });
  const choice = await pick(reader, type, whole);
  const keys = choice && mergeableKeys(choice);
  // Where a total is wanted and the page is most of it, one command reads both.
  const all = query.total !== undefined && choice !== undefined && choice.size <= WITH_TOTAL * query.limit;
  if (keys) {
    reader.trace?.way(keys.length === 1 ? 'walked in order' : 'walked in order, merged');
    const first = all ? choice.size + 1 : query.limit + 1;
    return {
      rows: walk(
        keys.map((key) => indexedKey(type, key)),
        first,
      ),
      rest: choice.rest,
      all,
    };
  }
  if (choice && choice.size <= MOST_COLLECTED) reader.trace?.way('collected and sorted');
  if (choice && choice.size <= MOST_COLLECTED) return { rows: sorted(reader, query, { choice, place }), rest: choice.rest, all: true };
  reader.trace?.chose(undefined);
  reader.trace?.way('all of the type walked in order');
  return { rows: walk([typeKey(type)], query.limit + 1), rest: whole, all: false };
}

function isOldestFirst({ order, reversed = false }: Query): boolean {
  return (order.by === 'instant' && order.direction === 'oldest-first') !== reversed;
}

async function* sorted(reader: Reader, query: Query, { choice, place }: { choice: Choice; place: Place | undefined }): AsyncGenerator<Row> {
  const direction = isOldestFirst(query) ? -1 : 1;
  const found: Row[] = [];
  for await (const row of collect(reader, query.type, choice, query.deleted ?? false)) {
    if (!place || direction * compareRows(row, place) > 0) found.push(row);
  }
  yield* found.sort((a, b) => direction * compareRows(a, b));
}

/** Every document of a choice's drivers, once, in no order; read as it is asked for. */
export async function* collect(reader: Reader, type: string, { drivers }: Choice, deleted: boolean): AsyncGenerator<Row> {
  const seen = drivers.length > 1 ? new Set<string>() : undefined;
  for (const driver of drivers) {
    for await (const row of rowsOf(reader, type, driver, deleted)) {
      if (seen?.has(row._id)) continue;
      seen?.add(row._id);
      yield row;
    }
  }
}

/** Every live resource of a type, newest first, without bodies. */
export function everyRow(reader: Reader, type: string): AsyncIterable<Row> {
  return walkKeys(reader, { keys: [typeKey(type)], oldestFirst: false, after: undefined, first: 0 });
}

function rowsOf(reader: Reader, type: string, driver: Driver, deleted: boolean): AsyncIterable<Row> {
  const filter = filterOf(type, driver);
  if (driver.kind !== 'ids') return reader.resources(filter, { hint: KEY_INDEX, projection: KEYS_ONLY, batchSize: BATCH });
  return reader.resources(deleted ? filter : { ...filter, del: false }, { hint: '_id_', projection: WHOLE });
}

/** The live ones of a choice's drivers, or of the type, once, in no order, with nothing but the keys that decide. */
export async function* decidingRows(reader: Reader, type: string, choice: Choice | undefined): AsyncGenerator<DecidingRow> {
  const drivers: readonly (Driver | undefined)[] = choice?.drivers ?? [undefined];
  const seen = drivers.length > 1 ? new Set<string>() : undefined;
  for (const driver of drivers) {
    const filter = driver ? filterOf(type, driver) : { k: { $eq: typeKey(type) } };
    const [live, hint] = driver?.kind === 'ids' ? [{ ...filter, del: false }, '_id_'] : [filter, KEY_INDEX];
    for await (const row of reader.resources(live, { hint, projection: DECIDING_ONLY, batchSize: BATCH })) {
      if (seen?.has(row._id)) continue;
      seen?.add(row._id);
      yield row;
    }
  }
}

function filterOf(type: string, driver: Driver): Filter<ResourceDocument> {
  if (driver.kind === 'ids') return byIds(driver.ids.map((id) => resourceId(type, id)));
  if (driver.kind === 'keys') return { k: keyFilter(driver.keys.map((key) => indexedKey(type, key))) };
  // $elemMatch: one and the same key has to be inside. Without it the two ends could be met by two keys.
  return { k: { $elemMatch: { $gte: indexedKey(type, driver.from), $lt: indexedKey(type, driver.to) } } };
}

/** Newest first, ids ascending. */
function compareRows(a: Place, b: Place): number {
  return b.d - a.d || compareKeys(a._id, b._id);
}
