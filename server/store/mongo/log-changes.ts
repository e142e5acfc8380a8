/** The log rows of one transaction, without numbers. A key that is in the log already is left as it is. */
import { type ClientSession, Timestamp } from 'mongodb';
import { AssentError } from '../../errors.ts';
import type { LogRow, NewLogRow } from '../port.ts';
import type { Collections } from './connection.ts';
import type { LogDocument } from './documents.ts';

export type LogChanges = { append(row: NewLogRow): void; redact(row: LogRow): void; flush(): Promise<void> };

type Inside = { readonly inSession: Collections; readonly session: ClientSession };

export function createLogChanges({ inSession, session }: Inside, known: ReadonlySet<string>): LogChanges {
  const keys = new Set(known);
  let rows: LogDocument[] = [];
  let redacted: LogRow[] = [];
  return {
    redact: (row) => void redacted.push(row),
    append: ({ key, entry }) => {
      if (keys.has(key)) return;
      keys.add(key);
      // MongoDB puts its own time in place of an empty timestamp.
      rows.push({ _id: key, entry, o: new Timestamp({ t: 0, i: 0 }), p: true });
    },
    flush: async () => {
      if (rows.length > 0) await inSession.log.insertMany(rows, { session });
      rows = [];
      for (const row of redacted) await replace({ inSession, session }, row);
      redacted = [];
    },
  };
}

/** The key of a document cannot be changed: another one takes its number. */
async function replace({ inSession: { log }, session }: Inside, { index, key, entry }: LogRow): Promise<void> {
  const { deletedCount } = await log.deleteOne({ n: index }, { session, hint: 'n' });
  if (deletedCount !== 1) throw new AssentError('internal', 'There is no such log row.');
  await log.insertOne({ _id: key, entry, o: new Timestamp({ t: 0, i: 0 }), n: index }, { session });
}
