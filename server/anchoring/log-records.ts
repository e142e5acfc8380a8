/**
 * The records the log is kept in: batches, tiles, entry bundles, subjects, the head and the newest checkpoint. ledger.md §1, §2
 *
 * Invariants: a batch's id is its first index and it is only ever inserted, or written again without the salts of what was erased; a batch never crosses a tile's end; a tile or bundle that is
 * written again begins with what it was before.
 */
import type { Place } from '../../ledger/anchor/place.ts';
import { fromBase64Url } from '../../ledger/encoding.ts';
import { type ErasedEntry, type LogEntry, type PrivateEntry, parseRow, SALT_BYTES } from '../../ledger/entry.ts';
import { HASH_BYTES } from '../../ledger/hash.ts';
import { upToOf } from '../../ledger/map-root.ts';
import type { AggregatePiece } from '../../ledger/receipt-format.ts';
import { type ReadTile, TILE_WIDTH, tileWidth } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { LogRow, RecordStore, StoredRecord } from '../store/port.ts';
import { isOfShape } from './record-shapes.ts';
import { unlessDamaged } from './unless-damaged.ts';

export const kinds = {
  batch: 'log-batch',
  tile: 'log-tile',
  bundle: 'log-entries',
  subject: 'log-subject',
  head: 'log-head',
  checkpoint: 'log-checkpoint',
  witnessed: 'log-witnessed',
  rotation: 'log-key-rotation',
  map: 'log-map',
  aggregate: 'log-aggregate',
  anchorNote: 'log-anchor-note',
} as const;

/** Sealed entries: what is added to the rows to make the private entries of the log. */
export type BatchRecord = {
  readonly first: number;
  readonly count: number;
  /** Fencing number of the lease it was sealed under. */
  readonly fence: number;
  /** base64 root of the batch's own tree. */
  readonly root: string;
  /** base64url; 32 bytes for each entry, all 0 for one that was erased. */
  readonly salts: string;
  readonly seqs: readonly number[];
  readonly previous: readonly (number | null)[];
};

/** The random handle that stands for a subject in the log, and the newest of its entries. */
export type SubjectRecord = { readonly handle: string; readonly seq: number; readonly last: number | null };

export type CheckpointRecord = {
  readonly size: number;
  readonly note: string;
  /** ms since 1970. */
  readonly signedAt: number;
  /** Verifier keys of those who signed it besides the log’s key: the log’s second key, witnesses; absent: nobody did. */
  readonly witnesses?: readonly string[];
};

/** Up to where the newest root of the map of Consents holds. */
export type MapRecord = { readonly upTo: number };

/** The newest checkpoint that a quorum of witnesses has cosigned. */
export type WitnessedRecord = CheckpointRecord & { readonly witnesses: readonly string[] };

/** What an aggregate (aggregate.ts) has proven so far: its newest tree, the index there of this log’s newest entry, and for each place the largest tree of this log. */
export type AggregateRecord = {
  readonly size: number;
  /** base64 */
  readonly root: string;
  readonly index: number;
  readonly places: readonly {
    readonly kind: Place['kind'] | 'none';
    /** Of this log’s tree. */
    readonly size: number;
    /** ms since 1970: when it was known first. */
    readonly at: number;
    readonly piece: AggregatePiece;
  }[];
};

/** Where the log is anchored by itself, as its key signed it (ledger/anchor/anchor-note.ts): one for each kind of place. `stamp`: base64 of an authority’s reply. */
export type AnchorNoteRecord = { readonly note: string; readonly stamp?: string };

const DIGITS = 16;
export const ENTRY_BYTES = 32;
/** A uint16 length before each entry. */
export const BUNDLED_BYTES = 2 + ENTRY_BYTES;

export function numberId(index: number): string {
  return String(index).padStart(DIGITS, '0');
}

export function tileId(level: number, index: number): string {
  return `${level}/${numberId(index)}`;
}

/** Secondary keys of a batch: the seconds its entries tell of, and each Consent, Key and Authority by name, so that an entry is found without a row of its own. */
export function secondKey(occurredAt: string): string {
  return `second:${occurredAt.slice(0, 19)}`;
}

export function referenceKey(reference: string): string {
  return `reference:${reference}`;
}

const TAILED = ['Consent/', 'Key/', 'Authority/', 'LogKey/'];

export function isTailed(reference: string): boolean {
  return TAILED.some((prefix) => reference.startsWith(prefix));
}

/** A row about a Consent, key or authority; undefined for all others, most of which are passed over unparsed. */
export function tailedRow({ entry }: LogRow): LogEntry | ErasedEntry | undefined {
  if (!TAILED.some((prefix) => entry.includes(`"${prefix}`))) return undefined;
  const parsed = parseRow(entry);
  return isTailed(parsed.reference) ? parsed : undefined;
}

