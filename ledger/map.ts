/**
 * A verifiable map: under one root of 32 bytes, what stands under a key, or that nothing does. A sparse Merkle tree over 256-bit keys in
 * which a subtree without entries is a constant and one with a single entry is that entry. ledger.md §3
 *
 * Invariants: a root holds one answer for each key, because the walk follows the key’s bits alone; a proof has one spelling; entry
 * (0x02 ‖ key ‖ value) and node (0x03 ‖ left ‖ right) are told apart from each other and from everything in the log’s tree (RFC 6962: 0x00, 0x01).
 * Keys must be hashes or random: whoever chooses them freely could make long paths.
 */
import { HASH_BYTES, sameBytes, sha256 } from './hash.ts';

export type VerifiableMap = {
  /** Keys held. */
  readonly size: number;
  /** Keeps `value` under `key`, 32 bytes each, in place of what was there. Hashes nothing: `root` and `prove` do that, once for all changes before. */
  set(key: Uint8Array, value: Uint8Array): void;
  /** Takes out what stands under the key, if anything does: the map is then as if it had never been set. */
  delete(key: Uint8Array): void;
  get(key: Uint8Array): Uint8Array | undefined;
  root(): Buffer;
  /** For `lookUp`; about 32 bytes for each doubling of the size. */
  prove(key: Uint8Array): Buffer;
};

export type MapAnswer = { readonly kind: 'present'; readonly value: Uint8Array } | { readonly kind: 'absent' };

/** The hash of every subtree without entries. */
export const emptyMapRoot: Uint8Array = Buffer.alloc(HASH_BYTES);

const KEY_BITS = 8 * HASH_BYTES;
const [ENTRY, NODE] = [0x02, 0x03];

// One input buffer for all hashes: filled and hashed before anything else can run.
const input = Buffer.alloc(1 + 2 * HASH_BYTES);

function hashOf(prefix: number, first: Uint8Array, second: Uint8Array): Buffer {
  input[0] = prefix;
  input.set(first, 1);
  input.set(second, 1 + HASH_BYTES);
  return sha256(input);
}

