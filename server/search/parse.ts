/**
 * Reads the query of a search. https://hl7.org/fhir/R4/search.html
 *
 * Invariant: whatever cannot be used is named: strict handling refuses it, lenient handling adds a warning. Joins (chains, _has, _list),
 * filters, words and _contained, which would make it another answer when left out, are refused either way.
 */
import { AssentError } from '../errors.ts';
import { type SearchParameter, type SearchParameters, searchParameters } from '../fhir/search-parameters.ts';
import { readTest } from './modifiers.ts';
import { paramCode } from './param-codes.ts';
import { readFilter } from './filter.ts';
import type { Include } from './join.ts';
import { createJoinReader, type Given, isInclude, type JoinReader, type Reach, type Why } from './parse-joins.ts';
import type { Criteria, Criterion, JoinCriterion, MissingCriterion, ParsedQuery } from './query.ts';
import { readSort } from './sort.ts';
import { noTerms, type Terms } from './terms.ts';

export const DEFAULT_COUNT = 20;
export const MAX_COUNT = 1000;
export const CURSOR_PARAMETER = '_cursor';

export type ParseOptions = {
  readonly handling: 'strict' | 'lenient';
  /** Our own FHIR base URL, without a slash at its end. */
  readonly base: string;
  /** ms since 1970, for the prefix `ap`. */
  readonly now: number;
  /** R4's own where absent. */
  readonly parameters?: SearchParameters;
  /** Value sets and hierarchies; none where absent. */
  readonly terms?: Terms;
  /** Given where joins have a meaning. */
  readonly reach?: Reach;
};

type Controls = { -readonly [K in 'sort' | 'count' | 'summaryCount' | 'total' | 'cursor']: ParsedQuery[K] };
/** What reading one parameter gives: use it, or why not. `refuse`: in lenient handling too. */
type Outcome = { readonly kind: 'used' } | { readonly kind: 'unused'; readonly why: string; readonly refuse?: boolean };
const used: Outcome = { kind: 'used' };
const unused = (why: string): Outcome => ({ kind: 'unused', why });
const refused = (why: string): Outcome => ({ kind: 'unused', why, refuse: true });

/** Throws AssentError('invalid-search'). `query`: the part after `?`, or decoded parameters. */
export function parseSearch(type: string, query: URLSearchParams | string, options: ParseOptions): ParsedQuery {
  const controls: Controls = { sort: undefined, count: DEFAULT_COUNT, summaryCount: false, total: 'if-told', cursor: undefined };
  const into: Sink = { criteria: [], joins: [] };
  const includes: Include[] = [];
  const reader = createJoinReader(options.reach, options.parameters);
  const warnings: string[] = [];
  const shown: [string, string][] = [];
  const seen = new Set<string>();
  for (const [name, value] of new URLSearchParams(query)) {
    const control = readControl[name];
    const repeated = control !== undefined && seen.has(name);
    seen.add(name);
    const outcome = repeated
      ? unused('is given more than once')
      : control
        ? control(value, controls, { type, parameters: options.parameters ?? searchParameters })
        : isInclude(name)
          ? readInclude({ name, value, type }, reader, includes)
          : readAny({ name, value, type }, { options, reader }, into);
    if (outcome.kind === 'used') {
      if (name !== CURSOR_PARAMETER) shown.push([name, value]);
      continue;
    }
    const text = `The search parameter ${printable(name)} ${outcome.why}.`;
    if (outcome.refuse || options.handling === 'strict') throw new AssentError('invalid-search', text);
    warnings.push(text);
  }
  return { type, ...into, includes, ...controls, warnings, used: shown };
}

/** A name comes from outside: shown, but short and without control characters. */
function printable(name: string): string {
  return `"${name.slice(0, 80).replace(/[^\x20-\x7e]/g, '?')}"`;
}

