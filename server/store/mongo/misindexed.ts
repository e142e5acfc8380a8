/** Whether what the index of a document holds, and its deciding keys, are those of its keys. */
import { decidingPart } from '../deciding-keys.ts';
import { unpackKeys } from '../packed-keys.ts';
import type { Collections } from './connection.ts';
import { indexedKeys, type ResourceDocument } from './documents.ts';

type Indexed = Pick<ResourceDocument, 'i' | 'k' | 'c' | 'f' | 'del'>;

/** Ids of those whose index is not as their keys say, at most so many. */
export async function misindexed({ resources }: Pick<Collections, 'resources'>, type: string, most: number): Promise<string[]> {
  const found: string[] = [];
  const projection = { _id: 0, i: 1, k: 1, c: 1, f: 1, del: 1 };
  for await (const document of resources.find<Indexed>({ t: type }, { projection })) {
    if (!isIndexed(type, document) && found.push(document.i) === most) break;
  }
  return found;
}

function isIndexed(type: string, { k, c, f, del }: Indexed): boolean {
  const expected = new Set(del ? [] : indexedKeys(type, unpackKeys(f)));
  return c === decidingPart(f) && k.length === expected.size && k.every((key) => expected.has(key));
}
