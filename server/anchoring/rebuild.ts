/**
 * Makes tiles and entry bundles anew where they are missing or damaged, from what stands one step nearer to the truth: bundles from rows and salts,
 * tiles from entries. ledger.md §8
 *
 * Invariants: nothing is written unless all entries together give the root that was signed last; what is whole is not touched; a root, a row or a salt
 * is never written.
 */
import { commitmentOf, isErased, readRow } from '../../ledger/entry.ts';
import { HASH_BYTES, leafHash, sameBytes } from '../../ledger/hash.ts';
import { createFrontier, createTree, TILE_WIDTH, tileWidth } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore, RecordWrite } from '../store/port.ts';
import { signerFolder } from './folders.ts';
import { type LogStore, writeRecords } from './log-port.ts';
import { readSignedIn, type Signed } from './log-signer.ts';
import { bundleEntries } from './fsck-rows.ts';
import { bundleOf, createLogRecords, kinds, type LogRecords, numberId, tileId } from './log-records.ts';
import { openEntry } from './receipts.ts';
import { unlessDamaged } from './unless-damaged.ts';

export type RebuildDependencies = {
  readonly log: LogStore;
  readonly records: RecordStore;
  readonly dataDir: string;
  /** What the signer remembers; absent: as the data folder has it. */
  readonly signedBy?: () => Promise<Signed>;
  /** Told how many entries were hashed so far. */
  readonly seen?: (entries: number) => void;
};

export type Rebuilt =
  | { readonly kind: 'rebuilt'; readonly size: number; readonly bundles: number; readonly tiles: number }
  /** A sentence: nothing was written. */
  | { readonly kind: 'refused'; readonly reason: string };

const refuse = (reason: string): Rebuilt => ({ kind: 'refused', reason });

/** Of a log that no server writes. */
export async function rebuildLog({ log, records, dataDir, seen, ...given }: RebuildDependencies): Promise<Rebuilt> {
  const stored = createLogRecords(records);
  const size = await stored.head();
  const { state } = await (given.signedBy ?? (() => readSignedIn(signerFolder(dataDir))))();
  if (!state) return refuse('The signer remembers nothing that could be compared.');
  if (state.size > size) return refuse(`The signer knows ${state.size} entries, the log has ${size}.`);
  const [tree, frontier] = [createTree({ size: 0, edge: [] }), createFrontier()];
  const [bundles, tiles]: [RecordWrite[], RecordWrite[]] = [[], []];
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const width = tileWidth(0, index, size);
    const kept = await bundleEntries(stored, index, width);
    // Where bundle and tile differ the rows decide, and the signed root decides about them.
    const entries = (await agree(stored, index, kept)) ? kept : ((await fromRows(index, width, { log, stored })) ?? kept);
    if (!entries) return refuse(`Entry bundle ${index} is missing or torn, and its rows cannot give it: rows, salts or batches are missing.`);
    if (entries !== kept && !(kept && sameBytes(bundleOf(kept), bundleOf(entries))))
      bundles.push(put(kinds.bundle, numberId(index), bundleOf(entries)));
    for (const entry of entries) {
      tree.append(leafHash(entry));
      frontier.append(leafHash(entry));
      if (frontier.size === state.size && !sameBytes(frontier.root(), state.root))
        return refuse(`The entries do not give the root that was signed at ${state.size}: what is damaged is not a tile.`);
    }
    for (const { level, index: at, hashes } of tree.grown()) {
      const found = await stored.tile(level, at, hashes.length / HASH_BYTES);
      if (!found || !sameBytes(found, hashes)) tiles.push(put(kinds.tile, tileId(level, at), hashes));
    }
    seen?.(frontier.size);
  }
  await write([...bundles, ...tiles], size, log, records);
  return { kind: 'rebuilt', size, bundles: bundles.length, tiles: tiles.length };
}

async function agree(stored: LogRecords, index: number, entries: readonly Uint8Array[] | undefined): Promise<boolean> {
  const tile = entries && (await stored.tile(0, index, entries.length));
  return tile !== undefined && sameBytes(tile, Buffer.concat(entries?.map(leafHash) ?? []));
}

const AT_ONCE = 500;

function put(recordKind: string, id: string, value: Uint8Array): RecordWrite {
  return { kind: 'put', recordKind, id, value };
}

/** Undefined: something they are made of is missing, or was erased. */
async function fromRows(
  index: number,
  width: number,
  { log, stored }: { readonly log: LogStore; readonly stored: LogRecords },
): Promise<Uint8Array[] | undefined> {
  const first = index * TILE_WIDTH;
  const rows = await log.readLog(first, width);
  const batches = (await unlessDamaged(() => stored.batchesAround(first))) ?? [];
  const entries: Uint8Array[] = [];
  for (const { index: at, entry } of rows) {
    const batch = batches.find((one) => one.first <= at && at < one.first + one.count);
    const row = readRow(entry);
    if (!batch || !row || isErased(row) || at !== first + entries.length) return undefined;
    const opened = await openEntry(row, { batch, index: at }, stored).catch(unlessBroken);
    if (!opened) return undefined;
    entries.push(commitmentOf(opened));
  }
  return entries.length === width ? entries : undefined;
}

function unlessBroken(fault: unknown): undefined {
  if (!(fault instanceof AssentError)) throw fault;
}

/** Each commit only while the log has the size it was rebuilt at. */
async function write(writes: readonly RecordWrite[], size: number, log: LogStore, records: RecordStore): Promise<void> {
  for (let from = 0; from < writes.length; from += AT_ONCE) {
    const head = await records.get(kinds.head, kinds.head);
    const same = (head?.value as { readonly size: number } | undefined)?.size === size;
    const guard = { recordKind: kinds.head, id: kinds.head, revision: head?.revision ?? null };
    if (!same || !(await writeRecords(log, guard, writes.slice(from, from + AT_ONCE))))
      throw new AssentError('conflict', 'The log has grown meanwhile: stop the servers first.');
  }
}
