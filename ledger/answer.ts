/** What another program answered over HTTP, of a bounded length: who is asked may be hostile. */

/** Undefined: it is longer. */
export async function boundedText(response: Response, mostBytes: number): Promise<string | undefined> {
  return (await boundedBytes(response, mostBytes))?.toString('utf8');
}

/** Undefined: it is longer. */
export async function boundedBytes(response: Response, mostBytes: number): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > mostBytes) return undefined;
  }
  return Buffer.concat(chunks);
}
