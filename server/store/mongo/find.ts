/**
 * Finds and counts: walk the driver's documents in result order, check the rest of the criteria, stop at the limit.
 *
 * Invariant: a row is answered exactly if the query's expression and its scope hold for it; the work is bounded by the row budget.
 * Callers compare the scope's epoch after all reading.
 */
import { setImmediate } from 'node:timers/promises';
import { AssentError } from '../../errors.ts';
import type { Expression } from '../../search/expression.ts';
import { isDeciding, judgeOf, mayBeJudged } from '../deciding-keys.ts';
import { type Choice, headsOf } from '../driver.ts';
import { createMeter, type Meter, type Pace } from '../meter.ts';
import { searchesOfKeys } from '../packed-check.ts';
import type { CountQuery, CountResult, FindResult, OverBudget, Position, Query, StoredResource, Total } from '../port.ts';
import { createTally, isMore } from '../tally.ts';
import { aim, type Aimed } from './aim.ts';
import { type Charge, collect, decidingRows, everyRow, type Found, inOrder, matches, OVER_BUDGET, pick, wholeOf } from './candidates.ts';
import { byIds, indexedKey, isWhole, type ResourceDocument, type Row, resourceId, toResource, typeKey } from './documents.ts';
import { inKeyOrder } from './key-order.ts';
import type { LookUp } from './look-up.ts';
import type { Reader } from './reader.ts';
import type { Trace } from '../trace.ts';
import { KEYS_ONLY, WHOLE, WITHOUT_TEXT } from './walk.ts';

export async function findRows(reader: Reader, query: Query): Promise<FindResult> {
  const { signal, limit } = query;
  const whole = wholeOf(query.where, query.scope);
  if (whole.kind === 'none') return { ...nothing, ...(query.total && { total: createTally(query.total.naming).total(true) }) };
  const aimed = await aim(reader, query.type, whole);
  const meter = createMeter(query.budget, paceOf(reader, signal));
  const rows: Row[] = [];
  const tally = createTally(query.total?.naming);
  let [first, last, next]: (Position | undefined)[] = [];
  const { found, all } = await inOrderOf(aimed, query, meter.charge);
  // What is read anyway is counted on the way.
  const counting = query.total !== undefined && all && !query.after;
  for await (const one of found) {
    // A full page is an answer even over budget: whether more follows is left to the next page.
    if (rows.length >= limit) next ??= last;
    if (rows.length >= limit && (one === OVER_BUDGET || !counting)) break;
    if (one === OVER_BUDGET) return overBudget(aimed, query, meter);
    tally.add(one.row.f);
    if (rows.length >= limit && isMore(tally, query.total)) break;
    if (rows.length >= limit) continue;
    rows.push(one.row);
    last = { sort: one.sort, id: one.row.i };
    first ??= last;
  }
  const page = { kind: 'rows' as const, rows: await load(aimed, rows, query.bodies !== false), first, next, walked: meter.walked() };
  if (!query.total) return page;
  if (query.after || (next && !counting)) return { ...page, total: await totalOf(aimed, query, meter) };
  return { ...page, total: tally.total(next === undefined || !isMore(tally, query.total)) };
}

const nothing = { kind: 'rows' as const, rows: [], first: undefined, next: undefined, walked: 0 };

export function paceOf({ trace }: Reader, signal: AbortSignal | undefined): Pace {
  const pace = (): void => stopIfAbandoned(signal);
  return trace?.pace(pace) ?? pace;
}

function stopIfAbandoned(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AssentError('abandoned');
}

type Walk = { readonly found: AsyncIterable<Found>; readonly all: boolean };

/** What matches, in the query's order, from its place on. */
export async function inOrderOf(reader: Aimed, query: Query, charge: Charge): Promise<Walk> {
  return query.order.by === 'keys' ? inKeys(reader, query, charge) : inInstantOrder(reader, query, charge);
}

/** All are collected to be sorted. */
function inKeys(reader: Aimed, query: Query, charge: Charge): Walk {
  return { found: inKeyOrder(reader, query, charge), all: true };
}

async function inInstantOrder(reader: Aimed, query: Query, charge: Charge): Promise<Walk> {
  const { rows, rest, all } = await inOrder(reader, query);
  return { found: walk(rows, rest, { charge, trace: reader.trace }), all };
}

/** Searches of keys, each for one criterion, before others have their turn: rows come many at once. */
const SEARCHES_AT_ONCE = 4_000;

type Watch = { readonly charge: Charge; readonly trace: Trace | undefined };

async function* walk(rows: AsyncIterable<Row>, rest: Expression, { charge, trace }: Watch): AsyncGenerator<Found> {
  let turned = searchesOfKeys();
  for await (const row of rows) {
    if (!charge(1)) yield OVER_BUDGET;
    if (searchesOfKeys() - turned > SEARCHES_AT_ONCE) {
      await setImmediate();
      turned = searchesOfKeys();
    }
    if (matches(rest, row, trace)) yield { row, sort: row.d };
  }
}

async function totalOf(reader: Aimed, query: Query, meter: Meter): Promise<Total> {
  const { type, where, scope, total } = query;
  const counted = await count(reader, { type, where, scope, ...total }, meter.another(total?.budget));
  if (counted.kind === 'stale') return { count: 0, exact: false };
  return { count: counted.total, exact: counted.kind === 'count', ...(counted.named && { named: counted.named }) };
}

