/**
 * The log's Merkle tree: grows one leaf at a time, is stored as tiles, and gives its proofs from them. RFC 6962 §2.1,
 * https://c2sp.org/tlog-tiles
 *
 * Invariants: a tile, once full, never changes, and a partial one is a prefix of the full one; the tree is never rebuilt to grow; proofs
 * are read from tiles and checked by proof.ts. merkletreejs serves as the tree of one sealed batch, with leaves hashed beforehand and
 * 0x01 before each node; its default tree takes an inner node for a leaf and its proofs bind neither index nor size.
 */
import { MerkleTree } from 'merkletreejs';
import { emptyRoot, HASH_BYTES, nodeHash, sha256 } from './hash.ts';
import { jointRanges, type Range, splitPoint } from './proof.ts';

export const TILE_WIDTH = 256;
const TILE_HEIGHT = 8;

/** RFC 6962 root of hashes that stand side by side; the last may be an incomplete subtree. */
export function foldHashes(hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes;
  while (row.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < row.length; i += 2) {
      const [left, right] = [row[i] as Uint8Array, row[i + 1]];
      above.push(right ? nodeHash(left, right) : left);
    }
    row = above;
  }
  return row[0] ?? emptyRoot;
}

/** How many hashes tile (level, index) has in a tree of this size: 0 to 256. */
export function tileWidth(level: number, index: number, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH));
}

/** A tile that has grown since it was asked for last. */
export type GrownTile = { readonly level: number; readonly index: number; readonly hashes: Uint8Array };

/** The right edge of the tree: its last, partial tile per level. About one hash per leaf appended. */
export type Tree = {
  readonly size: number;
  append(leaf: Uint8Array): void;
  root(): Uint8Array;
  /** The tiles that changed since the last call. */
  grown(): GrownTile[];
};

/** `edge`: hashes of the partial tile of each level, as tileWidth says; absent for an empty tree. */
export function createTree({ size: start, edge: given }: { readonly size: number; readonly edge: readonly (readonly Uint8Array[])[] }): Tree {
  let size = start;
  const edge = given.map((level) => [...level]);
  let grown = new Map<string, GrownTile>();

  const push = (level: number, hash: Uint8Array): void => {
    edge[level] ??= [];
    const hashes = edge[level];
    const index = Math.floor(size / TILE_WIDTH ** (level + 1));
    hashes.push(hash);
    grown.set(`${level}/${index}`, { level, index, hashes: Buffer.alloc(0) });
    if (hashes.length < TILE_WIDTH) return;
    grown.set(`${level}/${index}`, { level, index, hashes: Buffer.concat(hashes) });
    edge[level] = [];
    push(level + 1, foldHashes(hashes));
  };
  return {
    get size() {
      return size;
    },
    append(leaf) {
      push(0, leaf);
      size++;
    },
    root: () => edge.reduce<Uint8Array | undefined>((right, hashes) => rightmost(hashes, right), undefined) ?? emptyRoot,
    grown() {
      // A tile still growing is copied here, once, however many leaves it got.
      const tiles = [...grown.values()].map((tile) => (tile.hashes.length > 0 ? tile : { ...tile, hashes: Buffer.concat(edge[tile.level] ?? []) }));
      grown = new Map();
      return tiles;
    },
  };
}

/** Root of what hangs to the right from this level on: its full subtrees and the incomplete rest below. */
function rightmost(hashes: readonly Uint8Array[], rest: Uint8Array | undefined): Uint8Array | undefined {
  const row = rest ? [...hashes, rest] : hashes;
  return row.length === 0 ? undefined : foldHashes(row);
}

/** The hashes of one tile, or undefined where it is missing or shorter than asked for. */
export type ReadTile = (level: number, index: number, width: number) => Promise<Uint8Array | undefined>;

/** Throws RangeError when a stored tile is missing. */
export async function openTree(size: number, readTile: ReadTile): Promise<Tree> {
  const edge: Uint8Array[][] = [];
  for (let level = 0; TILE_WIDTH ** level <= size; level++) {
    const index = Math.floor(size / TILE_WIDTH ** (level + 1));
    const width = tileWidth(level, index, size);
    edge.push(width === 0 ? [] : hashesOf(await tileOf(readTile, { level, index, width })));
  }
  return createTree({ size, edge });
}

/** RFC 6962 §2.1.1, from the leaf's sibling to the root's child. Throws RangeError when a tile is missing. */
export async function inclusionProof(index: number, size: number, readTile: ReadTile): Promise<Uint8Array[]> {
  return hashRanges(inclusionRanges(index, size), size, readTile);
}

/** RFC 6962 §2.1.2. Throws RangeError when a tile is missing. */
export async function consistencyProof(oldSize: number, size: number, readTile: ReadTile): Promise<Uint8Array[]> {
  return hashRanges(consistencyRanges(oldSize, size), size, readTile);
}

/** One proof for several leaves, checked by rootOfJoint. Throws RangeError when a tile is missing. */
export async function jointProof(indices: readonly number[], size: number, readTile: ReadTile): Promise<Uint8Array[]> {
  return hashRanges(jointRanges(indices, size), size, readTile);
}

