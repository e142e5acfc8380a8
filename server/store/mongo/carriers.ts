/** Which types have a live resource with a key: one document is looked for among the types that are left, until there is none. */
import { indexedKey } from './documents.ts';
import type { Reader } from './reader.ts';

export async function carriers(reader: Pick<Reader, 'resources'>, key: string, types: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  const left = new Set(types);
  while (left.size > 0) {
    const keys = [...left].map((type) => indexedKey(type, key));
    const [document] = await reader.resources({ k: { $in: keys } }, { hint: 'k_d_id_s', limit: 1, projection: { t: 1 } }).toArray();
    if (!document) return found;
    found.push(document.t);
    left.delete(document.t);
  }
  return found;
}
