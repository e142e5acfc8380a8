/**
 * SearchParameter resources that were stored here, beside the parameters of R4 and of the packages on board.
 * https://hl7.org/fhir/R4/searchparameter.html
 *
 * Invariants: what is accepted can be evaluated at every write of its types, whatever is written, and changes the meaning of no other
 * parameter; a type for which not every stored resource has its keys yet refuses to be asked by it, wherever its name may stand.
 */
import { AssentError, type Issue } from '../errors.ts';
import { isResourceType } from '../fhir/resource-types.ts';
import type { SearchParameter, SearchParameters, SearchParameterType } from '../fhir/search-parameters.ts';
import { type ExpressionTypes, typesOf } from './expression-types.ts';
import { paramCode } from './param-codes.ts';
import { componentOf, type Definition, parameterOf, type Registry, TYPES } from './registry.ts';

/** One of them, as it is kept: `pending` are the types not indexed by it yet. */
export type StoredParameter = {
  /** Of the resource. */
  readonly id: string;
  /** Version of the resource since which it is what it is. */
  readonly since: string;
  readonly definition: Definition;
  readonly pending: readonly string[];
};

/** What can be asked and what is written. Another object once it has changed. */
export type Known = { readonly asked: SearchParameters; readonly written: SearchParameters };

/** Each costs every write of its types. */
const MOST = 200;
/** Entries of the audit trail are written with every read. */
const CLOSED_BASES: ReadonlySet<string> = new Set(['AuditEvent']);
const R4 = 'http://hl7.org/fhir/SearchParameter/';

/** `stored`: in the order in which they came. What cannot be used any more, as a package has its name by now, is left out. */
export function withStored({ parameters }: Pick<Registry, 'parameters'>, stored: readonly StoredParameter[]): Known {
  if (stored.length === 0) return { asked: parameters, written: parameters };
  const written = new Map<string, Map<string, SearchParameter>>();
  const pending = new Map<string, Set<string>>();
  for (const one of stored) {
    for (const base of one.definition.bases) {
      const all = written.get(base) ?? new Map(parameters(base));
      const parameter = all.has(one.definition.code) ? undefined : parameterOf(one.definition, base, (name) => all.get(name));
      if (!parameter) continue;
      written.set(base, all.set(parameter.name, parameter));
      if (one.pending.includes(base)) pending.set(base, (pending.get(base) ?? new Set()).add(parameter.name));
    }
  }
  const asked = new Map([...written].map(([base, all]) => [base, refusing(all, base, pending.get(base))]));
  return { asked: (type) => asked.get(type) ?? parameters(type), written: (type) => written.get(type) ?? parameters(type) };
}

/** Whoever looks one of these up by its name is told that it cannot be asked yet: in a chain, a sort or an include as well. */
function refusing(
  all: ReadonlyMap<string, SearchParameter>,
  type: string,
  names: ReadonlySet<string> | undefined,
): ReadonlyMap<string, SearchParameter> {
  if (!names) return all;
  const ready = new Map([...all].filter(([name]) => !names.has(name)));
  const get = ready.get.bind(ready);
  ready.get = (name) => {
    if (!names.has(name)) return get(name);
    const words = `The search parameter "${name}" is not ready for ${type}: an administrator has to run POST /fhir/${type}/$reindex, and it has to finish.`;
    throw new AssentError('invalid-search', words);
  };
  return ready;
}

type Resource = Readonly<Record<string, unknown>>;

/**
 * Those stored once this version of a SearchParameter is: it itself where it is active, else without it. Definitions of R4's own parameters and
 * of those on board change nothing. Throws AssentError('invalid-resource') with the element at fault.
 */
export function storedAfter(
  registry: Pick<Registry, 'parameters' | 'urls'>,
  stored: readonly StoredParameter[],
  { id, version, resource }: { readonly id: string; readonly version: string; readonly resource: Resource | undefined },
): readonly StoredParameter[] {
  const others = stored.filter((one) => one.id !== id);
  const url = resource?.['url'];
  if (resource?.['status'] !== 'active' || (typeof url === 'string' && (url.startsWith(R4) || registry.urls.has(url)))) return others;
  if (others.length >= MOST) throw refused('status', `No more than ${MOST} search parameters can be active here: retire one first.`);
  const definition = readStored(resource, withStored(registry, others).written);
  const before = stored.find((one) => one.id === id);
  const codes = (one: Definition, base: string) => codeOf(one, base, withStored(registry, others).written);
  const pending = definition.bases.filter((base) => {
    const isKept = before?.definition.bases.includes(base) === true && codes(before.definition, base) === codes(definition, base);
    return !isKept || before.pending.includes(base);
  });
  const isSame = before !== undefined && pending.every((base) => before.pending.includes(base)) && pending.length === before.pending.length;
  return [...others, { id, since: isSame ? before.since : version, definition, pending }];
}

function codeOf(definition: Definition, base: string, known: SearchParameters): string | undefined {
  const parameter = parameterOf(definition, base, (name) => known(base).get(name));
  return parameter && paramCode(parameter);
}

