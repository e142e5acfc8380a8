/** What another program answered over HTTP, as text of a bounded length: who is asked may be hostile. */

/** Undefined: it is longer. */
export async function boundedText(response: Response, mostBytes: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > mostBytes) return undefined;
  }
  return Buffer.concat(chunks).toString('utf8');
}
