/**
 * Where in a resource something is, as a chain from the leaf up, written out as FHIRPath only when there is something to say.
 * https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression
 */
export type Place = {
  readonly up?: Place;
  /** `Patient`, `.name`, `.value.ofType(Quantity)`. */
  readonly step: string;
  readonly index?: number;
};

export function expressionOf(place: Place): string {
  let text = '';
  for (let at: Place | undefined = place; at; at = at.up) text = `${at.step}${at.index === undefined ? '' : `[${at.index}]`}${text}`;
  return text;
}

/** What breaks a rule: words of ours and names of the specification, no values. Without a severity it is an error. */
export type Finding = {
  readonly place: Place;
  readonly diagnostics: string;
  readonly code: string;
  readonly severity?: 'warning' | 'information';
};
