/**
 * A file as it came → its text: plain; compressed by gzip (RFC 1952); or packed (packed.ts), as receipts are kept where 4 kB matter. docs/receipt.md §2
 * Invariant: whatever a file says of itself, no more than MOST_BYTES of it are ever held; and nothing is passed over: one member of gzip, whole, with
 * nothing behind it.
 */
import { inflated } from './inflated.ts';
import { isPacked, textOfPacked } from './packed.ts';

/** No receipt has more: 20,000,000 UTF-16 units are at most so many bytes. */
const MOST_BYTES = 60_000_000;
const GZIP = [0x1f, 0x8b];

export type FileText = { readonly text: string } | { readonly reason: string };

/** `reason`: a sentence where it has no text. */
export async function textOfFile(bytes: Uint8Array): Promise<FileText> {
  if (isPacked(bytes)) {
    const text = await textOfPacked(bytes);
    return text === undefined ? { reason: 'It is packed, but not whole or not as such files are.' } : { text };
  }
  const isGzip = GZIP.every((byte, i) => bytes[i] === byte);
  const plain = isGzip ? await inflated('gzip', bytes, MOST_BYTES) : bytes;
  if (!plain) return { reason: 'It is compressed, but not whole or not by gzip alone.' };
  if (plain.length > MOST_BYTES) return { reason: 'It is too large to be a receipt.' };
  const text = utf8(plain);
  return text === undefined ? { reason: 'It is not UTF-8.' } : { text };
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    // Characters put in the place of wrong bytes would be another file than the one given.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
