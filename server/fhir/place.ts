/**
 * Where in a resource something is, as a chain from the leaf up, written out as FHIRPath only when there is something to say.
 * https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression
 */
export type Place = {
  readonly up?: Place | undefined;
  /** `Patient`, `.name`, `.value.ofType(Quantity)`. */
  readonly step: string;
  readonly index?: number | undefined;
};

export function expressionOf(place: Place): string {
  let text = '';
  for (let at: Place | undefined = place; at; at = at.up) text = `${at.step}${at.index === undefined ? '' : `[${at.index}]`}${text}`;
  return text;
}
