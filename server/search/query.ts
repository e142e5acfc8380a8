/** A search after parsing: what it asks, as data that plan.ts turns into an expression and match.ts evaluates directly. */
import type { SearchParameter } from '../fhir/search-parameters.ts';
import type { Include } from './join.ts';
import type { Place } from './expression.ts';
import type { TextQuery } from './text-query.ts';

export type Prefix = 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb' | 'ap';

export type SearchValue =
  /** `system` undefined: any; '': none. `value` undefined: any of the system. `literal`: case counts, whatever the system. */
  | { readonly kind: 'token'; readonly system: string | undefined; readonly value: string | undefined; readonly literal?: true }
  /** An identifier by its type: `type` is a code of `system`. */
  | { readonly kind: 'of-type'; readonly system: string; readonly type: string; readonly value: string }
  | { readonly kind: 'string'; readonly text: string }
  /** `targets`: Type/id, URL or URN, any of them. `versioned`: a canonical url|version. */
  | { readonly kind: 'reference'; readonly targets: readonly string[]; readonly versioned?: string }
  /** ms since 1970, both ends included; of `ap`, already widened. */
  | { readonly kind: 'date'; readonly prefix: Prefix; readonly low: number; readonly high: number }
  /** `exact`: the number as given; low ≤ x < high: what it means by its digits, of `ap` by tenths. */
  | {
      readonly kind: 'number';
      readonly prefix: Prefix;
      readonly exact: number;
      readonly low: number;
      readonly high: number;
      /** Undefined: any unit. Without `system`: `code` is a unit's code or its printed form. */
      readonly unit?: { readonly system: string | undefined; readonly code: string };
    }
  | { readonly kind: 'uri'; readonly uri: string }
  /** One value for each component of the parameter; all of one element. */
  | { readonly kind: 'composite'; readonly parts: readonly SearchValue[] }
  | { readonly kind: 'words'; readonly query: TextQuery }
  | { readonly kind: 'near'; readonly place: Place; readonly metres: number };

export type Criterion = {
  readonly parameter: SearchParameter;
  /**
   * What to do with the values, which are alternatives. `identifier`: tokens over Reference.identifier; `text`: over the words of a token;
   * `below`, `above`: URIs that begin so, or that this one is below. Of `_filter`, `equals`: the whole text, folded; `ends`: it ends so;
   * `differs`: some value is another than each of these, tokens as they are written.
   */
  readonly test: 'matches' | 'not' | 'exact' | 'contains' | 'identifier' | 'text' | 'below' | 'above' | 'equals' | 'ends' | 'differs';
  readonly values: readonly SearchValue[];
};

export type MissingCriterion = { readonly parameter: SearchParameter; readonly test: 'missing'; readonly missing: boolean };

/** Of resources of one type: all must hold. */
export type Criteria = {
  readonly type: string;
  readonly criteria: readonly (Criterion | MissingCriterion)[];
  readonly joins: readonly JoinCriterion[];
};

export type JoinCriterion =
  /** `subject:Patient.name=x`; without a type, one for each that the rest can be asked of. */
  | { readonly kind: 'chain'; readonly parameter: SearchParameter; readonly to: readonly Criteria[] }
  /** `_has:Observation:subject:code=x`: from Observation, whose `parameter` refers. */
  | { readonly kind: 'has'; readonly parameter: SearchParameter; readonly from: Criteria }
  /** `_filter`: of criteria of the resource itself, joins as well. */
  | { readonly kind: 'formula'; readonly of: Formula };

export type Formula =
  | { readonly kind: 'criteria'; readonly criteria: Criteria }
  | { readonly kind: 'and' | 'or'; readonly of: readonly Formula[] }
  | { readonly kind: 'not'; readonly of: Formula };

export type Sort = { readonly parameter: SearchParameter; readonly direction: 'ascending' | 'descending' };

export type ParsedQuery = Criteria & {
  readonly includes: readonly Include[];
  readonly sort: readonly Sort[] | undefined;
  /** Page size, 0 to MAX_COUNT. */
  readonly count: number;
  readonly summaryCount: boolean;
  /** True: exact or refused. `if-told`: exact, or left out. `at-least`: as far as it was counted. */
  readonly total: boolean | 'if-told' | 'at-least';
  /** Sealed position of an earlier page, as sent. */
  readonly cursor: string | undefined;
  /** What was not used and why, for the outcome entry. Names parameters, not values. */
  readonly warnings: readonly string[];
  /** Name and value of what was used, for the self link; without the cursor. */
  readonly used: readonly (readonly [string, string])[];
};
