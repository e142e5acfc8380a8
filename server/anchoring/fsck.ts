/**
 * Checks the stored log from end to end: entries against tiles and signed roots, rows against entries, subjects’ chains, and the
 * stored texts against the digests that were logged. ledger.md §7, §8
 *
 * Invariant: reads only, so that it may run beside a server; what is compared was read in an order in which the log can only be ahead.
 */
import { type AnchorLine, readAnchorFile } from '../../ledger/anchor/embedded.ts';
import { openCheckpoint, parseVerifierKey, type VerifierKey } from '../../ledger/checkpoint.ts';
import { parseEntry } from '../../ledger/entry.ts';
import { checkLog, type KnownRoot } from '../../ledger/fsck.ts';
import { digestOf, leafHash, sameBytes } from '../../ledger/hash.ts';
import { batchRoot, TILE_WIDTH, tileWidth } from '../../ledger/tree.ts';
import type { LogRow, RecordStore } from '../store/port.ts';
import { anchorFile, signerFolder } from './folders.ts';
import type { LogRows } from './log-port.ts';
import { type BatchRecord, createLogRecords, entriesOf, type LogRecords, referenceKey } from './log-records.ts';
import { unsealed } from './seal.ts';
import { readSignerState, readVerifierKey } from './signer-files.ts';

export type FsckDependencies = {
  readonly log: LogRows;
  readonly records: RecordStore;
  readonly dataDir: string;
  /** The exact texts stored under these references, every version. */
  readonly texts: (references: readonly string[]) => Promise<ReadonlyMap<string, readonly string[]>>;
  readonly seen?: (entries: number) => void;
};

export type FsckResult = { readonly size: number; readonly signed: number; readonly anchored: number; readonly problems: readonly string[] };

const MOST_PROBLEMS = 100;

export async function checkStoredLog({ log, records, dataDir, texts, seen }: FsckDependencies): Promise<FsckResult> {
  const stored = createLogRecords(records);
  const anchors = await readAnchorFile(anchorFile(dataDir));
  const state = await readSignerState(signerFolder(dataDir));
  const key = parseVerifierKey((await readVerifierKey(signerFolder(dataDir))) ?? '');
  const checkpoint = await stored.checkpoint();
  const size = await stored.head();
  const known = knownRoots({ anchors, checkpoint: checkpoint?.note, key });
  if (state) known.roots.push({ name: 'The signer', ...state });
  const entries = (index: number, width: number) => bundleEntries(stored, index, width);
  const problems = [...known.problems, ...(await checkLog({ size, tile: stored.tile, entries, roots: known.roots }, seen))];
  problems.push(...(await checkRows({ log, stored, size, texts })));
  return { size, signed: checkpoint?.size ?? 0, anchored: anchors.at(-1)?.size ?? 0, problems: problems.slice(0, MOST_PROBLEMS) };
}

type Claims = { readonly anchors: readonly AnchorLine[]; readonly checkpoint: string | undefined; readonly key: VerifierKey | undefined };

function knownRoots({ anchors, checkpoint, key }: Claims): { readonly roots: KnownRoot[]; readonly problems: string[] } {
  const [roots, problems]: [KnownRoot[], string[]] = [[], []];
  const notes = [
    ...(checkpoint === undefined ? [] : [{ name: 'The checkpoint', note: checkpoint }]),
    ...anchors.map(({ size, note }) => ({ name: `The anchor at ${size}`, note })),
  ];
  for (const { name, note } of notes) {
    const opened = openCheckpoint(note, key ? [key] : []);
    if (opened.kind === 'signed') roots.push({ name, size: opened.checkpoint.size, root: opened.checkpoint.root });
    else problems.push(`${name} is ${opened.kind}.`);
  }
  return { roots, problems };
}

async function bundleEntries(stored: LogRecords, index: number, width: number): Promise<readonly Uint8Array[] | undefined> {
  const bundle = await stored.bundle(index, width);
  try {
    return bundle && entriesOf(bundle);
  } catch {
    return undefined;
  }
}

type Rows = { readonly log: LogRows; readonly stored: LogRecords; readonly size: number; readonly texts: FsckDependencies['texts'] };
type Chains = Map<string, { readonly seq: number; readonly last: number; readonly handle: string }>;