type ReadControl = (value: string, controls: Controls, of: { readonly type: string; readonly parameters: SearchParameters }) => Outcome;

const readControl: Readonly<Record<string, ReadControl | undefined>> = Object.assign(Object.create(null) as object, {
  _count: (value, controls) => {
    if (!/^\d{1,9}$/.test(value)) return unused('is not a whole number');
    controls.count = Math.min(Number(value), MAX_COUNT);
    return used;
  },
  _sort: (value, controls, { type, parameters }) => {
    const sort = readSort(value, parameters(type));
    if ('why' in sort) return unused(sort.why);
    controls.sort = sort;
    return used;
  },
  _summary: (value, controls) => {
    if (!['true', 'text', 'data', 'count', 'false'].includes(value)) return unused('is not one of true, text, data, count and false');
    controls.summaryCount = value === 'count';
    return used;
  },
  _total: (value, controls) => {
    if (!['none', 'estimate', 'accurate'].includes(value)) return unused('is not none, estimate or accurate');
    controls.total = value === 'estimate' ? 'at-least' : value === 'accurate';
    return used;
  },
  [CURSOR_PARAMETER]: (value, controls) => {
    controls.cursor = value;
    return used;
  },
  // Contained resources have no index keys and are found with what contains them: left out, these would ask for other resources.
  _contained: (value) => (value === 'false' ? used : refused('asks for contained resources, which this server finds only with what contains them')),
  _containedType: (value) =>
    value === 'container' ? used : refused('asks for contained resources alone, which this server sends only in what contains them'),
  // How the answer is written is the business of content negotiation.
  _format: () => used,
  _pretty: () => used,
  // Which part of each match is sent is the business of subset.ts in the HTTP room.
  _elements: () => used,
} satisfies Record<string, ReadControl>);

type Sink = { readonly criteria: (Criterion | MissingCriterion)[]; readonly joins: JoinCriterion[] };
type Reading = { readonly options: ParseOptions; readonly reader: JoinReader };

/** A criterion on the resource itself or a join. A join that is left out would widen the answer: refused in lenient handling too. */
function readAny(given: Given, reading: Reading, into: Sink): Outcome {
  if (given.name === '_filter') {
    const formula = readFilter(given, { ...reading, options: { terms: noTerms, ...reading.options } });
    if ('why' in formula) return refused(formula.why);
    into.joins.push({ kind: 'formula', of: formula });
    return used;
  }
  const join = reading.reader.join(given, (inner) => readInner(inner, reading));
  if (!join) return readCriterion(given, reading.options, into.criteria);
  if ('why' in join) return refused(join.why);
  into.joins.push(join);
  return used;
}

function readInner(given: Given, reading: Reading): Criteria | Why {
  const inner: Sink = { criteria: [], joins: [] };
  const outcome = readAny(given, reading, inner);
  return outcome.kind === 'used' ? { type: given.type, ...inner } : outcome;
}

function readInclude(given: Given, reader: JoinReader, includes: Include[]): Outcome {
  const found = reader.include(given);
  if ('why' in found) return unused(found.why);
  includes.push(...found);
  return used;
}

function readCriterion({ name, value, type }: Given, options: ParseOptions, criteria: (Criterion | MissingCriterion)[]): Outcome {
  const [plain = '', modifier, ...more] = name.split(':');
  const parameter = (options.parameters ?? searchParameters)(type).get(plain);
  if (!parameter || !isSearchable(parameter)) return unused(`is not known for ${type}`);
  if (more.length > 0) return unused('has a modifier that this server does not offer for it');
  const found = readTest({ parameter, modifier, value }, { terms: noTerms, ...options });
  if (found.test === 'unusable') return parameter.type === 'text' ? refused(found.why) : unused(found.why);
  criteria.push(found);
  return used;
}

/** Has index keys, or is the id. */
export function isSearchable(parameter: SearchParameter): boolean {
  return paramCode(parameter) !== undefined;
}
