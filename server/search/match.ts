/**
 * Decides whether a resource satisfies a parsed search by looking at the resource: the meaning of search, written without regard to
 * index keys, against which plan.ts and every engine are tested. https://hl7.org/fhir/R4/search.html
 */
import { rangeOf } from '../fhir/dates.ts';
import { compileExpression } from './extract.ts';
import { referenceText } from './index-values.ts';
import type { Criterion, MissingCriterion, ParsedQuery, SearchValue } from './query.ts';
import { cleanText, foldText } from './text.ts';

type Element = { readonly [element: string]: unknown };
type Resource = Element & { readonly resourceType: string };

/** `base`: our own FHIR base URL. */
export function match(resource: Resource, query: ParsedQuery, base = ''): boolean {
  return resource.resourceType === query.type && query.criteria.every((criterion) => satisfies(resource, criterion, base));
}

function satisfies(resource: Resource, criterion: Criterion | MissingCriterion, base: string): boolean {
  const elements = compileExpression(criterion.parameter.expression, resource.resourceType)(resource);
  if (criterion.test === 'missing') return (elements.length === 0) === criterion.missing;
  const some = criterion.values.some((value) => elements.some((element) => says(element, value, { criterion, base })));
  return criterion.test === 'not' ? !some : some;
}

type Asked = { readonly criterion: Criterion; readonly base: string };

function says(element: unknown, value: SearchValue, asked: Asked): boolean {
  switch (value.kind) {
    case 'token':
      return tokens(element, asked.criterion).some((token) => isToken(token, value));
    case 'string':
      return strings(element).some((text) =>
        asked.criterion.test === 'exact' ? cleanText(text) === cleanText(value.text) : foldText(text).startsWith(foldText(value.text)),
      );
    case 'reference':
      return value.versioned === undefined ? value.targets.some((target) => refersTo(element, target, asked.base)) : element === value.versioned;
    case 'uri':
      return typeof element === 'string' && (element === value.uri || (!value.uri.includes('|') && element.split('|')[0] === value.uri));
    case 'date':
      return isDate(element, value);
    case 'number':
      return isNumber(element, value);
  }
}

type Token = { readonly system: string; readonly value: string };

function tokens(element: unknown, { test, parameter }: Criterion): Token[] {
  if (test === 'identifier')
    return tokens(at(element, 'identifier'), { test: 'matches', parameter: { ...parameter, system: undefined }, values: [] });
  if (typeof element !== 'object' || element === null) return [{ system: parameter.system ?? '', value: plain(element) }];
  if (parameter.system !== undefined) return [];
  const codings = at(element, 'coding');
  return (Array.isArray(codings) ? codings : [element]).map((coding: unknown) => ({
    system: plain(at(coding, 'system')),
    value: plain(at(coding, 'code')) || plain(at(coding, 'value')),
  }));
}

function isToken(token: Token, { system, value }: SearchValue & { kind: 'token' }): boolean {
  if (token.system === '' && token.value === '') return false;
  return (system === undefined || system === token.system) && (value === undefined || value === token.value);
}

function strings(element: unknown): string[] {
  if (typeof element !== 'object') return [plain(element)];
  const names = ['text', 'family', 'given', 'prefix', 'suffix', 'line', 'city', 'district', 'state', 'postalCode', 'country'];
  return names.flatMap((name) => at(element, name)).filter((text) => typeof text === 'string');
}

function refersTo(element: unknown, target: string, base: string): boolean {
  if (typeof element === 'string') return (referenceText(element.split('|')[0] ?? '', base) ?? element.split('|')[0]) === target;
  if (at(element, 'resourceType') !== undefined) return `${plain(at(element, 'resourceType'))}/${plain(at(element, 'id'))}` === target;
  const reference = at(element, 'reference');
  return typeof reference === 'string' && referenceText(reference, base) === target;
}

function isDate(element: unknown, { prefix, low, high }: SearchValue & { kind: 'date' }): boolean {
  const range = rangeOf(element);
  if (!range) return false;
  const contained = range.low >= low && range.high <= high;
  const meaning = {
    eq: contained,
    ne: !contained,
    gt: range.high > high,
    lt: range.low < low,
    ge: range.high > high || contained,
    le: range.low < low || contained,
    sa: range.low > high,
    eb: range.high < low,
    ap: range.low <= high && range.high >= low,
  };
  return meaning[prefix];
}

function isNumber(element: unknown, { prefix, exact, low, high, unit }: SearchValue & { kind: 'number' }): boolean {
  const number = typeof element === 'number' ? element : at(element, 'value');
  if (typeof number !== 'number' || (unit && !hasUnit(element, unit))) return false;
  const equal = number >= low && number < high;
  const meaning = {
    eq: equal,
    ne: !equal,
    gt: number > exact,
    sa: number > exact,
    lt: number < exact,
    eb: number < exact,
    ge: number >= exact,
    le: number <= exact,
    ap: number >= low && number <= high,
  };
  return meaning[prefix];
}

function hasUnit(element: unknown, { system, code }: { readonly system: string | undefined; readonly code: string }): boolean {
  const currency = at(element, 'currency');
  if (currency !== undefined) return currency === code && (system === undefined || system === 'urn:iso:std:iso:4217');
  if (system === undefined) return at(element, 'code') === code || at(element, 'unit') === code;
  return at(element, 'code') === code && at(element, 'system') === system;
}

function at(element: unknown, name: string): unknown {
  return typeof element === 'object' && element !== null ? (element as Element)[name] : undefined;
}

/** A primitive as text, '' for anything else. */
function plain(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}
