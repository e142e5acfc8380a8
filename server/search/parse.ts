/**
 * Reads the query of a search. https://hl7.org/fhir/R4/search.html
 *
 * Invariant: whatever cannot be used is named: strict handling refuses it, lenient handling adds a warning. Criteria that would widen
 * the answer when left out because they need a sub-query (chains, _has) are refused either way.
 */
import { AssentError } from '../errors.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import { type SearchParameter, searchParameters } from '../fhir/search-parameters.ts';
import { paramCode } from './param-codes.ts';
import type { Criterion, MissingCriterion, ParsedQuery, SearchValue } from './query.ts';
import { readValue, splitValue } from './values.ts';

export const DEFAULT_COUNT = 20;
export const MAX_COUNT = 1000;
export const CURSOR_PARAMETER = '_cursor';

export type ParseOptions = {
  readonly handling: 'strict' | 'lenient';
  /** Our own FHIR base URL, without a slash at its end. */
  readonly base: string;
  /** ms since 1970, for the prefix `ap`. */
  readonly now: number;
};

type Controls = { -readonly [K in 'sort' | 'count' | 'summaryCount' | 'total' | 'cursor']: ParsedQuery[K] };
/** What reading one parameter gives: use it, or why not. `refuse`: in lenient handling too. */
type Outcome = { readonly kind: 'used' } | { readonly kind: 'unused'; readonly why: string; readonly refuse?: boolean };
const used: Outcome = { kind: 'used' };
const unused = (why: string): Outcome => ({ kind: 'unused', why });

/** Throws AssentError('invalid-search'). `query`: the part after `?`, or decoded parameters. */
export function parseSearch(type: string, query: URLSearchParams | string, options: ParseOptions): ParsedQuery {
  const controls: Controls = { sort: undefined, count: DEFAULT_COUNT, summaryCount: false, total: true, cursor: undefined };
  const criteria: (Criterion | MissingCriterion)[] = [];
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
        ? control(value, controls, type)
        : readCriterion({ name, value, type }, options, criteria);
    if (outcome.kind === 'used') {
      if (name !== CURSOR_PARAMETER) shown.push([name, value]);
      continue;
    }
    const text = `The search parameter ${printable(name)} ${outcome.why}.`;
    if (outcome.refuse || options.handling === 'strict') throw new AssentError('invalid-search', text);
    warnings.push(text);
  }
  return { type, criteria, ...controls, warnings, used: shown };
}

/** A name comes from outside: shown, but short and without control characters. */
function printable(name: string): string {
  return `"${name.slice(0, 80).replace(/[^\x20-\x7e]/g, '?')}"`;
}

type ReadControl = (value: string, controls: Controls, type: string) => Outcome;

const readControl: Readonly<Record<string, ReadControl | undefined>> = Object.assign(Object.create(null) as object, {
  _count: (value, controls) => {
    if (!/^\d{1,9}$/.test(value)) return unused('is not a whole number');
    controls.count = Math.min(Number(value), MAX_COUNT);
    return used;
  },
  _sort: (value, controls, type) => {
    const direction = value.startsWith('-') ? ('descending' as const) : ('ascending' as const);
    const parameter = searchParameters(type).get(value.replace(/^-/, ''));
    if (parameter?.type !== 'date') return unused('names no single date parameter of this type to sort by');
    controls.sort = { parameter, direction };
    return used;
  },
  _summary: (value, controls) => {
    if (!['true', 'text', 'data', 'count', 'false'].includes(value)) return unused('is not one of true, text, data, count and false');
    controls.summaryCount = value === 'count';
    return used;
  },
  _total: (value, controls) => {
    if (!['none', 'estimate', 'accurate'].includes(value)) return unused('is not none, estimate or accurate');
    controls.total = value !== 'none';
    return used;
  },
  [CURSOR_PARAMETER]: (value, controls) => {
    controls.cursor = value;
    return used;
  },
  // How the answer is written is the business of content negotiation.
  _format: () => used,
  _pretty: () => used,
  // Which part of each match is sent is the business of subset.ts in the HTTP room.
  _elements: () => used,
} satisfies Record<string, ReadControl>);

type Given = { readonly name: string; readonly value: string; readonly type: string };

function readCriterion({ name, value, type }: Given, options: ParseOptions, criteria: (Criterion | MissingCriterion)[]): Outcome {
  if (/^_has(:|$)/.test(name)) return { kind: 'unused', why: 'needs a reverse chain, which this server does not offer yet', refuse: true };
  if (/^_(rev)?include(:|$)/.test(name)) return { kind: 'unused', why: 'is not offered by this server yet', refuse: true };
  const [plain = '', modifier, ...more] = name.split(':');
  const known = searchParameters(type);
  if (name.includes('.') && known.get(plain.split('.')[0] ?? '')?.type === 'reference')
    return { kind: 'unused', why: 'is a chain, which this server does not offer yet', refuse: true };
  const parameter = known.get(plain);
  if (!parameter || paramCode(parameter) === undefined) return unused(`is not known for ${type}`);
  if (parameter.type === 'composite' || parameter.type === 'special')
    return unused(`is of the kind ${parameter.type}, which this server does not search yet`);
  if (more.length > 0 || (modifier !== undefined && !allows(parameter, modifier)))
    return unused('has a modifier that this server does not offer for it');
  if (modifier === 'missing') return readMissing(parameter, value, criteria);
  const values = splitValue(value, ',').map((raw) => readValue(raw, { parameter, modifier, base: options.base, now: options.now }));
  const problem = values.find((v) => v.kind === 'problem');
  if (problem) return unused(problem.text);
  const test = modifier === 'not' || modifier === 'exact' || modifier === 'identifier' ? modifier : 'matches';
  criteria.push({ parameter, test, values: values as SearchValue[] });
  return used;
}

/** Has index keys, or is the id. */
export function isSearchable(parameter: SearchParameter): boolean {
  return parameter.type !== 'composite' && parameter.type !== 'special' && paramCode(parameter) !== undefined;
}

function allows(parameter: SearchParameter, modifier: string): boolean {
  if (modifier === 'missing') return parameter.name !== '_id';
  if (parameter.type === 'token') return modifier === 'not';
  if (parameter.type === 'string') return modifier === 'exact';
  if (parameter.type !== 'reference') return false;
  return modifier === 'identifier' || (isResourceType(modifier) && (parameter.targets?.includes(modifier) ?? true));
}

function readMissing(parameter: SearchParameter, value: string, criteria: (Criterion | MissingCriterion)[]): Outcome {
  if (value !== 'true' && value !== 'false') return unused('is asked whether it is missing with neither true nor false');
  criteria.push({ parameter, test: 'missing', missing: value === 'true' });
  return used;
}
