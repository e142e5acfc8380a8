/**
 * A file as it came → its text: plain, or compressed by gzip (RFC 1952), as receipts are kept where 4 kB matter. docs/receipt.md §2
 * Invariant: whatever a file says of itself, no more than MOST_BYTES of it are ever held; and nothing is passed over: one member of gzip, whole, with
 * nothing behind it.
 */

/** No receipt has more: 20,000,000 UTF-16 units are at most so many bytes. */
const MOST_BYTES = 60_000_000;
const GZIP = [0x1f, 0x8b];

export type FileText = { readonly text: string } | { readonly reason: string };

/** `reason`: a sentence where it has no text. */
export async function textOfFile(bytes: Uint8Array): Promise<FileText> {
  const isGzip = GZIP.every((byte, i) => bytes[i] === byte);
  const plain = isGzip ? await inflated(bytes) : bytes;
  if (!plain) return { reason: 'It is compressed, but not whole or not by gzip alone.' };
  if (plain.length > MOST_BYTES) return { reason: 'It is too large to be a receipt.' };
  try {
    // Characters put in the place of wrong bytes would be another file than the one given.
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plain) };
  } catch {
    return { reason: 'It is not UTF-8.' };
  }
}

/** At most one chunk more than MOST_BYTES; undefined: it is damaged, cut off, or something stands behind it. */
async function inflated(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    const reader = new Blob([Uint8Array.from(bytes)]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      chunks.push(read.value);
      length += read.value.length;
      if (length > MOST_BYTES) {
        await reader.cancel();
        break;
      }
    }
  } catch {
    return undefined;
  }
  return joined(chunks, length);
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
