/**
 * Turns one criterion of a parsed search into an expression over index keys. https://hl7.org/fhir/R4/search.html#prefix
 *
 * Invariant: holds(criterion, id, indexKeys(resource)) equals what match.ts says of the resource (a property test).
 */
import { type SearchParameter, searchParameters } from '../fhir/search-parameters.ts';
import { elementFacts } from './element-facts.ts';
import { all, alternatives, and, any, compareKeys, encodeInstant, type Expression, none, not, or, startsWith, successor } from './expression.ts';
import {
  dateEndPrefix,
  datePrefix,
  encodeNumber,
  exactKey,
  foldedKey,
  foldedPrefix,
  LONG_TEXT,
  longPrefix,
  ofTypeKey,
  placePrefix,
  referenceKey,
  referencePrefix,
  stringKey,
  stringPrefix,
  stringsPrefix,
  runsPrefix,
  systemKey,
  termKey,
  type TokenKind,
  tokenKey,
  tokenPrefix,
  tokensPrefix,
  tuplePrefix,
  uriKey,
  uriPrefix,
  urisPrefix,
  versionedKey,
  WHOLE_BYTES,
  wordsPrefix,
} from './keys.ts';
import { numberExpression } from './number-criteria.ts';
import { CONTENT_CODE, NARRATIVE_CODE, paramCode } from './param-codes.ts';
import type { Criterion, MissingCriterion, SearchValue } from './query.ts';
import type { TextQuery } from './text-query.ts';
import { isSpaceless, packedPhrase, termsOf } from './words.ts';
import { foldText, hasCase, ignoresCase, isAbove } from './text.ts';

/** The head of a parameter's keys. */
export function codeOf(parameter: SearchParameter): string {
  const code = paramCode(parameter);
  if (code === undefined) throw new Error(`No key code for ${parameter.base}.${parameter.name}.`); // parse.ts lets none through
  return code;
}

/** `of`: the type that is searched, where everything that is stored has today's keys; undefined where it may not. */
export function criterion(asked: Criterion | MissingCriterion, of?: string): Expression {
  const { parameter, test } = asked;
  const code = codeOf(parameter);
  if (test === 'missing') {
    const present = startsWith(parameter.type === 'composite' ? tuplePrefix(code) : code);
    return asked.missing ? not(present) : present;
  }
  if (parameter.name === '_id') return negated(test, ids(asked.values));
  if (test === 'differs') return differs(asked.values, code, parameter);
  const as: TokenKind = test === 'identifier' ? 'identifier' : 'token';
  const allFold = of !== undefined && elementFacts(parameter, of).coded;
  return negated(test, alternatives(asked.values.map((value) => valueExpression(value, { code, as, test, parameter, allFold }))));
}

function negated(test: Criterion['test'], expression: Expression): Expression {
  return test === 'not' ? not(expression) : expression;
}

/** Has a key of the kind that is none of those the values have. */
function differs(values: readonly SearchValue[], code: string, parameter: SearchParameter): Expression {
  const heads = { string: stringsPrefix, token: tokensPrefix, reference: referencePrefix, uri: urisPrefix };
  const head = heads[parameter.type as keyof typeof heads](code); // filter.ts lets no other through
  const same = values.flatMap((value) => spansOf(value, code, parameter)).sort((a, b) => compareKeys(a.from, b.from));
  const starts = [head, ...same.map(({ to }) => to)];
  const ends = [...same.map(({ from }) => from), successor(head)];
  return or(starts.map((from, i) => ({ kind: 'range', from, to: ends[i] as string })));
}

type Span = { readonly from: string; readonly to: string };

function spansOf(value: SearchValue, code: string, { system: bare }: SearchParameter): readonly Span[] {
  // No key has this character at its end.
  const only = (key: string): Span => ({ from: key, to: `${key}\u0001` });
  switch (value.kind) {
    case 'string':
      return [only(stringKey(code, value.text))];
    case 'uri':
      return [only(uriKey(code, value.uri))];
    case 'reference':
      return value.targets.map((target) => only(referenceKey(code, target)));
    case 'token': {
      const { system = bare, value: own = '' } = value;
      const prefix = tokenPrefix(code, 'token', own);
      return [system === undefined ? { from: prefix, to: successor(prefix) } : only(tokenKey(code, 'token', own, system))];
    }
    default:
      return [];
  }
}

