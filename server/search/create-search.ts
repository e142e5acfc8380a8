/** The search room as the interactions see it: parameters in, plan out. fhir.md §2 */
import { searchParameters } from '../fhir/search-parameters.ts';
import { isSearchable, parseSearch } from './parse.ts';
import { planSearch, type SearchPlan } from './plan.ts';

export type Search = {
  /** Throws AssentError('invalid-search'): in strict handling for whatever cannot be used, in lenient for what may not be left out. */
  plan(type: string, parameters: URLSearchParams | string, handling: 'strict' | 'lenient'): SearchPlan;
  /** The search parameters of a type that work here, in the order of their names. */
  parametersOf(type: string): readonly { readonly name: string; readonly kind: string }[];
};

/** `base`: our own FHIR base URL, without a slash at its end. `clock`: ms since 1970. */
export function createSearch({ base, clock }: { readonly base: string; readonly clock: () => number }): Search {
  return {
    plan: (type, parameters, handling) => planSearch(parseSearch(type, parameters, { handling, base, now: clock() })),
    parametersOf: (type) => [...searchParameters(type).values()].filter(isSearchable).map(({ name, type: kind }) => ({ name, kind })),
  };
}
