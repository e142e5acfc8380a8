/**
 * Content negotiation, both ways: what a body is, and the format of the answer. https://hl7.org/fhir/R4/http.html#mime-type, RFC 9110 §12
 * Invariant: bytes become a resource here and nowhere else, through the strict readers of fhir/json.ts and fhir/xml/read.ts.
 */
import { setImmediate } from 'node:timers/promises';
import { AssentError } from '../errors.ts';
import { parseDocument, parseJson } from '../fhir/json.ts';
import { memberText } from '../fhir/json-text.ts';
import type { ResourceDocument } from '../fhir/resource.ts';
import { readXml } from '../fhir/xml/read.ts';
import type { Body, Route } from './interaction.ts';
import type { Limits } from './services.ts';

export type Format = 'json' | 'xml';
/** Of a body: neither a JSON Patch nor a GraphQL request is a resource. */
export type BodyFormat = Format | 'json-patch' | 'graphql' | 'graphql-json';
export const mediaTypes = { json: 'application/fhir+json; charset=utf-8', xml: 'application/fhir+xml; charset=utf-8' } as const;
export const FHIR_JSON = mediaTypes.json;
const FORM = 'application/x-www-form-urlencoded';
export const JSON_PATCH = 'application/json-patch+json';
const formats: ReadonlyMap<string, Format> = new Map([
  ...['application/fhir+json', 'application/json', 'text/json', 'json'].map((name) => [name, 'json'] as const),
  ...['application/fhir+xml', 'application/xml', 'text/xml', 'xml'].map((name) => [name, 'xml'] as const),
]);
/** JSON is what is stored, so it is what a caller gets that takes both. */
const RANGES: ReadonlyMap<string, number> = new Map([
  ['application/*', 1],
  ['text/*', 1],
  ['*/*', 0],
]);
const EXACT = 2;

export type MediaType = { readonly name: string; readonly parameters: ReadonlyMap<string, string> };

/** The format a body of this Content-Type is in. Throws unsupported-media-type unless it is one that the row takes. */
export function checkMediaType(header: string | undefined, takes: Route['takes']): BodyFormat {
  const { name, parameters } = mediaType(header ?? '');
  if (takes === 'graphql') return graphqlFormat(name, parameters);
  const format = takes === 'patch' && name === JSON_PATCH ? 'json-patch' : name.includes('/') ? formats.get(name) : undefined;
  if (takes === 'form' ? name !== FORM : format === undefined)
    throw new AssentError(
      'unsupported-media-type',
      takes === 'form'
        ? `_search takes ${FORM}.`
        : `Send ${takes === 'patch' ? `${JSON_PATCH}, ` : ''}application/fhir+json or application/fhir+xml.`,
    );
  const charset = parameters.get('charset');
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8')
    throw new AssentError('unsupported-media-type', 'Bodies are sent in UTF-8.');
  refuseOtherVersion(parameters, 'unsupported-media-type');
  return format ?? 'json';
}

