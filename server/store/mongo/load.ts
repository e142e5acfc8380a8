/**
 * A data set loaded into an empty database, and read back to be compared. Rows are written as they are: no new versions, numbers or revisions.
 *
 * Invariant: from before the first row until all of it was compared, the database bears a mark with which no server starts on it.
 */
import { Binary, Timestamp } from 'mongodb';
import type { Clock } from '../../clock.ts';
import { AssentError } from '../../errors.ts';
import type { LogRow, StoredResource } from '../port.ts';
import type { Counters, DataSet, RawRecord, Section } from '../transfer.ts';
import { mark, markedBy } from './astray.ts';
import { type Connection, connect } from './connection.ts';
import { EPOCH, recordId, type RecordDocument, toDocument, toHistory } from './documents.ts';
import { guarded, translate } from './faults.ts';
import { migrateAnew, migrateFresh } from './migrations.ts';
import { markUnfinished, unfinishedSince, unmark } from './unfinished.ts';
import { readBack } from './read-back.ts';

export type Load = {
  put(section: Section, slice: readonly (StoredResource | LogRow | RawRecord)[]): Promise<void>;
  putCounters(counters: Counters): Promise<void>;
  /** What is there now. */
  readonly data: DataSet;
  /** Servers may start from here on. */
  finish(): Promise<void>;
  close(): Promise<void>;
};

/** `restart`: throws away what an unfinished copy left. Throws AssentError('unavailable') with a sentence when the database is in use. */
export async function openLoad({ uri, clock, restart }: { readonly uri: string; readonly clock: Clock; readonly restart: boolean }): Promise<Load> {
  const connection = await connect(uri);
  try {
    await prepare(connection, clock, restart);
  } catch (error) {
    await connection.close();
    throw translate(error);
  }
  const { collections } = connection;
  return {
    put: (section, slice) => guarded(() => put(connection, section, slice)),
    putCounters: ({ epoch, fences }) =>
      guarded(async () => {
        await collections.counters.updateOne({ _id: EPOCH }, { $set: { value: epoch } }, { upsert: true });
        for (const { name, fence } of fences) await collections.leases.insertOne({ _id: name, holder: '', expires: 0, fence });
      }),
    data: readBack(connection),
    finish: () => guarded(() => unmark(connection)),
    close: () => connection.close(),
  };
}

async function prepare(connection: Connection, clock: Clock, restart: boolean): Promise<void> {
  const unfinished = (await unfinishedSince(connection.database)) !== undefined;
  if (unfinished && !restart)
    throw new AssentError(
      'unavailable',
      'An earlier copy into this database did not finish. Run it again with --restart: that throws away what it left.',
    );
  if (unfinished) return migrateAnew(connection);
  await requireNothing(connection);
  await migrateFresh(connection);
  await markUnfinished(connection, clock());
  try {
    // A server may have started on it while the mark was made.
    await requireNothing(connection);
  } catch (error) {
    await unmark(connection);
    throw error;
  }
}

/** Collections of others count as well: a wrong name in the URI is not to be found out later. */
async function requireNothing({ database }: Connection): Promise<void> {
  for (const { name } of await database.listCollections({}, { nameOnly: true }).toArray()) {
    const empty = name === 'migrations' || name === 'counters' || name.startsWith('system.');
    if (!empty && (await database.collection(name).findOne({}, { projection: { _id: 1 } })))
      throw new AssentError('unavailable', `The database ${database.databaseName} is not empty. A data set is copied into an empty one only.`);
  }
}

async function put({ collections }: Connection, section: Section, slice: readonly unknown[]): Promise<void> {
  const options = { ordered: false };
  switch (section) {
    case 'resources':
      await mark(collections, (slice as readonly StoredResource[]).flatMap(markedBy));
      return void (await collections.resources.insertMany((slice as readonly StoredResource[]).map(named), options));
    case 'history':
      return void (await collections.history.insertMany(
        (slice as readonly StoredResource[]).map((version) => toHistory(named(version))),
        options,
      ));
    case 'log':
      return void (await collections.log.insertMany((slice as readonly LogRow[]).map(toLogDocument), options));
    case 'records':
      return void (await collections.records.insertMany((slice as readonly RawRecord[]).map(toRecordDocument), options));
  }
}

/** The one thing that the embedded engine takes and MongoDB does not is said with its name, so that somebody can do something about it. */
function named(resource: StoredResource): ReturnType<typeof toDocument> {
  try {
    return toDocument(resource);
  } catch (error) {
    if (!(error instanceof AssentError) || error.code !== 'too-large') throw error;
    const name = `${resource.type}/${resource.id}/_history/${resource.version}`;
    throw new AssentError('too-large', `${name} has more than the 15 MB that MongoDB can hold.`, { cause: error });
  }
}

function toLogDocument({ index, key, entry }: LogRow): { _id: string; entry: string; o: Timestamp; n: number } {
  return { _id: key, entry, o: new Timestamp({ t: 0, i: 0 }), n: index };
}

function toRecordDocument({ kind, id, revision, expires, lookup, value }: RawRecord): RecordDocument {
  return {
    _id: recordId(kind, id),
    kind,
    id,
    rev: revision,
    exp: expires,
    until: expires === null ? null : new Date(expires),
    lookup: [...new Set(lookup)],
    value: typeof value === 'string' ? value : new Binary(value),
  };
}
