/**
 * Which totals a search tells, and at what cost. consent.md §3 (total)
 *
 * Invariant: whether there is a total that nobody asked for follows from what the caller may see and from the search itself. How much is hidden
 * has no part in it, and so neither has the size of an index, which counts what is hidden.
 */
import { all, type Expression } from '../../search/expression.ts';
import { patientOfKey } from '../../search/keys.ts';
import { hasOneReference } from '../../search/pairs.ts';
import type { Counting, FindResult, ResourceStore } from '../../store/port.ts';
import { PATIENT } from '../facets.ts';
import type { SearchRequest } from '../gate.ts';
import type { SourcedScope } from './sourced.ts';
import { newestFirst, type View } from './view.ts';

/** So many rows may be looked at for a total. */
export const COUNTED = 250_000;
/** Whoever sees no more of a type is told totals unasked: some ten milliseconds at most. */
const FEW = 5_000;
/** How long that is remembered of a view. */
const REMEMBERED_MS = 30_000;
/** More in one criterion is a question about everybody. */
const MOST_NAMED = 50;

type Part = { readonly type: string; readonly where: Expression; readonly scope: SourcedScope };

/**
 * Undefined: only the page itself may tell. Whom it counts the store is asked where these are few, or where it cannot tell whether everybody's Consents
 * stand; rows that rest on what others say as well are about more patients than they name.
 */
export async function countingOf(
  resources: ResourceStore,
  view: View,
  { total, count, parts }: Pick<SearchRequest, 'total' | 'count'> & { readonly parts: readonly Part[] },
): Promise<Counting | undefined> {
  const aboutFew = parts.every(({ where }) => namesPatients(where));
  const nameable = view.patients.length > 0 && parts.every(({ scope: { where, refinement } }) => where.kind !== 'all' && !refinement);
  const naming = nameable && (aboutFew || !resources.writtenByOthers) ? { naming: PATIENT } : {};
  if (count === 0 || total === true) return { budget: COUNTED, ...naming };
  if (total === 'at-least') return naming;
  if (!total) return undefined;
  return aboutFew || (await seesFew(resources, view, parts)) ? { budget: COUNTED, ...naming } : undefined;
}

/** One of its criteria holds for what refers to one of a few, patients among them, with whatever else was asked along with that; or for a few ids. */
function namesPatients(where: Expression): boolean {
  switch (where.kind) {
    case 'none':
      return true;
    case 'id':
      return where.ids.size <= MOST_NAMED;
    case 'any':
      return where.keys.size <= MOST_NAMED && [...where.keys].some((key) => patientOfKey(key) !== undefined || hasOneReference(key));
    case 'range':
      return hasOneReference(where.from);
    case 'and':
      return where.of.some(namesPatients);
    case 'or':
      return where.of.every(namesPatients);
    default:
      return false;
  }
}

/** What is remembered of a view ends with it, so that a withdrawal counts at once. */
const remembered = new WeakMap<View, Map<string, { readonly few: boolean; readonly until: number }>>();

/** Whether the view shows few resources of these types, whatever is asked for. */
async function seesFew(resources: ResourceStore, view: View, parts: readonly Part[]): Promise<boolean> {
  const known = remembered.get(view) ?? new Map<string, { readonly few: boolean; readonly until: number }>();
  remembered.set(view, known);
  const name = parts.map(({ type }) => type).join();
  const now = performance.now();
  const last = known.get(name);
  if (last && last.until > now) return last.few;
  const everything = parts.map(({ type, scope }) => ({ type, scope, where: all, order: newestFirst }));
  const found = await resources.findSeveral({ parts: everything, limit: 0, total: { budget: COUNTED, most: FEW } });
  // A view that does not hold any more is made anew for the page.
  if (found.kind !== 'rows' || !found.total) return false;
  const few = found.total.exact && found.total.count <= FEW;
  known.set(name, { few, until: now + REMEMBERED_MS });
  return few;
}

type Rows = FindResult & { readonly kind: 'rows' };

/** Whether a page is all there is. */
export function isWhole({ next }: Rows, { count, after, back }: Pick<SearchRequest, 'count' | 'after' | 'back'>): boolean {
  return count > 0 && next === undefined && after === undefined && !back;
}

/** With the total that the page itself tells, where the store was not asked for one. */
export function withOwnTotal(page: Rows, request: Pick<SearchRequest, 'total' | 'count' | 'after' | 'back'>): Rows {
  return request.total && !page.total && isWhole(page, request) ? { ...page, total: { count: page.rows.length, exact: true } } : page;
}
