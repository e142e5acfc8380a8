/**
 * A search of several types in the Gate: of everything, of the types named, of a compartment. https://hl7.org/fhir/R4/search.html#searchcontexts
 *
 * Invariants: each type is read under the caller's scope of its own, all of them in one snapshot; page, links and total are of what is visible;
 * one disclosure is recorded for the whole answer.
 */
import type { Expression } from '../../search/expression.ts';
import type { FindResult, SeveralQuery } from '../../store/port.ts';
import type { SearchResult, SeveralRequest } from '../gate.ts';
import { COUNTED, countingOf, withOwnTotal } from './counting.ts';
import { type Disclosure, type Page, pageRestsOn, placesOf, recordDisclosure, rowOf, shown, type Unread } from './disclose.ts';
import { includeAll } from './includes.ts';
import { resolveJoins } from './joins.ts';
import { seesNothing } from './sourced.ts';
import { inView, type View } from './view.ts';

type Deps = Disclosure & { readonly base: string };

export function searchSeveral(deps: Deps, request: SeveralRequest): Promise<SearchResult> {
  return inView<Page | Unread, SearchResult>(deps.views, {
    read: (view) => readPageOfSeveral(deps, request, view),
    restsOn: (page) => pageRestsOn(page, request),
    conclude: async (page, view) => {
      const { query, total, interaction } = request;
      const sent = { type: undefined, rows: [...page.rows, ...page.included], counted: page.total?.count };
      const recorded = await recordDisclosure(deps, { interaction, ...sent, view, query });
      const known = page.total && (page.total.exact || total === 'at-least') ? page.total.count : undefined;
      const included = page.included.map(rowOf);
      return recorded && { rows: shown(page, request), included, cut: page.cut, ...placesOf(page, request), total: known, receipt: recorded.receipt };
    },
  });
}

export async function readPageOfSeveral(deps: Deps, request: SeveralRequest, view: View): Promise<Page | Unread> {
  const through = new Set<string>();
  const parts: SeveralQuery['parts'][number][] = [];
  for (const { type, where, order } of request.parts) {
    const scope = view.scope(type);
    if (seesNothing(scope)) continue;
    const joined = await resolveJoins(deps, view, { type, where });
    if (joined.kind === 'stale') return joined;
    for (const patient of joined.through) through.add(patient);
    parts.push({ type, where: joined.where satisfies Expression, order, scope });
  }
  const matches = await readMatches(deps, request, { parts, view });
  if (matches.kind !== 'rows') return matches;
  const added = await includeAll(deps, view, { matches: matches.rows, includes: request.includes ?? [] });
  return added.kind === 'included' ? { ...matches, included: added.rows, cut: added.cut, through: [...through] } : added;
}

/** Page and total of one snapshot. */
async function readMatches({ resources }: Deps, request: SeveralRequest, { parts, view }: SeveralView): Promise<FindResult> {
  const { after, back, count, total } = request;
  const counted = parts.map(({ type, where }) => ({ type, where, scope: view.scope(type) }));
  const counting = await countingOf(resources, view, { total, count, parts: counted });
  const place = { ...(after ? { after } : {}), ...(back ? { reversed: true } : {}), ...(counting ? { total: counting } : {}) };
  const page = await resources.findSeveral({ parts, limit: count, ...place });
  if (page.kind !== 'rows') return page;
  const enough = total === 'at-least' || (total === 'if-told' && count > 0);
  return page.total?.exact === false && !enough ? { kind: 'budget', walked: COUNTED, by: [] } : withOwnTotal(page, request);
}

type SeveralView = Pick<SeveralQuery, 'parts'> & { readonly view: View };
