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

/** Numbers of nodes; 0 is the subtree without entries. Flat arrays: 160 to 330 bytes for a key, as full as they are. */
type Nodes = {
  hash(node: number): Buffer;
  isEntry(node: number): boolean;
  key(entry: number): Buffer;
  value(entry: number): Buffer;
  child(node: number, bit: 0 | 1): number;
  newEntry(key: Uint8Array, value: Uint8Array): number;
  newNode(): number;
  /** Nothing leads to it any more: its number is given to another. */
  release(node: number): void;
  setValue(entry: number, value: Uint8Array): void;
  setChild(node: number, bit: 0 | 1, child: number): void;
  /** Its hash is no longer that of what is below it. */
  touch(node: number): void;
};

const NOT_HASHED = 0;
const HASHED = 1;

/** Numbers from `first` on, each in use once at a time. */
function createNumbers(first: number): { take(): number; giveBack(number: number): void } {
  const free: number[] = [];
  let next = first;
  return { take: () => free.pop() ?? next++, giveBack: (number) => void free.push(number) };
}

function createNodes(): Nodes {
  let [hashes, entries] = [Buffer.alloc(64 * HASH_BYTES), Buffer.alloc(64 * 2 * HASH_BYTES)];
  let states = new Uint8Array(64);
  /** Of a node its two children; of an entry −1 and its place in `entries`. */
  let links = new Int32Array(2 * 64);
  const [numbers, places] = [createNumbers(1), createNumbers(0)];

  const next = (): number => {
    const node = numbers.take();
    if (node === states.length) {
      hashes = Buffer.concat([hashes], 2 * hashes.length);
      states = grown(states, new Uint8Array(2 * node));
      links = grown(links, new Int32Array(4 * node));
    }
    return node;
  };
  const placeOf = (entry: number): number => (links[2 * entry + 1] ?? 0) * 2 * HASH_BYTES;
  const nodes: Nodes = {
    hash(node) {
      const stored = hashes.subarray(node * HASH_BYTES, (node + 1) * HASH_BYTES);
      if (node === 0 || states[node] === HASHED) return stored;
      // Each half is hashed before the shared input is filled.
      const [prefix, first, second] = nodes.isEntry(node)
        ? ([ENTRY, nodes.key(node), nodes.value(node)] as const)
        : ([NODE, nodes.hash(nodes.child(node, 0)), nodes.hash(nodes.child(node, 1))] as const);
      stored.set(hashOf(prefix, first, second));
      states[node] = HASHED;
      return stored;
    },
    isEntry: (node) => links[2 * node] === -1,
    key: (entry) => entries.subarray(placeOf(entry), placeOf(entry) + HASH_BYTES),
    value: (entry) => entries.subarray(placeOf(entry) + HASH_BYTES, placeOf(entry) + 2 * HASH_BYTES),
    child: (node, bit) => links[2 * node + bit] ?? 0,
    newNode: next,
    newEntry(key, value) {
      const entry = next();
      const place = places.take();
      if ((place + 1) * 2 * HASH_BYTES > entries.length) entries = Buffer.concat([entries], 2 * entries.length);
      links[2 * entry] = -1;
      links[2 * entry + 1] = place;
      entries.set(key, placeOf(entry));
      nodes.setValue(entry, value);
      return entry;
    },
    release(node) {
      if (nodes.isEntry(node)) places.giveBack(links[2 * node + 1] ?? 0);
      numbers.giveBack(node);
      links.fill(0, 2 * node, 2 * node + 2);
      nodes.touch(node);
    },
    setValue: (entry, value) => entries.set(value, placeOf(entry) + HASH_BYTES),
    setChild(node, bit, child) {
      links[2 * node + bit] = child;
    },
    touch(node) {
      states[node] = NOT_HASHED;
    },
  };
  return nodes;
}

function grown<T extends Uint8Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

type Walk = {
  /** From the root down, without the last. */
  readonly above: readonly number[];
  /** Where the key’s bits lead: nothing (0), or an entry, of this key or of another. */
  readonly last: number;
};

