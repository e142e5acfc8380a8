/**
 * A whole data set on its way from one engine to another: everything an engine stores, row by row, as both can read it.
 *
 * Invariant: two engines hold the same data set exactly if their digests are the same: every field of every row is part of them, in one order.
 */
import { createHash } from 'node:crypto';
import type { LogRow, StoredResource } from './port.ts';

/** `value`: JSON text, or bytes. `expires`: ms since 1970, or null. */
export type RawRecord = {
  readonly kind: string;
  readonly id: string;
  readonly revision: number;
  readonly expires: number | null;
  readonly lookup: readonly string[];
  readonly value: string | Uint8Array;
};

/** What is counted on, apart from the rows. `fences`: of every lease, so that their numbers go on growing. */
export type Counters = { readonly epoch: number; readonly fences: readonly { readonly name: string; readonly fence: number }[] };

type Rows = { readonly resources: StoredResource; readonly history: StoredResource; readonly log: LogRow; readonly records: RawRecord };
export type Section = keyof Rows;
export type Slices<S extends Section> = AsyncIterable<readonly Rows[S][]>;

/** Resources by type and id, history newest first within that, the log by index, records by kind and id; all compared by bytes. */
export type DataSet = {
  counters(): Promise<Counters>;
  resources(): Slices<'resources'>;
  /** Superseded versions. */
  history(): Slices<'history'>;
  log(): Slices<'log'>;
  /** Those that have not expired by then: an engine may have cleared away the others. */
  records(now: number): Slices<'records'>;
};

export type RecordName = Pick<RawRecord, 'kind' | 'id'>;

/** Rows that came or changed, or records that are gone; what is there already is replaced. `again`: some are likely to be. */
export type Change =
  | {
      readonly [S in Section]: { readonly section: S; readonly rows: readonly Rows[S][]; readonly again: boolean; readonly gone?: undefined };
    }[Section]
  | { readonly section: 'records'; readonly gone: readonly RecordName[] };

export const sections: readonly Section[] = ['resources', 'history', 'log', 'records'];

export type Summary = { readonly rows: number; readonly digest: string };

/** Reads all of it again. `seen` is told how many rows it has read. */
export async function summarize(data: DataSet, section: Section, now: number, seen?: (rows: number) => void): Promise<Summary> {
  const hash = createHash('sha256');
  let rows = 0;
  for await (const slice of slicesOf(data, section, now)) {
    rows += slice.length;
    for (const row of slice) hash.update(`${JSON.stringify(fieldsOf(row))}\n`);
    seen?.(rows);
  }
  return { rows, digest: hash.digest('hex') };
}

function slicesOf(data: DataSet, section: Section, now: number): AsyncIterable<readonly Rows[Section][]> {
  return section === 'records' ? data.records(now) : data[section]();
}

function fieldsOf(row: Rows[Section]): readonly unknown[] {
  if ('entry' in row) return [row.index, row.key, row.entry];
  if ('body' in row) return [row.type, row.id, row.version, row.lastUpdated, row.instant, row.deleted, row.keys, row.body];
  const { kind, id, revision, expires, lookup, value } = row;
  const text = typeof value === 'string' ? ['text', value] : ['bytes', Buffer.from(value).toString('base64')];
  return [kind, id, revision, expires, [...new Set(lookup)].sort(), ...text];
}
