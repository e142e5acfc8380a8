/**
 * The bytes of an answer in the format that was asked for: the stored JSON text as it is, indented, or as XML.
 * https://hl7.org/fhir/R4/http.html#mime-type
 * Invariant: only what FHIR defines is translated; bytes and texts of another media type leave as they are. Nothing is compressed: beside
 * words of the caller's choosing (links, outcomes) the length would tell of a patient's data (BREACH).
 */
import { setImmediate } from 'node:timers/promises';
import { pretty } from '../fhir/json-text.ts';
import { xmlParts } from '../fhir/xml/write.ts';
import { type Format, formatOf, mediaTypes } from './content.ts';
import type { Answer, Body } from './interaction.ts';
import { parametersOf, queryOf } from './parameters.ts';

export type Form = { readonly format: Format; readonly pretty: boolean };

/** Throws AssentError('not-acceptable'). `parameters`: of the URL, or of both places a _search may carry them. */
export function formOf(accept: string | undefined, parameters: URLSearchParams): Form {
  return { format: formatOf(accept, parameters.get('_format') ?? undefined), pretty: parameters.get('_pretty') === 'true' };
}

/** The format of an answer that must be given: JSON for a caller who can read none that there is. */
export function formatForError(accept: string | undefined, url: string, body?: Body): Format {
  try {
    return formOf(accept, parametersOf({ query: queryOf(url), body: body ?? { kind: 'none' } })).format;
  } catch {
    return 'json';
  }
}

type Rendered = { readonly type: string; readonly content: string | Uint8Array };

/** Undefined: the answer has no body. */
export async function render({ body, bytes, mediaType }: Answer, form: Form): Promise<Rendered | undefined> {
  if (bytes !== undefined) return { type: mediaType ?? 'application/octet-stream', content: bytes };
  if (body === undefined) return undefined;
  if (mediaType !== undefined) return { type: mediaType, content: form.pretty ? pretty(body) : body };
  if (form.format === 'xml') return { type: mediaTypes.xml, content: await xmlWithPauses(body, form.pretty) };
  return { type: mediaTypes.json, content: form.pretty ? pretty(body) : body };
}

/** Characters of XML between two turns of the event loop: about two milliseconds. */
const TURN = 16_384;

async function xmlWithPauses(body: string, isPretty: boolean): Promise<string> {
  const parts: string[] = [];
  let written = 0;
  for (const part of xmlParts(body, { pretty: isPretty })) {
    parts.push(part);
    written += part.length;
    if (written < TURN) continue;
    written = 0;
    await setImmediate();
  }
  return parts.join('');
}
