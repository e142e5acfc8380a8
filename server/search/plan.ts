/**
 * Turns a parsed search into an expression over index keys and an order: what an engine runs, and the Gate narrows to what the caller
 * may see. https://hl7.org/fhir/R4/search.html#prefix
 *
 * Invariant: holds(plan.where, id, indexKeys(resource)) equals match(resource) for every resource and query (a property test).
 */
import { criterion } from './criteria.ts';
import { and, type Expression } from './expression.ts';
import { orderOf, type SearchOrder } from './sort.ts';
import type { Criteria, JoinCriterion, ParsedQuery } from './query.ts';
import { allOf, type Condition, type Include } from './join.ts';
import { linkOf } from './links.ts';

export type SearchPlan = {
  readonly where: Expression;
  readonly order: SearchOrder;
  /** Rows of a page; 0: only the total. */
  readonly count: number;
  readonly total: ParsedQuery['total'];
  /** The sealed place to go on from, as sent. */
  readonly cursor: string | undefined;
  /** What was used, as a query string without the cursor: the self link. */
  readonly used: string;
  /** What was left out and why; names parameters, not values. */
  readonly warnings: readonly string[];
};

/** With joins: the Gate makes an expression of them, in the caller's view. */
export type JoinedPlan = Omit<SearchPlan, 'where'> & { readonly where: Condition; readonly includes: readonly Include[] };

export function planJoined(query: ParsedQuery): JoinedPlan {
  return { ...planSearch({ ...query, joins: [] }), where: conditionOf(query), includes: query.includes };
}

function conditionOf({ type, criteria, joins }: Criteria): Condition {
  return allOf([...criteria.map(criterion), ...joins.map((join) => joinCondition(join, type))]);
}

function joinCondition(join: JoinCriterion, type: string): Condition {
  const link = linkOf(join.parameter, join.kind === 'has' ? join.from.type : type);
  if (!link) throw new Error(`${join.parameter.name} is no link.`); // parse-joins.ts lets none through
  if (join.kind === 'has') return { kind: 'has', link, from: join.from.type, where: conditionOf(join.from) };
  return { kind: 'chain', link, to: join.to.map((inner) => ({ type: inner.type, where: conditionOf(inner) })) };
}

/** Of a query without joins. */
export function planSearch(query: ParsedQuery): SearchPlan {
  if (query.joins.length > 0) throw new Error('A join stands where there can be none.'); // parse.ts lets none through without reach
  const { warnings, used, cursor, summaryCount, total } = query;
  const countOnly = summaryCount || query.count === 0;
  return {
    where: and(query.criteria.map(criterion)),
    order: orderOf(query.sort),
    count: countOnly ? 0 : query.count,
    total: countOnly && total !== 'at-least' ? true : total,
    cursor,
    used: used.map(([name, value]) => new URLSearchParams([[name, value]]).toString()).join('&'),
    warnings,
  };
}
