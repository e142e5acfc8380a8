/**
 * Reads a search parameter with its modifier and its values, which are alternatives. https://hl7.org/fhir/R4/search.html#modifiers
 *
 * Invariant: what cannot be answered whole (a value set or a hierarchy that is not on board) is not answered at all.
 */
import { isResourceType } from '../fhir/resource-types.ts';
import type { SearchParameter } from '../fhir/search-parameters.ts';
import { URI_BEGINNING } from './keys.ts';
import type { Criterion, MissingCriterion, SearchValue } from './query.ts';
import type { Code, Terms } from './terms.ts';
import { type Problem, readValue, splitValue } from './values.ts';

export type Unusable = { readonly test: 'unusable'; readonly why: string };
type Given = { readonly parameter: SearchParameter; readonly modifier: string | undefined; readonly value: string };
/** `base`, `now`: as for values. */
type Options = { readonly base: string; readonly now: number; readonly terms: Terms };

const unusable = (why: string): Unusable => ({ test: 'unusable', why });

/** The rest of the sentence `The search parameter … ` where it cannot be used. */
export function readTest(given: Given, options: Options): Criterion | MissingCriterion | Unusable {
  const { parameter, modifier, value } = given;
  if (modifier !== undefined && !allows(parameter, modifier)) return unusable('has a modifier that this server does not offer for it');
  if (modifier === 'missing') return readMissing(parameter, value);
  const values: SearchValue[] = [];
  for (const raw of splitValue(value, ',')) {
    const read = readAlternative(raw, given, options);
    if ('kind' in read) return unusable(read.text);
    values.push(...read);
  }
  return { parameter, test: testOf(parameter, modifier), values };
}

function readAlternative(raw: string, { parameter, modifier }: Given, { base, now, terms }: Options): readonly SearchValue[] | Problem {
  const isCoded = parameter.type === 'token';
  if (isCoded && (modifier === 'in' || modifier === 'not-in'))
    return codes(terms.expand(splitValue(raw, '|').join('|')), 'names a value set of which not every code is on board');
  const value = readValue(raw, { parameter, modifier, base, now });
  if (value.kind === 'problem') return value;
  if (modifier === 'below' || modifier === 'above') return isCoded ? hierarchy(value, modifier, terms) : uriBeginning(value, modifier);
  return [value];
}

function hierarchy(value: SearchValue, modifier: 'below' | 'above', terms: Terms): readonly SearchValue[] | Problem {
  if (value.kind !== 'token' || value.value === undefined || value.system === undefined) return problem('needs system|code with this modifier');
  return codes(terms[modifier]({ system: value.system, code: value.value }), 'names a code of a system whose hierarchy is not on board');
}

function uriBeginning(value: SearchValue, modifier: 'below' | 'above'): readonly SearchValue[] | Problem {
  const isLong = value.kind === 'uri' && Buffer.byteLength(value.uri) > (modifier === 'below' ? URI_BEGINNING : 2_000);
  return isLong ? problem(`is longer than the bytes that can be compared with this modifier`) : [value];
}

function codes(found: readonly Code[] | undefined, otherwise: string): readonly SearchValue[] | Problem {
  return found ? found.map(({ system, code }) => ({ kind: 'token', system, value: code, literal: true })) : problem(otherwise);
}

function problem(text: string): Problem {
  return { kind: 'problem', text };
}

function testOf({ type }: SearchParameter, modifier: string | undefined): Criterion['test'] {
  switch (modifier) {
    case 'not':
    case 'not-in':
      return 'not';
    case 'exact':
    case 'contains':
    case 'identifier':
    case 'text':
      return modifier;
    case 'below':
    case 'above':
      return type === 'uri' ? modifier : 'matches';
    default:
      return 'matches';
  }
}

const OFFERED: Readonly<Partial<Record<SearchParameter['type'], ReadonlySet<string>>>> = {
  token: new Set(['not', 'text', 'in', 'not-in', 'below', 'above']),
  string: new Set(['exact', 'contains']),
  uri: new Set(['below', 'above']),
};

export function allows(parameter: SearchParameter, modifier: string): boolean {
  if (parameter.name === '_id') return modifier === 'not';
  if (parameter.type === 'text') return false;
  if (modifier === 'missing') return true;
  if (modifier === 'of-type') return parameter.type === 'token' && /identifier/i.test(parameter.expression);
  if (parameter.type !== 'reference') return OFFERED[parameter.type]?.has(modifier) ?? false;
  return modifier === 'identifier' || (isResourceType(modifier) && (parameter.targets?.includes(modifier) ?? true));
}

function readMissing(parameter: SearchParameter, value: string): MissingCriterion | Unusable {
  if (value !== 'true' && value !== 'false') return unusable('is asked whether it is missing with neither true nor false');
  return { parameter, test: 'missing', missing: value === 'true' };
}
