/**
 * Makes one batch from committed rows: private entries, public entries, and the records that hold them. ledger.md §1, §2
 * Invariant: pure but for the random bytes handed in; the same rows after the same subjects make the same batch.
 */
import { commitmentOf, parseEntry, SALT_BYTES } from '../../ledger/entry.ts';
import { leafHash } from '../../ledger/hash.ts';
import { batchRoot } from '../../ledger/tree.ts';
import type { LogRow } from '../store/port.ts';
import { type BatchRecord, lookupOf, type SubjectRecord } from './log-records.ts';

export type SealedBatch = {
  readonly record: BatchRecord;
  readonly lookup: readonly string[];
  /** Public entries and their leaf hashes, in order. */
  readonly entries: readonly Uint8Array[];
  readonly leaves: readonly Uint8Array[];
  /** Subjects as they are after this batch. */
  readonly subjects: ReadonlyMap<string, SubjectRecord>;
};

/** `subjects`: every subject of the rows, as it was before; `salts`: 32 bytes for each row. */
export function sealBatch(
  rows: readonly LogRow[],
  {
    first,
    fence,
    salts,
    subjects,
  }: { readonly first: number; readonly fence: number; readonly salts: Buffer; readonly subjects: ReadonlyMap<string, SubjectRecord> },
): SealedBatch {
  const parsed = rows.map(({ entry }) => parseEntry(entry));
  const after = new Map<string, SubjectRecord>();
  const links = parsed.map(({ subject }, i) => {
    const before = subject === null ? undefined : (after.get(subject) ?? subjects.get(subject));
    if (subject === null || !before) return { seq: 0, last: null, handle: null };
    after.set(subject, { handle: before.handle, seq: before.seq + 1, last: first + i });
    return { seq: before.seq + 1, last: before.last, handle: before.handle };
  });
  const unrooted = {
    first,
    count: rows.length,
    fence,
    salts: salts.subarray(0, rows.length * SALT_BYTES).toString('base64url'),
    seqs: links.map(({ seq }) => seq),
    previous: links.map(({ last }) => last),
    root: '',
  };
  const saltOf = (i: number) => salts.subarray(i * SALT_BYTES, (i + 1) * SALT_BYTES).toString('base64url');
  const entries = parsed.map((row, i) => {
    const { seq, last, handle } = links[i] ?? { seq: 0, last: null, handle: null };
    return commitmentOf({ ...row, subject: handle, index: first + i, subjectSeq: seq, previous: last, salt: saltOf(i) });
  });
  const leaves = entries.map(leafHash);
  return {
    record: { ...unrooted, root: Buffer.from(batchRoot(leaves)).toString('base64') },
    lookup: lookupOf(parsed),
    entries,
    leaves,
    subjects: after,
  };
}
