/** The search room as the interactions see it: parameters in, plan out. fhir.md §2 */
import { resourceTypes } from '../fhir/resource-types.ts';
import { searchParameters, type SearchParameters } from '../fhir/search-parameters.ts';
import { type IndexKeys, indexKeys } from './index-values.ts';
import { linkOf } from './links.ts';
import { isSearchable, parseSearch } from './parse.ts';
import type { Reach } from './parse-joins.ts';
import { type JoinedPlan, planJoined, planSearch, type SearchPlan } from './plan.ts';
import { planSeveral, type SeveralOptions, type SeveralPlan } from './plan-several.ts';
import type { Known } from './stored-parameters.ts';
import { noTerms, type Terms } from './terms.ts';

export type Search = {
  /** Throws AssentError('invalid-search'): in strict handling for whatever cannot be used, in lenient for what may not be left out. */
  plan(type: string, parameters: URLSearchParams | string, handling: 'strict' | 'lenient'): SearchPlan;
  /** The same where chains, _has and includes have a meaning. Throws AssentError('forbidden') for types out of reach. */
  planJoined(
    type: string,
    parameters: URLSearchParams | string,
    options: { readonly handling: 'strict' | 'lenient'; readonly reach: Reach },
  ): JoinedPlan;
  /** The same for several types at once: what can be asked of each of them. */
  planSeveral(types: readonly string[], parameters: URLSearchParams, options: SeveralOptions): SeveralPlan;
  /** What is written with a resource so that it is found. */
  keysOf(resource: Parameters<typeof indexKeys>[0]): IndexKeys;
  /** What `_include` and `_revinclude` of a search of this type may name. */
  includesOf(type: string): { readonly forward: readonly string[]; readonly backward: readonly string[] };
  /** The search parameters of a type that work here, in the order of their names, with R4's words for their kinds. */
  parametersOf(type: string): readonly { readonly name: string; readonly kind: string }[];
  /** What includesOf and parametersOf say is the same as long as this is the same object. */
  readonly known: () => Known;
};

/** `known`, `terms`: R4's own and none, unless said. */
type Parts = {
  readonly base: string;
  readonly clock: () => number;
  readonly known?: () => Known;
  readonly terms?: Terms;
  readonly current?: () => boolean;
};

const ofR4: Known = { asked: searchParameters, written: searchParameters };

/** `base`: our own FHIR base URL, without a slash at its end. `clock`: ms since 1970. `current`: whether all that is stored has the keys of today's rules. */
export function createSearch({ base, clock, known = () => ofR4, terms = noTerms, current = () => true }: Parts): Search {
  const referrers = new WeakMap<Known, ReadonlyMap<string, readonly string[]>>();
  const read = () => ({ base, now: clock(), parameters: known().asked, terms });
  const referrersNow = () => {
    const found = referrers.get(known()) ?? referrersOf(known().asked);
    referrers.set(known(), found);
    return found;
  };
  return {
    plan: (type, query, handling) => planSearch(parseSearch(type, query, { handling, ...read() }), current()),
    planJoined: (type, query, options) => planJoined(parseSearch(type, query, { ...options, ...read() }), current()),
    planSeveral: (types, query, options) => planSeveral(types, query, { ...options, ...read(), current: current() }),
    keysOf: (resource) => indexKeys(resource, base, known().written),
    includesOf: (type) => ({ forward: forwardOf(type, known().asked), backward: referrersNow().get(type) ?? [] }),
    parametersOf: (type) =>
      [...known().asked(type).values()].filter(isSearchable).map(({ name, type }) => ({ name, kind: type === 'text' ? 'string' : type })),
    known,
  };
}

function forwardOf(type: string, parameters: SearchParameters): readonly string[] {
  return [...parameters(type).values()].filter((parameter) => linkOf(parameter, type)).map(({ name }) => `${type}:${name}`);
}

/** `Observation:subject` under each type it is for. What may refer to anything works for every type as well, and is not listed under each. */
function referrersOf(parameters: SearchParameters): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const source of resourceTypes)
    for (const { name, targets } of [...parameters(source).values()].filter((parameter) => linkOf(parameter, source)))
      for (const target of targets ?? []) found.set(target, [...(found.get(target) ?? []), `${source}:${name}`]);
  return found;
}
