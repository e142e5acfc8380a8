/**
 * Proves a whole log again: every entry hashed, every tile made anew and compared, every root that anyone signed or kept reached on the
 * way. ledger.md §8
 *
 * Invariant: nothing stored is believed: tiles and roots are compared with what the entries give. The tree is grown twice, as tiles and
 * as a frontier, by code that has nothing in common but the hashes.
 */
import { leafHash, sameBytes } from './hash.ts';
import { createFrontier, createTree, type ReadTile, TILE_WIDTH, tileWidth } from './tree.ts';

/** A root that somebody vouches for: a checkpoint, the signer's state, an anchor. */
export type KnownRoot = { readonly name: string; readonly size: number; readonly root: Uint8Array };

export type StoredLog = {
  readonly size: number;
  readonly tile: ReadTile;
  /** The first `width` entries of a bundle; undefined where they are missing. */
  readonly entries: (index: number, width: number) => Promise<readonly Uint8Array[] | undefined>;
  readonly roots: readonly KnownRoot[];
};

/** Sentences; none when the log is whole. `seen` is told how many entries were hashed so far. */
export async function checkLog({ size, tile, entries, roots }: StoredLog, seen: (entries: number) => void = () => undefined): Promise<string[]> {
  const problems = roots.filter((root) => root.size > size).map(({ name, size: known }) => `${name} knows ${known} entries, the log has ${size}.`);
  const tree = createTree({ size: 0, edge: [] });
  const frontier = createFrontier();
  const compareRoots = (): void => {
    for (const known of roots) {
      if (known.size === frontier.size && !sameBytes(known.root, frontier.root()))
        problems.push(`${known.name}: the root at ${known.size} entries is another.`);
    }
  };
  compareRoots();
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const bundle = await entries(index, tileWidth(0, index, size));
    if (!bundle) return [...problems, `Entry bundle ${index} is missing or torn.`];
    for (const entry of bundle) {
      tree.append(leafHash(entry));
      frontier.append(leafHash(entry));
      compareRoots();
    }
    for (const { level, index: at, hashes } of tree.grown()) {
      const stored = await tile(level, at, hashes.length / 32);
      if (!stored || !sameBytes(stored, hashes)) problems.push(`Tile ${level}/${at} is not what its entries give.`);
    }
    seen(frontier.size);
  }
  if (!sameBytes(tree.root(), frontier.root())) problems.push('Tiles and frontier disagree about the root.');
  return problems;
}
