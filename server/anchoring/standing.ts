/**
 * What the map of Consents says about some Consents, for a receipt: under the newest logged root that a checkpoint holds. ledger.md §3
 * Invariant: the root is the one that the log holds and the one that the map in memory has; otherwise nothing is said.
 */
import { commitmentOf, parseEntry, type PrivateEntry } from '../../ledger/entry.ts';
import { digestOf, leafHash } from '../../ledger/hash.ts';
import { mapRootOf, mapRootText } from '../../ledger/map-root.ts';
import type { CurrentPiece } from '../../ledger/receipt-format.ts';
import { AssentError } from '../errors.ts';
import type { ConsentMap, MapView } from './consent-map.ts';
import type { LogRows } from './log-port.ts';
import type { LogRecords } from './log-records.ts';
import { wrongRoot } from './map-roots.ts';
import { openEntry, receiptEntry } from './receipts.ts';
import type { Tail, TailedRoot } from './tail.ts';

export type Standing = {
  /**
   * Of these Consents, all logged before the newest root with an index below `size`; undefined: there is no such root, or it is not what the entries
   * give, which is reported.
   */
  of(consents: readonly PrivateEntry[], size: number): Promise<CurrentPiece | undefined>;
};

type Dependencies = {
  readonly log: LogRows;
  readonly stored: LogRecords;
  readonly tail: Pick<Tail, 'mapRoots' | 'replacedAt'>;
  readonly map: ConsentMap;
  readonly report: (fault: unknown) => void;
  readonly alarm: (logIndex: number) => void;
};

export function createStanding(deps: Dependencies): Standing {
  const { tail, map, report, alarm } = deps;
  return {
    async of(consents, size) {
      const root = tail.mapRoots().findLast(({ index }) => index < size);
      if (!root || consents.length === 0 || consents.some(({ index }) => index >= root.upTo)) return undefined;
      const shown = await map.at(root.upTo, (view) => show(view, { consents, root, tail }));
      if (!shown) return undefined;
      const { proofs, ...logged } = shown;
      if (digestOf(mapRootText(logged)) === root.digest) return { ...logged, entry: await entryAt(root.index, deps), proofs };
      report(wrongRoot(root));
      alarm(root.index);
      return undefined;
    },
  };
}

type Sought = { readonly consents: readonly PrivateEntry[]; readonly root: TailedRoot; readonly tail: Pick<Tail, 'replacedAt'> };

function show(view: MapView, { consents, root: { upTo }, tail }: Sought): Omit<CurrentPiece, 'entry'> {
  const proofs = consents.map((consent) => {
    const proof = view.prove(leafHash(commitmentOf(consent))).toString('base64');
    const next = tail.replacedAt(consent.index);
    return next !== undefined && next < upTo ? { proof, next } : { proof };
  });
  return { ...mapRootOf(upTo, view.root()), proofs };
}

async function entryAt(index: number, { log, stored }: Dependencies): Promise<CurrentPiece['entry']> {
  const [row] = await log.readLog(index, 1);
  const batch = (await stored.batchesAround(index)).find(({ first, count }) => index >= first && index < first + count);
  if (!row || !batch) throw new AssentError('internal', 'A log batch is not whole.');
  return receiptEntry(await openEntry(parseEntry(row.entry), { batch, index }, stored));
}