function walk(nodes: Nodes, root: number, key: Uint8Array): Walk {
  const above: number[] = [];
  let last = root;
  while (last !== 0 && !nodes.isEntry(last)) {
    above.push(last);
    last = nodes.child(last, bitOf(key, above.length - 1));
  }
  return { above, last };
}

/** What stands in the place of the entry `other` when `key` comes beside it. */
function split(nodes: Nodes, other: number, key: Uint8Array, place: { readonly entry: number; readonly depth: number }): number {
  const theirs = Buffer.from(nodes.key(other));
  const node = nodes.newNode();
  for (let at = node, { depth } = place; ; depth++) {
    const bit = bitOf(key, depth);
    if (bit !== bitOf(theirs, depth)) {
      nodes.setChild(at, bit, place.entry);
      nodes.setChild(at, bit === 0 ? 1 : 0, other);
      return node;
    }
    const below = nodes.newNode();
    nodes.setChild(at, bit, below);
    at = below;
  }
}

/** Takes out the entry to which the key leads through `above`; the result is the root from then on. A subtree of one entry is that entry. */
function unlink(nodes: Nodes, key: Uint8Array, { above, last }: Walk): number {
  nodes.release(last);
  let standing = 0;
  for (let depth = above.length - 1; depth >= 0; depth--) {
    const parent = above[depth] ?? 0;
    const bit = bitOf(key, depth);
    const beside = nodes.child(parent, bit === 0 ? 1 : 0);
    const only = standing === 0 ? beside : beside === 0 ? standing : 0;
    if (only === 0 || !nodes.isEntry(only)) {
      nodes.setChild(parent, bit, standing);
      for (const node of above.slice(0, depth + 1)) nodes.touch(node);
      return above[0] ?? 0;
    }
    nodes.release(parent);
    standing = only;
  }
  return standing;
}

export function createMap(): VerifiableMap {
  const nodes = createNodes();
  let [root, size] = [0, 0];

  return {
    get size() {
      return size;
    },
    set(key, value) {
      require32(key, value);
      const { above, last } = walk(nodes, root, key);
      for (const node of above) nodes.touch(node);
      if (last !== 0 && sameBytes(nodes.key(last), key)) {
        nodes.setValue(last, value);
        nodes.touch(last);
        return;
      }
      const entry = nodes.newEntry(key, value);
      const placed = last === 0 ? entry : split(nodes, last, key, { entry, depth: above.length });
      const parent = above.at(-1);
      if (parent === undefined) root = placed;
      else nodes.setChild(parent, bitOf(key, above.length - 1), placed);
      size++;
    },
    delete(key) {
      require32(key);
      const way = walk(nodes, root, key);
      if (way.last === 0 || !sameBytes(nodes.key(way.last), key)) return;
      root = unlink(nodes, key, way);
      size--;
    },
    get(key) {
      require32(key);
      const { last } = walk(nodes, root, key);
      return last !== 0 && sameBytes(nodes.key(last), key) ? Buffer.from(nodes.value(last)) : undefined;
    },
    root: () => Buffer.from(nodes.hash(root)),
    prove(key) {
      require32(key);
      nodes.hash(root);
      const { above, last } = walk(nodes, root, key);
      const siblings = above.map((node, depth) => nodes.child(node, bitOf(key, depth) === 0 ? 1 : 0));
      const isThis = last !== 0 && sameBytes(nodes.key(last), key);
      return Buffer.concat([
        Buffer.from([last === 0 ? ENDS.empty : isThis ? ENDS.present : ENDS.other, above.length & 0xff, above.length >> 8]),
        bitmapOf(siblings.map((sibling) => sibling !== 0)),
        ...siblings.flatMap((sibling) => (sibling === 0 ? [] : [nodes.hash(sibling)])),
        ...(last === 0 ? [] : [...(isThis ? [] : [nodes.key(last)]), nodes.value(last)]),
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