function bitOf(key: Uint8Array, depth: number): 0 | 1 {
  return (((key[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1) as 0 | 1;
}

function require32(...parts: readonly Uint8Array[]): void {
  if (parts.some(({ length }) => length !== HASH_BYTES)) throw new RangeError('Keys and values of a map are 32 bytes.');
}

/** All entries, by number: 64 bytes each, in pieces that are never copied. */
type Entries = {
  add(key: Uint8Array, value: Uint8Array): number;
  /** Its number is given to another. */
  release(entry: number): void;
  key(entry: number): Buffer;
  value(entry: number): Buffer;
  isOf(entry: number, key: Uint8Array): boolean;
  /** Of its key. */
  bit(entry: number, depth: number): 0 | 1;
};

const ENTRY_BYTES = 2 * HASH_BYTES;
/** In a piece: 256 kB. */
const PIECE_ENTRIES = 4096;
const none = Buffer.alloc(0);

function createEntries(): Entries {
  const pieces: Buffer[] = [];
  const free: number[] = [];
  let next = 0;
  const pieceOf = (entry: number): Buffer => pieces[Math.floor(entry / PIECE_ENTRIES)] ?? none;
  const begin = (entry: number): number => (entry % PIECE_ENTRIES) * ENTRY_BYTES;
  const entries: Entries = {
    add(key, value) {
      const entry = free.pop() ?? next++;
      if (entry === pieces.length * PIECE_ENTRIES) pieces.push(Buffer.allocUnsafeSlow(PIECE_ENTRIES * ENTRY_BYTES));
      entries.key(entry).set(key);
      entries.value(entry).set(value);
      return entry;
    },
    release: (entry) => void free.push(entry),
    key: (entry) => pieceOf(entry).subarray(begin(entry), begin(entry) + HASH_BYTES),
    value: (entry) => pieceOf(entry).subarray(begin(entry) + HASH_BYTES, begin(entry) + ENTRY_BYTES),
    // Keys are hashes: another one differs in its last byte, or else is compared whole.
    isOf: (entry, key) => pieceOf(entry)[begin(entry) + HASH_BYTES - 1] === key[HASH_BYTES - 1] && sameBytes(entries.key(entry), key),
    bit: (entry, depth) => (((pieceOf(entry)[begin(entry) + (depth >> 3)] ?? 0) >> (7 - (depth & 7))) & 1) as 0 | 1,
  };
  return entries;
}

/** On average, at most: what lies on a shelf is hashed anew for each proof and each change. */
const MOST_ON_SHELF = 32;
/** Bits of a key that choose its shelf. */
const MOST_DEPTH = 24;
const NONE = -1;

/**
 * The upper part of the tree as a heap: node 1 is the root, 2n and 2n + 1 are the children of n, and the last 2^depth nodes are the shelves, on each of
 * which lie the entries below it, in no order. Of every node: how many entries are below it, and its hash as far as it is known.
 */
type Crown = {
  readonly depth: number;
  /** By shelf: the first entry on it. By entry: the next one on its shelf. */
  readonly first: Int32Array;
  next: Int32Array;
  readonly counts: Uint32Array;
  readonly hashes: Buffer;
  readonly isKnown: Uint8Array;
};

function newCrown(depth: number, next: Int32Array): Crown {
  const [shelves, nodes] = [2 ** depth, 2 ** (depth + 1)];
  const first = new Int32Array(shelves).fill(NONE);
  return { depth, first, next, counts: new Uint32Array(nodes), hashes: Buffer.alloc(nodes * HASH_BYTES), isKnown: new Uint8Array(nodes) };
}

/** Each shelf becomes two; what is known of the nodes above stays true. */
function deeper(before: Crown, entries: Entries): Crown {
  const crown = newCrown(before.depth + 1, before.next);
  crown.counts.set(before.counts);
  crown.hashes.set(before.hashes);
  crown.isKnown.set(before.isKnown);
  // Each entry is laid on one half of its shelf; the next one on its old shelf is read before that.
  for (let shelf = 0; shelf < before.first.length; shelf++)
    for (let entry = before.first[shelf] ?? NONE; entry !== NONE; ) {
      const after = before.next[entry] ?? NONE;
      const half = 2 * shelf + entries.bit(entry, before.depth);
      lay(crown, half, entry);
      const node = crown.first.length + half;
      crown.counts[node] = (crown.counts[node] ?? 0) + 1;
      entry = after;
    }
  return crown;
}

function shelfOf({ depth }: Crown, key: Uint8Array): number {
  const [a = 0, b = 0, c = 0] = key;
  return ((a << 16) | (b << 8) | c) >>> (MOST_DEPTH - depth);
}

function onShelf({ first, next }: Crown, shelf: number): number[] {
  const found: number[] = [];
  for (let entry = first[shelf] ?? NONE; entry !== NONE; entry = next[entry] ?? NONE) found.push(entry);
  return found;
}

function lay(crown: Crown, shelf: number, entry: number): void {
  if (entry >= crown.next.length) {
    const longer = new Int32Array(2 * (entry + 1));
    longer.set(crown.next);
    crown.next = longer;
  }
  crown.next[entry] = crown.first[shelf] ?? NONE;
  crown.first[shelf] = entry;
}

function takeOff({ first, next }: Crown, shelf: number, entry: number): void {
  const before = onShelf({ first, next } as Crown, shelf).find((one) => next[one] === entry);
  if (before === undefined) first[shelf] = next[entry] ?? NONE;
  else next[before] = next[entry] ?? NONE;
}

/** Something on the shelf has changed; `more`: by how many entries. */
function touch({ first, counts, isKnown }: Crown, shelf: number, more: -1 | 0 | 1): void {
  for (let node = first.length + shelf; node > 0; node >>= 1) {
    counts[node] = (counts[node] ?? 0) + more;
    isKnown[node] = 0;
  }
}

type Tree = { readonly crown: Crown; readonly entries: Entries };

/** Those of the entries whose key goes on with this bit. */
function half(entries: Entries, of: readonly number[], depth: number, bit: 0 | 1): number[] {
  return of.filter((entry) => entries.bit(entry, depth) === bit);
}

/** `of`: all entries whose keys have these first `depth` bits. */
function hashBelow(entries: Entries, of: readonly number[], depth: number): Uint8Array {
  const [only] = of;
  if (only === undefined) return emptyMapRoot;
  if (of.length === 1) return hashOf(ENTRY, entries.key(only), entries.value(only));
  // Each half is hashed before the shared input is filled.
  const [left, right] = [hashBelow(entries, half(entries, of, depth, 0), depth + 1), hashBelow(entries, half(entries, of, depth, 1), depth + 1)];
  return hashOf(NODE, left, right);
}

function hashOfNode({ crown, entries }: Tree, node: number): Uint8Array {
  const { depth, first, counts, hashes, isKnown } = crown;
  if (counts[node] === 0) return emptyMapRoot;
  const stored = hashes.subarray(node * HASH_BYTES, (node + 1) * HASH_BYTES);
  if (isKnown[node] === 1) return stored;
  const shelf = node - first.length;
  stored.set(shelf >= 0 ? hashBelow(entries, onShelf(crown, shelf), depth) : hashOfChildren({ crown, entries }, node));
  isKnown[node] = 1;
  return stored;
}

/** A subtree of one entry is that entry. */
function hashOfChildren(tree: Tree, node: number): Uint8Array {
  const { counts } = tree.crown;
  if (counts[node] === 1) return hashOfNode(tree, onlyChild(counts, node));
  const [left, right] = [hashOfNode(tree, 2 * node), hashOfNode(tree, 2 * node + 1)];
  return hashOf(NODE, left, right);
}

function onlyChild(counts: Uint32Array, node: number): number {
  return counts[2 * node] === 1 ? 2 * node : 2 * node + 1;
}

type Walk = {
  /** Hashes beside the walk, from the root down; undefined: the subtree without entries. */
  readonly siblings: readonly (Uint8Array | undefined)[];
  /** Where the key’s bits lead: an entry, of this key or of another, or nothing. */
  readonly last: number | undefined;
};

function walk(tree: Tree, key: Uint8Array): Walk {
  const { crown, entries } = tree;
  const { first, counts } = crown;
  const siblings: (Uint8Array | undefined)[] = [];
  let node = 1;
  while (node < first.length && (counts[node] ?? 0) > 1) {
    node = 2 * node + bitOf(key, siblings.length);
    siblings.push(counts[node ^ 1] === 0 ? undefined : hashOfNode(tree, node ^ 1));
  }
  if (counts[node] === 0) return { siblings, last: undefined };
  // An entry that stands for its subtree lies on whichever shelf below.
  while (node < first.length) node = onlyChild(counts, node);
  let of = onShelf(crown, node - first.length);
  while (of.length > 1) {
    const depth = siblings.length;
    const bit = bitOf(key, depth);
    const beside = half(entries, of, depth, bit === 0 ? 1 : 0);
    siblings.push(beside.length === 0 ? undefined : hashBelow(entries, beside, depth + 1));
    of = half(entries, of, depth, bit);
  }
  return { siblings, last: of[0] };
}

/** Some 75 bytes for a key: its entry, its place on the shelf, and a share of the crown. What lies on a shelf is hashed when it is asked for. */
export function createMap(): VerifiableMap {
  const entries = createEntries();
  let crown = newCrown(0, new Int32Array(64));
  const find = (key: Uint8Array): { readonly shelf: number; readonly entry: number | undefined } => {
    const shelf = shelfOf(crown, key);
    return { shelf, entry: onShelf(crown, shelf).find((entry) => entries.isOf(entry, key)) };
  };

  return {
    get size() {
      return crown.counts[1] ?? 0;
    },
    set(key, value) {
      require32(key, value);
      const { shelf, entry } = find(key);
      if (entry === undefined) lay(crown, shelf, entries.add(key, value));
      else entries.value(entry).set(value);
      touch(crown, shelf, entry === undefined ? 1 : 0);
      if ((crown.counts[1] ?? 0) > MOST_ON_SHELF * crown.first.length && crown.depth < MOST_DEPTH) crown = deeper(crown, entries);
    },
    delete(key) {
      require32(key);
      const { shelf, entry } = find(key);
      if (entry === undefined) return;
      takeOff(crown, shelf, entry);
      entries.release(entry);
      touch(crown, shelf, -1);
    },
    get(key) {
      require32(key);
      const { entry } = find(key);
      return entry === undefined ? undefined : Buffer.from(entries.value(entry));
    },
    root: () => Buffer.from(hashOfNode({ crown, entries }, 1)),
    prove(key) {
      require32(key);
      const { siblings, last } = walk({ crown, entries }, key);
      const isThis = last !== undefined && sameBytes(entries.key(last), key);
      return Buffer.concat([
        Buffer.from([last === undefined ? ENDS.empty : isThis ? ENDS.present : ENDS.other, siblings.length & 0xff, siblings.length >> 8]),
        bitmapOf(siblings.map((sibling) => sibling !== undefined)),
        ...siblings.flatMap((sibling) => sibling ?? []),
        ...(last === undefined ? [] : [...(isThis ? [] : [entries.key(last)]), entries.value(last)]),
      ]);
    },
  };
}

/**
 * A proof: how the walk ends (1 byte), after how many steps (uint16, little-endian), a bit for each step (1: the sibling is not the empty
 * subtree; most significant first, spare bits 0), those siblings from the root down, and what the walk ends at: nothing, the value, or
 * key and value of another entry.
 */
const ENDS = { empty: 0, present: 1, other: 2 } as const;
const HEAD_BYTES = 3;

function bitmapOf(bits: readonly boolean[]): Buffer {
  const bitmap = Buffer.alloc(Math.ceil(bits.length / 8));
  bits.forEach((bit, i) => {
    if (bit) bitmap[i >> 3] = (bitmap[i >> 3] ?? 0) | (0x80 >> (i & 7));
  });
  return bitmap;
}

/** What the map of this root holds under the key; undefined: the proof does not show it. Needs no map. */
export function lookUp(proof: Uint8Array, { root, key }: { readonly root: Uint8Array; readonly key: Uint8Array }): MapAnswer | undefined {
  const parsed = key.length === HASH_BYTES && root.length === HASH_BYTES ? readProof(proof) : undefined;
  if (!parsed) return undefined;
  const { end, siblings } = parsed;
  const standing = end.kind === 'other' ? end.key : key;
  // An entry that does not belong where this key’s walk ends says nothing about this key.
  if (end.kind === 'other' && (sameBytes(standing, key) || siblings.some((_, depth) => bitOf(standing, depth) !== bitOf(key, depth))))
    return undefined;
  let hash: Uint8Array = end.kind === 'empty' ? emptyMapRoot : hashOf(ENTRY, standing, end.value);
  for (let depth = siblings.length - 1; depth >= 0; depth--) {
    const sibling = siblings[depth] ?? emptyMapRoot;
    hash = bitOf(key, depth) === 0 ? hashOf(NODE, hash, sibling) : hashOf(NODE, sibling, hash);
  }
  if (!sameBytes(hash, root)) return undefined;
  return end.kind === 'present' ? { kind: 'present', value: end.value } : { kind: 'absent' };
}

type End =
  | { readonly kind: 'empty' }
  | { readonly kind: 'present'; readonly value: Uint8Array }
  | { readonly kind: 'other'; readonly key: Uint8Array; readonly value: Uint8Array };

function readProof(proof: Uint8Array): { readonly end: End; readonly siblings: readonly Uint8Array[] } | undefined {
  const [code = -1, low = 0, high = 0] = proof;
  const steps = low + (high << 8);
  const ending = [0, HASH_BYTES, 2 * HASH_BYTES][code];
  if (proof.length < HEAD_BYTES || ending === undefined || steps > KEY_BITS) return undefined;
  const bitmap = proof.subarray(HEAD_BYTES, HEAD_BYTES + Math.ceil(steps / 8));
  const bits = Array.from({ length: steps }, (_, i) => bitOf(bitmap, i) === 1);
  const given = bits.filter(Boolean).length;
  const begin = HEAD_BYTES + bitmap.length;
  if (proof.length !== begin + given * HASH_BYTES + ending || !sameBytes(bitmapOf(bits), bitmap)) return undefined;
  let at = begin;
  const take = (): Uint8Array => proof.subarray(at, (at += HASH_BYTES));
  const siblings = bits.map((bit) => (bit ? take() : emptyMapRoot));
  // The empty subtree has one spelling: its bit.
  if (siblings.some((sibling, i) => bits[i] === true && sameBytes(sibling, emptyMapRoot))) return undefined;
  if (code === ENDS.empty) return { end: { kind: 'empty' }, siblings };
  const first = take();
  return { end: code === ENDS.present ? { kind: 'present', value: first } : { kind: 'other', key: first, value: take() }, siblings };
}
