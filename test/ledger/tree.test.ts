/** Trees and proofs against the vectors of RFC 6962's reference implementation and against merkletreejs as an oracle. */
import fc from 'fast-check';
import { MerkleTree } from 'merkletreejs';
import { describe, expect, it } from 'vitest';
import { emptyRoot, leafHash, nodeHash, sha256 } from '../../ledger/hash.ts';
import { rootOfJoint, verifyConsistency, verifyInclusion } from '../../ledger/proof.ts';
import {
  batchRoot,
  consistencyProof,
  createFrontier,
  createTree,
  inclusionProof,
  jointProof,
  openTree,
  type ReadTile,
  rootAt,
  type Tree,
  tileWidth,
} from '../../ledger/tree.ts';

// https://github.com/transparency-dev/merkle (testonly/tree.go): leaf inputs and roots of the Certificate Transparency reference tree.
const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map((hex) =>
  Buffer.from(hex, 'hex'),
);
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const leafOf = (i: number) => leafHash(Buffer.from(`entry ${i}`));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function grow(count: number, step = count): { tree: Tree; leaves: Buffer[]; readTile: ReadTile; tiles: Map<string, Uint8Array> } {
  const tree = createTree({ size: 0, edge: [] });
  const tiles = new Map<string, Uint8Array>();
  const leaves = Array.from({ length: count }, (_, i) => leafOf(i));
  const store = () => {
    for (const { level, index, hashes } of tree.grown()) tiles.set(`${level}/${index}`, hashes);
  };
  leaves.forEach((leaf, i) => {
    tree.append(leaf);
    if ((i + 1) % step === 0) store();
  });
  store();
  const readTile: ReadTile = async (level, index, width) => tiles.get(`${level}/${index}`)?.subarray(0, width * 32);
  return { tree, leaves, readTile, tiles };
}

function oracle(leaves: readonly Buffer[]): Uint8Array {
  return new MerkleTree([...leaves], sha256, { concatenator: (pair) => Buffer.concat([Buffer.from([1]), ...pair]) }).getRoot();
}

describe('the tree', () => {
  it('has the roots of the RFC 6962 reference tree at every size', () => {
    const tree = createTree({ size: 0, edge: [] });
    const frontier = createFrontier();
    expect(hex(emptyRoot)).toBe(roots[0]);
    inputs.forEach((input, i) => {
      tree.append(leafHash(input));
      frontier.append(leafHash(input));
      expect([hex(tree.root()), hex(frontier.root())]).toEqual([roots[i + 1], roots[i + 1]]);
    });
    expect(hex(batchRoot(inputs.map(leafHash)))).toBe(roots[8]);
  });

  it('agrees with merkletreejs and with its own frontier at any size, opened again from its tiles at any point', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1500 }), fc.integer({ min: 1, max: 300 }), async (count, step) => {
        const { tree, leaves, readTile } = grow(count, step);
        const frontier = createFrontier();
        for (const leaf of leaves) frontier.append(leaf);
        expect(hex(tree.root())).toBe(hex(oracle(leaves)));
        expect(hex(frontier.root())).toBe(hex(tree.root()));
        expect(hex((await openTree(count, readTile)).root())).toBe(hex(tree.root()));
        const half = Math.ceil(count / 2);
        expect(hex(await rootAt(half, readTile))).toBe(hex(oracle(leaves.slice(0, half))));
      }),
      { numRuns: 30 },
    );
  });

  it('gives the tile widths of the C2SP example: a tree of 70,000', () => {
    expect([tileWidth(0, 272, 70_000), tileWidth(0, 273, 70_000), tileWidth(1, 0, 70_000), tileWidth(1, 1, 70_000), tileWidth(2, 0, 70_000)]).toEqual(
      [256, 112, 256, 17, 1],
    );
    expect([tileWidth(0, 0, 256), tileWidth(1, 0, 256), tileWidth(0, 1, 256)]).toEqual([256, 1, 0]);
  });

  it('fails loudly where a tile is missing or cut', async () => {
    const { readTile, tiles } = grow(600);
    tiles.delete('0/1');
    await expect(inclusionProof(300, 600, readTile)).rejects.toThrow('0/1');
    await expect(openTree(600, async () => Buffer.alloc(31))).rejects.toThrow('missing');
    expect(() => createFrontier({ size: 3, hashes: [leafOf(1)] })).toThrow(RangeError);
  });
});

