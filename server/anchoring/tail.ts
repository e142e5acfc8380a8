/**
 * What the log says of every Consent and key, kept in memory by reading rows as they are committed. ledger.md §3
 *
 * Invariant: after catchUp everything committed before the call is in it, sealed or not, so the Gate can compare each Consent it fetched
 * with the digest that was logged when it was written.
 */
import type { LogEntry } from '../../ledger/entry.ts';
import type { LogRow } from '../store/port.ts';
import type { LogRows } from './log-port.ts';
import { emptyChain, extendChain, tailedEntry } from './log-records.ts';

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
  /** The digest over all rows about Consents and keys before this index: what the signer remembers too. */
  chainAt(size: number): Uint8Array;
};

const SLICE = 2000;

export function createTail({ log }: { readonly log: LogRows }): Tail {
  const newest = new Map<string, Tailed>();
  const changes: { readonly index: number; readonly reference: string; readonly chain: Uint8Array }[] = [];
  let next = 0;
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;

  const readAll = async (): Promise<void> => {
    for (;;) {
      const rows = await log.readLog(next, SLICE);
      for (const row of rows) {
        if (row.index !== next) throw new RangeError('The log rows have a gap.');
        const entry = tailedEntry(row);
        if (entry) take(entry, row);
        next = row.index + 1;
      }
      if (rows.length < SLICE) return;
    }
  };
  const take = ({ reference, kind, digest, version, statement, subject }: LogEntry, row: LogRow): void => {
    const { index } = row;
    const optional = { ...(version === undefined ? {} : { version }), ...(statement === undefined ? {} : { statement }) };
    newest.set(reference, { index, kind, digest, subject, ...optional });
    changes.push({ index, reference, chain: extendChain(changes.at(-1)?.chain ?? emptyChain, row) });
  };
  /** Where in `changes` the entries at or after this index begin. Asked about the newest ones, so looked for from the end. */
  const placeOf = (index: number): number => {
    let at = changes.length;
    while (at > 0 && (changes[at - 1]?.index ?? 0) >= index) at--;
    return at;
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
    changedSince: (position) => [...new Set(changes.slice(placeOf(position)).map(({ reference }) => reference))],
    chainAt: (size) => changes[placeOf(size) - 1]?.chain ?? emptyChain,
  };
}
