/**
 * Receipts as small files, receipt.json.gz: a representation that is asked for by its name, not an encoding of the transfer. RFC 1952, RFC 6713
 *
 * Invariant: nothing else is compressed, and a receipt only for who names application/gzip: a length that follows from what is in a text tells of it
 * (BREACH, render.ts), so it is nothing that an answer does by itself.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { mediaType, resourceFormatOf } from './content.ts';
import type { Answer, FhirRequest, Route } from './interaction.ts';

export const GZIP = 'application/gzip';
export const RECEIPT_FILE = 'receipt.json.gz';
const deflated = promisify(gzip);

/** The file of a receipt; the same text gives the same bytes. */
export function gzipped(text: string): Promise<Buffer> {
  return deflated(text, { level: 9 });
}

/** Whether what this row answers can be had so. */
export function givesGzip({ interaction }: Route): boolean {
  return interaction === '$receipt' || interaction === '$ledger-proof';
}

/** `format`: the parameter _format, which wins over Accept. Who takes JSON as gladly gets JSON. */
export function wantsGzip(accept: string | undefined, format: string | undefined): boolean {
  if (format !== undefined) return mediaType(format).name === GZIP;
  const ranges = (accept ?? '').split(',').map(mediaType);
  const best = (fits: (name: string) => boolean) =>
    Math.max(0, ...ranges.filter(({ name }) => fits(name)).map(({ parameters }) => Number(parameters.get('q') ?? '1') || 0));
  return best((name) => name === GZIP) > best((name) => resourceFormatOf(name) === 'json');
}

/** A receipt in the form that was asked for. */
export async function receiptAnswer(text: string, { query, header }: Pick<FhirRequest, 'query' | 'header'>): Promise<Answer> {
  if (!wantsGzip(header('accept'), query.get('_format') ?? undefined)) return { status: 200, headers: {}, body: text, mediaType: 'application/json' };
  const headers = { 'content-disposition': `attachment; filename="${RECEIPT_FILE}"` };
  return { status: 200, headers, body: undefined, bytes: await gzipped(text), mediaType: GZIP };
}
