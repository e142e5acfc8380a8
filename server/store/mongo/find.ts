/**
 * Finds and counts: walk the driver's documents in result order, check the rest of the criteria, stop at the limit.
 *
 * Invariant: a row is answered exactly if the query's expression and its scope hold for it; the work is bounded by the row budget.
 * Callers compare the scope's epoch after all reading.
 */
import type { CountResult, FindResult, Position, Query, StoredResource } from '../port.ts';
import { aim, type Aimed } from './aim.ts';
import { type Charge, collect, everyRow, type Found, inOrder, matches, OVER_BUDGET, pick, wholeOf } from './candidates.ts';
import { byIds, indexedKey, isWhole, type ResourceDocument, type Row, resourceId, toResource, typeKey } from './documents.ts';
import { inKeyOrder } from './key-order.ts';
import type { LookUp } from './look-up.ts';
import type { Reader } from './reader.ts';
import { WHOLE } from './walk.ts';

/** Rows to walk before a query is refused: some hundred milliseconds. */
const DEFAULT_BUDGET = 50_000;

export async function findRows(reader: Reader, query: Query): Promise<FindResult> {
  const whole = wholeOf(query.where, query.scope);
  if (whole.kind === 'none') return { kind: 'rows', rows: [], next: undefined, walked: 0 };
  const aimed = await aim(reader, query.type, whole);
  const budget = query.budget ?? DEFAULT_BUDGET;
  let walked = 0;
  const charge = (count: number): boolean => (walked += count) <= budget;
  const rows: Row[] = [];
  let last: Position | undefined;
  for await (const found of query.order.by === 'key' ? inKeyOrder(aimed, query, charge) : inInstantOrder(aimed, query, charge)) {
    // A full page is an answer even over budget: whether more follows is left to the next page.
    if (rows.length >= query.limit) return { kind: 'rows', rows: await load(aimed, rows), next: last, walked };
    if (found === OVER_BUDGET) return { kind: 'budget', walked };
    rows.push(found.row);
    last = { sort: found.sort, id: found.row.i };
  }
  return { kind: 'rows', rows: await load(aimed, rows), next: undefined, walked };
}

async function* inInstantOrder(reader: Aimed, query: Query, charge: Charge): AsyncGenerator<Found> {
  const { rows, rest } = await inOrder(reader, query);
  for await (const row of rows) {
    if (!charge(1)) yield OVER_BUDGET;
    if (matches(rest, row)) yield { row, sort: row.d };
  }
}

/** Rows that were walked without their bodies are read again, in the same snapshot. */
async function load(reader: Reader, rows: readonly Row[]): Promise<StoredResource[]> {
  const whole = new Map<string, ResourceDocument>();
  const bare: string[] = [];
  for (const row of rows) {
    if (isWhole(row)) whole.set(row._id, row);
    else bare.push(row._id);
  }
  if (bare.length > 0) {
    for await (const document of reader.resources(byIds(bare), { hint: '_id_', projection: WHOLE })) whole.set(document._id, document);
  }
  return rows.flatMap(({ _id }) => {
    const document = whole.get(_id);
    return document ? [toResource(document)] : [];
  });
}

/** The first page of a query for one id. */
export async function findOne(lookUp: LookUp, query: Query, id: string): Promise<FindResult> {
  const whole = wholeOf(query.where, query.scope);
  const found = whole.kind === 'none' || query.limit <= 0 ? undefined : await lookUp(resourceId(query.type, id));
  const shown = found && (query.deleted || !found.del) ? found : undefined;
  const rows = shown && matches(whole, shown) ? [toResource(shown)] : [];
  return { kind: 'rows', rows, next: undefined, walked: shown ? 1 : 0 };
}

type CountQuery = Pick<Query, 'type' | 'where' | 'scope' | 'budget'>;

export async function countRows(reader: Reader, query: CountQuery, cap = Number.POSITIVE_INFINITY): Promise<CountResult> {
  const { type, budget = DEFAULT_BUDGET } = query;
  const whole = wholeOf(query.where, query.scope);
  if (whole.kind === 'none' || cap <= 0) return { kind: 'count', total: 0 };
  const aimed = await aim(reader, type, whole);
  const key = countedKey(query);
  if (key !== undefined) return { kind: 'count', total: await aimed.size({ k: { $eq: key } }, cap) };
  const choice = await pick(aimed, type, whole);
  let walked = 0;
  let total = 0;
  for await (const row of choice ? collect(aimed, type, choice, false) : everyRow(aimed, type)) {
    if (++walked > budget) return { kind: 'budget', walked };
    if (matches(choice ? choice.rest : whole, row) && ++total >= cap) break;
  }
  return { kind: 'count', total };
}

/** What one index range answers alone: all of a type, or one key. */
function countedKey({ type, where, scope }: CountQuery): string | undefined {
  const whole = wholeOf(where, scope);
  if (whole.kind === 'all') return typeKey(type);
  if (whole.kind !== 'any' || whole.keys.size !== 1) return undefined;
  const [key = ''] = whole.keys;
  return key.startsWith('~') ? undefined : indexedKey(type, key);
}
