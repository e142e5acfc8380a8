/**
 * Decides whether a resource satisfies a parsed search by looking at the resource: the meaning of search, written without regard to
 * index keys, against which plan.ts and every engine are tested. https://hl7.org/fhir/R4/search.html
 */
import { rangeOf } from '../fhir/dates.ts';
import { compileExpression } from './extract.ts';
import { referenceText } from './index-values.ts';
import { holdsFormula } from './filter.ts';
import { saysWords } from './match-words.ts';
import type { Criteria, Criterion, MissingCriterion, SearchValue } from './query.ts';
import { componentsOf } from './composite.ts';
import { distance } from './expression.ts';
import { LONG_TEXT } from './keys.ts';
import { type Measure, measureOf } from './measures.ts';
import { textsOf } from './resource-text.ts';
import { type Bounds, canonicalUnit, convertBounds, UCUM } from './units.ts';
import { cleanText, CONTACTS, foldText, hasCase, ignoresCase, isAbove, wordsOf } from './text.ts';

type Element = { readonly [element: string]: unknown };
type Resource = Element & { readonly resourceType: string };

/** `base`: our own FHIR base URL. Of what other resources decide nothing is asked. */
export function match(resource: Resource, query: Criteria, base = ''): boolean {
  if (resource.resourceType !== query.type || !query.criteria.every((criterion) => satisfies(resource, criterion, base))) return false;
  return query.joins.every((join) => join.kind !== 'formula' || holdsFormula(join.of, (criteria) => match(resource, criteria, base)));
}

function satisfies(resource: Resource, criterion: Criterion | MissingCriterion, base: string): boolean {
  const { parameter } = criterion;
  if (parameter.type === 'text') return criterion.test !== 'missing' && criterion.values.some((value) => isSaid(resource, value, parameter.name));
  const all = compileExpression(parameter.expression, resource.resourceType)(resource);
  const composite = parameter.components && componentsOf(parameter, resource.resourceType);
  const elements = composite ? all.map((one) => composite.partsOf(one, resource)).filter((parts) => parts.every((part) => part.length > 0)) : all;
  if (criterion.test === 'missing') return (elements.length === 0) === criterion.missing;
  if (criterion.test === 'differs')
    return elements.some((element) => itemsOf(element, criterion, base).some((item) => !criterion.values.some((value) => isItem(item, value))));
  const some = criterion.values.some((value) => elements.some((element) => says(element, value, { criterion, base })));
  return criterion.test === 'not' ? !some : some;
}

function isSaid(resource: Resource, value: SearchValue, name: string): boolean {
  const { narrative, rest } = textsOf(resource);
  return value.kind === 'words' && saysWords(name === '_text' ? narrative : [...narrative, ...rest], value.query);
}

/** What an element counts as in a comparison that asks for another value: folded texts, URIs, references, pairs of system and code. */
function itemsOf(element: unknown, criterion: Criterion, base: string): readonly (string | Token)[] {
  switch (criterion.parameter.type) {
    case 'string':
      return strings(element).flatMap((text) => (text.trim() === '' ? [] : [foldText(text)]));
    case 'token':
      return tokens(element, criterion).filter(({ system, value }) => system !== '' || value !== '');
    case 'reference':
      return referred(element, base);
    default:
      return typeof element === 'string' ? [element, ...(element.indexOf('|') > 0 ? [element.split('|')[0] ?? ''] : [])] : [];
  }
}

function referred(element: unknown, base: string): readonly string[] {
  const whole = at(element, 'resourceType') === undefined ? [] : [`${plain(at(element, 'resourceType'))}/${plain(at(element, 'id'))}`];
  const text = typeof element === 'string' ? (element.split('|')[0] ?? '') : at(element, 'reference');
  const named = typeof text === 'string' ? (referenceText(text, base) ?? (typeof element === 'string' ? text : undefined)) : undefined;
  return named === undefined ? whole : [...whole, named];
}

function isItem(item: string | Token, value: SearchValue): boolean {
  if (value.kind === 'string') return item === foldText(value.text);
  if (value.kind === 'uri') return item === value.uri;
  if (value.kind === 'reference') return value.targets.some((target) => target === item);
  return typeof item === 'object' && value.kind === 'token' && item.value === value.value && (value.system ?? item.system) === item.system;
}

type Asked = { readonly criterion: Criterion; readonly base: string };

function says(element: unknown, value: SearchValue, asked: Asked): boolean {
  switch (value.kind) {
    case 'token':
      return tokens(element, asked.criterion).some((token) => isToken(token, value));
    case 'of-type':
      return isOfType(element, value);
    case 'composite':
      return value.parts.every((part, i) => {
        const parameter = asked.criterion.parameter.components?.[i] ?? asked.criterion.parameter;
        const criterion: Criterion = { parameter, test: 'matches', values: [] };
        return (element as unknown[][])[i]?.some((one) => says(one, part, { criterion, base: asked.base })) ?? false;
      });
    case 'near': {
      const [latitude, longitude] = [at(element, 'latitude'), at(element, 'longitude')];
      return typeof latitude === 'number' && typeof longitude === 'number' && distance(value.place, { latitude, longitude }) <= value.metres;
    }
    case 'string':
      return texts(element, asked.criterion).some((text) => isText(text, value.text, asked.criterion.test));
    case 'reference':
      return value.versioned === undefined ? value.targets.some((target) => refersTo(element, target, asked.base)) : element === value.versioned;
    case 'uri':
      return typeof element === 'string' && [element, element.split('|')[0] ?? ''].some((uri) => isUri(uri, value.uri, asked.criterion.test));
    case 'date':
      return isDate(element, value);
    case 'words':
      return false; // asked of the whole resource
    case 'number':
      return isNumber(element, value);
  }
}