async function overBudget(reader: Aimed, { type, where, scope }: CountQuery, meter: Meter): Promise<OverBudget> {
  return { kind: 'budget', walked: meter.walked(), by: headsOf(await pick(reader, type, wholeOf(where, scope))) };
}

/** Rows that were walked without their bodies are read again, in the same snapshot. */
export async function load(reader: Reader, rows: readonly Row[], bodies: boolean): Promise<StoredResource[]> {
  const end = reader.trace?.begin('load');
  const whole = new Map<string, ResourceDocument>();
  const bare: string[] = [];
  for (const row of rows) {
    if (isWhole(row)) whole.set(row._id, row);
    else bare.push(row._id);
  }
  if (bare.length > 0) {
    for await (const document of reader.resources(byIds(bare), { hint: '_id_', projection: bodies ? WHOLE : WITHOUT_TEXT }))
      whole.set(document._id, document);
  }
  end?.();
  return rows.flatMap(({ _id }) => {
    const document = whole.get(_id);
    return document ? [toResource(bodies ? document : { ...document, b: '' })] : [];
  });
}

/** The first page of a query for one id. `bare`: of those without a text, however long it is. */
export async function findOne(lookUp: Record<'whole' | 'bare', LookUp>, query: Query, id: string): Promise<FindResult> {
  const whole = wholeOf(query.where, query.scope);
  const isBare = query.bodies === false;
  const found = whole.kind === 'none' || query.limit <= 0 ? undefined : await lookUp[isBare ? 'bare' : 'whole'](resourceId(query.type, id));
  const shown = found && (query.deleted || !found.del) ? found : undefined;
  const rows = shown && matches(whole, shown) ? [toResource(isBare ? { ...shown, b: '' } : shown)] : [];
  const tally = query.total && createTally(query.total.naming);
  for (const { keys } of rows) tally?.add(keys);
  return { ...nothing, rows, walked: shown ? 1 : 0, ...(tally && { total: tally.total(true) }) };
}

export async function countRows(reader: Reader, query: CountQuery, cap?: number): Promise<CountResult> {
  const aimed = await aim(reader, query.type, wholeOf(query.where, query.scope));
  return count(aimed, query, createMeter(query.budget, paceOf(reader, query.signal)), cap);
}

export async function count(aimed: Aimed, query: CountQuery, meter: Meter, cap = Number.POSITIVE_INFINITY): Promise<CountResult> {
  const { type, naming } = query;
  const tally = createTally(naming);
  const whole = wholeOf(query.where, query.scope);
  if (whole.kind === 'none' || cap <= 0) return { kind: 'count', ...tally.counted() };
  const key = countedKey(query);
  aimed.trace?.way(key === undefined ? 'all matches counted' : 'counted in the index alone');
  if (key !== undefined) return { kind: 'count', total: await aimed.size({ k: { $eq: key } }, cap) };
  const choice = await pick(aimed, type, whole);
  for await (const { held, keys } of candidatesOf(aimed, query, choice)) {
    if (!meter.charge(1)) return { ...(await overBudget(aimed, query, meter)), ...tally.counted() };
    if (!held) continue;
    tally.add(keys);
    if (tally.count() >= cap) break;
    if (isMore(tally, query)) return { ...(await overBudget(aimed, query, meter)), ...tally.counted() };
  }
  return { kind: 'count', ...tally.counted() };
}

type Candidate = { readonly held: boolean; readonly keys: string };

/** Whether it is counted, with keys that name whom it is about: the few that decide, where these settle it. */
async function* candidatesOf(reader: Aimed, { type, where, scope, naming }: CountQuery, choice: Choice | undefined): AsyncGenerator<Candidate> {
  const rest = choice?.rest ?? wholeOf(where, scope);
  const look = (row: Row): Candidate => ({ held: matches(rest, row, reader.trace), keys: row.f });
  if (!mayBeJudged(rest) || (naming !== undefined && !isDeciding(naming))) {
    for await (const row of choice ? collect(reader, type, choice, false) : everyRow(reader, type)) yield look(row);
    return;
  }
  const judge = judgeOf(rest);
  const unsettled: string[] = [];
  for await (const { _id, c } of decidingRows(reader, type, choice)) {
    const held = judge(c);
    if (held === undefined) unsettled.push(_id);
    else {
      reader.trace?.checked(held);
      yield { held, keys: c };
    }
    if (unsettled.length >= LOOKED_UP) for (const row of await keysOf(reader, unsettled.splice(0))) yield look(row);
  }
  if (unsettled.length > 0) for (const row of await keysOf(reader, unsettled)) yield look(row);
}

const LOOKED_UP = 500;

function keysOf(reader: Reader, ids: readonly string[]): Promise<readonly Row[]> {
  return reader.resources(byIds(ids), { hint: '_id_', projection: KEYS_ONLY }).toArray();
}

/** What one index range answers alone, and nothing has to be said of: all of a type, or one key. */
function countedKey({ type, where, scope, naming }: CountQuery): string | undefined {
  if (naming !== undefined) return undefined;
  const whole = wholeOf(where, scope);
  if (whole.kind === 'all') return typeKey(type);
  if (whole.kind !== 'any' || whole.keys.size !== 1) return undefined;
  const [key = ''] = whole.keys;
  return key.startsWith('~') ? undefined : indexedKey(type, key);
}
