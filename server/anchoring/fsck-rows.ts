/**
 * Every entry of the log as it is held in the database: OPEN (row and salt give the public entry), ERASED (a tombstone in the log names it) or
 * MISSING, which is a violation. ledger.md §1, §7
 *
 * Invariants: a tombstone stands behind what it names and is about the same Consent; what it names is gone, and what is gone was named; rows that
 * were erased are still those that were signed.
 */
import { commitmentOf, type ErasedEntry, erasureDigest, isErased, type LogEntry, parseRow } from '../../ledger/entry.ts';
import { digestOf, leafHash, sameBytes } from '../../ledger/hash.ts';
import { eventWords, readJson } from '../../ledger/receipt-terms.ts';
import { batchRoot, TILE_WIDTH, tileWidth } from '../../ledger/tree.ts';
import type { LogRow } from '../store/port.ts';
import { createMapCheck } from './fsck-map.ts';
import type { LogRows } from './log-port.ts';
import { type BatchRecord, entriesOf, type LogRecords, privateEntry, referenceKey, saltAt } from './log-records.ts';

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
  readonly acts: Map<string, number>;
};
/** `acts`: AuditEvents logged, by kind of entry; those not sealed yet among them. */
export type RowsChecked = {
  readonly problems: readonly string[];
  readonly erased: number;
  readonly subjects: number;
  readonly acts: ReadonlyMap<string, number>;
};

const MOST_PROBLEMS = 100;

export async function checkRows(all: Rows): Promise<RowsChecked> {
  const { size, stored } = all;
  const findings: Findings = { chains: new Map(), gone: new Map(), saltless: new Map(), tombstones: [], acts: new Map() };
  const problems: string[] = [];
  const maps = createMapCheck();
  for (let from = 0; from < size && problems.length < MOST_PROBLEMS; from += TILE_WIDTH) {
    const tile = await readTile(all, from);
    if (!tile) return { problems: [...problems, `Log rows are missing from ${from} on.`], erased: 0, subjects: 0, acts: findings.acts };
    const { rows, batches } = tile;
    const entries = (await bundleEntries(stored, from / TILE_WIDTH, rows.length)) ?? [];
    problems.push(...checkCover(batches, from, rows.length));
    for (const batch of batches) {
      const theirs = rows.slice(batch.first - from, batch.first - from + batch.count);
      problems.push(...(await checkBatch(batch, { rows: theirs, entries, stored, findings })));
    }
    problems.push(...maps.take(rows, entries), ...(await checkTexts(rows, all)));
    for (const { entry } of rows) countAct(entry, findings);
  }
  problems.push(...(await checkHeads(all, findings)));
  // An erasure of a moment ago waits to be sealed: its tombstone is as lasting as what it erased.
  await collectUnsealed(all, findings);
  problems.push(...checkErasures(findings));
  return { problems, erased: findings.gone.size, subjects: findings.chains.size, acts: findings.acts };
}

