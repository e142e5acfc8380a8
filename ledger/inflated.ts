/** Compressed bytes → what comes out, up to a bound. RFC 1951, RFC 1952 */

/** At most one chunk more than `most` bytes; undefined: it is damaged, cut off, or something stands behind it. */
export async function inflated(form: 'gzip' | 'deflate-raw', bytes: Uint8Array, most: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    const reader = new Blob([Uint8Array.from(bytes)]).stream().pipeThrough(new DecompressionStream(form)).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      chunks.push(read.value);
      length += read.value.length;
      if (length > most) {
        await reader.cancel();
        break;
      }
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}
