/**
 * Every entry of the log as it is held in the database: OPEN (row and salt give the public entry), ERASED (a tombstone in the log names it) or
 * MISSING, which is a violation. ledger.md §1, §7
 *
 * Invariants: a tombstone stands behind what it names and is about the same Consent; what it names is gone, and what is gone was named; rows that
 * were erased are still those that were signed. Whatever somebody wrote into the database is a finding, never a fault of this check.
 */
import { commitmentOf, type ErasedEntry, erasureDigest, isErased, type LogEntry, readRow } from '../../ledger/entry.ts';
import { digestOf, leafHash, sameBytes } from '../../ledger/hash.ts';
import { upToOf } from '../../ledger/map-root.ts';
import { eventWords, readJson } from '../../ledger/receipt-terms.ts';
import { batchRoot, TILE_WIDTH, tileWidth } from '../../ledger/tree.ts';
import { createMapCheck } from './fsck-map.ts';
import type { LogRows } from './log-port.ts';
import { type BatchRecord, entriesOf, type LogRecords, privateEntry, referenceKey, saltAt } from './log-records.ts';
import { unlessDamaged } from './unless-damaged.ts';

/** The exact texts stored under these references, every version. */
export type Texts = (references: readonly string[]) => Promise<ReadonlyMap<string, readonly string[]>>;

export type Rows = { readonly log: LogRows; readonly stored: LogRecords; readonly size: number; readonly texts: Texts };

type Chains = Map<string, { readonly seq: number; readonly last: number; readonly handle: string }>;
/** `gone`: erased as far as row and salt say. */
type Findings = {
  readonly chains: Chains;
  readonly gone: Map<number, ErasedEntry>;
  /** Entries without their salt whose row is as it was. */
  readonly saltless: Map<number, string>;
  readonly tombstones: { readonly index: number; readonly reference: string; readonly erases: readonly number[] }[];
  /** Entries whose rows are none: what follows them in a chain cannot be told. */
  readonly unread: Set<number>;
  readonly acts: Map<string, number>;
  mapUpTo: number;
};
/** `acts`: AuditEvents logged, by kind of entry; those not sealed yet among them. */
export type RowsChecked = {
  readonly problems: readonly string[];
  readonly erased: number;
  readonly subjects: number;
  readonly acts: ReadonlyMap<string, number>;
  /** Up to where the newest root of the map of Consents says that it holds, not sealed yet or sealed; -1: there is none. */
  readonly mapUpTo: number;
};

const MOST_PROBLEMS = 100;

/** A row with what it says; `row` undefined: nothing that was ever written. */
export type ReadRow = { readonly index: number; readonly entry: string; readonly row: LogEntry | ErasedEntry | undefined };

export async function checkRows(all: Rows): Promise<RowsChecked> {
  const { size, stored } = all;
  const findings = noFindings();
  const problems: string[] = [];
  const maps = createMapCheck();
  for (let from = 0; from < size && problems.length < MOST_PROBLEMS; from += TILE_WIDTH) {
    const tile = await readTile(all, from);
    if (!tile) return { problems: [...problems, `Log rows are missing from ${from} on.`], ...countsOf(noFindings()) };
    const { rows, batches } = tile;
    const entries = (await bundleEntries(stored, from / TILE_WIDTH, rows.length)) ?? [];
    problems.push(...tile.problems, ...noteUnread(rows, findings));
    for (const batch of batches) {
      const theirs = rows.slice(Math.max(batch.first - from, 0), batch.first - from + batch.count);
      problems.push(...(await checkBatch(batch, { rows: theirs, entries, stored, findings })));
    }
    problems.push(...maps.take(rows, entries), ...(await checkTexts(rows, all)));
    for (const { entry, row } of rows) count(entry, row, findings);
  }
  problems.push(...(await checkHeads(all, findings)));
  // An erasure of a moment ago waits to be sealed: its tombstone is as lasting as what it erased.
  problems.push(...(await collectUnsealed(all, findings)), ...checkErasures(findings));
  return { problems, ...countsOf(findings) };
}

function noFindings(): Findings {
  return { chains: new Map(), gone: new Map(), saltless: new Map(), tombstones: [], unread: new Set(), acts: new Map(), mapUpTo: -1 };
}