const ACT = /^\{"kind":"(disclosure|denial|write)".*"reference":"AuditEvent\//;

function countAct(entry: string, { acts }: Findings): void {
  const kind = ACT.exec(entry)?.[1];
  if (kind !== undefined) acts.set(kind, (acts.get(kind) ?? 0) + 1);
}

/** Where a statement of disclosures begins: what the chains end with, or what was sealed since. */
async function checkHeads({ stored, size }: Rows, { chains }: Findings): Promise<string[]> {
  const problems: string[] = [];
  for (const [subject, { seq, last }] of chains) {
    const head = await stored.subject(subject);
    const isAhead = (head?.last ?? 0) >= size;
    if (!head || (isAhead ? head.seq <= seq : head.seq !== seq || head.last !== last))
      problems.push(`Entry ${last} is the ${seq}th about its subject and the newest, and the database says otherwise.`);
  }
  return problems;
}

type TileRows = { readonly rows: readonly LogRow[]; readonly batches: readonly BatchRecord[] };

const MOST_READINGS = 3;

/** Read again where rows and salts are of two moments: an erasure may have come between. Undefined: rows are missing. */
async function readTile({ log, stored, size }: Rows, from: number): Promise<TileRows | undefined> {
  const width = tileWidth(0, from / TILE_WIDTH, size);
  for (let i = 1; ; i++) {
    const rows = await log.readLog(from, width);
    if (rows.length !== width || rows.some(({ index }, at) => index !== from + at)) return undefined;
    const batches = (await stored.batchesAround(from)).filter(({ first }) => first < size);
    const torn = batches.some((batch) =>
      rows.slice(batch.first - from, batch.first - from + batch.count).some(({ entry, index }) => looksErased(entry) !== !saltAt(batch, index)),
    );
    if (!torn || i === MOST_READINGS) return { rows, batches };
  }
}

function looksErased(entry: string): boolean {
  return entry.includes('"erased":"');
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
  readonly rows: readonly LogRow[];
  /** The public entries of the tile. */
  readonly entries: readonly Uint8Array[];
  readonly stored: LogRecords;
  readonly findings: Findings;
};

async function checkBatch(batch: BatchRecord, { rows, entries, stored, findings }: Batched): Promise<string[]> {
  try {
    const { chains } = findings;
    const parsed = rows.map(({ entry }) => parseRow(entry));
    const handles = new Map<string, string>();
    for (const subject of new Set(parsed.flatMap(({ subject: name }) => name ?? [])))
      handles.set(subject, chains.get(subject)?.handle ?? (await stored.subject(subject))?.handle ?? '');
    const problems = parsed.flatMap((row, i) => {
      const index = batch.first + i;
      const handle = row.subject === null ? null : (handles.get(row.subject) ?? '');
      return checkEntry(row, { batch, index, handle, entry: entries[index % TILE_WIDTH] ?? Buffer.alloc(0), findings });
    });
    const leaves = parsed.map((_row, i) => leafHash(entries[(batch.first + i) % TILE_WIDTH] ?? Buffer.alloc(0)));
    if (Buffer.from(batchRoot(leaves)).toString('base64') !== batch.root) problems.push(`Batch ${batch.first}: its root is another.`);
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
  if (!sameBytes(commitmentOf(privateEntry(row, batch, { index, handle })), entry))
    return [`Entry ${index} (${reference}): the row, its salt or its subject was changed after it was sealed.`];
  return takeTombstone(row, index, findings);
}

function takeTombstone({ reference, digest, erases }: LogEntry, index: number, { tombstones }: Findings): string[] {
  if (!erases) return [];
  tombstones.push({ index, reference, erases });
  return digest === erasureDigest(erases) ? [] : [`Entry ${index}: its digest is not that of the entries it erases.`];
}

const SLICE = 1000;

async function collectUnsealed({ log, size }: Rows, findings: Findings): Promise<void> {
  for (let from = size; ; from += SLICE) {
    const rows = await log.readLog(from, SLICE);
    for (const { index, entry } of rows) {
      countAct(entry, findings);
      const row = entry.includes('"erases":') ? parseRow(entry) : undefined;
      if (row && !isErased(row)) takeTombstone(row, index, findings);
    }
    if (rows.length < SLICE) return;
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

async function checkTexts(rows: readonly LogRow[], all: Rows): Promise<string[]> {
  const parsed = rows.flatMap(({ index, entry }) => {
    const row = parseRow(entry);
    // What is left of an erased row has no digest; a tombstone’s is of no text, and a map’s root of one that follows from the entries.
    return isErased(row) || row.erases || row.kind === 'map-root' ? [] : [{ index, ...row }];
  });
  const stored = await all.texts([...new Set(parsed.map(({ reference }) => reference))]);
  const problems: string[] = [];
  for (const { index, reference, digest, subject } of parsed) {
    const found = stored.get(reference) ?? [];
    if (reference.startsWith('AuditEvent/') && found.some((text) => isAboutAnother(text, subject)))
      problems.push(`Entry ${index}: ${reference} is about another patient than the log says.`);
    if (found.some((text) => digestOf(text) === digest) || index <= (await erasureOf(reference, all))) continue;
    if (await wasErasedSince(index, all)) continue;
    problems.push(found.length === 0 ? `Entry ${index}: ${reference} is gone.` : `Entry ${index}: ${reference} is not the one that was logged.`);
  }
  return problems;
}

function isAboutAnother(event: string, subject: string | null): boolean {
  const words = eventWords(readJson(event) ?? {});
  return words !== undefined && (words.patient ?? null) !== subject;
}

/** Between the reading of the row and of the text. */
async function wasErasedSince(index: number, { log }: Rows): Promise<boolean> {
  const [row] = await log.readLog(index, 1);
  return row !== undefined && isErased(parseRow(row.entry));
}

/**
 * Index of the last entry by which a server that did not erase entries says that it erased the texts, -1: there is none. Texts logged before
 * it, and itself, are gone rightly.
 */
async function erasureOf(reference: string, { log, stored, size }: Rows): Promise<number> {
  let last = -1;
  for (const { first, count } of await stored.batchesFor(referenceKey(reference))) {
    for (const { index, entry } of await log.readLog(first, Math.min(count, Math.max(size - first, 0)))) {
      const row = parseRow(entry);
      if (!isErased(row) && row.kind === 'erasure' && !row.erases && row.reference === reference) last = Math.max(last, index);
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
