import type { Place } from '../fhir/place.ts';

/** What breaks a rule: words of ours and names of the specification, no values. Without a severity it is an error. */
export type Finding = {
  readonly place: Place;
  readonly diagnostics: string;
  readonly code: string;
  readonly severity?: 'warning' | 'information';
};
