/**
 * The right edge of the log, as the lease holder keeps it in memory, and how it grows by one batch. ledger.md §1, §2
 *
 * Invariants: rows are sealed in index order, each once: a batch is one commit that fails if its first index is taken; the tree is never
 * rebuilt. After a throw the edge is ahead of what is stored: open it anew.
 */
import { randomBytes } from 'node:crypto';
import { parseEntry, SALT_BYTES } from '../../ledger/entry.ts';
import { openTree, TILE_WIDTH, type Tree, tileWidth } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { LogRow, RecordValue, RecordWrite } from '../store/port.ts';
import { type LogStore, writeRecords } from './log-port.ts';
import { bundleOf, entriesOf, kinds, type LogRecords, numberId, type SubjectRecord, tileId } from './log-records.ts';
import { type SealedBatch, sealBatch } from './seal.ts';

export type OpenLog = {
  readonly tree: Tree;
  /** Of the last, partial bundle. */
  entries: readonly Uint8Array[];
  /** Those met lately. */
  readonly subjects: Map<string, SubjectRecord>;
};

const MOST_SUBJECTS = 50_000;

/** Throws when tiles or bundles are missing. */
export async function openLog(stored: LogRecords): Promise<OpenLog> {
  const size = await stored.head();
  const index = Math.floor(size / TILE_WIDTH);
  const width = tileWidth(0, index, size);
  const bundle = width === 0 ? Buffer.alloc(0) : await stored.bundle(index, width);
  if (!bundle) throw new AssentError('internal', 'The last entry bundle of the log is missing.');
  return { tree: await openTree(size, stored.tile), entries: entriesOf(bundle), subjects: new Map() };
}

/** Seals the rows up to the end of the tile; false when there are none. Throws AssentError('conflict') when another process was first. */
export async function sealNext(
  open: OpenLog,
  fence: number,
  { log, stored }: { readonly log: LogStore; readonly stored: LogRecords },
): Promise<boolean> {
  const first = open.tree.size;
  const rows = await log.readLog(first, TILE_WIDTH - (first % TILE_WIDTH));
  if (rows.length === 0) return false;
  if (rows.some(({ index }, i) => index !== first + i)) throw new AssentError('internal', 'The log rows have a gap.');
  await loadSubjects(rows, open.subjects, stored);
  const batch = sealBatch(rows, { first, fence, salts: randomBytes(rows.length * SALT_BYTES), subjects: open.subjects });
  for (const leaf of batch.leaves) open.tree.append(leaf);
  const entries = [...open.entries, ...batch.entries];
  const guard = { recordKind: kinds.batch, id: numberId(first), revision: null };
  const inserted = await writeRecords(log, guard, batchWrites(batch, open.tree, entries));
  if (!inserted) throw new AssentError('conflict', 'Another process sealed this batch.');
  for (const [reference, subject] of batch.subjects) open.subjects.set(reference, subject);
  open.entries = entries.length === TILE_WIDTH ? [] : entries;
  return true;
}

/** A subject's handle is drawn here and becomes lasting with the first batch that uses it. */
async function loadSubjects(rows: readonly LogRow[], subjects: Map<string, SubjectRecord>, stored: LogRecords): Promise<void> {
  if (subjects.size > MOST_SUBJECTS) subjects.clear();
  const named = new Set(rows.flatMap(({ entry }) => parseEntry(entry).subject ?? []));
  const missing = [...named].filter((reference) => !subjects.has(reference));
  const found = await Promise.all(missing.map((reference) => stored.subject(reference)));
  missing.forEach((reference, i) => {
    subjects.set(reference, found[i] ?? { handle: randomBytes(32).toString('base64url'), seq: 0, last: null });
  });
}

function batchWrites({ record, lookup, subjects }: SealedBatch, tree: Tree, entries: readonly Uint8Array[]): RecordWrite[] {
  const put = (recordKind: string, id: string, value: RecordValue): RecordWrite => ({ kind: 'put', recordKind, id, value });
  return [
    { kind: 'put', recordKind: kinds.batch, id: numberId(record.first), value: record, lookup },
    put(kinds.bundle, numberId(Math.floor(record.first / TILE_WIDTH)), bundleOf(entries)),
    ...tree.grown().map(({ level, index, hashes }) => put(kinds.tile, tileId(level, index), hashes)),
    ...[...subjects].map(([reference, subject]) => put(kinds.subject, reference, subject)),
    put(kinds.head, kinds.head, { size: tree.size }),
  ];
}
