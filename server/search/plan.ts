/**
 * Turns a parsed search into an expression over index keys and an order: what an engine runs, and the Gate narrows to what the caller
 * may see. https://hl7.org/fhir/R4/search.html#prefix
 *
 * Invariant: holds(plan.where, id, indexKeys(resource)) equals match(resource) for every resource and query (a property test).
 */
import { criterion } from './criteria.ts';
import type { Expression } from './expression.ts';
import { orderOf, type SearchOrder } from './sort.ts';
import type { Criteria, Formula, JoinCriterion, ParsedQuery } from './query.ts';
import { allOf, type Condition, type Include, isPlain, noneOf, someOf } from './join.ts';
import { linkOf } from './links.ts';
import { pairedPrefix, pairUp } from './pairs.ts';
import { windowsOf } from './windows.ts';

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

/** `current`: false where resources may be stored without all of today's keys: those of pairs (pairs.ts) and of what is long (windows.ts). */
export function planJoined(query: ParsedQuery, current = true): JoinedPlan {
  return { ...rest(query, current), where: conditionOf(query, current), includes: query.includes };
}

function conditionOf({ type, criteria, joins }: Criteria, current: boolean): Condition {
  const own = criteria.map((each) => criterion(each, current ? type : undefined));
  const ways = current ? pairUp(type, [...own, ...windowsOf(type, criteria)]) : own;
  return allOf([...ways, ...joins.map((join) => joinCondition(join, { type, current }))]);
}

function formulaCondition(formula: Formula, current: boolean): Condition {
  switch (formula.kind) {
    case 'criteria':
      return conditionOf(formula.criteria, current);
    case 'not':
      return noneOf(formulaCondition(formula.of, current));
    case 'and':
      return allOf(formula.of.map((part) => formulaCondition(part, current)));
    case 'or':
      return someOf(formula.of.map((part) => formulaCondition(part, current)));
  }
}

function joinCondition(join: JoinCriterion, { type, current }: { readonly type: string; readonly current: boolean }): Condition {
  if (join.kind === 'formula') return formulaCondition(join.of, current);
  const link = linkOf(join.parameter, join.kind === 'has' ? join.from.type : type);
  if (!link) throw new Error(`${join.parameter.name} is no link.`); // parse-joins.ts lets none through
  if (join.kind === 'has') return { kind: 'has', link, from: join.from.type, where: conditionOf(join.from, current) };
  return { kind: 'chain', link, to: join.to.map((inner) => ({ type: inner.type, where: conditionOf(inner, current) })) };
}

/** Of a query without chains and _has. */
export function planSearch(query: ParsedQuery, current = true): SearchPlan {
  const where = conditionOf(query, current);
  if (!isPlain(where)) throw new Error('A join stands where there can be none.'); // parse.ts lets none through without reach
  return { ...rest(query, current), where };
}

function orderIn({ type, criteria, sort }: ParsedQuery, current: boolean): SearchOrder {
  const order = orderOf(sort);
  if (order.by === 'instant' || !current) return order;
  const [lead, ...others] = order.keys;
  if (!lead) return order;
  const asked = criteria.map((each) => criterion(each, type));
  const within = pairedPrefix(type, asked, lead.prefix);
  if (within === undefined) return order;
  const rangesWithin = lead.ranges === undefined ? undefined : pairedPrefix(type, asked, lead.ranges);
  return { ...order, keys: [{ ...lead, within, ...(rangesWithin === undefined ? {} : { rangesWithin }) }, ...others] };
}

function rest(query: ParsedQuery, current: boolean): Omit<SearchPlan, 'where'> {
  const { warnings, used, cursor, summaryCount, total } = query;
  const countOnly = summaryCount || query.count === 0;
  return {
    order: orderIn(query, current),
    count: countOnly ? 0 : query.count,
    total: countOnly && total !== 'at-least' ? true : total,
    cursor,
    used: used.map(([name, value]) => new URLSearchParams([[name, value]]).toString()).join('&'),
    warnings,
  };
}
