/**
 * What a page's matches refer to and what refers to them, as far as the search asks for it. https://hl7.org/fhir/R4/search.html#include
 *
 * Invariants: each hop is a query under the caller's scope of its own type, so what is hidden, deleted or elsewhere is silently absent;
 * every resource comes once, never beside itself as a match; how much is added to a page is bounded, and said when it was cut.
 */
import { setImmediate } from 'node:timers/promises';
import { type Expression, or } from '../../search/expression.ts';
import type { Include } from '../../search/join.ts';
import { type Referred, referredBy, referrersOf } from '../../search/links.ts';
import type { FindResult, ResourceStore, StoredResource } from '../../store/port.ts';
import { seesNothing } from './sourced.ts';
import { newestFirst, type View } from './view.ts';

/** Resources added to one page. */
export const MOST_INCLUDED = 1_000;
/** ms of work before others get their turn. */
const TURN_MS = 5;
/** How far :iterate goes. */
const ROUNDS = 8;

type Unread = Exclude<FindResult, { readonly kind: 'rows' }>;
/** `cut`: there is more than was added. */
export type Included = { readonly kind: 'included'; readonly rows: readonly StoredResource[]; readonly cut: boolean };
type Deps = { readonly resources: ResourceStore; readonly base: string; readonly untold: () => void };

export async function includeAll(
  { resources, base, untold }: Deps,
  view: View,
  { matches, includes }: { readonly matches: readonly StoredResource[]; readonly includes: readonly Include[] },
): Promise<Included | Unread> {
  const known = new Set(matches.map(nameOf));
  const added: StoredResource[] = [];
  let cut = false;
  let front = matches;
  for (let round = 0; front.length > 0; round++) {
    const asked = round === 0 ? includes : includes.filter(({ iterate }) => iterate);
    if (asked.length === 0) break;
    if (round === ROUNDS) return { kind: 'included', rows: added, cut: true };
    const found: StoredResource[] = [];
    for (const [type, where] of await wantedOf(front, asked, base)) {
      // Each is short or is read elsewhere; a hundred in one turn are not short.
      await setImmediate();
      const room = MOST_INCLUDED - added.length - found.length;
      const some = await unknownOf({ resources, untold, view, known }, { type, where, room });
      if (some.kind !== 'included') return some;
      for (const row of some.rows) known.add(nameOf(row));
      found.push(...some.rows);
      cut ||= some.cut;
    }
    added.push(...found);
    front = found;
  }
  return { kind: 'included', rows: added, cut };
}

type Looking = Omit<Deps, 'base'> & { readonly view: View; readonly known: ReadonlySet<string> };
type Wanted = { readonly type: string; readonly where: Expression; readonly room: number };

/** What is known already takes no room: one row more than both tells whether something is left out. */
async function unknownOf({ resources, untold, view, known }: Looking, { type, where, room }: Wanted): Promise<Included | Unread> {
  const scope = view.scope(type);
  if (where.kind === 'none' || seesNothing(scope)) return { kind: 'included', rows: [], cut: false };
  const ofType = [...known].filter((name) => name.startsWith(`${type}/`)).length;
  const found = await resources.find({ type, where, scope, order: newestFirst, limit: room + ofType + 1 });
  if (found.kind !== 'rows') return found;
  if (found.rows.length < leastOf(where)) untold();
  const rows = found.rows.filter((row) => !known.has(nameOf(row)));
  return { kind: 'included', rows: rows.slice(0, room), cut: rows.length > room || found.next !== undefined };
}

/** Rows where all that is looked for is there, or at least something. */
function leastOf(where: Expression): number {
  if (where.kind === 'or') return where.of.reduce((sum, one) => sum + (one.kind === 'id' ? one.ids.size : 0), 0) || 1;
  return where.kind === 'id' ? where.ids.size : 1;
}

/** By type, so that each is asked for once a round. Hundreds of links between hundreds of resources take others' turns into account. */
async function wantedOf(front: readonly StoredResource[], includes: readonly Include[], base: string): Promise<ReadonlyMap<string, Expression>> {
  const parts = new Map<string, Expression[]>();
  const want = (type: string, where: Expression | undefined) => {
    if (where && where.kind !== 'none') parts.set(type, [...(parts.get(type) ?? []), where]);
  };
  const ofType = Map.groupBy(front, ({ type }) => type);
  const referred = new Map<string, Referred>();
  let began = performance.now();
  for (const { direction, source, link, targets } of includes) {
    if (performance.now() - began > TURN_MS) {
      await setImmediate();
      began = performance.now();
    }
    if (direction === 'forward') {
      const rows = ofType.get(source);
      const by = referred.get(source) ?? (rows && referredBy(rows, base));
      if (!by) continue;
      referred.set(source, by);
      for (const type of targets) want(type, by(link, type));
    } else {
      const rows = targets.flatMap((type) => ofType.get(type) ?? []);
      if (rows.length > 0) want(source, referrersOf(link, rows, base));
    }
  }
  return new Map([...parts].map(([type, wheres]) => [type, union(wheres)]));
}

/** All ids and all keys as one set each, so that an engine seeks them together. */
function union(wheres: readonly Expression[]): Expression {
  const ids = wheres.flatMap((where) => (where.kind === 'id' ? [...where.ids] : []));
  const keys = wheres.flatMap((where) => (where.kind === 'any' ? [...where.keys] : []));
  const others = wheres.filter(({ kind }) => kind !== 'id' && kind !== 'any');
  return or([
    ...(ids.length > 0 ? [{ kind: 'id' as const, ids: new Set(ids) }] : []),
    ...(keys.length > 0 ? [{ kind: 'any' as const, keys: new Set(keys) }] : []),
    ...others,
  ]);
}

function nameOf({ type, id }: StoredResource): string {
  return `${type}/${id}`;
}