function isUri(uri: string, asked: string, test: Criterion['test']): boolean {
  return test === 'below' ? uri.startsWith(asked) : test === 'above' ? isAbove(uri, asked) : uri === asked;
}

function isText(text: string, asked: string, test: Criterion['test']): boolean {
  if (test === 'exact') return cleanText(text) === cleanText(asked);
  if (test === 'equals') return foldText(text) === foldText(asked);
  if (test === 'ends') return Buffer.byteLength(foldText(text)) < LONG_TEXT && foldText(text).endsWith(foldText(asked));
  return test === 'contains' ? foldText(text).slice(0, LONG_TEXT).includes(foldText(asked)) : foldText(text).startsWith(foldText(asked));
}

function texts(element: unknown, { test, parameter }: Criterion): readonly string[] {
  if (test !== 'text') return strings(element);
  return typeof element === 'object' && element !== null && parameter.system === undefined ? wordsOf(element as Element) : [];
}

/** `folds`: case says nothing. */
type Token = { readonly system: string; readonly value: string; readonly folds?: boolean };

function tokens(element: unknown, { test, parameter }: Criterion): Token[] {
  if (test === 'identifier')
    return tokens(at(element, 'identifier'), { test: 'matches', parameter: { ...parameter, system: undefined }, values: [] }).map((token) => ({
      ...token,
      folds: false,
    }));
  if (typeof element !== 'object' || element === null) return [{ system: parameter.system ?? '', value: plain(element) }];
  if (parameter.system !== undefined) return [];
  const codings = at(element, 'coding');
  return (Array.isArray(codings) ? codings : [element]).map((coding: unknown) => ({
    system: plain(at(coding, 'system')),
    value: plain(at(coding, 'code')) || plain(at(coding, 'value')),
    folds: plain(at(coding, 'code')) === '' ? CONTACTS.has(plain(at(coding, 'system'))) : ignoresCase(plain(at(coding, 'system'))),
  }));
}

function isToken(token: Token, { system, value, literal }: SearchValue & { kind: 'token' }): boolean {
  if (token.system === '' && token.value === '') return false;
  if (system !== undefined && system !== token.system) return false;
  if (value === undefined || value === token.value) return true;
  return token.folds === true && !literal && hasCase(value) && value.toLowerCase() === token.value.toLowerCase();
}

function isOfType(element: unknown, { system, type, value }: SearchValue & { kind: 'of-type' }): boolean {
  const codings = at(at(element, 'type'), 'coding');
  if (!Array.isArray(codings) || plain(at(element, 'value')) !== value) return false;
  return codings.some((coding) => plain(at(coding, 'system')) === system && plain(at(coding, 'code')) === type);
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

function isNumber(element: unknown, value: SearchValue & { kind: 'number' }): boolean {
  const measure = measureOf(element);
  const same = measure && inUnit(measure, value);
  if (!same) return false;
  const [{ low: from, high: to }, { exact, low, high }] = same;
  const equal = from >= low && to < high;
  const meaning = {
    eq: equal,
    ne: !equal,
    gt: to > exact,
    sa: from > exact,
    lt: from < exact,
    eb: to < exact,
    ge: to >= exact,
    le: from <= exact,
    ap: from <= high && to >= low,
  };
  return meaning[value.prefix];
}

/** Both in one unit, or undefined where they cannot be compared. */
function inUnit(measure: Measure, value: SearchValue & { kind: 'number' }): readonly [Omit<Measure, 'unit'>, Bounds] | undefined {
  const { unit: asked } = value;
  const { code, printed, system } = measure.unit;
  if (asked === undefined) return [measure, value];
  if (asked.system === undefined) return code === asked.code || printed === asked.code ? [measure, value] : undefined;
  const [mine, theirs] = [code, asked.code].map((one) => (one === undefined ? undefined : canonicalUnit(one)));
  if (asked.system === UCUM && system === UCUM && mine && theirs) {
    if (mine.unit !== theirs.unit) return undefined;
    return [{ low: mine.convert(measure.low), high: mine.convert(measure.high) }, convertBounds(value, theirs)];
  }
  return code === asked.code && system === asked.system ? [measure, value] : undefined;
}

function at(element: unknown, name: string): unknown {
  return typeof element === 'object' && element !== null ? (element as Element)[name] : undefined;
}

/** A primitive as text, '' for anything else. */
function plain(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}