/** A root of the map of Consents: of such a row, up to where it holds. */
export function mapRowOf({ entry }: LogRow): { readonly upTo: number; readonly entry: LogEntry } | undefined {
  if (!entry.startsWith('{"kind":"map-root"')) return undefined;
  const parsed = parseRow(entry);
  const upTo = 'erased' in parsed ? undefined : upToOf(parsed);
  return upTo === undefined || 'erased' in parsed ? undefined : { upTo, entry: parsed };
}

/** By these a batch is found: from its rows, erased ones too, so that it keeps them whenever it is written again. */
export function lookupOf(rows: readonly (LogEntry | ErasedEntry)[]): string[] {
  const seconds = rows.map(({ occurredAt }) => secondKey(occurredAt));
  const names = rows.filter(({ reference }) => isTailed(reference)).map(({ reference }) => referenceKey(reference));
  return [...new Set([...seconds, ...names])];
}

/** Undefined: it was erased, or is gone. */
export function saltAt(batch: BatchRecord, index: number): Uint8Array | undefined {
  const at = index - batch.first;
  const salt = fromBase64Url(batch.salts)?.subarray(at * SALT_BYTES, (at + 1) * SALT_BYTES) ?? Buffer.alloc(0);
  return salt.length === SALT_BYTES && salt.some((byte) => byte !== 0) ? salt : undefined;
}

/** The same batch without the salts of these entries. */
export function withoutSalts(batch: BatchRecord, indexes: readonly number[]): BatchRecord {
  const salts = Buffer.from(fromBase64Url(batch.salts) ?? Buffer.alloc(0));
  for (const index of indexes) salts.fill(0, (index - batch.first) * SALT_BYTES, (index - batch.first + 1) * SALT_BYTES);
  return { ...batch, salts: salts.toString('base64url') };
}

/** The private entry at `index`. `handle`: of the row's subject. */
export function privateEntry(row: LogEntry, batch: BatchRecord, place: { readonly index: number; readonly handle: string | null }): PrivateEntry {
  const at = place.index - batch.first;
  const salt = saltAt(batch, place.index);
  const [subjectSeq, previous] = [batch.seqs[at], batch.previous[at]];
  if (!salt || subjectSeq === undefined || previous === undefined) throw new AssentError('internal', 'A log batch is not whole.');
  return { ...row, subject: place.handle, index: place.index, subjectSeq, previous, salt: Buffer.from(salt).toString('base64url') };
}

export function bundleOf(entries: readonly Uint8Array[]): Buffer {
  const bundle = Buffer.allocUnsafe(entries.length * BUNDLED_BYTES);
  entries.forEach((entry, i) => {
    bundle.writeUInt16BE(ENTRY_BYTES, i * BUNDLED_BYTES);
    bundle.set(entry, i * BUNDLED_BYTES + 2);
  });
  return bundle;
}

