/**
 * Instead of a receipt that would rest on an erased Consent: the tombstone that names its entry, and the proof of that. ledger.md §1, §6
 * Invariant: what it hands out holds nothing of the Consent but its reference, which whoever asks named.
 */
import { writeErasureProof } from '../../ledger/erasure-proof.ts';
import { isErased, type LogEntry, parseRow } from '../../ledger/entry.ts';
import { jointProof } from '../../ledger/tree.ts';
import type { RecordStore } from '../store/port.ts';
import type { LogKeys } from './log-keys.ts';
import type { LogRows } from './log-port.ts';
import { type BatchRecord, type CheckpointRecord, createLogRecords, type LogRecords, referenceKey } from './log-records.ts';
import { checkpointOver, openEntry, receiptEntry } from './receipts.ts';

/** `proof`: none where a server that erased texts only left no more than a note. */
export type ErasureFound = { readonly kind: 'erased'; readonly proof: string | undefined } | { readonly kind: 'pending' };

export type ErasureProofs = {
  /** Of a version of a Consent that was erased. */
  erasureOf(consent: { readonly reference: string; readonly version: string }): Promise<ErasureFound>;
};

type Dependencies = { readonly log: LogRows; readonly records: RecordStore; readonly keys: Pick<LogKeys, 'at'> };
type Tombstone = { readonly row: LogEntry; readonly batch: BatchRecord; readonly index: number };

export function createErasureProofs({ log, records, keys }: Dependencies): ErasureProofs {
  const stored = createLogRecords(records);
  return {
    async erasureOf({ reference, version }) {
      // Read before the entries: whatever is found later may be in it or not, but never the other way round.
      const [witnessed, newest] = await Promise.all([stored.witnessed(), stored.checkpoint()]);
      const { erased, tombstones } = await entriesAbout(reference, { log, stored, version });
      if (erased.size === 0) return { kind: 'erased', proof: undefined };
      const tombstone = tombstones.find(({ row }) => row.erases?.some((index) => erased.has(index)));
      const checkpoint = tombstone && checkpointOver([tombstone], [witnessed, newest]);
      if (!checkpoint) return { kind: 'pending' };
      return { kind: 'erased', proof: await proofOf(tombstone, { stored, checkpoint, signed: keys.at(checkpoint.size) }) };
    },
  };
}

type Sought = { readonly log: LogRows; readonly stored: LogRecords; readonly version: string };

/** `erased`: of this version. */
async function entriesAbout(
  reference: string,
  { log, stored, version }: Sought,
): Promise<{ readonly erased: ReadonlySet<number>; readonly tombstones: readonly Tombstone[] }> {
  const erased = new Set<number>();
  const tombstones: Tombstone[] = [];
  for (const batch of await stored.batchesFor(referenceKey(reference))) {
    for (const { index, entry } of await log.readLog(batch.first, batch.count)) {
      if (!entry.includes(`"${reference}"`)) continue;
      const row = parseRow(entry);
      if (row.reference !== reference) continue;
      if (isErased(row)) {
        if (row.version === version) erased.add(index);
      } else if (row.erases) tombstones.push({ row, batch, index });
    }
  }
  return { erased, tombstones };
}

type Parts = {
  readonly stored: LogRecords;
  readonly checkpoint: CheckpointRecord;
  readonly signed: ReturnType<LogKeys['at']>;
};

async function proofOf({ row, batch, index }: Tombstone, { stored, checkpoint, signed }: Parts): Promise<string> {
  const entry = receiptEntry(await openEntry(row, { batch, index }, stored));
  const indices = [index, ...signed.rotations.map((each) => each.entry.index)];
  const proof = (await jointProof(indices, checkpoint.size, stored.tile)).map((hash) => Buffer.from(hash).toString('base64'));
  const { note, witnesses = [] } = checkpoint;
  return writeErasureProof({ ...signed, checkpoint: note, witnesses, reference: row.reference, entry, proof });
}