/** An id has no system. */
function ids(values: readonly SearchValue[]): Expression {
  const found = values.flatMap((v) => (v.kind === 'token' && v.value !== undefined && (v.system ?? '') === '' ? [v.value] : []));
  return found.length === 0 ? none : { kind: 'id', ids: new Set(found) };
}

type Asked = {
  readonly code: string;
  readonly as: TokenKind;
  readonly test: Criterion['test'];
  readonly parameter: SearchParameter;
  /** Whether what is stored has a key in lower case wherever case says nothing. */
  readonly allFold?: boolean;
};

function valueExpression(value: SearchValue, asked: Asked): Expression {
  const { code } = asked;
  switch (value.kind) {
    case 'token':
      return tokenExpression(value, asked);
    case 'of-type':
      // The type is not in the index: the value leads there.
      return and([any([ofTypeKey(code, value)]), startsWith(tokenPrefix(code, 'token', value.value))]);
    case 'string':
      return stringExpression(value.text, asked);
    case 'reference':
      return any(value.versioned === undefined ? value.targets.map((target) => referenceKey(code, target)) : [versionedKey(code, value.versioned)]);
    case 'uri':
      return uriExpression(value.uri, asked);
    case 'date':
      return dateExpression(value, code);
    case 'number':
      return numberExpression(value, code, asked.parameter);
    case 'composite':
      return compositeExpression(value.parts, asked);
    case 'near':
      return nearExpression(value, code);
    case 'words':
      return wordsExpression(value.query, code);
  }
}

function tokenExpression({ system, value, literal }: SearchValue & { kind: 'token' }, { code, as, parameter, allFold }: Asked): Expression {
  const bare = as === 'token' ? parameter.system : undefined;
  if (value === undefined && bare !== undefined) return system === bare ? startsWith(tokensPrefix(code)) : none;
  if (value === undefined) return any([systemKey(code, as, system ?? '')]);
  const folds = bare === undefined && as === 'token' && !literal && hasCase(value) && (system === undefined || ignoresCase(system));
  if (system === undefined && bare === undefined) {
    const written = startsWith(tokenPrefix(code, as, value));
    return folds ? or([written, startsWith(foldedPrefix(code, value))]) : written;
  }
  const key = tokenKey(code, as, value, system ?? bare ?? '');
  if (!folds) return any([key]);
  const folded = foldedKey(code, value, system ?? '');
  return any(allFold ? [folded] : [key, folded]);
}

function stringExpression(text: string, { code, test }: Asked): Expression {
  const folded = foldText(text);
  switch (test) {
    case 'exact':
      return any([exactKey(code, text)]);
    case 'text':
      return startsWith(wordsPrefix(code) + folded);
    case 'equals':
      return any([stringKey(code, text)]);
    case 'ends':
      return or([
        { kind: 'ends', prefix: stringsPrefix(code), text: folded, most: WHOLE_BYTES },
        { kind: 'ends', prefix: longPrefix(code), text: folded, most: LONG_TEXT - 1 },
      ]);
    case 'contains':
      return or([stringsPrefix(code), longPrefix(code)].map((prefix) => ({ kind: 'contains', prefix, text: folded })));
    default: {
      const prefix = stringPrefix(code, text);
      return prefix === undefined ? any([exactKey(code, text)]) : startsWith(prefix);
    }
  }
}

function uriExpression(uri: string, { code, test }: Asked): Expression {
  if (test === 'below') return startsWith(uriPrefix(code, uri));
  if (test !== 'above') return any([uriKey(code, uri)]);
  const beginnings = Array.from({ length: uri.length }, (_, i) => uri.slice(0, i + 1));
  return any(beginnings.filter((beginning) => isAbove(beginning, uri)).map((beginning) => uriKey(code, beginning)));
}