describe('proofs', () => {
  const sized = fc.integer({ min: 1, max: 900 }).chain((size) => fc.tuple(fc.constant(size), fc.integer({ min: 0, max: size - 1 })));
  const { readTile, leaves } = grow(900);
  const rootOf = (size: number) => oracle(leaves.slice(0, size));

  it('of inclusion hold for exactly their leaf, index, size and root', async () => {
    await fc.assert(
      fc.asyncProperty(sized, async ([size, index]) => {
        const claim = { leaf: leafOf(index), index, size, root: rootOf(size) };
        const proof = await inclusionProof(index, size, readTile);
        expect(verifyInclusion(claim, proof)).toBe(true);
        expect(verifyInclusion({ ...claim, leaf: leafOf(index + 1) }, proof)).toBe(false);
        expect(verifyInclusion({ ...claim, root: leafOf(index) }, proof)).toBe(size === 1);
        expect(verifyInclusion({ ...claim, index: size }, proof)).toBe(false);
        expect(verifyInclusion(claim, [...proof, leafOf(0)])).toBe(false);
        if (proof.length > 0) expect(verifyInclusion(claim, proof.slice(1))).toBe(false);
        for (const other of [index - 1, index + 1, index + 256]) expect(verifyInclusion({ ...claim, index: other }, proof)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('of inclusion agree with merkletreejs’s path', async () => {
    await fc.assert(
      fc.asyncProperty(sized, async ([size, index]) => {
        const tree = new MerkleTree(leaves.slice(0, size), sha256, { concatenator: (pair) => Buffer.concat([Buffer.from([1]), ...pair]) });
        const theirs = tree.getProof(leafOf(index), index).map(({ data }) => hex(data));
        expect((await inclusionProof(index, size, readTile)).map(hex)).toEqual(theirs);
      }),
      { numRuns: 30 },
    );
  });

  it('of consistency hold for exactly their two trees', async () => {
    await fc.assert(
      fc.asyncProperty(sized, async ([size, old]) => {
        const oldSize = old + 1;
        const claim = { oldSize, oldRoot: rootOf(oldSize), size, root: rootOf(size) };
        const proof = await consistencyProof(oldSize, size, readTile);
        expect(verifyConsistency(claim, proof)).toBe(true);
        expect(verifyConsistency({ ...claim, oldRoot: leafOf(901) }, proof)).toBe(false);
        expect(verifyConsistency({ ...claim, root: leafOf(901) }, proof)).toBe(false);
        expect(verifyConsistency({ ...claim, oldSize: oldSize + 1 }, proof)).toBe(false);
        expect(verifyConsistency(claim, [...proof, leafOf(0)])).toBe(false);
        if (proof.length > 0) expect(verifyConsistency(claim, proof.slice(0, -1))).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('of consistency from the empty tree are empty, and bind its root', () => {
    const [size, root] = [5, rootOf(5)];
    expect(verifyConsistency({ oldSize: 0, oldRoot: emptyRoot, size, root }, [])).toBe(true);
    expect(verifyConsistency({ oldSize: 0, oldRoot: root, size, root }, [])).toBe(false);
    expect(verifyConsistency({ oldSize: 6, oldRoot: root, size, root }, [])).toBe(false);
  });

  it('for several leaves at once hold for exactly those, and are shorter than their paths', async () => {
    const some = fc
      .integer({ min: 2, max: 900 })
      .chain((size) => fc.tuple(fc.constant(size), fc.uniqueArray(fc.integer({ min: 0, max: size - 1 }), { minLength: 1, maxLength: 6 })));
    await fc.assert(
      fc.asyncProperty(some, async ([size, indices]) => {
        const proof = await jointProof(indices, size, readTile);
        const map = new Map(indices.map((i) => [i, leafOf(i)]));
        expect(hex(rootOfJoint(map, size, proof) ?? Buffer.alloc(0))).toBe(hex(rootOf(size)));
        const paths = await Promise.all(indices.map((i) => inclusionProof(i, size, readTile)));
        expect(proof.length).toBeLessThanOrEqual(paths.flat().length);
        expect(rootOfJoint(map, size, [...proof, leafOf(0)])).toBeUndefined();
        if (proof.length > 0) expect(rootOfJoint(map, size, proof.slice(1))).toBeUndefined();
        const changed = new Map([...map, [indices[0] as number, leafOf(901)]]);
        expect(hex(rootOfJoint(changed, size, proof) ?? Buffer.alloc(0))).not.toBe(hex(rootOf(size)));
      }),
      { numRuns: 60 },
    );
    expect(rootOfJoint(new Map(), 5, [rootOf(5)])).toBeUndefined();
    expect(rootOfJoint(new Map([[5, leafOf(5)]]), 5, [])).toBeUndefined();
  });

  it('cannot pass a node for a leaf', async () => {
    const node = nodeHash(leafOf(0), leafOf(1));
    const proof = await inclusionProof(0, 4, readTile);
    expect(verifyInclusion({ leaf: node, index: 0, size: 4, root: rootOf(4) }, proof.slice(1))).toBe(false);
    expect(hex(leafHash(Buffer.concat([leafOf(0), leafOf(1)])))).not.toBe(hex(node));
  });
});