/** The root of the first `size` leaves, from tiles. Throws RangeError when a tile is missing. */
export async function rootAt(size: number, readTile: ReadTile): Promise<Uint8Array> {
  return (await openTree(size, readTile)).root();
}

function inclusionRanges(index: number, size: number): Range[] {
  if (index >= size) throw new RangeError('There is no such leaf.');
  const path: Range[] = [];
  for (let [begin, end] = [0, size]; end - begin > 1; ) {
    const middle = begin + splitPoint(end - begin);
    if (index < middle) [path[path.length], end] = [{ begin: middle, end }, middle];
    else [path[path.length], begin] = [{ begin, end: middle }, middle];
  }
  return path.reverse();
}

function consistencyRanges(oldSize: number, size: number): Range[] {
  if (oldSize > size) throw new RangeError('The older tree is the larger one.');
  if (oldSize === 0 || oldSize === size) return [];
  const proof: Range[] = [];
  let [begin, end] = [0, size];
  while (oldSize !== end) {
    const middle = begin + splitPoint(end - begin);
    if (oldSize <= middle) [proof[proof.length], end] = [{ begin: middle, end }, middle];
    else [proof[proof.length], begin] = [{ begin, end: middle }, middle];
  }
  // The whole old tree is known to whoever asks; part of it is not.
  if (begin > 0) proof.push({ begin, end });
  return proof.reverse();
}

async function hashRanges(ranges: readonly Range[], size: number, readTile: ReadTile): Promise<Uint8Array[]> {
  const tiles = new Map<string, Promise<Uint8Array>>();
  const tile = (level: number, index: number): Promise<Uint8Array> => {
    const key = `${level}/${index}`;
    const found = tiles.get(key) ?? tileOf(readTile, { level, index, width: tileWidth(level, index, size) });
    tiles.set(key, found);
    return found;
  };
  return Promise.all(ranges.map(async (range) => foldRight(await Promise.all(fullSubtrees(range).map((subtree) => subtreeHash(subtree, tile))))));
}

type Subtree = { readonly height: number; readonly index: number };

/** A range of a proof as full subtrees, the larger ones first. */
function fullSubtrees({ begin, end }: Range): Subtree[] {
  const subtrees: Subtree[] = [];
  for (let at = begin; at < end; ) {
    let height = 0;
    while (at % 2 ** (height + 1) === 0 && at + 2 ** (height + 1) <= end) height++;
    subtrees.push({ height, index: at / 2 ** height });
    at += 2 ** height;
  }
  return subtrees;
}

async function subtreeHash({ height, index }: Subtree, tile: (level: number, index: number) => Promise<Uint8Array>): Promise<Uint8Array> {
  const level = Math.floor(height / TILE_HEIGHT);
  const width = 2 ** (height % TILE_HEIGHT);
  const first = index * width;
  const hashes = hashesOf(await tile(level, Math.floor(first / TILE_WIDTH)));
  return foldHashes(hashes.slice(first % TILE_WIDTH, (first % TILE_WIDTH) + width));
}

function foldRight(hashes: readonly Uint8Array[]): Uint8Array {
  return hashes.reduceRight((right, left) => nodeHash(left, right));
}

async function tileOf(
  readTile: ReadTile,
  { level, index, width }: { readonly level: number; readonly index: number; readonly width: number },
): Promise<Uint8Array> {
  const tile = await readTile(level, index, width);
  if (tile?.length !== width * HASH_BYTES) throw new RangeError(`Tile ${level}/${index} of width ${width} is missing.`);
  return tile;
}

/** The hashes of a tile, as views. */
export function hashesOf(tile: Uint8Array): Uint8Array[] {
  return Array.from({ length: tile.length / HASH_BYTES }, (_, i) => tile.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

/** The full subtrees of all leaves so far, one hash per bit of the size: enough to go on, and to know the root. */
export type Frontier = { readonly size: number; readonly hashes: readonly Uint8Array[]; append(leaf: Uint8Array): void; root(): Uint8Array };

/** `hashes`: from the largest subtree to the smallest. Throws RangeError when they are not as many as the size has bits set. */
export function createFrontier(start: { readonly size: number; readonly hashes: readonly Uint8Array[] } = { size: 0, hashes: [] }): Frontier {
  let size = start.size;
  const hashes = [...start.hashes];
  if (hashes.length !== [...size.toString(2)].filter((bit) => bit === '1').length)
    throw new RangeError('A frontier has one hash per bit of its size.');
  return {
    get size() {
      return size;
    },
    get hashes() {
      return hashes;
    },
    append(leaf) {
      let hash = leaf;
      for (let n = size; n % 2 === 1; n = (n - 1) / 2) hash = nodeHash(hashes.pop() as Uint8Array, hash);
      hashes.push(hash);
      size++;
    },
    root: () => (hashes.length === 0 ? emptyRoot : foldRight(hashes)),
  };
}

const nodePrefix = Buffer.from([0x01]);

/** The root of one sealed batch. */
export function batchRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const tree = new MerkleTree(leaves.map(asBuffer), sha256, { concatenator: (pair) => Buffer.concat([nodePrefix, ...pair]) });
  return tree.getRoot();
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes);
}
