/**
 * Turns a parsed search into an expression over index keys and an order: what an engine runs, and the Gate narrows to what the caller
 * may see. https://hl7.org/fhir/R4/search.html#prefix
 *
 * Invariant: holds(plan.where, id, indexKeys(resource)) equals match(resource) for every resource and query (a property test).
 */
import type { SearchParameter } from '../fhir/search-parameters.ts';
import { and, any, encodeInstant, type Expression, none, not, or, startsWith, successor } from './expression.ts';
import {
  codedPrefix,
  dateEndPrefix,
  datePrefix,
  encodeNumber,
  exactKey,
  numberPrefix,
  referenceKey,
  stringPrefix,
  systemKey,
  type TokenKind,
  tokenKey,
  tokenPrefix,
  tokensPrefix,
  unitPrefix,
  uriKey,
  versionedKey,
} from './keys.ts';
import { paramCode } from './param-codes.ts';
import type { Criterion, MissingCriterion, ParsedQuery, SearchValue } from './query.ts';

export type SearchOrder =
  | { readonly by: 'instant'; readonly direction: 'newest-first' | 'oldest-first' }
  | { readonly by: 'key'; readonly prefix: string; readonly direction: 'ascending' | 'descending' };

export type SearchPlan = {
  readonly where: Expression;
  readonly order: SearchOrder;
  /** Rows of a page; 0: only the total. */
  readonly count: number;
  readonly total: boolean;
  /** The sealed place to go on from, as sent. */
  readonly cursor: string | undefined;
  /** What was used, as a query string without the cursor: the self link. */
  readonly used: string;
  /** What was left out and why; names parameters, not values. */
  readonly warnings: readonly string[];
};

export function planSearch(query: ParsedQuery): SearchPlan {
  const { warnings, used, cursor, summaryCount, total } = query;
  const countOnly = summaryCount || query.count === 0;
  return {
    where: and(query.criteria.map(criterion)),
    order: orderOf(query.sort),
    count: countOnly ? 0 : query.count,
    total: countOnly || total,
    cursor,
    used: used.map(([name, value]) => new URLSearchParams([[name, value]]).toString()).join('&'),
    warnings,
  };
}

/** Ascending by the earliest beginning, descending by the latest end. */
function orderOf(sort: ParsedQuery['sort']): SearchOrder {
  if (!sort) return { by: 'instant', direction: 'newest-first' };
  const code = codeOf(sort.parameter);
  return { by: 'key', prefix: sort.direction === 'ascending' ? datePrefix(code) : dateEndPrefix(code), direction: sort.direction };
}

function codeOf(parameter: SearchParameter): string {
  const code = paramCode(parameter);
  if (code === undefined) throw new Error(`No key code for ${parameter.base}.${parameter.name}.`); // parse.ts lets none through
  return code;
}

function criterion(asked: Criterion | MissingCriterion): Expression {
  const code = codeOf(asked.parameter);
  if (asked.test === 'missing') return asked.missing ? not(startsWith(code)) : startsWith(code);
  if (asked.parameter.name === '_id') return negated(asked, ids(asked.values));
  const as: TokenKind = asked.test === 'identifier' ? 'identifier' : 'token';
  return negated(
    asked,
    alternatives(asked.values.map((value) => valueExpression(value, { code, as, exact: asked.test === 'exact', parameter: asked.parameter }))),
  );
}

function negated({ test }: Criterion, expression: Expression): Expression {
  return test === 'not' ? not(expression) : expression;
}

/** An id has no system. */
function ids(values: readonly SearchValue[]): Expression {
  const found = values.flatMap((v) => (v.kind === 'token' && v.value !== undefined && (v.system ?? '') === '' ? [v.value] : []));
  return found.length === 0 ? none : { kind: 'id', ids: new Set(found) };
}

/** Disjunction with all exact keys in one set, so that an engine can seek them together. */
function alternatives(parts: readonly Expression[]): Expression {
  const keys = parts.flatMap((part) => (part.kind === 'any' ? [...part.keys] : []));
  return or([any(keys), ...parts.filter((part) => part.kind !== 'any')]);
}

