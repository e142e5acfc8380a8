/**
 * The map of replaced Consents in memory (ledger/map-root.ts), made from the leaves of the log as far as somebody asks: forwards and, since nothing in
 * it depends on what came later, backwards. ledger.md §3
 *
 * Invariants: one asks after the other, so what is shown is the map of exactly the entries asked for; nothing is read but tiles and the tail.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { createMap, type VerifiableMap } from '../../ledger/map.ts';
import { HASH_BYTES } from '../../ledger/hash.ts';
import { TILE_WIDTH, tileWidth } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { LogRecords } from './log-records.ts';
import type { ConsentChange, Tail } from './tail.ts';

export type MapView = Pick<VerifiableMap, 'root' | 'prove'>;

export type ConsentMap = {
  /**
   * Resolves with what `use` makes of the map of the first `upTo` entries, all of which are sealed and in the tail; `use` does not wait. Undefined:
   * it would have to be taken back too far. Throws AssentError('internal'): tiles are missing.
   */
  at<T>(upTo: number, use: (map: MapView) => T): Promise<T | undefined>;
};

type Dependencies = { readonly tail: Pick<Tail, 'consentChanges'>; readonly stored: Pick<LogRecords, 'tile'> };

/** Changes that are hashed at once: some tenths of a second. */
const AT_ONCE = 4000;
/** Changes that are taken back for a proof under an older root: as much work. */
const MOST_TAKEN_BACK = 4000;

export function createConsentMap({ tail, stored }: Dependencies): ConsentMap {
  const map = createMap();
  const leaves = createLeaves(stored);
  let position = 0;
  let turn: Promise<unknown> = Promise.resolve();

  const forwards = async (upTo: number): Promise<void> => {
    let set = 0;
    for (const { index, replaced } of tail.consentChanges(position, upTo)) {
      if (replaced !== undefined) map.set(await leaves.at(replaced, upTo), await leaves.at(index, upTo));
      position = index + 1;
      if (++set % AT_ONCE !== 0) continue;
      map.root();
      await breathe();
    }
    position = upTo;
  };
  const backwards = async (upTo: number, changes: readonly ConsentChange[]): Promise<void> => {
    for (const { index, replaced } of changes.toReversed()) {
      if (replaced !== undefined) map.delete(await leaves.at(replaced, position));
      position = index;
    }
    position = upTo;
  };
  return {
    at(upTo, use) {
      const mine = turn.then(async () => {
        const back = upTo < position ? tail.consentChanges(upTo, position) : [];
        if (back.length > MOST_TAKEN_BACK) return undefined;
        await (upTo < position ? backwards(upTo, back) : forwards(upTo));
        return use(map);
      });
      turn = mine.catch(() => undefined);
      return mine;
    },
  };
}

/** Tiles kept: 2 MB. */
const MOST_TILES = 256;

/** Leaves of the log, by index; `size`: of the log whose tiles are there. */
function createLeaves(stored: Pick<LogRecords, 'tile'>): { at(index: number, size: number): Promise<Uint8Array> } {
  const kept = new Map<number, Uint8Array>();
  return {
    async at(index, size) {
      const tile = Math.floor(index / TILE_WIDTH);
      const begin = (index % TILE_WIDTH) * HASH_BYTES;
      const known = kept.get(tile);
      const hashes = known && known.length > begin ? known : await stored.tile(0, tile, tileWidth(0, tile, size));
      if (!hashes || hashes.length < begin + HASH_BYTES) throw new AssentError('internal', 'A tile of the log is missing.');
      kept.delete(tile);
      kept.set(tile, hashes);
      for (const oldest of kept.keys()) {
        if (kept.size <= MOST_TILES) break;
        kept.delete(oldest);
      }
      return hashes.subarray(begin, begin + HASH_BYTES);
    },
  };
}
