/** An entry of a bundle as a request of its own, and the answer to it as an entry. https://hl7.org/fhir/R4/bundle.html#Bundle.entry.request */
import { STATUS_CODES } from 'node:http';
import { outcomeOf } from '../errors.ts';
import type { BundleEntry, bundleText } from '../fhir/bundle.ts';
import { RECEIPT_HEADER } from './answer.ts';
import { FHIR_JSON } from './content.ts';
import type { Answer, FhirRequest } from './interaction.ts';
import type { InnerCall } from './services.ts';

/** Names the receipt of one entry's disclosure: a header can name one for the whole answer only. */
export const RECEIPT_EXTENSION = 'urn:assent:receipt';

/** One entry of an answer bundle. */
export type AnswerEntry = Parameters<typeof bundleText>[0]['entries'][number];

/** Conditions come from the entry alone; of the outer request only Prefer holds for every entry, and what was sent is not sent back. */
export function entryCall({ gate, header: outer }: Pick<FhirRequest, 'gate' | 'header'>, entry: BundleEntry): InnerCall {
  const headers: Readonly<Record<string, string | undefined>> = {
    'if-match': entry.ifMatch,
    'if-none-match': entry.ifNoneMatch,
    'if-none-exist': entry.ifNoneExist,
    'if-modified-since': entry.ifModifiedSince,
    // An entry holds resources, never the bytes of a Binary.
    accept: FHIR_JSON,
    prefer: outer('prefer') ?? 'return=minimal',
  };
  return {
    gate,
    method: entry.method,
    url: entry.url,
    header: (name) => headers[name],
    body: entry.resource ? { kind: 'resource', document: entry.resource } : { kind: 'none' },
  };
}

export function answerEntry(entry: BundleEntry, answer: Answer): AnswerEntry {
  const { status, headers } = answer;
  const body = resourceIn(answer);
  const { location, etag, 'last-modified': modified, [RECEIPT_HEADER]: receipt } = headers;
  const reads = entry.method === 'GET' || entry.method === 'HEAD' || /_search|\$/.test(entry.url);
  const outcome = !reads && body?.startsWith('{"resourceType":"OperationOutcome"') ? body : undefined;
  const response = {
    status: statusLine(status),
    ...(location === undefined ? {} : { location }),
    ...(etag === undefined ? {} : { etag }),
    ...(modified === undefined ? {} : { lastModified: new Date(modified).toISOString() }),
    ...(receipt === undefined ? {} : { extension: [{ url: RECEIPT_EXTENSION, valueUrl: receipt }] }),
    ...(outcome === undefined ? {} : { outcomeText: outcome }),
  };
  return { ...(body === undefined || outcome !== undefined || entry.method === 'HEAD' ? {} : { resourceText: body }), response };
}

/** An entry holds a resource: what is none (a receipt, the answer of a GraphQL query) stands in a Binary. */
export function resourceIn({ body, bytes, mediaType }: Answer): string | undefined {
  const content = bytes ?? body;
  if (content === undefined || mediaType === undefined) return body;
  return JSON.stringify({ resourceType: 'Binary', contentType: mediaType, data: Buffer.from(content).toString('base64') });
}

export function failedEntry(error: unknown): AnswerEntry {
  const { status, outcome } = outcomeOf(error);
  return { response: { status: statusLine(status), outcomeText: JSON.stringify(outcome) } };
}

export function statusLine(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? ''}`.trim();
}
