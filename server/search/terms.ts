/** What search asks of terminology: the codes behind `:in`, `:below` and `:above`. https://hl7.org/fhir/R4/search.html#token */

export type Code = { readonly system: string; readonly code: string };

/** Invariant: an answer is whole; where not every code is known it is undefined, and the search is refused. */
export type Terms = {
  readonly expand: (valueSet: string) => readonly Code[] | undefined;
  /** The code itself and everything it subsumes. */
  readonly below: (code: Code) => readonly Code[] | undefined;
  /** The code itself and everything that subsumes it. */
  readonly above: (code: Code) => readonly Code[] | undefined;
};

/** Knows no value set and no hierarchy. */
export const noTerms: Terms = { expand: () => undefined, below: () => undefined, above: () => undefined };
