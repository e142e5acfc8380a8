/**
 * History in the Gate: the versions of one resource, of a type or of several types that the caller may see, a page at a time.
 * https://hl7.org/fhir/R4/http.html#history, consent.md §2 rules 19 and 20
 *
 * Invariants: page, link to the next and total are of the caller's view: a link is given only where a visible version follows; the
 * AuditEvents are durable before there is anything to send.
 */
import { setImmediate } from 'node:timers/promises';
import type { Act } from '../../audit/event.ts';
import type { HistoryQuery, StoredResource } from '../../store/port.ts';
import type { HistoryRequest, HistoryResult } from '../gate.ts';
import { type Disclosure, recordDisclosure, recordMiss, rowOf } from './disclose.ts';
import { seesNothing } from './sourced.ts';
import { historyScope, inView, patientsOf, type View } from './view.ts';

/** Versions looked at for one page: then it ends with what was found, and where that is nothing the caller is asked to narrow the request. */
const MOST_WALKED = 50_000;
/** Versions looked at for a total; beyond, there is none. */
const MOST_COUNTED = 20_000;
/** Rows without bodies held at once while counting. */
const COUNTED_AT_ONCE = 5_000;

type Page = {
  readonly kind: 'page';
  readonly rows: readonly StoredResource[];
  /** Where the next page begins: behind what was shown, or behind what was passed where this one ended early. */
  readonly next: HistoryQuery['after'];
  readonly total: number | undefined;
  /** Of one resource: no version of it is visible, whatever the span asked for. */
  readonly absent: boolean;
};

export function history(deps: Disclosure, request: HistoryRequest): Promise<HistoryResult> {
  return inView<Page | Unread, HistoryResult>(deps.views, {
    read: (view) => readPage(deps, request, view),
    restsOn: ({ rows }) => (request.total ? { patients: patientsOf(rows), others: true } : patientsOf(rows)),
    conclude: (page, view) => answer(deps, request, { page, view }),
  });
}

async function readPage(deps: Disclosure, request: HistoryRequest, view: View): Promise<Page | Unread> {
  const { count, after, id } = request;
  const query = queryOf(request, view);
  if (!query) return { kind: 'page', rows: [], next: undefined, total: request.total ? 0 : undefined, absent: id !== undefined };
  // One more than is shown tells whether anything visible follows.
  const found = await collect(deps, after ? { ...query, after } : query, { wanted: count + 1, mostWalked: MOST_WALKED });
  if (found.kind !== 'rows') return found;
  const rows = found.rows.slice(0, count);
  const isFull = found.rows.length > count;
  const next = isFull ? placeOf(rows.at(-1)) : found.next;
  const page = { kind: 'page' as const, rows, next, absent: false };
  if (id !== undefined && found.rows.length === 0) {
    const any = await visibleAtAll(deps, query);
    return typeof any === 'object' ? any : { ...page, total: 0, absent: !any };
  }
  if (!request.total) return { ...page, total: undefined };
  if (!isFull && !next && !after) return { ...page, total: found.rows.length };
  const total = await countAll(deps, query);
  return typeof total === 'object' ? total : { ...page, total };
}

/** Nothing in the span asked for is not the same as nothing at all. */
async function visibleAtAll(deps: Disclosure, { since: _since, at: _at, ...query }: Asked): Promise<boolean | Unread> {
  const found = await collect(deps, { ...query, bodies: false }, { wanted: 1, mostWalked: MOST_WALKED });
  return found.kind === 'rows' ? found.rows.length > 0 : found;
}

async function answer(
  deps: Disclosure,
  request: HistoryRequest,
  { page, view }: { readonly page: Page; readonly view: View },
): Promise<HistoryResult | undefined> {
  const { types, id, query } = request;
  const { rows, next, total, absent } = page;
  const interaction = interactionOf(request);
  const [type = ''] = types;
  if (id !== undefined && absent) {
    await recordMiss(deps, { interaction, type, id });
    return { kind: 'absent' };
  }
  const recorded = await recordDisclosure(deps, {
    interaction,
    type: types.length === 1 ? type : undefined,
    rows,
    view,
    ...(id === undefined ? { query } : {}),
  });
  return recorded && { kind: 'found', rows: rows.map(rowOf), next, total, receipt: recorded.receipt };
}

function interactionOf({ types, id }: HistoryRequest): Act['interaction'] {
  return id !== undefined ? 'history-instance' : types.length === 1 ? 'history-type' : 'history-system';
}

function placeOf(row: StoredResource | undefined): HistoryQuery['after'] {
  return row && { lastUpdated: row.lastUpdated, type: row.type, id: row.id, version: row.version };
}

type Asked = Omit<HistoryQuery, 'limit'>;

/** Types of which this caller sees nothing at all are not walked; undefined when none is left. */
function queryOf({ types, id, since, at, direction }: HistoryRequest, view: View): Asked | undefined {
  const seen = types.filter((type) => !seesNothing(view.scope(type)));
  const [only] = seen;
  if (only === undefined) return undefined;
  return {
    ...(types.length === 1 ? { type: only } : { types: seen }),
    ...(id === undefined ? {} : { id }),
    ...(since === undefined ? {} : { since }),
    ...(at ? { at } : {}),
    direction,
    scope: historyScope(view),
  };
}

type Unread = { readonly kind: 'stale' } | { readonly kind: 'budget'; readonly walked: number };
/** `next`: what lies behind was not looked at. */
type Rows = { readonly kind: 'rows'; readonly rows: readonly StoredResource[]; readonly next: HistoryQuery['after'] };

/** Asks on until there are as many rows as wanted or none are left; other requests get their turn in between. */
async function collect(
  { resources }: Disclosure,
  query: Asked,
  { wanted, mostWalked }: { readonly wanted: number; readonly mostWalked: number },
): Promise<Rows | Unread> {
  const rows: StoredResource[] = [];
  let { after } = query;
  for (let walked = 0; ; ) {
    const found = await resources.history({ ...query, ...(after ? { after } : {}), limit: wanted - rows.length });
    if (found.kind !== 'rows') return found;
    rows.push(...found.rows);
    walked += found.walked;
    if (rows.length >= wanted || !found.next) return { kind: 'rows', rows, next: undefined };
    if (walked >= mostWalked) return rows.length > 0 ? { kind: 'rows', rows, next: found.next } : { kind: 'budget', walked };
    after = found.next;
    await setImmediate();
  }
}

/** Undefined: more than is counted. */
async function countAll({ resources }: Disclosure, query: Asked): Promise<number | undefined | Unread> {
  let total = 0;
  let after: HistoryQuery['after'];
  for (let walked = 0; walked < MOST_COUNTED; ) {
    const found = await resources.history({ ...query, ...(after ? { after } : {}), limit: COUNTED_AT_ONCE, bodies: false });
    if (found.kind !== 'rows') return found;
    total += found.rows.length;
    walked += found.walked;
    if (!found.next) return total;
    after = found.next;
    await setImmediate();
  }
  return undefined;
}