/** https://hl7.org/fhir/R4/graphql.html: the query itself, or JSON around it. */
function graphqlFormat(name: string, parameters: MediaType['parameters']): BodyFormat {
  const format = name === 'application/graphql' ? 'graphql' : name === 'application/json' ? 'graphql-json' : undefined;
  const charset = parameters.get('charset');
  if (format === undefined || (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8'))
    throw new AssentError('unsupported-media-type', 'Send application/json or application/graphql, in UTF-8.');
  return format;
}

/** The format of a resource in this media type; undefined: it is no resource. */
export function resourceFormatOf(contentType: string): Format | undefined {
  const { name } = mediaType(contentType);
  return name.includes('/') ? formats.get(name) : undefined;
}

type Taken = { readonly takes: Route['takes']; readonly format: BodyFormat };

export async function parseBody(bytes: Buffer, { takes, format }: Taken, limits: Limits): Promise<Body> {
  if (takes === 'nothing' || bytes.length === 0) return { kind: 'none' };
  if (takes === 'form') return { kind: 'form', parameters: new URLSearchParams(bytes.toString('utf8')) };
  const most = { maxDepth: limits.jsonDepth, maxBytes: limits.bodyBytes };
  if (format === 'graphql') return { kind: 'graphql', query: bytes.toString('utf8'), variables: '{}', operation: undefined };
  if (format === 'graphql-json') return graphqlBody(parseJson(bytes, most).text);
  if (format === 'json-patch') return { kind: 'json-patch', text: parseJson(bytes, most).text };
  return { kind: 'resource', document: format === 'xml' ? await readWithPauses(bytes, most) : parseDocument(bytes, most) };
}

function graphqlBody(text: string): Body {
  const value = JSON.parse(text) as unknown;
  const { query, operationName } = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  if (typeof query !== 'string') throw new AssentError('invalid-request', 'A GraphQL request is JSON with a query.');
  if (operationName !== undefined && operationName !== null && typeof operationName !== 'string')
    throw new AssentError('invalid-request', 'operationName must be a string.');
  return { kind: 'graphql', query, variables: memberText(text, 'variables') ?? '{}', operation: operationName ?? undefined };
}

/** XML is read slower than JSON: other callers get their turn. */
async function readWithPauses(bytes: Buffer, limits: Parameters<typeof readXml>[1]): Promise<ResourceDocument> {
  const reading = readXml(bytes, limits);
  for (;;) {
    const step = reading.next();
    if (step.done) return step.value;
    await setImmediate();
  }
}

/** The format the answer is to be in; `_format` wins over Accept. Throws not-acceptable when the caller can read none that there is. */
export function formatOf(accept: string | undefined, format: string | undefined): Format {
  if (format !== undefined) return namedFormat(format);
  if (accept === undefined || accept === '' || accept === '*/*') return 'json';
  const types = accept.split(',').map(mediaType);
  const refusesJson = types.some(({ name, parameters }) => formats.get(name) === 'json' && !(qualityOf(parameters) > 0));
  const offers = types.flatMap((type) => offerOf(type, refusesJson ? 'xml' : 'json'));
  const [best] = offers.filter(({ version }) => !version).sort((a, b) => b.quality - a.quality || b.exactness - a.exactness);
  if (best) return best.format;
  if (offers.length > 0) throw otherVersion('not-acceptable');
  if (accept.trim() === '') return 'json';
  throw new AssentError('not-acceptable', 'Accept must allow application/fhir+json or application/fhir+xml.');
}

function namedFormat(text: string): Format {
  // A plus sign in a query string is a space by the time it gets here.
  const { name, parameters } = mediaType(text.replace(/^(application\/fhir) (json|xml)/, '$1+$2'));
  const format = formats.get(name);
  if (format === undefined) throw new AssentError('not-acceptable', '_format can be json or xml.');
  refuseOtherVersion(parameters, 'not-acceptable');
  return format;
}

type Offer = { readonly format: Format; readonly quality: number; readonly exactness: number; readonly version: boolean };

function offerOf({ name, parameters }: MediaType, usual: Format): Offer[] {
  const format = name.includes('/') ? formats.get(name) : undefined;
  const exactness = format === undefined ? RANGES.get(name) : EXACT;
  const quality = qualityOf(parameters);
  if (exactness === undefined || !(quality > 0)) return [];
  return [{ format: format ?? usual, quality, exactness, version: isOtherVersion(parameters) }];
}

function qualityOf(parameters: ReadonlyMap<string, string>): number {
  return Number(parameters.get('q') ?? '1');
}

function refuseOtherVersion(parameters: ReadonlyMap<string, string>, code: 'not-acceptable' | 'unsupported-media-type'): void {
  if (isOtherVersion(parameters)) throw otherVersion(code);
}

function otherVersion(code: 'not-acceptable' | 'unsupported-media-type'): AssentError {
  return new AssentError(code, 'This is a FHIR R4 server: fhirVersion=4.0.');
}

function isOtherVersion(parameters: ReadonlyMap<string, string>): boolean {
  const version = parameters.get('fhirversion');
  return version !== undefined && version !== '4.0' && version !== '4.0.1';
}

export function mediaType(text: string): MediaType {
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