/** Throws AssentError('internal') when the bundle is not made of entries. */
export function entriesOf(bundle: Uint8Array): Uint8Array[] {
  const bytes = Buffer.from(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  return Array.from({ length: Math.ceil(bytes.length / BUNDLED_BYTES) }, (_, i) => {
    const at = i * BUNDLED_BYTES;
    if (at + BUNDLED_BYTES > bytes.length || bytes.readUInt16BE(at) !== ENTRY_BYTES)
      throw new AssentError('internal', 'An entry bundle is not whole.');
    return bytes.subarray(at + 2, at + BUNDLED_BYTES);
  });
}

export type KeptBatch = { readonly batch: BatchRecord; readonly revision: number };
type Kept<T> = { readonly value: T; readonly revision: number };

export type LogRecords = {
  /** Entries sealed so far. */
  head(): Promise<number>;
  checkpoint(): Promise<CheckpointRecord | undefined>;
  /** Null: there is no checkpoint yet. */
  checkpointRevision(): Promise<number | null>;
  witnessed(): Promise<WitnessedRecord | undefined>;
  /** The statements by which the log's key was replaced, in order. */
  rotations(): Promise<readonly string[]>;
  keptWitnessed(): Promise<Kept<WitnessedRecord> | undefined>;
  keptAggregate(): Promise<Kept<AggregateRecord> | undefined>;
  keptMap(): Promise<Kept<MapRecord> | undefined>;
  /** `kind`: of a place. */
  keptAnchorNote(kind: Place['kind']): Promise<Kept<AnchorNoteRecord> | undefined>;
  anchorNoteRevision(kind: Place['kind']): Promise<number | null>;
  tile: ReadTile;
  /** The first `width` entries of a bundle; undefined where it is shorter. */
  bundle(index: number, width: number): Promise<Uint8Array | undefined>;
  /** The one that begins with this index. */
  batch(first: number): Promise<BatchRecord | undefined>;
  /** The batches of the tile that holds this index, in order. */
  batchesAround(index: number): Promise<readonly BatchRecord[]>;
  batchesFor(lookup: string): Promise<readonly BatchRecord[]>;
  /** The same with their revisions, for who writes them again. */
  keptBatchesFor(lookup: string): Promise<readonly KeptBatch[]>;
  subject(reference: string): Promise<SubjectRecord | undefined>;
};

/** Every function but `tile` and `bundle` throws AssentError('internal') where a record is not of its shape. */
export function createLogRecords(records: RecordStore): LogRecords {
  const kept = async <T>(kind: string, id: string): Promise<Kept<T> | undefined> => {
    const found = await records.get(kind, id);
    return found && { value: wholeValue<T>(kind, found), revision: found.revision };
  };
  const value = async <T>(kind: string, id: string) => (await kept<T>(kind, id))?.value;
  const bytes = async (kind: string, id: string, length: number): Promise<Uint8Array | undefined> => {
    const stored = (await unlessDamaged(() => records.get(kind, id)))?.value;
    return stored instanceof Uint8Array && stored.length >= length ? Buffer.from(stored.buffer, stored.byteOffset, length) : undefined;
  };
  const batches = async (options: Parameters<RecordStore['list']>[1]): Promise<KeptBatch[]> =>
    (await records.list(kinds.batch, options)).map((found) => ({ batch: wholeValue<BatchRecord>(kinds.batch, found), revision: found.revision }));
  const keptBatchesFor = (lookup: string): Promise<KeptBatch[]> => batches({ lookup, limit: MOST_BATCHES });
  return {
    head: async () => (await value<{ size: number }>(kinds.head, kinds.head))?.size ?? 0,
    checkpoint: () => value<CheckpointRecord>(kinds.checkpoint, kinds.checkpoint),
    checkpointRevision: async () => (await records.get(kinds.checkpoint, kinds.checkpoint))?.revision ?? null,
    witnessed: () => value<WitnessedRecord>(kinds.witnessed, kinds.witnessed),
    rotations: async () => (await records.list(kinds.rotation)).map(({ value: note }) => (typeof note === 'string' ? note : '')),
    keptWitnessed: () => kept<WitnessedRecord>(kinds.witnessed, kinds.witnessed),
    keptAggregate: () => kept<AggregateRecord>(kinds.aggregate, kinds.aggregate),
    keptMap: () => kept<MapRecord>(kinds.map, kinds.map),
    keptAnchorNote: (kind) => kept<AnchorNoteRecord>(kinds.anchorNote, kind),
    anchorNoteRevision: async (kind) => (await records.get(kinds.anchorNote, kind))?.revision ?? null,
    tile: (level, index, width) => bytes(kinds.tile, tileId(level, index), width * HASH_BYTES),
    bundle: (index, width) => bytes(kinds.bundle, numberId(index), width * BUNDLED_BYTES),
    batch: (first) => value<BatchRecord>(kinds.batch, numberId(first)),
    async batchesAround(index) {
      const first = index - (index % TILE_WIDTH);
      const around: BatchRecord[] = [];
      let after = first === 0 ? '' : numberId(first - 1);
      // A busy log has one batch for a tile, a quiet one up to 256: a list has no end but its limit, so it is asked for more and more.
      for (let limit = 2; ; limit *= 4) {
        const found = (await batches({ after, limit })).map(({ batch }) => batch);
        around.push(...found.filter((batch) => batch.first < first + TILE_WIDTH));
        const last = found.at(-1);
        if (found.length < limit || !last || last.first + last.count >= first + TILE_WIDTH) return around;
        after = numberId(last.first);
      }
    },
    batchesFor: async (lookup) => (await keptBatchesFor(lookup)).map(({ batch }) => batch),
    keptBatchesFor,
    subject: (reference) => value<SubjectRecord>(kinds.subject, reference),
  };
}

/** The id is not said: of a subject it names a patient. */
function wholeValue<T>(kind: string, { id, value }: StoredRecord): T {
  const isInPlace = kind !== kinds.batch || numberId((value as BatchRecord | null)?.first ?? -1) === id;
  if (!isInPlace || !isOfShape(kind, value)) throw new AssentError('internal', `A record of kind ${kind} is not as it was written.`);
  return value as T;
}

/** Of one second or one name: far more than there can be. */
const MOST_BATCHES = 10_000;

/** The entries as they are stored, read again for whoever must not trust a process’s memory; ends early where one is missing. */
export async function* storedEntries(records: Pick<LogRecords, 'bundle'>, from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to; ) {
    const index = Math.floor(at / TILE_WIDTH);
    const bundle = await records.bundle(index, tileWidth(0, index, to));
    if (!bundle) return;
    const entries = entriesOf(bundle).slice(at - index * TILE_WIDTH);
    yield* entries;
    at += entries.length;
  }
}
