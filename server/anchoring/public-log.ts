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
  /** All that sign its checkpoints: the verifier key, then the second one if there is one. */
  keys(): readonly string[];
  /** The newest, with the cosignatures it has by now. */
  checkpoint(): Promise<string | undefined>;
  /** The newest with the cosignatures the operator’s policy demands. */
  witnessed(): Promise<string | undefined>;
  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined>;
  entries(index: number, width: number): Promise<Uint8Array | undefined>;
};

type Dependencies = { readonly records: RecordStore; readonly verifierKey: string; readonly cosignerKey: string | undefined };

export function createPublicLog({ records, verifierKey, cosignerKey }: Dependencies): PublicLog {
  const stored = createLogRecords(records);
  const shown = async (level: number, index: number, width: number): Promise<boolean> =>
    width >= 1 && width <= tileWidth(level, index, (await stored.checkpoint())?.size ?? 0);
  return {
    verifierKey: () => verifierKey,
    keys: () => [verifierKey, ...(cosignerKey === undefined ? [] : [cosignerKey])],
    async checkpoint() {
      const [newest, witnessed] = await Promise.all([stored.checkpoint(), stored.witnessed()]);
      return witnessed?.size === newest?.size ? witnessed?.note : newest?.note;
    },
    witnessed: async () => (await stored.witnessed())?.note,
    tile: async (level, index, width) => ((await shown(level, index, width)) ? stored.tile(level, index, width) : undefined),
    entries: async (index, width) => ((await shown(0, index, width)) ? stored.bundle(index, width) : undefined),
  };
}
