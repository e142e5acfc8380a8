/** The log rows of one transaction, without numbers. A key that is in the log already is left as it is. */
import { type ClientSession, Timestamp } from 'mongodb';
import type { NewLogRow } from '../port.ts';
import type { Collections } from './connection.ts';
import type { LogDocument } from './documents.ts';

export type LogChanges = { append(row: NewLogRow): void; flush(): Promise<void> };

type Inside = { readonly inSession: Collections; readonly session: ClientSession };

export function createLogChanges({ inSession, session }: Inside, known: ReadonlySet<string>): LogChanges {
  const keys = new Set(known);
  let rows: LogDocument[] = [];
  return {
    append: ({ key, entry }) => {
      if (keys.has(key)) return;
      keys.add(key);
      // MongoDB puts its own time in place of an empty timestamp.
      rows.push({ _id: key, entry, o: new Timestamp({ t: 0, i: 0 }), p: true });
    },
    flush: async () => {
      if (rows.length > 0) await inSession.log.insertMany(rows, { session });
      rows = [];
    },
  };
}
