/**
 * Criteria on numbers and quantities: single values and ranges of them (Range, SampledData), in each unit that means the same.
 * https://hl7.org/fhir/R4/search.html#quantity
 */
import type { SearchParameter } from '../fhir/search-parameters.ts';
import { and, type Expression, none, or, successor } from './expression.ts';
import { canonicalPrefix, codedPrefix, encodeNumber, numberPrefix, rangeEndPrefix, rangePrefix, unitPrefix } from './keys.ts';
import type { SearchValue } from './query.ts';
import { canonicalUnit, convertBounds, UCUM } from './units.ts';

type NumberCriterion = SearchValue & { kind: 'number' };
type NumberValue = Pick<SearchValue & { kind: 'number' }, 'prefix' | 'exact' | 'low' | 'high'>;
type Form = { readonly head: string; readonly value: NumberValue };

export function numberExpression(value: SearchValue & { kind: 'number' }, code: string, parameter: SearchParameter): Expression {
  const forms = formsOf(value, code);
  const single = forms.map(singleExpression);
  return or(mayBeRange(parameter) ? [...single, ...forms.map((form) => rangeExpression(form, code))] : single);
}

/**
 * Where the numbers are that meet all of these criteria, each of which is met by one of its values: of a resource that has one number. Undefined where
 * they are asked in different units. A number has one key in each of the forms, or in one of them: so all are met by one and the same key.
 */
export function numberWindow(criteria: readonly (readonly NumberCriterion[])[], code: string, parameter: SearchParameter): Expression | undefined {
  const asked = criteria.map((values) => values.map((value) => formsOf(value, code)));
  const heads = [...new Set(asked.flat(2).map(({ head }) => head))];
  if (!asked.flat().every((forms) => forms.length === heads.length)) return undefined;
  const between = heads.map((head) => {
    const spans = asked.map((values) => hullOf(values.flat().flatMap((form) => (form.head === head ? [singleExpression(form)] : []))));
    const [from, to] = [spans.map((each) => each.from).reduce(later), spans.map((each) => each.to).reduce(earlier)];
    return span(from, to);
  });
  const ranges = mayBeRange(parameter) ? [and(asked.map((values) => or(values.flat().map((form) => rangeExpression(form, code)))))] : [];
  return or([...between, ...ranges]);
}

type Span = { readonly from: string; readonly to: string };
const later = (a: string, b: string): string => (a > b ? a : b);
const earlier = (a: string, b: string): string => (a < b ? a : b);
const nowhere: Span = { from: '\u{10FFFF}', to: '' };

function hullOf(expressions: readonly Expression[]): Span {
  const spans = expressions.map((each): Span => (each.kind === 'range' ? each : each.kind === 'or' ? hullOf(each.of) : nowhere));
  return { from: spans.map(({ from }) => from).reduce(earlier, nowhere.from), to: spans.map(({ to }) => to).reduce(later, nowhere.to) };
}

/** As it was asked, and in base units. Values stored before KEY_RULES 2 have no key in base units. */
function formsOf(value: SearchValue & { kind: 'number' }, code: string): Form[] {
  const { unit } = value;
  if (unit === undefined) return [{ head: numberPrefix(code), value }];
  if (unit.system === undefined) return [{ head: unitPrefix(code, unit.code), value }];
  const asked = { head: codedPrefix(code, unit.system, unit.code), value };
  const canonical = unit.system === UCUM ? canonicalUnit(unit.code) : undefined;
  if (!canonical) return [asked];
  return [asked, { head: canonicalPrefix(code, canonical.unit), value: { prefix: value.prefix, ...convertBounds(value, canonical) } }];
}

/** Most parameters never are: for them nothing more is asked. */
export function mayBeRange({ base, name, expression, definition }: SearchParameter): boolean {
  return /Range|SampledData/.test(expression) || definition !== undefined || (base === 'RiskAssessment' && name === 'probability');
}

function singleExpression({ head, value: { prefix, exact, low, high } }: Form): Expression {
  const at = (value: number) => head + encodeNumber(value);
  const above = `${at(exact)}!`; // after this number and before the next
  switch (prefix) {
    case 'eq':
      return span(at(low), at(high));
    case 'ap':
      return span(at(low), `${at(high)}!`);
    case 'ne':
      return or([span(head, at(low)), span(at(high), successor(head))]);
    case 'gt':
    case 'sa':
      return span(above, successor(head));
    case 'lt':
    case 'eb':
      return span(head, at(exact));
    case 'ge':
      return span(at(exact), successor(head));
    case 'le':
      return span(head, above);
  }
}

const DIGITS = 16;
/** Sorts after every digit that may follow. */
const AFTER = 'g';

/** A range of the resource against the value: as for dates. */
function rangeExpression({ head, value: { prefix, exact, low, high } }: Form, code: string): Expression {
  const starts = rangePrefix(code, head);
  const ends = rangeEndPrefix(code, head);
  const at = encodeNumber;
  switch (prefix) {
    case 'eq':
      return { kind: 'interval', prefix: starts, width: DIGITS, low: { from: at(low) }, high: { to: before(at(high)) } };
    case 'ap':
      return { kind: 'interval', prefix: starts, width: DIGITS, low: { to: at(high) }, high: { from: at(low) } };
    case 'ne':
      return or([span(starts, starts + at(low)), span(ends + at(high), successor(ends))]);
    case 'gt':
      return span(`${ends}${at(exact)}!`, successor(ends));
    case 'ge':
      return span(ends + at(exact), successor(ends));
    case 'lt':
      return span(starts, starts + at(exact));
    case 'le':
      return span(starts, starts + at(exact) + AFTER);
    case 'sa':
      return span(starts + at(exact) + AFTER, successor(starts));
    case 'eb':
      return span(ends, ends + at(exact));
  }
}

function span(from: string, to: string): Expression {
  return from < to ? { kind: 'range', from, to } : none;
}

function before(digits: string): string {
  return (BigInt(`0x${digits}`) - 1n).toString(16).padStart(DIGITS, '0');
}
