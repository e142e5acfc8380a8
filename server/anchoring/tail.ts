/**
 * What the log says of every Consent and key, kept in memory by reading rows as they are committed. ledger.md §3
 *
 * Invariant: after catchUp everything committed before the call is in it, sealed or not, so the Gate can compare each Consent it fetched
 * with the digest that was logged when it was written.
 */
import { type ErasedEntry, isErased, type LogEntry } from '../../ledger/entry.ts';
import type { LogRow } from '../store/port.ts';
import type { LogRows } from './log-port.ts';
import { tailedRow } from './log-records.ts';
import { type Link, linkOf } from './row-chain.ts';

/** `digest`: '' of an erased entry, which is the digest of nothing. */
export type Tailed = Pick<LogEntry, 'kind' | 'digest' | 'version' | 'statement' | 'subject'> & { readonly index: number };

export type Tail = {
  catchUp(): Promise<void>;
  /** The newest entry about `Consent/x` or `Key/x`. */
  latest(reference: string): Tailed | undefined;
  references(prefix: string): readonly string[];
  /** Rows read so far: the position to hand to changedSince. */
  position(): number;
  /** References with an entry at or after this index. */
  changedSince(position: number): readonly string[];
  /** Whether the entry of this version of a Consent (`Consent/x/_history/1`) was erased. */
  isErased(version: string): boolean;
  /** The rows before this index as the signer remembers them too. Nothing of them is kept once they were found the same. */
  links(size: number): readonly Link[];
  forgetLinks(): void;
  /** Forgets everything: the next catchUp reads from the beginning. */
  reset(): void;
};

const SLICE = 2000;

export function createTail({ log }: { readonly log: LogRows }): Tail {
  const memory = createMemory();
  let next = 0;
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;

  const readAll = async (): Promise<void> => {
    for (;;) {
      const rows = await log.readLog(next, SLICE);
      for (const row of rows) {
        if (row.index !== next) throw new RangeError('The log rows have a gap.');
        const entry = tailedRow(row);
        if (entry) memory.take(entry, row);
        next = row.index + 1;
      }
      if (rows.length < SLICE) return;
    }
  };
  const run = (): Promise<void> => {
    running = readAll().finally(() => {
      running = undefined;
    });
    return running;
  };
  return {
    // A read under way may have begun before the caller's commit: it must be followed by one more, which all who wait share.
    catchUp: () => {
      if (!running) return run();
      waiting ??= running
        .catch(() => undefined)
        .then(() => {
          waiting = undefined;
          return running ?? run();
        });
      return waiting;
    },
    ...memory.known,
    position: () => next,
    reset: () => {
      next = 0;
      memory.clear();
    },
  };
}

type Known = Pick<Tail, 'latest' | 'references' | 'changedSince' | 'isErased' | 'links' | 'forgetLinks'>;
type Change = { readonly index: number; readonly reference: string; readonly version: string | undefined };
type Memory = { readonly known: Known; take(entry: LogEntry | ErasedEntry, row: LogRow): void; clear(): void };

/** Rows are taken in order. */
function createMemory(): Memory {
  const newest = new Map<string, Tailed>();
  const erased = new Set<string>();
  let changes: Change[] = [];
  let links: Link[] | undefined = [];

  /** Where in `changes` the entries at or after this index begin. */
  const placeOf = (index: number): number => {
    let [low, high] = [0, changes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((changes[middle]?.index ?? 0) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const noteErased = (reference: string, version: string | undefined): void => void erased.add(`${reference}/_history/${version}`);
  return {
    take(entry, row) {
      const { index } = row;
      const { reference, version, kind, subject } = entry;
      const { digest, statement } = isErased(entry) ? { digest: '', statement: undefined } : entry;
      const optional = { ...(version === undefined ? {} : { version }), ...(statement === undefined ? {} : { statement }) };
      newest.set(reference, { index, kind, digest, subject, ...optional });
      if (isErased(entry)) noteErased(reference, version);
      else for (const gone of entry.erases ?? []) noteErased(reference, changes[placeOf(gone)]?.version);
      changes.push({ index, reference, version });
      links?.push(linkOf(row, entry));
    },
    clear() {
      changes = [];
      links = [];
      newest.clear();
      erased.clear();
    },
    known: {
      latest: (reference) => newest.get(reference),
      references: (prefix) => [...newest.keys()].filter((reference) => reference.startsWith(prefix)),
      changedSince: (position) => [...new Set(changes.slice(placeOf(position)).map(({ reference }) => reference))],
      isErased: (version) => erased.has(version),
      links: (size) => links?.slice(0, placeOf(size)) ?? [],
      forgetLinks: () => {
        links = undefined;
      },
    },
  };
}
