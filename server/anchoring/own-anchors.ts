/**
 * The log’s own anchors as receipts carry them: what its newest tree in each place is, in a note that its key signed. ledger.md §5, §6
 *
 * Invariants: nothing waits for it; a note is asked for only over the root that the stored tiles give, and one that does not hold is in no receipt;
 * what is kept never gets older.
 */
import { anchorText, readAnchorNote } from '../../ledger/anchor/anchor-note.ts';
import { type Place, placeKinds } from '../../ledger/anchor/place.ts';
import type { OwnAnchorPiece } from '../../ledger/receipt-format.ts';
import { consistencyProof, rootAt } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { LogKeys } from './log-keys.ts';
import { type LogStore, writeRecords } from './log-port.ts';
import { type AnchorNoteRecord, type CheckpointRecord, kinds, type LogRecords } from './log-records.ts';
import { createRepeated, type Repeated, type RepeatedDependencies } from './repeated.ts';
import type { Signer } from './signer.ts';
import { unlessDamaged } from './unless-damaged.ts';

/** That the tree of this size is safe at this place; `stamp`: the authority’s reply. */
export type Placed = { readonly size: number; readonly place: Place; readonly stamp?: Uint8Array };

export type OwnAnchorsDependencies = RepeatedDependencies & {
  readonly log: LogStore;
  readonly stored: LogRecords;
  readonly keys: LogKeys;
  readonly signer: Pick<Signer, 'lineFor'>;
  /** The newest of each place that there is. */
  readonly places: () => Promise<readonly Placed[]>;
};

export type OwnAnchors = Repeated & {
  /** For a file that rests on this checkpoint and is about entries up to this index: where the log is anchored by itself. */
  piecesFor(index: number, checkpoint: Pick<CheckpointRecord, 'size'>): Promise<readonly OwnAnchorPiece[]>;
};

const LOOK_MS = 15_000;
const RETRY_MS = 60_000;

export function createOwnAnchors(deps: OwnAnchorsDependencies): OwnAnchors {
  const once = () => look(deps).then(() => LOOK_MS);
  return {
    piecesFor: (index, checkpoint) => piecesFor(index, checkpoint, deps),
    ...createRepeated({ once, retryMs: RETRY_MS, sentenceOf }, deps),
  };
}

function sentenceOf(fault: unknown): string {
  return fault instanceof AssentError ? fault.message : 'Where the log is anchored cannot be told in its receipts.';
}

async function look({ places, ...deps }: OwnAnchorsDependencies): Promise<void> {
  for (const placed of await places()) await keep(placed, deps);
}

/** In the log’s own name, unless that is done, or the stored log is not that large. */
async function keep({ size, place, stamp }: Placed, { log, stored, keys, signer }: Omit<OwnAnchorsDependencies, 'places'>): Promise<void> {
  const kept = await unlessDamaged(() => stored.keptAnchorNote(place.kind));
  const known = kept && readAnchorNote(kept.value.note, keys.all);
  if ((known && known.size >= size) || size > (await stored.head())) return;
  const text = anchorText({ size, root: await rootAt(size, stored.tile), place });
  const note = `${text}\n${await signer.lineFor(text)}`;
  const value: AnchorNoteRecord = { note, ...(stamp ? { stamp: Buffer.from(stamp).toString('base64') } : {}) };
  const name = { recordKind: kinds.anchorNote, id: place.kind };
  // Where another process was faster, what it kept is as good.
  await writeRecords(log, { ...name, revision: await stored.anchorNoteRevision(place.kind) }, [{ kind: 'put', ...name, value }]);
}

async function piecesFor(
  index: number,
  { size }: Pick<CheckpointRecord, 'size'>,
  { stored, keys }: OwnAnchorsDependencies,
): Promise<readonly OwnAnchorPiece[]> {
  const kept = await Promise.all(placeKinds.map((kind) => unlessDamaged(() => stored.keptAnchorNote(kind))));
  const pieces = kept.map(async (found): Promise<OwnAnchorPiece[]> => {
    // By a key that the file names: one that came after its checkpoint is not among them.
    const anchored = found && readAnchorNote(found.value.note, keys.before(size));
    if (!anchored || anchored.size <= index) return [];
    const { note: anchor, stamp } = found.value;
    const [older, newer] = [Math.min(anchored.size, size), Math.max(anchored.size, size)];
    const consistency = (await consistencyProof(older, newer, stored.tile)).map((hash) => Buffer.from(hash).toString('base64'));
    return [{ anchor, consistency, ...(stamp === undefined ? {} : { stamp }) }];
  });
  return (await Promise.all(pieces)).flat();
}
