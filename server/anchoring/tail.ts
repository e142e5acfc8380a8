/**
 * What the log says of every Consent and key, kept in memory by reading rows as they are committed. ledger.md §3
 *
 * Invariant: after catchUp everything committed before the call is in it, sealed or not, so the Gate can compare each Consent it fetched
 * with the digest that was logged when it was written.
 */
import { type LogEntry, parseEntry } from '../../ledger/entry.ts';
import { isTailed } from './log-records.ts';
import type { LogRows } from './log-port.ts';

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
};

const SLICE = 2000;

export function createTail({ log }: { readonly log: LogRows }): Tail {
  const newest = new Map<string, Tailed>();
  const changes: { readonly index: number; readonly reference: string }[] = [];
  let next = 0;
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;

  const readAll = async (): Promise<void> => {
    for (;;) {
      const rows = await log.readLog(next, SLICE);
      for (const { index, entry } of rows) {
        if (index !== next) throw new RangeError('The log rows have a gap.');
        if (mayBeTailed(entry)) take(parseEntry(entry), index);
        next = index + 1;
      }
      if (rows.length < SLICE) return;
    }
  };
  const take = ({ reference, kind, digest, version, statement, subject }: LogEntry, index: number): void => {
    if (!isTailed(reference)) return;
    newest.set(reference, {
      index,
      kind,
      digest,
      subject,
      ...(version === undefined ? {} : { version }),
      ...(statement === undefined ? {} : { statement }),
    });
    changes.push({ index, reference });
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
    latest: (reference) => newest.get(reference),
    references: (prefix) => [...newest.keys()].filter((reference) => reference.startsWith(prefix)),
    position: () => next,
    changedSince(position) {
      let at = changes.length;
      while (at > 0 && (changes[at - 1]?.index ?? 0) >= position) at--;
      return [...new Set(changes.slice(at).map(({ reference }) => reference))];
    },
  };
}

/** Most rows are disclosures: they are passed over unparsed. */
function mayBeTailed(entry: string): boolean {
  return entry.includes('"Consent/') || entry.includes('"Key/');
}
