/**
 * Checks of proofs over (leaf hash, index, size, root). RFC 6962 §2.1, RFC 9162 §2.1.3.2 and §2.1.4.2
 *
 * Invariant: a proof binds index and size: the path is walked by them alone, and a hash too few or too many refutes it. Needs no
 * tree, no server and no package, so that an offline verifier stays small.
 */
import { emptyRoot, nodeHash, sameBytes } from './hash.ts';

/** Hashes of leaves [begin, end). */
export type Range = { readonly begin: number; readonly end: number };

/** The largest power of two smaller than n (n > 1): where RFC 6962 splits a tree. */
export function splitPoint(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

export function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

export type InclusionClaim = { readonly leaf: Uint8Array; readonly index: number; readonly size: number; readonly root: Uint8Array };

export function verifyInclusion({ leaf, index, size, root }: InclusionClaim, proof: readonly Uint8Array[]): boolean {
  if (!isSize(index) || !isSize(size) || index >= size) return false;
  let node = index;
  let last = size - 1;
  let hash: Uint8Array = leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      // A last node without a right sibling moves up unhashed.
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && sameBytes(hash, root);
}

export type ConsistencyClaim = { readonly oldSize: number; readonly oldRoot: Uint8Array; readonly size: number; readonly root: Uint8Array };

/** That the tree of `size` begins with the whole tree of `oldSize`. */
export function verifyConsistency({ oldSize, oldRoot, size, root }: ConsistencyClaim, proof: readonly Uint8Array[]): boolean {
  if (!isSize(oldSize) || !isSize(size) || oldSize > size) return false;
  if (oldSize === size) return proof.length === 0 && sameBytes(oldRoot, root);
  if (oldSize === 0) return proof.length === 0 && sameBytes(oldRoot, emptyRoot);
  let node = oldSize - 1;
  let last = size - 1;
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  // An old tree that is one whole subtree of the new one is its own first node.
  const [first, ...rest] = node === 0 ? [oldRoot, ...proof] : proof;
  if (first === undefined) return false;
  let [oldHash, newHash] = [first, first];
  for (const sibling of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      [oldHash, newHash] = [nodeHash(sibling, oldHash), nodeHash(sibling, newHash)];
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && sameBytes(oldHash, oldRoot) && sameBytes(newHash, root);
}

function half(n: number): number {
  return Math.floor(n / 2);
}

/**
 * The subtrees whose hashes, with the leaves at `indices`, give the root of the tree of this size, from left to right. For several
 * leaves much shorter than a path for each.
 */
export function jointRanges(indices: readonly number[], size: number): Range[] {
  const sorted = [...indices].sort((a, b) => a - b);
  const walk = (within: readonly number[], begin: number, end: number): Range[] => {
    if (within.length === 0) return [{ begin, end }];
    if (end - begin === 1) return [];
    const middle = begin + splitPoint(end - begin);
    return [
      ...walk(
        within.filter((i) => i < middle),
        begin,
        middle,
      ),
      ...walk(
        within.filter((i) => i >= middle),
        middle,
        end,
      ),
    ];
  };
  return size === 0 ? [] : walk(sorted, 0, size);
}

/** The root that leaves at their indices and the hashes of jointRanges give; undefined unless every leaf and every hash is used. */
export function rootOfJoint(leaves: ReadonlyMap<number, Uint8Array>, size: number, hashes: readonly Uint8Array[]): Uint8Array | undefined {
  const indices = [...leaves.keys()];
  if (indices.length === 0 || !isSize(size) || !indices.every((i) => isSize(i) && i < size)) return undefined;
  let used = 0;
  const walk = (within: readonly number[], begin: number, end: number): Uint8Array | undefined => {
    if (within.length === 0) return hashes[used++];
    if (end - begin === 1) return leaves.get(begin);
    const middle = begin + splitPoint(end - begin);
    const left = walk(
      within.filter((i) => i < middle),
      begin,
      middle,
    );
    const right = walk(
      within.filter((i) => i >= middle),
      middle,
      end,
    );
    return left && right && nodeHash(left, right);
  };
  const root = walk(indices, 0, size);
  return used === hashes.length ? root : undefined;
}
