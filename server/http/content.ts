/**
 * Content negotiation, both ways: which media type comes in, and that JSON is acceptable going out. https://hl7.org/fhir/R4/http.html#mime-type
 * Invariant: bytes become a resource here and nowhere else, through the strict parser of fhir/json.ts.
 */
import { AssentError } from '../errors.ts';
import { parseDocument } from '../fhir/json.ts';
import type { Body, Route } from './interaction.ts';
import type { Limits } from './services.ts';

export const FHIR_JSON = 'application/fhir+json; charset=utf-8';
const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPES = new Set(['application/fhir+json', 'application/json', 'text/json']);
const FORMATS = new Set(['json', ...JSON_TYPES]);
const RANGES = new Set([...JSON_TYPES, 'application/*', 'text/*', '*/*']);

type MediaType = { readonly name: string; readonly parameters: ReadonlyMap<string, string> };

/** Throws unsupported-media-type unless a body of this Content-Type is one that the row takes. */
export function checkMediaType(header: string | undefined, takes: Route['takes']): void {
  const { name, parameters } = mediaType(header ?? '');
  const wanted = takes === 'form' ? name === FORM : JSON_TYPES.has(name);
  if (!wanted) throw new AssentError('unsupported-media-type', takes === 'form' ? `_search takes ${FORM}.` : 'Send application/fhir+json.');
  const charset = parameters.get('charset');
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') throw new AssentError('unsupported-media-type', 'JSON is sent in UTF-8.');
  refuseOtherVersion(parameters, 'unsupported-media-type');
}

export function parseBody(bytes: Buffer, takes: Route['takes'], limits: Limits): Body {
  if (takes === 'nothing' || bytes.length === 0) return { kind: 'none' };
  if (takes === 'form') return { kind: 'form', parameters: new URLSearchParams(bytes.toString('utf8')) };
  return { kind: 'resource', document: parseDocument(bytes, { maxDepth: limits.jsonDepth, maxBytes: limits.bodyBytes }) };
}

/** Throws not-acceptable when the caller can read none of the formats there are. `_format` wins over Accept. */
export function checkAcceptable(accept: string | undefined, format: string | undefined): void {
  if (format !== undefined) {
    // A plus sign in a query string is a space by the time it gets here.
    const { name, parameters } = mediaType(format.replace('fhir json', 'fhir+json'));
    if (!FORMATS.has(name)) throw new AssentError('not-acceptable', '_format can be json.');
    return refuseOtherVersion(parameters, 'not-acceptable');
  }
  if (accept === undefined || accept.trim() === '') return;
  const acceptable = accept
    .split(',')
    .map(mediaType)
    .filter(({ name, parameters }) => RANGES.has(name) && Number(parameters.get('q') ?? '1') > 0);
  const [first] = acceptable;
  if (!first) throw new AssentError('not-acceptable', 'Accept must allow application/fhir+json.');
  if (acceptable.every(({ parameters }) => otherVersion(parameters))) refuseOtherVersion(first.parameters, 'not-acceptable');
}

function refuseOtherVersion(parameters: ReadonlyMap<string, string>, code: 'not-acceptable' | 'unsupported-media-type'): void {
  if (otherVersion(parameters)) throw new AssentError(code, 'This is a FHIR R4 server: fhirVersion=4.0.');
}

function otherVersion(parameters: ReadonlyMap<string, string>): boolean {
  const version = parameters.get('fhirversion');
  return version !== undefined && version !== '4.0' && version !== '4.0.1';
}

function mediaType(text: string): MediaType {
  const [name = '', ...rest] = text.split(';');
  const parameters = rest.map((part) => {
    const [key = '', value = ''] = part.split('=', 2);
    return [
      key.trim().toLowerCase(),
      value
        .trim()
        .replace(/^"(.*)"$/, '$1')
        .toLowerCase(),
    ] as const;
  });
  return { name: name.trim().toLowerCase(), parameters: new Map(parameters) };
}

/** Whether `_pretty` asks for indented JSON. */
export function wantsPretty(query: URLSearchParams): boolean {
  return query.get('_pretty') === 'true';
}