type Asked = { readonly code: string; readonly as: TokenKind; readonly exact: boolean; readonly parameter: SearchParameter };

function valueExpression(value: SearchValue, asked: Asked): Expression {
  const { code } = asked;
  switch (value.kind) {
    case 'token':
      return tokenExpression(value, asked);
    case 'string': {
      const prefix = asked.exact ? undefined : stringPrefix(code, value.text);
      return prefix === undefined ? any([exactKey(code, value.text)]) : startsWith(prefix);
    }
    case 'reference':
      return any(value.versioned === undefined ? value.targets.map((target) => referenceKey(code, target)) : [versionedKey(code, value.versioned)]);
    case 'uri':
      return any([uriKey(code, value.uri)]);
    case 'date':
      return dateExpression(value, code);
    case 'number':
      return numberExpression(value, code);
  }
}

function tokenExpression({ system, value }: SearchValue & { kind: 'token' }, { code, as, parameter }: Asked): Expression {
  const bare = as === 'token' ? parameter.system : undefined;
  if (value === undefined && bare !== undefined) return system === bare ? startsWith(tokensPrefix(code)) : none;
  if (value === undefined) return any([systemKey(code, as, system ?? '')]);
  if (system === undefined && bare === undefined) return startsWith(tokenPrefix(code, as, value));
  return any([tokenKey(code, as, value, system ?? bare ?? '')]);
}

/** R4 §3.1.1.4.7: the target range [l, h] of the resource against the range [low, high] of the search value. */
function dateExpression({ prefix, low, high }: SearchValue & { kind: 'date' }, code: string): Expression {
  const contained: Expression = { kind: 'interval', prefix: datePrefix(code), low: { from: encodeInstant(low) }, high: { to: encodeInstant(high) } };
  const endsAfter = (ms: number): Expression => ({
    kind: 'range',
    from: dateEndPrefix(code) + encodeInstant(ms + 1),
    to: successor(dateEndPrefix(code)),
  });
  const endsBefore = (ms: number): Expression => ({ kind: 'range', from: dateEndPrefix(code), to: dateEndPrefix(code) + encodeInstant(ms) });
  const startsBefore = (ms: number): Expression => ({ kind: 'range', from: datePrefix(code), to: datePrefix(code) + encodeInstant(ms) });
  const startsAfter = (ms: number): Expression => ({
    kind: 'range',
    from: datePrefix(code) + encodeInstant(ms + 1),
    to: successor(datePrefix(code)),
  });
  switch (prefix) {
    case 'eq':
      return contained;
    case 'ne':
      return or([startsBefore(low), endsAfter(high)]);
    case 'gt':
      return endsAfter(high);
    case 'lt':
      return startsBefore(low);
    case 'ge':
      return or([endsAfter(high), contained]);
    case 'le':
      return or([startsBefore(low), contained]);
    case 'sa':
      return startsAfter(high);
    case 'eb':
      return endsBefore(low);
    case 'ap':
      return { kind: 'interval', prefix: datePrefix(code), low: { to: encodeInstant(high) }, high: { from: encodeInstant(low) } };
  }
}

function numberExpression({ prefix, exact, low, high, unit }: SearchValue & { kind: 'number' }, code: string): Expression {
  const head =
    unit === undefined ? numberPrefix(code) : unit.system === undefined ? unitPrefix(code, unit.code) : codedPrefix(code, unit.system, unit.code);
  const at = (value: number) => head + encodeNumber(value);
  const range = (from: string, to: string): Expression => (from < to ? { kind: 'range', from, to } : none);
  const above = `${at(exact)}!`; // after this number and before the next
  switch (prefix) {
    case 'eq':
      return range(at(low), at(high));
    case 'ap':
      return range(at(low), `${at(high)}!`);
    case 'ne':
      return or([range(head, at(low)), range(at(high), successor(head))]);
    case 'gt':
    case 'sa':
      return range(above, successor(head));
    case 'lt':
    case 'eb':
      return range(head, at(exact));
    case 'ge':
      return range(at(exact), successor(head));
    case 'le':
      return range(head, above);
  }
}
