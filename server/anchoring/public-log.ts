/**
 * What anyone may see of the log: key, checkpoint, tiles and public entries, for the routes under /ledger. https://c2sp.org/tlog-tiles
 * Invariant: nothing beyond the signed checkpoint is shown, and nothing but hashes.
 */
import { tileWidth } from '../../ledger/tree.ts';
import type { RecordStore } from '../store/port.ts';
import { createLogRecords } from './log-records.ts';

/** Widths are 1 to 256; undefined: there is no such thing in the signed log. */
export type PublicLog = {
  verifierKey(): string;
  checkpoint(): Promise<string | undefined>;
  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined>;
  entries(index: number, width: number): Promise<Uint8Array | undefined>;
};

export function createPublicLog({ records, verifierKey }: { readonly records: RecordStore; readonly verifierKey: string }): PublicLog {
  const stored = createLogRecords(records);
  const shown = async (level: number, index: number, width: number): Promise<boolean> =>
    width >= 1 && width <= tileWidth(level, index, (await stored.checkpoint())?.size ?? 0);
  return {
    verifierKey: () => verifierKey,
    checkpoint: async () => (await stored.checkpoint())?.note,
    tile: async (level, index, width) => ((await shown(level, index, width)) ? stored.tile(level, index, width) : undefined),
    entries: async (index, width) => ((await shown(0, index, width)) ? stored.bundle(index, width) : undefined),
  };
}