/** After a run of $reindex over these types that began when they were as `seen` says, by their `since`. */
export function storedReady(stored: readonly StoredParameter[], types: readonly string[], seen: readonly string[]): readonly StoredParameter[] {
  return stored.map((one) => (seen.includes(one.since) ? { ...one, pending: one.pending.filter((type) => !types.includes(type)) } : one));
}

function refused(element: string, diagnostics: string): AssentError {
  return new AssentError('invalid-resource', [{ diagnostics, expression: [`SearchParameter.${element}`] } satisfies Issue]);
}

function readStored(resource: Resource, known: SearchParameters): Definition {
  const { url, code, type, expression, target = [], component = [] } = resource;
  if (typeof url !== 'string') throw refused('url', 'An active search parameter has a url.');
  if (typeof code !== 'string' || !/^[A-Za-z][\w-]{0,63}$/.test(code))
    throw refused('code', 'The code of a search parameter begins with a letter, and has letters, digits, - and _, at most 64.');
  if (typeof type !== 'string' || !TYPES.has(type)) throw refused('type', `This server has search parameters of the types ${[...TYPES].join(', ')}.`);
  if (typeof expression !== 'string') throw refused('expression', 'An active search parameter has an expression; without one it can be a draft.');
  const bases = basesOf(resource['base']);
  const targets = (target as readonly unknown[]).map((one, i) => {
    if (typeof one !== 'string' || !isResourceType(one)) throw refused(`target[${i}]`, 'A target is a resource type of R4.');
    return one;
  });
  const components = component as Definition['components'];
  const definition = {
    url,
    code,
    type: type as SearchParameterType,
    bases,
    expression,
    components,
    targets: targets.length > 0 ? targets : undefined,
  };
  for (const base of bases) requireUsable(definition, base, known(base));
  return definition;
}

function basesOf(base: unknown): string[] {
  return (Array.isArray(base) ? base : []).map((one: unknown, i) => {
    if (typeof one !== 'string' || !isResourceType(one))
      throw refused(`base[${i}]`, 'A base is a resource type of R4; for several types, name each of them.');
    if (CLOSED_BASES.has(one)) throw refused(`base[${i}]`, `${one} is written with every read, so nothing is added to what it is indexed by.`);
    return one;
  });
}

const loosely = (name: string): string => name.toLowerCase().replaceAll('_', '-');

function requireUsable(definition: Definition, base: string, known: ReadonlyMap<string, SearchParameter>): void {
  const { code, type, components } = definition;
  const clash = [...known.keys()].find((name) => loosely(name) === loosely(code));
  if (clash !== undefined) throw refused('code', `${base} has a search parameter "${clash}" already.`);
  components.forEach((one, i) => {
    if (!componentOf(one, (name) => known.get(name)))
      throw refused(
        `component[${i}]`,
        `A component has an expression and the address of a search parameter of ${base} that is none of several components.`,
      );
  });
  if (type === 'composite' && components.length < 2) throw refused('component', 'A composite has two components or more.');
  const parameter = parameterOf(definition, base, (name) => known.get(name));
  if (!parameter) throw refused('expression', `The expression has no part for ${base} that parses as FHIRPath.`);
  const types = requireSuitable(typesOf(parameter.expression, base), { type, element: 'expression' });
  parameter.components?.forEach((one, i) => requireComponent(one, { base, types, element: `component[${i}].expression` }));
}

function requireComponent(
  { expression, type }: SearchParameter,
  at: { readonly base: string; readonly types: ReadonlySet<string>; readonly element: string },
): void {
  const ofResource = expression.startsWith('%resource.');
  const starts = ofResource ? [at.base] : [...at.types];
  const found = starts.map((start) => typesOf(ofResource ? expression.slice('%resource.'.length) : expression, start));
  const [first] = found;
  if (first) requireSuitable(found.find((one) => 'types' in one) ?? first, { type, element: at.element });
}

/** Data types whose values a parameter of the type finds. https://hl7.org/fhir/R4/search.html#table */
const suitable: Readonly<Record<string, readonly string[]>> = {
  number: ['decimal', 'integer', 'positiveInt', 'unsignedInt', 'Range'],
  date: ['date', 'dateTime', 'instant', 'Period', 'Timing'],
  string: ['string', 'markdown', 'code', 'id', 'uri', 'url', 'canonical', 'oid', 'uuid', 'HumanName', 'Address'],
  token: ['boolean', 'code', 'id', 'string', 'uri', 'url', 'canonical', 'oid', 'uuid', 'Coding', 'CodeableConcept', 'Identifier', 'ContactPoint'],
  reference: ['Reference', 'canonical', 'uri', 'url'],
  quantity: ['Quantity', 'SimpleQuantity', 'Age', 'Count', 'Distance', 'Duration', 'Money', 'Range', 'SampledData'],
  uri: ['uri', 'url', 'canonical', 'oid', 'uuid'],
};

function requireSuitable(found: ExpressionTypes, { type, element }: { readonly type: string; readonly element: string }): ReadonlySet<string> {
  if ('why' in found) throw refused(element, `The expression ${found.why}.`);
  const fitting = suitable[type];
  if (fitting && ![...found.types].some((one) => fitting.includes(one)))
    throw refused(
      element,
      `The expression leads to ${[...found.types].slice(0, 3).join(' or ')}, which a search parameter of type ${type} does not find.`,
    );
  return found.types;
}
