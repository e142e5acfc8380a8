/** A search after parsing: what it asks, as data that plan.ts turns into an expression and match.ts evaluates directly. */
import type { SearchParameter } from '../fhir/search-parameters.ts';

export type Prefix = 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb' | 'ap';

export type SearchValue =
  /** `system` undefined: any; '': none. `value` undefined: any of the system. */
  | { readonly kind: 'token'; readonly system: string | undefined; readonly value: string | undefined }
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
  | { readonly kind: 'uri'; readonly uri: string };

export type Criterion = {
  readonly parameter: SearchParameter;
  /** What to do with the values, which are alternatives. `identifier`: tokens over Reference.identifier. */
  readonly test: 'matches' | 'not' | 'exact' | 'identifier';
  readonly values: readonly SearchValue[];
};

export type MissingCriterion = { readonly parameter: SearchParameter; readonly test: 'missing'; readonly missing: boolean };

export type ParsedQuery = {
  readonly type: string;
  /** All must hold. */
  readonly criteria: readonly (Criterion | MissingCriterion)[];
  readonly sort: { readonly parameter: SearchParameter; readonly direction: 'ascending' | 'descending' } | undefined;
  /** Page size, 0 to MAX_COUNT. */
  readonly count: number;
  readonly summaryCount: boolean;
  readonly total: boolean;
  /** Sealed position of an earlier page, as sent. */
  readonly cursor: string | undefined;
  /** What was not used and why, for the outcome entry. Names parameters, not values. */
  readonly warnings: readonly string[];
  /** Name and value of what was used, for the self link; without the cursor. */
  readonly used: readonly (readonly [string, string])[];
};
