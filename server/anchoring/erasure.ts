/**
 * What an erasure does to the log: the salts of the entries about some Consents go, and the digests in their rows; leaves, and so every tile,
 * checkpoint and receipt, stay. ledger.md §1
 *
 * Invariants: nothing is written here: what is to be written goes into the one commit that erases the texts and adds the tombstones, so that
 * there is no moment between; an entry is erased only once it is sealed, or its salt would be drawn afterwards.
 */
import { setImmediate as breathe, setTimeout as sleep } from 'node:timers/promises';
import { type ErasedEntry, erasedRow, erasureDigest, isErased, type LogEntry, parseRow } from '../../ledger/entry.ts';
import { TILE_WIDTH } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { LogRow, RecordStore, RecordWrite } from '../store/port.ts';
import type { LogRows, RecordGuard } from './log-port.ts';
import {
  type BatchRecord,
  createLogRecords,
  type KeptBatch,
  kinds,
  type LogRecords,
  lookupOf,
  numberId,
  referenceKey,
  saltAt,
  withoutSalts,
} from './log-records.ts';

/** Parts of the commit that erases. */
export type Forgotten = {
  readonly guards: readonly RecordGuard[];
  readonly records: readonly RecordWrite[];
  readonly redact: readonly LogRow[];
  /** Which entries, by reference, in ascending order: what the tombstone says. None: there is no entry that says anything. */
  readonly tombstones: ReadonlyMap<string, { readonly erases: readonly number[]; readonly digest: string }>;
};

export type LogErasure = {
  /** All entries about these references. Throws AssentError('unavailable') while some are not sealed. */
  forget(references: readonly string[]): Promise<Forgotten>;
  /** Consents that still have entries under this subject, newest first: also those whose texts an earlier server erased. */
  consentsOf(subject: string): AsyncIterable<string>;
};

/** `flush`: seals what waits, if this process may. */
type Dependencies = { readonly log: LogRows; readonly records: RecordStore; readonly flush: () => Promise<void> };
type Context = { readonly log: LogRows; readonly stored: LogRecords; readonly flush: () => Promise<void> };

export function createLogErasure({ log, records, flush }: Dependencies): LogErasure {
  const context: Context = { log, stored: createLogRecords(records), flush };
  return {
    async forget(references) {
      const wanted = new Set(references);
      if (wanted.size === 0) return { guards: [], records: [], redact: [], tombstones: new Map() };
      await untilSealed(wanted, context);
      const batches = new Map<number, KeptBatch>();
      for (const reference of wanted)
        for (const kept of await context.stored.keptBatchesFor(referenceKey(reference))) batches.set(kept.batch.first, kept);
      const forgotten = [];
      for (const kept of [...batches.values()].sort((a, b) => a.batch.first - b.batch.first)) {
        await breathe();
        forgotten.push(await forgetIn(kept, wanted, log));
      }
      return together(forgotten.filter(({ redact }) => redact.length > 0));
    },
    consentsOf: (subject) => consentsOf(subject, context),
  };
}

/** Still to be erased: not what is erased already, nor a tombstone that names entries, which tells nothing of a text. */
function isErasable(row: LogEntry | ErasedEntry): row is LogEntry {
  return !isErased(row) && row.erases === undefined;
}

const PATIENCE_MS = 10_000;
const POLL_MS = 50;
const SLICE = 1000;

async function untilSealed(wanted: ReadonlySet<string>, { log, stored, flush }: Context): Promise<void> {
  for (let waited = 0; ; waited += POLL_MS) {
    if (!(await waits(wanted, { log, stored }))) return;
    // Another process may hold the lease: then it seals within a moment.
    if (waited === 0) await flush();
    else if (waited > PATIENCE_MS) throw new AssentError('unavailable', 'What is to be erased is not sealed in the log yet; it is tried again.');
    else await sleep(POLL_MS);
  }
}

async function waits(wanted: ReadonlySet<string>, { log, stored }: Pick<Context, 'log' | 'stored'>): Promise<boolean> {
  for (let from = await stored.head(); ; from += SLICE) {
    const rows = await log.readLog(from, SLICE);
    if (rows.some(({ entry }) => wanted.has(parseRow(entry).reference))) return true;
    if (rows.length < SLICE) return false;
    await breathe();
  }
}

type InBatch = Pick<Forgotten, 'redact'> & { readonly guard: RecordGuard; readonly record: RecordWrite; readonly named: readonly [string, number][] };

async function forgetIn({ batch, revision }: KeptBatch, wanted: ReadonlySet<string>, log: LogRows): Promise<InBatch> {
  const rows = await log.readLog(batch.first, batch.count);
  const parsed = rows.map(({ entry }) => parseRow(entry));
  const redact: LogRow[] = [];
  const named: [string, number][] = [];
  rows.forEach((row, i) => {
    const entry = parsed[i];
    if (!entry || !wanted.has(entry.reference) || !isErasable(entry)) return;
    redact.push(erasedRow(row, requireSalt(batch, row.index)));
    named.push([entry.reference, row.index]);
  });
  const name = { recordKind: kinds.batch, id: numberId(batch.first) };
  const value = withoutSalts(
    batch,
    redact.map(({ index }) => index),
  );
  return { redact, named, guard: { kind: 'record', ...name, revision }, record: { kind: 'put', ...name, value, lookup: lookupOf(parsed) } };
}

function requireSalt(batch: BatchRecord, index: number): Uint8Array {
  const salt = saltAt(batch, index);
  if (!salt) throw new AssentError('unavailable', `The salt of log entry ${index} is gone without an erasure: run fsck.`);
  return salt;
}

function together(all: readonly InBatch[]): Forgotten {
  const erases = new Map<string, number[]>();
  for (const [reference, index] of all.flatMap(({ named }) => named)) erases.set(reference, [...(erases.get(reference) ?? []), index]);
  return {
    guards: all.map(({ guard }) => guard),
    records: all.map(({ record }) => record),
    redact: all.flatMap(({ redact }) => redact),
    tombstones: new Map([...erases].map(([reference, indexes]) => [reference, { erases: indexes, digest: erasureDigest(indexes) }])),
  };
}

/** Along the subject’s own chain, so that the log need not be read. */
async function* consentsOf(subject: string, { log, stored }: Context): AsyncGenerator<string> {
  const seen = new Set<string>();
  let tile = -1;
  let batches: readonly BatchRecord[] = [];
  let rows: readonly LogRow[] = [];
  for (let at = (await stored.subject(subject))?.last ?? null; at !== null; ) {
    if (Math.floor(at / TILE_WIDTH) !== tile) {
      tile = Math.floor(at / TILE_WIDTH);
      // A long chain is many reads that wait for nothing: others come in between.
      await breathe();
      batches = await stored.batchesAround(at);
      rows = await log.readLog(tile * TILE_WIDTH, TILE_WIDTH);
    }
    const text = rows[at % TILE_WIDTH]?.entry;
    const entry = text === undefined ? undefined : parseRow(text);
    if (entry && isErasable(entry) && entry.reference.startsWith('Consent/') && !seen.has(entry.reference)) {
      seen.add(entry.reference);
      yield entry.reference;
    }
    at = before(at, batches);
  }
}

function before(index: number, batches: readonly BatchRecord[]): number | null {
  const batch = batches.find(({ first, count }) => index >= first && index < first + count);
  return batch?.previous[index - batch.first] ?? null;
}
