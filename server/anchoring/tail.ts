/**
 * What the log says of every Consent and key, kept in memory by reading rows as they are committed. ledger.md §3
 *
 * Invariant: after catchUp everything committed before the call is in it, sealed or not, so the Gate can compare each Consent it fetched
 * with the digest that was logged when it was written.
 */
import { type ErasedEntry, isErased, type LogEntry } from '../../ledger/entry.ts';
import type { LogRow } from '../store/port.ts';
import type { LogRows } from './log-port.ts';
import { mapRowOf, tailedRow } from './log-records.ts';
import { type Link, linkOf } from './row-chain.ts';

/** `digest`: '' of an erased entry, which is the digest of nothing. `at`: when it was logged, ms since 1970. */
export type Tailed = Pick<LogEntry, 'kind' | 'digest' | 'version' | 'statement' | 'signatures' | 'subject'> & {
  readonly index: number;
  readonly at: number;
};

/** An entry about a Consent; `replaced`: the index of the one whose place it took, if any. */
export type ConsentChange = { readonly index: number; readonly replaced: number | undefined };

/** A logged root of the map of Consents (ledger/map-root.ts). `at`: ms since 1970. */
export type TailedRoot = { readonly index: number; readonly upTo: number; readonly at: number; readonly digest: string };

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
  /** Entries about Consents with an index in [from, to), in order. */
  consentChanges(from: number, to: number): readonly ConsentChange[];
  /** Index of the entry that took the place of this one, which is about a Consent; undefined: none did. */
  replacedAt(index: number): number | undefined;
  /** Whether there is an entry about any Consent. */
  knowsConsents(): boolean;
  /** The newest, oldest first. */
  mapRoots(): readonly TailedRoot[];
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
        else memory.takeRoot(row);
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

type Known = Omit<Tail, 'catchUp' | 'position' | 'indexAt' | 'reset'>;
type Change = {
  readonly index: number;
  readonly at: number;
  readonly reference: string;
  readonly version: string | undefined;
  readonly replaced: number | undefined;
  replacedAt: number | undefined;
};
type Memory = {
  readonly known: Known;
  firstAt(instant: number): number | undefined;
  take(entry: LogEntry | ErasedEntry, row: LogRow): void;
  takeRoot(row: LogRow): void;
  clear(): void;
};

const isOfConsent = ({ reference }: Pick<Change, 'reference'>): boolean => reference.startsWith('Consent/');

/** Rows are taken in order. */
function createMemory(): Memory {
  const about = new Map<string, readonly Tailed[]>();
  const erased = new Set<string>();
  const changes = createChanges();
  const roots = createRoots();
  let links: Link[] | undefined = [];

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
      const replaced = about.get(reference)?.at(-1)?.index;
      const before = isErased(entry) || kind === 'erasure' ? [] : (about.get(reference) ?? []);
      about.set(reference, [...before, { index, at, kind, digest, subject, ...optional }]);
      if (isErased(entry)) noteErased(reference, version);
      else for (const gone of entry.erases ?? []) noteErased(reference, changes.versionAt(gone));
      changes.add({ index, at, reference, version, replaced, replacedAt: undefined });
      links?.push(linkOf(row, entry));
    },
    takeRoot: roots.take,
    clear() {
      changes.clear();
      roots.clear();
      links = [];
      about.clear();
      erased.clear();
    },
    firstAt: changes.firstAt,
    known: {
      latest: (reference) => about.get(reference)?.at(-1),
      entries: (reference) => about.get(reference) ?? [],
      references: (prefix) => [...about.keys()].filter((reference) => reference.startsWith(prefix)),
      isErased: (version) => erased.has(version),
      ...changes.known,
      mapRoots: roots.newest,
      links: (size) => links?.slice(0, changes.before(size)) ?? [],
      forgetLinks: () => {
        links = undefined;
      },
    },
  };
}

type Changes = {
  readonly known: Pick<Tail, 'changedSince' | 'consentChanges' | 'replacedAt' | 'knowsConsents'>;
  add(change: Change): void;
  /** How many have an index below this one. */
  before(index: number): number;
  firstAt(instant: number): number | undefined;
  versionAt(index: number): string | undefined;
  clear(): void;
};

function createChanges(): Changes {
  let changes: Change[] = [];
  let knowsConsents = false;

  const before = (index: number): number => {
    let [low, high] = [0, changes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((changes[middle]?.index ?? 0) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const at = (index: number): Change | undefined => {
    const change = changes[before(index)];
    return change?.index === index ? change : undefined;
  };
  return {
    add(change) {
      const replaced = change.replaced === undefined ? undefined : at(change.replaced);
      if (replaced) replaced.replacedAt = change.index;
      knowsConsents ||= isOfConsent(change);
      changes.push(change);
    },
    before,
    // Clocks of several processes may differ a little: the first is the one that leaves least out.
    firstAt: (instant) => changes.find((change) => change.at >= instant)?.index,
    versionAt: (index) => at(index)?.version,
    clear() {
      changes = [];
      knowsConsents = false;
    },
    known: {
      changedSince: (position) => [...new Set(changes.slice(before(position)).map(({ reference }) => reference))],
      consentChanges: (from, to) => changes.slice(before(from), before(to)).filter(isOfConsent),
      replacedAt: (index) => at(index)?.replacedAt,
      knowsConsents: () => knowsConsents,
    },
  };
}

/** There is one a minute at most: those of some hours. */
const MOST_ROOTS = 256;

type Roots = { take(row: LogRow): void; newest(): readonly TailedRoot[]; clear(): void };

function createRoots(): Roots {
  let roots: TailedRoot[] = [];
  return {
    take(row) {
      const found = mapRowOf(row);
      if (!found) return;
      roots.push({ index: row.index, upTo: found.upTo, at: Date.parse(found.entry.occurredAt), digest: found.entry.digest });
      if (roots.length > 2 * MOST_ROOTS) roots = roots.slice(-MOST_ROOTS);
    },
    newest: () => roots,
    clear() {
      roots = [];
    },
  };
}
