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

/** `digest`: '' of an erased entry, which is the digest of nothing. `at`: when it was logged, ms since 1970. */
export type Tailed = Pick<LogEntry, 'kind' | 'digest' | 'version' | 'statement' | 'signatures' | 'subject'> & {
  readonly index: number;
  readonly at: number;
};

export type Tail = {
  catchUp(): Promise<void>;
  /** The newest entry about `Consent/x` or `Key/x`. */
  latest(reference: string): Tailed | undefined;
  /** All entries about it, oldest first; of an erased Consent the tombstone alone. */
  entries(reference: string): readonly Tailed[];
  /** The first index at which an entry about a Consent or key was logged at this instant (ms since 1970) or later; the next one, where there is none. */
  indexAt(instant: number): number;
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
    indexAt: (instant) => memory.firstAt(instant) ?? next,
    reset: () => {
      next = 0;
      memory.clear();
    },
  };
}

type Known = Pick<Tail, 'latest' | 'entries' | 'references' | 'changedSince' | 'isErased' | 'links' | 'forgetLinks'>;
type Change = { readonly index: number; readonly at: number; readonly reference: string; readonly version: string | undefined };
type Memory = {
  readonly known: Known;
  firstAt(instant: number): number | undefined;
  take(entry: LogEntry | ErasedEntry, row: LogRow): void;
  clear(): void;
};

/** Rows are taken in order. */
function createMemory(): Memory {
  const about = new Map<string, readonly Tailed[]>();
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
      const { digest, statement, signatures } = isErased(entry) ? { digest: '' } : entry;
      const at = Date.parse(entry.occurredAt);
      const optional = {
        ...(version === undefined ? {} : { version }),
        ...(statement === undefined ? {} : { statement }),
        ...(signatures === undefined ? {} : { signatures }),
      };
      const before = isErased(entry) || kind === 'erasure' ? [] : (about.get(reference) ?? []);
      about.set(reference, [...before, { index, at, kind, digest, subject, ...optional }]);
      if (isErased(entry)) noteErased(reference, version);
      else for (const gone of entry.erases ?? []) noteErased(reference, changes[placeOf(gone)]?.version);
      changes.push({ index, at, reference, version });
      links?.push(linkOf(row, entry));
    },
    clear() {
      changes = [];
      links = [];
      about.clear();
      erased.clear();
    },
    // Clocks of several processes may differ a little: the first is the one that leaves least out.
    firstAt: (instant) => changes.find(({ at }) => at >= instant)?.index,
    known: {
      latest: (reference) => about.get(reference)?.at(-1),
      entries: (reference) => about.get(reference) ?? [],
      references: (prefix) => [...about.keys()].filter((reference) => reference.startsWith(prefix)),
      changedSince: (position) => [...new Set(changes.slice(placeOf(position)).map(({ reference }) => reference))],
      isErased: (version) => erased.has(version),
      links: (size) => links?.slice(0, placeOf(size)) ?? [],
      forgetLinks: () => {
        links = undefined;
      },
    },
  };
}
