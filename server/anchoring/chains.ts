/**
 * The chain of log entries about one subject, read backwards from its head: what the sealer numbered and linked when it sealed them. Nothing is
 * counted when a record is read. ledger.md §1, §4
 *
 * Invariant: a page is a run without a gap; its first entry is the newest that the checkpoint holds, or the one named as the page's beginning.
 */
import { type Disclosures, type ErasedLink, type OpenLink, writeDisclosures } from '../../ledger/disclosures.ts';
import { isErased, type PrivateEntry, parseRow } from '../../ledger/entry.ts';
import { jointProof, TILE_WIDTH } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import type { LogKeys } from './log-keys.ts';
import type { LogRows } from './log-port.ts';
import { type BatchRecord, type CheckpointRecord, createLogRecords, type LogRecords, privateEntry, type SubjectRecord } from './log-records.ts';
import { checkpointOver, indexOfEvent, receiptEntry } from './receipts.ts';

/** One entry about a subject. `open`: none where it was erased. */
export type ChainEntry = ErasedLink['erased'] & { readonly open: PrivateEntry | undefined };

export type ChainPage = {
  /** Newest first. */
  readonly entries: readonly ChainEntry[];
  /** Where the next page begins; null: at the end of the chain. */
  readonly next: number | null;
  /** Entries under the signed checkpoint. */
  readonly size: number;
  /** The first so many entries as a file that is checked offline (ledger/disclosures.ts). `events`: texts by reference, as far as they may be shown. */
  statement(count: number, events: ReadonlyMap<string, string>): Promise<string>;
};

export type Chains = {
  /** `from`: index of the entry to begin with; absent: the newest under a signed checkpoint. Undefined: nothing is under one yet. */
  read(subject: string, page: { readonly from?: number | undefined; readonly limit: number }): Promise<ChainPage | undefined>;
  /** Where an AuditEvent (its exact text) stands under a signed checkpoint; undefined: not yet. */
  indexOf(event: string): Promise<number | undefined>;
};

type Dependencies = { readonly log: LogRows; readonly records: RecordStore; readonly keys: Pick<LogKeys, 'at'> };

export function createChains({ log, records, keys }: Dependencies): Chains {
  const stored = createLogRecords(records);
  return {
    async read(subject, { from, limit }) {
      // Read before the entries: whatever is found later may be in it or not, but never the other way round.
      const checkpoint = await stored.checkpoint();
      const record = await stored.subject(subject);
      if (!checkpoint) return undefined;
      const read = entryReader({ log, stored, handle: record?.handle ?? '' });
      const entries: ChainEntry[] = [];
      let at = from ?? (record ? await headUnder(checkpoint.size, record, read) : null);
      for (; at !== null && entries.length < limit; at = entries.at(-1)?.previous ?? null) entries.push(await read(at));
      const whose = { keys, patient: subject, newest: from === undefined };
      const { size } = checkpoint;
      return { entries, next: at, size, statement: (count, events) => statementOf(entries.slice(0, count), { stored, checkpoint, events, whose }) };
    },
    async indexOf(event) {
      const checkpoint = await stored.checkpoint();
      const index = checkpoint && (await indexOfEvent(event, { log, stored }));
      return checkpoint && index !== undefined && index < checkpoint.size ? index : undefined;
    },
  };
}

type Stating = {
  readonly stored: LogRecords;
  readonly checkpoint: CheckpointRecord;
  readonly events: ReadonlyMap<string, string>;
  readonly whose: Pick<Disclosures, 'patient' | 'newest'> & { readonly keys: Pick<LogKeys, 'at'> };
};

async function statementOf(
  entries: readonly ChainEntry[],
  { stored, checkpoint: newest, events, whose: { keys, ...whose } }: Stating,
): Promise<string> {
  const witnessed = await stored.witnessed();
  const signed = keys.at(newest.size);
  // A trail is signed with one key, and so are its statements.
  const same = witnessed && keys.at(witnessed.size).log === signed.log ? witnessed : undefined;
  const checkpoint = checkpointOver(entries, [same, newest]) ?? newest;
  const indices = [...entries.flatMap(({ open, index }) => (open ? [index] : [])), ...signed.rotations.map(({ entry }) => entry.index)];
  const proof = indices.length === 0 ? [] : await jointProof(indices, checkpoint.size, stored.tile);
  return writeDisclosures({
    ...whose,
    ...signed,
    checkpoint: checkpoint.note,
    witnesses: checkpoint.witnesses ?? [],
    links: entries.map((entry) => linkOf(entry, events)),
    proof: proof.map((hash) => Buffer.from(hash).toString('base64')),
  });
}

type ReadEntry = (index: number) => Promise<ChainEntry>;

/** What was sealed since the checkpoint is passed over. */
async function headUnder(size: number, { last }: SubjectRecord, read: ReadEntry): Promise<number | null> {
  let at = last;
  while (at !== null && at >= size) at = (await read(at)).previous;
  return at;
}

/** Entries by index; the batches of a tile are read once. */
function entryReader({ log, stored, handle }: { readonly log: LogRows; readonly stored: LogRecords; readonly handle: string }): ReadEntry {
  const tiles = new Map<number, Promise<readonly BatchRecord[]>>();
  return async (index) => {
    const tile = Math.floor(index / TILE_WIDTH);
    const batches = tiles.get(tile) ?? stored.batchesAround(index);
    tiles.set(tile, batches);
    const batch = (await batches).find(({ first, count }) => index >= first && index < first + count);
    const [row] = await log.readLog(index, 1);
    const [subjectSeq, previous] = [batch?.seqs[index - batch.first], batch?.previous[index - batch.first]];
    if (!batch || row?.index !== index || subjectSeq === undefined || previous === undefined)
      throw new AssentError('unavailable', `Entry ${index} of the log cannot be read.`);
    const entry = parseRow(row.entry);
    return { index, subjectSeq, previous, open: isErased(entry) ? undefined : privateEntry(entry, batch, { index, handle }) };
  };
}

function linkOf({ open, index, subjectSeq, previous }: ChainEntry, events: ReadonlyMap<string, string>): OpenLink | ErasedLink {
  if (!open) return { erased: { index, subjectSeq, previous } };
  return { reference: open.reference, event: events.get(open.reference) ?? null, entry: receiptEntry(open) };
}
