/**
 * Receipts as small files, receipt.assent and receipt.json.gz: representations that are asked for by their names, not an encoding of the transfer.
 * docs/receipt.md §2, RFC 1952, RFC 6713
 *
 * Invariant: nothing else is compressed, and a receipt only for who names such a type: a length that follows from what is in a text tells of it
 * (BREACH, render.ts), so it is nothing that an answer does by itself.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { packed } from '../../ledger/packing.ts';
import { mediaType, resourceFormatOf } from './content.ts';
import type { Answer, FhirRequest, Route } from './interaction.ts';

const deflated = promisify(gzip);

export type SmallFile = {
  readonly mediaType: string;
  readonly name: string;
  /** The same text gives the same bytes. */
  readonly write: (text: string) => Promise<Buffer>;
};

export const GZIP: SmallFile = { mediaType: 'application/gzip', name: 'receipt.json.gz', write: (text) => deflated(text, { level: 9 }) };
/** Of 4 kB where gzip needs 5.5: in a log of millions of entries. */
export const PACKED: SmallFile = {
  mediaType: 'application/vnd.assent.receipt',
  name: 'receipt.assent',
  write: async (text) => Buffer.from(packed(text)),
};
const SMALL = [PACKED, GZIP];

/** Whether what this row answers can be had so. */
export function givesSmallFile({ interaction }: Route): boolean {
  return interaction === '$receipt' || interaction === '$ledger-proof';
}

/** `format`: the parameter _format, which wins over Accept. Who takes JSON as gladly gets JSON: undefined. */
export function smallFileWanted(accept: string | undefined, format: string | undefined): SmallFile | undefined {
  if (format !== undefined) return SMALL.find((file) => file.mediaType === mediaType(format).name);
  const ranges = (accept ?? '').split(',').map(mediaType);
  const best = (fits: (name: string) => boolean) =>
    Math.max(0, ...ranges.filter(({ name }) => fits(name)).map(({ parameters }) => Number(parameters.get('q') ?? '1') || 0));
  const json = best((name) => resourceFormatOf(name) === 'json');
  const rated = SMALL.map((file) => ({ file, quality: best((name) => name === file.mediaType) })).filter(({ quality }) => quality > json);
  return rated.sort((one, other) => other.quality - one.quality)[0]?.file;
}

/** A receipt in the form that was asked for. */
export async function receiptAnswer(text: string, { query, header }: Pick<FhirRequest, 'query' | 'header'>): Promise<Answer> {
  const file = smallFileWanted(header('accept'), query.get('_format') ?? undefined);
  if (!file) return { status: 200, headers: {}, body: text, mediaType: 'application/json' };
  const headers = { 'content-disposition': `attachment; filename="${file.name}"` };
  return { status: 200, headers, body: undefined, bytes: await file.write(text), mediaType: file.mediaType };
}