function countsOf({ gone, chains, acts, mapUpTo }: Findings): Omit<RowsChecked, 'problems'> {
  return { erased: gone.size, subjects: chains.size, acts, mapUpTo };
}

function noteUnread(rows: readonly ReadRow[], { unread }: Findings): string[] {
  const none = rows.filter(({ row }) => row === undefined);
  for (const { index } of none) unread.add(index);
  return none.map(({ index }) => `Entry ${index}: its row cannot be read: it is nothing that was ever written.`);
}

const ACT = /^\{"kind":"(disclosure|denial|write)".*"reference":"AuditEvent\//;

function count(entry: string, row: ReadRow['row'], findings: Findings): void {
  const kind = ACT.exec(entry)?.[1];
  if (kind !== undefined) findings.acts.set(kind, (findings.acts.get(kind) ?? 0) + 1);
  findings.mapUpTo = Math.max(findings.mapUpTo, (row && upToOf(row)) ?? -1);
}

/** Where a statement of disclosures begins: what the chains end with, or what was sealed since. */
async function checkHeads({ stored, size }: Rows, { chains }: Findings): Promise<string[]> {
  const problems: string[] = [];
  for (const [subject, { seq, last }] of chains) {
    const head = await unlessDamaged(() => stored.subject(subject));
    const isAhead = (head?.last ?? 0) >= size;
    if (!head || (isAhead ? head.seq <= seq : head.seq !== seq || head.last !== last))
      problems.push(`Entry ${last} is the ${seq}th about its subject and the newest, and the database says otherwise.`);
  }
  return problems;
}

type TileRows = { readonly rows: readonly ReadRow[]; readonly batches: readonly BatchRecord[]; readonly problems: readonly string[] };

const MOST_READINGS = 3;

/** Read again where rows and salts are of two moments: an erasure may have come between. Undefined: rows are missing. */
async function readTile({ log, stored, size }: Rows, from: number): Promise<TileRows | undefined> {
  const width = tileWidth(0, from / TILE_WIDTH, size);
  for (let i = 1; ; i++) {
    const rows = await readRows(log, from, width);
    if (rows.length !== width || rows.some(({ index }, at) => index !== from + at)) return undefined;
    const { batches, problems } = await readBatches(stored, from, width);
    const torn = batches.some((batch) =>
      rows
        .slice(Math.max(batch.first - from, 0), batch.first - from + batch.count)
        .some(({ row, index }) => row !== undefined && isErased(row) !== !saltAt(batch, index)),
    );
    if (!torn || i === MOST_READINGS) return { rows, batches, problems };
  }
}

async function readRows(log: LogRows, from: number, limit: number): Promise<ReadRow[]> {
  return (await log.readLog(from, limit)).map(({ index, entry }) => ({ index, entry: String(entry), row: readRow(entry) }));
}

type Batches = Pick<TileRows, 'batches' | 'problems'>;

async function readBatches(stored: LogRecords, from: number, width: number): Promise<Batches> {
  const all = await unlessDamaged(() => stored.batchesAround(from));
  if (!all) return readEachBatch(stored, from, width);
  const batches = all.filter(({ first }) => first < from + width);
  return { batches, problems: checkCover(batches, from, width) };
}

/** Where one of them is not as it was written: which. */
async function readEachBatch(stored: LogRecords, from: number, width: number): Promise<Batches> {
  const batches: BatchRecord[] = [];
  const problems: string[] = [];
  for (let first = from; first < from + width; first++) {
    const read = await unlessDamaged(async () => ({ batch: await stored.batch(first) }));
    if (!read) problems.push(`Batch ${first} cannot be read: its record is not as it was written.`);
    else if (read.batch) batches.push(read.batch);
  }
  return { batches, problems: problems.length > 0 ? problems : [`Batches between ${from} and ${from + width} cannot be read.`] };
}

function checkCover(batches: readonly BatchRecord[], from: number, width: number): string[] {
  let next = from;
  for (const { first, count } of batches) {
    if (first !== next) return [`A batch begins at ${first}, not at ${next}.`];
    next = first + count;
  }
  return next === from + width ? [] : [`Batches end at ${next}, not at ${from + width}.`];
}

type Batched = {
  readonly rows: readonly ReadRow[];
  /** The public entries of the tile. */
  readonly entries: readonly Uint8Array[];
  readonly stored: LogRecords;
  readonly findings: Findings;
};

async function checkBatch(batch: BatchRecord, { rows, entries, stored, findings }: Batched): Promise<string[]> {
  const { chains } = findings;
  const handles = new Map<string, string>();
  for (const subject of new Set(rows.flatMap(({ row }) => row?.subject ?? [])))
    handles.set(subject, chains.get(subject)?.handle ?? (await unlessDamaged(() => stored.subject(subject)))?.handle ?? '');
  const entryAt = (index: number): Uint8Array => entries[index % TILE_WIDTH] ?? Buffer.alloc(0);
  const problems = rows.flatMap(({ row, index }) => {
    if (!row) return [];
    const handle = row.subject === null ? null : (handles.get(row.subject) ?? '');
    return checkEntry(row, { batch, index, handle, entry: entryAt(index), findings });
  });
  const leaves = rows.map(({ index }) => leafHash(entryAt(index)));
  if (rows.length === 0 || Buffer.from(batchRoot(leaves)).toString('base64') !== batch.root)
    problems.push(`Batch ${batch.first}: its root is another.`);
  for (const { row, index } of rows) {
    const { subject = null } = row ?? {};
    if (subject !== null) problems.push(...takeLink({ batch, index, subject, handle: handles.get(subject) ?? '' }, findings));
  }
  return problems;
}

type LinkAt = { readonly batch: BatchRecord; readonly index: number; readonly subject: string; readonly handle: string };

function takeLink({ batch, index, subject, handle }: LinkAt, { chains, unread }: Findings): string[] {
  const before = chains.get(subject);
  const [seq = 0, previous = null] = [batch.seqs[index - batch.first], batch.previous[index - batch.first]];
  chains.set(subject, { seq, last: index, handle });
  const continues = seq === (before?.seq ?? 0) + 1 && previous === (before?.last ?? null);
  return continues || (previous !== null && unread.has(previous)) ? [] : [`Entry ${index}: it does not continue its subject’s chain.`];
}

type Place = {
  readonly batch: BatchRecord;
  readonly index: number;
  readonly handle: string | null;
  /** As the tree has it. */
  readonly entry: Uint8Array;
  readonly findings: Findings;
};

function checkEntry(row: LogEntry | ErasedEntry, { batch, index, handle, entry, findings }: Place): string[] {
  const { reference } = row;
  const salt = saltAt(batch, index);
  if (isErased(row)) {
    findings.gone.set(index, row);
    return salt ? [`Entry ${index} (${reference}): its row was erased, but its salt stays.`] : [];
  }
  if (!salt) {
    findings.saltless.set(index, reference);
    return [];
  }
  if (!gives(row, batch, { index, handle }, entry))
    return [`Entry ${index} (${reference}): the row, its salt or its subject was changed after it was sealed.`];
  return takeTombstone(row, index, findings);
}

function gives(row: LogEntry, batch: BatchRecord, place: Pick<Place, 'index' | 'handle'>, entry: Uint8Array): boolean {
  try {
    return sameBytes(commitmentOf(privateEntry(row, batch, place)), entry);
  } catch {
    // Half a surrogate pair has no canonical form: no entry was ever made of it.
    return false;
  }
}

function takeTombstone({ reference, digest, erases }: LogEntry, index: number, { tombstones }: Findings): string[] {
  if (!erases) return [];
  tombstones.push({ index, reference, erases });
  return digest === erasureDigest(erases) ? [] : [`Entry ${index}: its digest is not that of the entries it erases.`];
}

const SLICE = 1000;

async function collectUnsealed({ log, size }: Rows, findings: Findings): Promise<string[]> {
  const problems: string[] = [];
  for (let from = size; ; from += SLICE) {
    const rows = await readRows(log, from, SLICE);
    problems.push(...noteUnread(rows, findings));
    for (const { index, entry, row } of rows) {
      count(entry, row, findings);
      if (row && !isErased(row)) takeTombstone(row, index, findings);
    }
    if (rows.length < SLICE) return problems;
  }
}

function checkErasures({ gone, saltless, tombstones }: Findings): string[] {
  const problems: string[] = [];
  const named = new Set<number>();
  for (const { index, reference, erases } of tombstones) {
    for (const erased of erases) {
      const row = gone.get(erased);
      if (row?.reference === reference && erased < index && reference.startsWith('Consent/')) named.add(erased);
      else
        problems.push(`Entry ${index} says that entry ${erased} (${reference}) was erased: ${row || saltless.has(erased) ? NOT_SO : 'it is there'}.`);
    }
  }
  for (const [index, { reference }] of gone) if (!named.has(index)) problems.push(missing(index, reference, 'it was erased'));
  for (const [index, reference] of saltless) problems.push(missing(index, reference, 'its salt is gone'));
  return problems;
}

const NOT_SO = 'what is there is not what an erasure leaves';

function missing(index: number, reference: string, what: string): string {
  return `Entry ${index} (${reference}) is MISSING: ${what}, and no tombstone in the log accounts for it.`;
}

async function checkTexts(rows: readonly ReadRow[], all: Rows): Promise<string[]> {
  const told = rows.flatMap(({ index, row }) => {
    // What is left of an erased row has no digest; a tombstone’s is of no text, and a map’s root of one that follows from the entries.
    return !row || isErased(row) || row.erases || row.kind === 'map-root' ? [] : [{ index, ...row }];
  });
  const stored = await readTexts([...new Set(told.map(({ reference }) => reference))], all);
  const problems: string[] = [];
  for (const { index, reference, digest, subject } of told) {
    const found = stored.get(reference);
    if (reference.startsWith('AuditEvent/') && found?.some((text) => isAboutAnother(text, subject)))
      problems.push(`Entry ${index}: ${reference} is about another patient than the log says.`);
    if (found?.some((text) => digestOf(text) === digest) || index <= (await erasureOf(reference, all))) continue;
    if (await wasErasedSince(index, all)) continue;
    problems.push(`Entry ${index}: ${reference} ${!found ? 'cannot be read' : found.length === 0 ? 'is gone' : 'is not the one that was logged'}.`);
  }
  return problems;
}

/** Without those that are stored as nothing that can be read. */
async function readTexts(references: readonly string[], { texts }: Rows): Promise<ReadonlyMap<string, readonly string[]>> {
  const all = await unlessDamaged(() => texts(references));
  if (all) return new Map(references.map((reference) => [reference, all.get(reference) ?? []]));
  const read = new Map<string, readonly string[]>();
  for (const reference of references) {
    const one = await unlessDamaged(() => texts([reference]));
    if (one) read.set(reference, one.get(reference) ?? []);
  }
  return read;
}

function isAboutAnother(event: string, subject: string | null): boolean {
  const words = eventWords(readJson(event) ?? {});
  return words !== undefined && (words.patient ?? null) !== subject;
}

/** Between the reading of the row and of the text. */
async function wasErasedSince(index: number, { log }: Rows): Promise<boolean> {
  const [read] = await readRows(log, index, 1);
  return read?.row !== undefined && isErased(read.row);
}

/**
 * Index of the last entry by which a server that did not erase entries says that it erased the texts, -1: there is none. Texts logged before
 * it, and itself, are gone rightly.
 */
async function erasureOf(reference: string, { log, stored, size }: Rows): Promise<number> {
  let last = -1;
  for (const { first, count } of (await unlessDamaged(() => stored.batchesFor(referenceKey(reference)))) ?? []) {
    for (const { index, row } of await readRows(log, first, Math.min(count, Math.max(size - first, 0)))) {
      if (row && !isErased(row) && row.kind === 'erasure' && !row.erases && row.reference === reference) last = Math.max(last, index);
    }
  }
  return last;
}

export async function bundleEntries(stored: LogRecords, index: number, width: number): Promise<readonly Uint8Array[] | undefined> {
  const bundle = await stored.bundle(index, width);
  try {
    return bundle && entriesOf(bundle);
  } catch {
    return undefined;
  }
}
