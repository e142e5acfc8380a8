/**
 * Several typed searches as one answer: what is in a compartment, `$everything`, `$document`, and what the rows refer to. All of it is read
 * under one view and recorded as one disclosure. consent.md §3 ($everything, compartment: per hop)
 *
 * Invariants: every row, a followed one as well, is found by a query under the caller's scope; pages go on from a place in the order of
 * parts and instants, oldest first, so that what is written meanwhile comes later rather than never.
 */
import { parseReference } from '../../fhir/references.ts';
import { replaceStrings } from '../../fhir/json-text.ts';
import { and, any, encodeInstant, type Expression, none, or } from '../../search/expression.ts';
import type { FindResult, Query, StoredResource } from '../../store/port.ts';
import { UNDATED, WHEN } from '../facets.ts';
import type { GatherPlace, GatherRequest, GatherResult } from '../gate.ts';
import { type Disclosure, recordDisclosure, recordMiss, rowOf } from './disclose.ts';
import { seesNothing } from './sourced.ts';
import { inView, patientsOf, type View } from './view.ts';

/** References followed for one page. */
const MOST_FOLLOWED = 1_000;
const HOPS = 2;
const oldestFirst = { by: 'instant', direction: 'oldest-first' } as const;
const byId = (ids: Iterable<string>): Expression => ({ kind: 'id', ids: new Set(ids) });

type Unread = { readonly kind: 'stale' } | { readonly kind: 'budget'; readonly walked: number };
type Page = {
  readonly kind: 'page';
  readonly rows: readonly StoredResource[];
  readonly followed: readonly StoredResource[];
  readonly next: GatherPlace | undefined;
};
type Absent = { readonly kind: 'absent' };
type Deps = Disclosure & { readonly base: string };

export function gather(deps: Deps, request: GatherRequest): Promise<GatherResult> {
  return inView<Page | Absent | Unread, GatherResult>(deps.views, {
    read: (view) => readPage(deps, request, view),
    restsOn: (found) => (found.kind === 'absent' ? [] : patientsOf([...found.rows, ...found.followed])),
    conclude: (found, view) => answer(deps, request, { found, view }),
  });
}

async function answer(
  deps: Deps,
  { subject, interaction, type, query }: GatherRequest,
  { found, view }: { readonly found: Page | Absent; readonly view: View },
): Promise<GatherResult | undefined> {
  if (found.kind === 'absent') {
    if (subject) await recordMiss(deps, { interaction, ...subject });
    return { kind: 'absent' };
  }
  const { rows, followed, next } = found;
  const recorded = await recordDisclosure(deps, { interaction, type, rows: [...rows, ...followed], view, query });
  return recorded && { kind: 'found', rows: rows.map(rowOf), followed: followed.map(rowOf), next, receipt: recorded.receipt };
}

async function readPage(deps: Deps, request: GatherRequest, view: View): Promise<Page | Absent | Unread> {
  const { subject, follow } = request;
  if (subject) {
    const there = await find(deps, view, { type: subject.type, where: byId([subject.id]), limit: 1 });
    if (there.kind !== 'rows') return there;
    if (there.rows.length === 0) return { kind: 'absent' };
  }
  const found = await walkParts(deps, request, view);
  if (found.kind !== 'page') return found;
  if (!follow) return { ...found, followed: [] };
  const followed = await followAll(deps, found.rows, { follow, view });
  return followed.kind === 'rows' ? { ...found, followed: followed.rows } : followed;
}

type Walked = { readonly kind: 'page'; readonly rows: readonly StoredResource[]; readonly next: GatherPlace | undefined };

/** One row more than is shown tells whether anything visible follows. */
async function walkParts(deps: Deps, { parts, count, after, during }: GatherRequest, view: View): Promise<Walked | Unread> {
  const rows: { row: StoredResource; part: number }[] = [];
  for (const [part, { type, where }] of parts.entries()) {
    if ((after && part < after.part) || seesNothing(view.scope(type))) continue;
    const place = after?.part === part ? { after: { sort: after.sort, id: after.id } } : {};
    const found = await find(deps, view, { type, where: within(where, during), limit: count + 1 - rows.length, ...place });
    if (found.kind !== 'rows') return found;
    rows.push(...found.rows.map((row) => ({ row, part })));
    if (rows.length > count) break;
  }
  const shown = rows.slice(0, count);
  const last = rows.length > count ? shown.at(-1) : undefined;
  return { kind: 'page', rows: shown.map(({ row }) => row), next: last && { part: last.part, sort: last.row.instant, id: last.row.id } };
}

/** Dated inside the span, or not dated at all: what has no time of care belongs to every time. */
function within(where: Expression, during: GatherRequest['during']): Expression {
  if (!during) return where;
  const low = during.to === undefined ? {} : { low: { to: encodeInstant(during.to) } };
  const high = during.from === undefined ? {} : { high: { from: encodeInstant(during.from) } };
  return and([where, or([{ kind: 'interval', prefix: WHEN, ...low, ...high }, any([UNDATED])])]);
}

type Found = { readonly kind: 'rows'; readonly rows: readonly StoredResource[] } | Unread;
type Following = { readonly follow: NonNullable<GatherRequest['follow']>; readonly view: View };

/** What rows refer to, and what that refers to in turn, each once. */
async function followAll(deps: Deps, rows: readonly StoredResource[], { follow, view }: Following): Promise<Found> {
  const known = new Set(rows.map(({ type, id }) => `${type}/${id}`));
  const followed: StoredResource[] = [];
  let front = rows;
  for (let hop = 0; hop < (follow.hops ?? HOPS) && front.length > 0; hop++) {
    const wanted = referencesOf(front, deps.base).filter(
      ([type, id]) => follow.types.has(type) && !known.has(`${type}/${id}`) && !follow.sent(`${type}/${id}`),
    );
    const found: StoredResource[] = [];
    for (const [type, ids] of byType(wanted.slice(0, MOST_FOLLOWED - followed.length))) {
      const some = await find(deps, view, { type, where: and([byId(ids), follow.types.get(type) ?? none]), limit: ids.length });
      if (some.kind !== 'rows') return some;
      if (some.rows.length < ids.length) deps.untold();
      found.push(...some.rows);
    }
    for (const [type, id] of wanted) known.add(`${type}/${id}`);
    followed.push(...found);
    front = found;
  }
  return { kind: 'rows', rows: followed };
}

/** Type and id of every local reference, each once, in the order they appear. */
function referencesOf(rows: readonly StoredResource[], base: string): (readonly [type: string, id: string])[] {
  const found = new Map<string, readonly [string, string]>();
  for (const { body } of rows) {
    replaceStrings(body, (decoded, member) => {
      if (member !== 'reference') return undefined;
      const parsed = parseReference(decoded, base);
      if (parsed.kind === 'local') found.set(`${parsed.type}/${parsed.id}`, [parsed.type, parsed.id]);
      return undefined;
    });
  }
  return [...found.values()];
}

function byType(references: readonly (readonly [type: string, id: string])[]): ReadonlyMap<string, readonly string[]> {
  const types = new Map<string, string[]>();
  for (const [type, id] of references) types.set(type, [...(types.get(type) ?? []), id]);
  return types;
}

function find({ resources }: Deps, view: View, query: Pick<Query, 'type' | 'where' | 'limit' | 'after'>): Promise<FindResult> {
  return resources.find({ ...query, scope: view.scope(query.type), order: oldestFirst });
}
