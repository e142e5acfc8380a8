/**
 * Binary as the bytes it stands for: taken with any Content-Type, given back to whoever does not ask for FHIR.
 * https://hl7.org/fhir/R4/binary.html#rest
 *
 * Invariant: the bytes come from callers and go to browsers: they leave as a download without sniffing and in a sandbox, so that nothing
 * in them runs under our origin. They are decided, audited and conditional like any other resource, because they are one.
 */
import type { Row } from '../consent/gate.ts';
import { AssentError } from '../errors.ts';
import type { ResourceDocument, ResourceValue } from '../fhir/resource.ts';
import { mediaType, resourceFormatOf } from './content.ts';
import type { Answer, FhirRequest, Route } from './interaction.ts';

/** In base64 and with its metadata it stays below the 15 MB that a stored resource may have. */
const MOST_BYTES = 11_000_000;
const DEFAULT_TYPE = 'application/octet-stream';
const MEDIA_TYPE = /^[\w.+-]+\/[\w.+-]+(?:\s*;\s*[\w-]+=(?:[\w.+:-]+|"[\w .+:'-]*"))*$/;
const safeHeaders = {
  'content-disposition': 'attachment',
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'same-origin',
} as const;

/** Whether bodies of this row and type may be plain bytes. */
export function takesBytes({ interaction }: Route, type: string, contentType: string): boolean {
  if (type !== 'Binary' || (interaction !== 'create' && interaction !== 'update')) return false;
  return contentType !== '' && resourceFormatOf(contentType) === undefined;
}

/** Whether this row may answer with bytes, whatever the caller accepts. */
export function givesBytes({ interaction }: Route, type: string): boolean {
  return type === 'Binary' && (interaction === 'read' || interaction === 'vread');
}

type Sent = { readonly contentType: string; readonly securityContext: string | undefined; readonly id: string | undefined };

export function binaryOf(bytes: Buffer, { contentType, securityContext, id }: Sent): ResourceDocument {
  if (!MEDIA_TYPE.test(contentType)) throw new AssentError('unsupported-media-type', 'The Content-Type is not a media type.');
  if (bytes.length > MOST_BYTES) throw new AssentError('too-large', `A Binary may have ${MOST_BYTES} bytes.`);
  const value: ResourceValue = {
    resourceType: 'Binary',
    ...(id === undefined ? {} : { id }),
    contentType,
    ...(securityContext === undefined ? {} : { securityContext: { reference: securityContext } }),
    ...(bytes.length === 0 ? {} : { data: bytes.toString('base64') }),
  };
  return { value, text: JSON.stringify(value) };
}

/** The content of a Binary; undefined where the caller asked for the resource. */
export function bytesAnswer(request: Pick<FhirRequest, 'query' | 'header'>, row: Row): Pick<Answer, 'headers' | 'bytes' | 'mediaType'> | undefined {
  if (row.type !== 'Binary') return undefined;
  const { contentType, data, securityContext } = JSON.parse(row.body) as {
    readonly contentType?: string;
    readonly data?: string;
    readonly securityContext?: { readonly reference?: string };
  };
  const type = contentType !== undefined && MEDIA_TYPE.test(contentType) ? contentType : DEFAULT_TYPE;
  if (!wantsBytes(request, mediaType(type).name)) return undefined;
  const reference = securityContext?.reference;
  const context = reference !== undefined && /^[\x21-\x7e]{1,500}$/.test(reference) ? { 'x-security-context': reference } : {};
  return { headers: { ...safeHeaders, ...context }, bytes: Buffer.from(data ?? '', 'base64'), mediaType: type };
}

/** Only who names a type of FHIR, or asks for JSON or XML where the content is neither, wants the resource. */
function wantsBytes({ query, header }: Pick<FhirRequest, 'query' | 'header'>, own: string): boolean {
  if (query.has('_format')) return false;
  const accepted = (header('accept') ?? '')
    .split(',')
    .map(mediaType)
    .filter(({ name, parameters }) => name !== '' && Number(parameters.get('q') ?? '1') > 0)
    .map(({ name }) => name);
  if (accepted.some((name) => name.startsWith('application/fhir+'))) return false;
  const fits = accepted.some((name) => name === own || name === '*/*' || name === own.replace(/\/.*$/, '/*'));
  return fits || !accepted.some((name) => resourceFormatOf(name) !== undefined);
}
