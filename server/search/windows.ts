/**
 * Where to look for what several criteria on one element ask together: a date from one day on and before another, a value above one number and below
 * another. Each alone is met by half of everything; what begins or lies in between is little. https://hl7.org/fhir/R4/search.html#prefix
 *
 * Invariant: a window follows from the criteria it is made of, for every resource that has the keys of today's rules. So it never changes what is
 * found: beside them it only leads there. Where an element that occurs once occurs otherwise, or a date is long, keys of their own say so.
 */
import type { SearchParameter } from '../fhir/search-parameters.ts';
import { isOnMainDate } from './clinical-date.ts';
import { elementFacts } from './element-facts.ts';
import { any, encodeInstant, type Expression, none, or, successor } from './expression.ts';
import { DAY_MS, datePrefix, longDatePrefix, MONTH_MS, oddKey } from './keys.ts';
import { numberWindow } from './number-criteria.ts';
import { paramCode } from './param-codes.ts';
import type { Criteria, Criterion, SearchValue } from './query.ts';

/** Whether a resource of the type has one value of the parameter at most, as R4 defines it. */
export function hasWindows(parameter: SearchParameter, type: string): boolean {
  return WINDOWED.has(parameter.type) && elementFacts(parameter, type).once;
}

const WINDOWED: ReadonlySet<SearchParameter['type']> = new Set(['date', 'number', 'quantity']);

/** Of all criteria of a search. */
export function windowsOf(type: string, criteria: Criteria['criteria']): Expression[] {
  const asked = criteria.filter((each): each is Criterion => each.test === 'matches' && hasWindows(each.parameter, type));
  return [...Map.groupBy(asked, ({ parameter }) => parameter)].flatMap(([parameter, some]) => {
    const code = paramCode(parameter);
    if (code === undefined) return [];
    const ways = [
      windowOf({ code, parameter }, some),
      parameter.type === 'date' && isOnMainDate(type, parameter.expression) && instantsOf(some, code),
    ];
    return ways.filter((way) => way !== undefined && way !== false);
  });
}

type Of = { readonly code: string; readonly parameter: SearchParameter };

/** Undefined: it would lead to no less than one of the criteria does. */
function windowOf({ code, parameter }: Of, criteria: readonly Criterion[]): Expression | undefined {
  if (parameter.type === 'date') return dateWindow(datesOf(criteria), code);
  const numbers = criteria.map(({ values }) => values.filter((value) => value.kind === 'number'));
  const between = numbers.length > 1 ? numberWindow(numbers, code, parameter) : undefined;
  return between && or([between, any([oddKey(code)])]);
}

type DateValue = SearchValue & { readonly kind: 'date' };
type Starts = { readonly from: number; readonly to: number };

function datesOf(criteria: readonly Criterion[]): readonly (readonly DateValue[])[] {
  return criteria.map(({ values }) => values.filter((value) => value.kind === 'date'));
}

/**
 * Of the date that resources are sorted by: what has it is sorted by its beginning, or has a key that says it is longer than a month or odd. One end is
 * enough to be of use.
 */
function instantsOf(criteria: readonly Criterion[], code: string): Expression | undefined {
  const { from, to } = startsOf(datesOf(criteria), MONTH_MS);
  if (!Number.isFinite(from) && !Number.isFinite(to)) return undefined;
  return { kind: 'instants', from, to, unless: begins(longDatePrefix(code, 'month'), { from: Number.NEGATIVE_INFINITY, to }) };
}

/** Between which instants begins what meets all of the criteria, of what lasts at most so long. */
function startsOf(criteria: readonly (readonly DateValue[])[], longest: number): Starts {
  const each = criteria.map((values) => values.map((value) => startsOfOne(value, longest)));
  return {
    from: Math.max(...each.map((some) => Math.min(...some.map(({ from }) => from)))),
    to: Math.min(...each.map((some) => Math.max(...some.map(({ to }) => to)))),
  };
}

/** Where those begin that last at most so long, for each length; the longest, and those that are odd, all that begin before the end. */
function dateWindow(criteria: readonly (readonly DateValue[])[], code: string): Expression | undefined {
  const short = startsOf(criteria, DAY_MS);
  if (!Number.isFinite(short.from) || !Number.isFinite(short.to)) return undefined;
  return or([
    begins(datePrefix(code), short),
    begins(longDatePrefix(code, 'day'), startsOf(criteria, MONTH_MS)),
    begins(longDatePrefix(code, 'month'), { from: Number.NEGATIVE_INFINITY, to: short.to }),
  ]);
}

function begins(prefix: string, { from, to }: Starts): Expression {
  return from > to ? none : { kind: 'range', from: prefix + encodeInstant(from), to: successor(prefix + encodeInstant(to)) };
}

/** Of what ends after it begins and lasts no longer than `longest` ms: between which instants it begins where the criterion holds. */
function startsOfOne({ prefix, low, high }: DateValue, longest: number): Starts {
  const [before, after] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  switch (prefix) {
    case 'eq':
      return { from: low, to: high };
    case 'ne':
      return { from: before, to: after };
    case 'gt':
      return { from: high - longest, to: after };
    case 'ge':
      return { from: Math.min(low, high - longest), to: after };
    case 'lt':
    case 'eb':
      return { from: before, to: low };
    case 'le':
      return { from: before, to: high };
    case 'sa':
      return { from: high, to: after };
    case 'ap':
      return { from: low - longest, to: high };
  }
}