/** All parts of one element. What each part asks alone is asked as well: it is in the index, and the element's own key is not. */
function compositeExpression(values: readonly SearchValue[], { code, parameter }: Asked): Expression {
  const components = parameter.components ?? [];
  const each = (head: (component: SearchParameter) => string | undefined): Expression[] =>
    components.map((component, i) => {
      const own = head(component);
      const value = values[i];
      return own === undefined || !value ? all : valueExpression(value, { code: own, as: 'token', test: 'matches', parameter: component });
    });
  return and([...each(codeAlone), { kind: 'tuple', prefix: tuplePrefix(code), parts: each(() => '') }]);
}

/** Where the part's own parameter is known to find all that the part finds. */
function codeAlone({ base, name, system, definition }: SearchParameter): string | undefined {
  if (definition !== undefined) return undefined;
  const alone = searchParameters(base).get(name);
  return alone && alone.system === system ? paramCode(alone) : undefined;
}

/** The terms of a phrase lead to the resource; whether they stand together there, and in the narrative, is told by what is kept aside. */
function wordsExpression(query: TextQuery, code: string): Expression {
  if (query.kind === 'not') return not(wordsExpression(query.of, code));
  if (query.kind !== 'phrase') return (query.kind === 'and' ? and : or)(query.of.map((part) => wordsExpression(part, code)));
  const { runs } = query;
  const has = runs.flatMap(runExpressions);
  if (code === CONTENT_CODE && has.length === 1) return and(has);
  const places = code === CONTENT_CODE ? [NARRATIVE_CODE, CONTENT_CODE] : [code];
  const text = packedPhrase(runs);
  return and([...has, or(places.map((place) => ({ kind: 'contains', prefix: runsPrefix(place), text })))]);
}

/** A single character of a script without spaces begins a term. The last one of several is in the term before it. */
function runExpressions(run: string): Expression[] {
  const terms = termsOf(run);
  if (!isSpaceless(run)) return terms.map((term) => any([termKey(CONTENT_CODE, term)]));
  return terms.length === 1 ? [startsWith(termKey(CONTENT_CODE, run))] : terms.slice(0, -1).map((term) => any([termKey(CONTENT_CODE, term)]));
}

const METRES_PER_DEGREE = 111_000; // of latitude, rounded down, so that the band is too wide rather than too narrow

function nearExpression({ place, metres }: SearchValue & { kind: 'near' }, code: string): Expression {
  const prefix = placePrefix(code);
  const width = metres / METRES_PER_DEGREE;
  const band: Expression = {
    kind: 'range',
    from: prefix + encodeNumber(place.latitude - width),
    to: successor(prefix + encodeNumber(place.latitude + width)),
  };
  return and([band, { kind: 'near', prefix, place, metres }]);
}

/** R4 §3.1.1.4.7: the target range [l, h] of the resource against the range [low, high] of the search value. */
function dateExpression({ prefix, low, high }: SearchValue & { kind: 'date' }, code: string): Expression {
  const starts = datePrefix(code);
  const ends = dateEndPrefix(code);
  const contained: Expression = { kind: 'interval', prefix: starts, low: { from: encodeInstant(low) }, high: { to: encodeInstant(high) } };
  const from = (head: string, ms: number): Expression => ({ kind: 'range', from: head + encodeInstant(ms), to: successor(head) });
  const before = (head: string, ms: number): Expression => ({ kind: 'range', from: head, to: head + encodeInstant(ms) });
  switch (prefix) {
    case 'eq':
      return contained;
    case 'ne':
      return or([before(starts, low), from(ends, high + 1)]);
    case 'gt':
      return from(ends, high + 1);
    case 'lt':
      return before(starts, low);
    case 'ge':
      return or([from(ends, high + 1), contained]);
    case 'le':
      return or([before(starts, low), contained]);
    case 'sa':
      return from(starts, high + 1);
    case 'eb':
      return before(ends, low);
    case 'ap':
      return { kind: 'interval', prefix: starts, low: { to: encodeInstant(high) }, high: { from: encodeInstant(low) } };
  }
}
