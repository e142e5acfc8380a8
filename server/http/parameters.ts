/** URL parameters of interactions other than search. https://hl7.org/fhir/R4/http.html#parameters */
import { AssentError } from '../errors.ts';
import type { FhirRequest } from './interaction.ts';

/** Parameters about the form of the answer: content.ts handles them for every interaction. */
const FORM = new Set(['_format', '_pretty']);

/** A parameter that would change the answer must not pass unheard. */
export function refuseUnknownQuery(request: FhirRequest, known: readonly string[]): void {
  for (const name of request.query.keys()) {
    if (FORM.has(name) || known.includes(name)) continue;
    throw new AssentError('invalid-request', `This interaction takes only the parameters ${[...known, ...FORM].join(', ')}.`);
  }
}

/** The search criteria of a conditional interaction. */
export function criteriaOf({ query }: Pick<FhirRequest, 'query'>): URLSearchParams {
  return new URLSearchParams([...query].filter(([name]) => !FORM.has(name)));
}

/** The parameters of a URL as it was sent. */
export function queryOf(url: string): URLSearchParams {
  const at = url.indexOf('?');
  const query = at < 0 ? '' : url.slice(at + 1);
  if (/%(?![0-9a-fA-F]{2})/.test(query)) throw new AssentError('invalid-request', 'The URL holds a malformed percent-encoding.');
  return new URLSearchParams(query);
}

/** Of both places a _search may carry them. */
export function parametersOf({ query, body }: Pick<FhirRequest, 'query' | 'body'>): URLSearchParams {
  return body.kind === 'form' ? new URLSearchParams([...query, ...body.parameters]) : query;
}

/** A whole number from 0 up, at most `most`; undefined when absent. */
export function countOf(query: URLSearchParams, name: string, most: number): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new AssentError('invalid-request', `${name} must be a whole number.`);
  return Math.min(Number(text), most);
}

/** A date from a URL: a plus sign before the zone is a space by the time it gets here. */
export function zoned(text: string): string {
  return text.replace(' ', '+');
}
