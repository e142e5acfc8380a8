/** The records of one transaction: as it read them, changed by the write sets before, and the writes that wait. */
import type { ClientSession } from 'mongodb';
import type { RecordWrite } from '../port.ts';
import type { Collections } from './connection.ts';
import { type RecordDocument, recordId } from './documents.ts';
import { firstRevision, isLive, recordFields } from './records.ts';

export type KnownRecord = Pick<RecordDocument, 'rev' | 'exp'>;

export type RecordChanges = {
  /** Null: there is none, or it has expired. */
  revisionOf(id: string): number | null;
  write(write: RecordWrite): void;
  /** Makes sure that this document is changed, so that whoever changes it meanwhile is in conflict. */
  rely(id: string): void;
  flush(): Promise<void>;
};

type Inside = { readonly inSession: Collections; readonly session: ClientSession; readonly now: number };

export function createRecordChanges({ inSession, session, now }: Inside, loaded: ReadonlyMap<string, KnownRecord>): RecordChanges {
  const stored = new Map(loaded);
  /** Undefined: deleted. */
  const fresh = new Map<string, RecordDocument | undefined>();
  const relied = new Set<string>();
  const find = (id: string): KnownRecord | undefined => (fresh.has(id) ? fresh.get(id) : stored.get(id));
  const revisionOf = (id: string): number | null => {
    const record = find(id);
    return record && isLive(record, now) ? record.rev : null;
  };

  async function flush(): Promise<void> {
    const touched = [...relied].filter((id) => stored.has(id) && !fresh.has(id));
    const writes = [
      ...[...fresh].map(([_id, record]) =>
        record ? { replaceOne: { filter: { _id }, replacement: record, upsert: true } } : { deleteOne: { filter: { _id } } },
      ),
      ...touched.map((_id) => ({ updateOne: { filter: { _id }, update: { $inc: { g: 1 } } } })),
    ];
    if (writes.length > 0) await inSession.records.bulkWrite(writes, { session });
    for (const [id, record] of fresh) {
      if (record) stored.set(id, record);
      else stored.delete(id);
    }
    fresh.clear();
    relied.clear();
  }

  return {
    revisionOf,
    write: (write) => {
      const _id = recordId(write.recordKind, write.id);
      if (write.kind === 'delete') return void fresh.set(_id, undefined);
      const old = revisionOf(_id);
      const rev = old === null ? firstRevision() : old + 1;
      fresh.set(_id, { _id, kind: write.recordKind, id: write.id, rev, ...recordFields(write.value, write) });
    },
    rely: (id) => void relied.add(id),
    flush,
  };
}