async function checkRows({ log, stored, size, texts }: Rows): Promise<string[]> {
  const problems: string[] = [];
  const chains: Chains = new Map();
  for (let from = 0; from < size && problems.length < MOST_PROBLEMS; from += TILE_WIDTH) {
    const width = tileWidth(0, from / TILE_WIDTH, size);
    const rows = await log.readLog(from, width);
    if (rows.length !== width || rows.some(({ index }, i) => index !== from + i)) return [...problems, `Log rows are missing from ${from} on.`];
    const public_ = (await bundleEntries(stored, from / TILE_WIDTH, width)) ?? [];
    const batches = (await stored.batchesAround(from)).filter(({ first }) => first < size);
    problems.push(...checkCover(batches, from, width));
    for (const batch of batches)
      problems.push(
        ...(await checkBatch(batch, { rows: rows.slice(batch.first - from, batch.first - from + batch.count), public_, stored, chains })),
      );
    problems.push(...(await checkTexts(rows, { log, stored, size, texts })));
  }
  return problems;
}

function checkCover(batches: readonly BatchRecord[], from: number, width: number): string[] {
  let next = from;
  for (const { first, count } of batches) {
    if (first !== next) return [`A batch begins at ${first}, not at ${next}.`];
    next = first + count;
  }
  return next === from + width ? [] : [`Batches end at ${next}, not at ${from + width}.`];
}

type Batched = { readonly rows: readonly LogRow[]; readonly public_: readonly Uint8Array[]; readonly stored: LogRecords; readonly chains: Chains };

async function checkBatch(batch: BatchRecord, { rows, public_, stored, chains }: Batched): Promise<string[]> {
  try {
    const parsed = rows.map(({ entry }) => parseEntry(entry));
    const handles = new Map<string, string>();
    for (const subject of new Set(parsed.flatMap(({ subject: name }) => name ?? [])))
      handles.set(subject, chains.get(subject)?.handle ?? (await stored.subject(subject))?.handle ?? '');
    const entries = unsealed(rows, batch, (subject) => handles.get(subject));
    const problems = entries.flatMap((entry, i) => {
      const at = batch.first + i;
      const same = sameBytes(entry, public_[at % TILE_WIDTH] ?? Buffer.alloc(0));
      return same ? [] : [`Entry ${at} (${rows[i]?.key.split(' ')[0]}): the row, its salt or its subject was changed after it was sealed.`];
    });
    if (Buffer.from(batchRoot(entries.map(leafHash))).toString('base64') !== batch.root) problems.push(`Batch ${batch.first}: its root is another.`);
    parsed.forEach(({ subject }, i) => {
      if (subject === null) return;
      const before = chains.get(subject);
      const [seq, previous] = [batch.seqs[i], batch.previous[i]];
      if (seq !== (before?.seq ?? 0) + 1 || previous !== (before?.last ?? null))
        problems.push(`Entry ${batch.first + i}: it does not continue its subject’s chain.`);
      chains.set(subject, { seq: seq ?? 0, last: batch.first + i, handle: handles.get(subject) ?? '' });
    });
    return problems;
  } catch (error) {
    return [`Batch ${batch.first} cannot be read: ${error instanceof Error ? error.message : 'unknown'}`];
  }
}

async function checkTexts(rows: readonly LogRow[], all: Rows): Promise<string[]> {
  const parsed = rows.map(({ index, entry }) => ({ index, ...parseEntry(entry) }));
  const stored = await all.texts([...new Set(parsed.map(({ reference }) => reference))]);
  const problems: string[] = [];
  for (const { index, reference, digest } of parsed) {
    const found = stored.get(reference) ?? [];
    if (found.some((text) => digestOf(text) === digest) || index <= (await erasureOf(reference, all))) continue;
    problems.push(found.length === 0 ? `Entry ${index}: ${reference} is gone.` : `Entry ${index}: ${reference} is not the one that was logged.`);
  }
  return problems;
}

/** Index of the last entry that says that this was erased, -1: there is none. Texts logged before it, and itself, are gone rightly. */
async function erasureOf(reference: string, { log, stored, size }: Rows): Promise<number> {
  let last = -1;
  for (const { first, count } of await stored.batchesFor(referenceKey(reference))) {
    for (const { index, entry } of await log.readLog(first, Math.min(count, Math.max(size - first, 0)))) {
      const row = parseEntry(entry);
      if (row.kind === 'erasure' && row.reference === reference) last = Math.max(last, index);
    }
  }
  return last;
}
