/**
 * A data set loaded into an empty database, and read back to be compared. Rows are written as they are: no new versions, numbers or revisions.
 *
 * Invariant: from before the first row until all of it was compared, the database bears a mark with which no server starts on it.
 */
import { type AnyBulkWriteOperation, Binary, BSON, type Collection, type Filter, Timestamp } from 'mongodb';
import type { Clock } from '../../clock.ts';
import { AssentError } from '../../errors.ts';
import type { LogRow, RecordStore, StoredResource } from '../port.ts';
import type { Change, Counters, DataSet, RawRecord, RecordName, Section } from '../transfer.ts';
import { mark, marksOf } from './astray.ts';
import { type Connection, connect, DEFAULT_DATABASE } from './connection.ts';
import {
  byId,
  byIds,
  EPOCH,
  type HistoryDocument,
  type LogDocument,
  recordId,
  type RecordDocument,
  type ResourceDocument,
  toDocument,
  toHistory,
} from './documents.ts';
import { isDuplicate, mayPass, translate } from './faults.ts';
import { migrateAnew, migrateFresh } from './migrations.ts';
import { type Patience, patiently } from './patience.ts';
import { readBack } from './read-back.ts';
import { createRecordStore } from './records.ts';
import { markUnfinished, unfinishedSince, unmark } from './unfinished.ts';

export type Load = {
  apply(change: Change): Promise<void>;
  /** Reads the rows of this change back, these alone; throws AssentError('internal') when something else is there. */
  check(change: Change): Promise<void>;
  /** Those of another time are replaced. */
  putCounters(counters: Counters): Promise<void>;
  /** What is there now. */
  readonly data: DataSet;
  /** For reading `data`: what was interrupted is done again. */
  patiently<T>(work: () => Promise<T>): Promise<T>;
  readonly records: RecordStore;
  /** Servers may start from here on. */
  finish(): Promise<void>;
  close(): Promise<void>;
};

type Options = {
  readonly uri: string;
  readonly clock: Clock;
  /** Throws away what an unfinished copy left. */
  readonly restart: boolean;
  /** The sentence to end with unless there is an unfinished copy: for a data set that may have been moved there already. */
  readonly unlessUnfinished?: string;
  /** Told when the target does not answer and is waited for. */
  readonly waiting?: () => void;
};

/** An election in the middle of hours of copying is waited out, and so is a network that fails. */
const PATIENCE_MS = 120_000;

/** Throws AssentError('unavailable') with a sentence when the database is in use. */
export async function openLoad({ uri, clock, ...how }: Options): Promise<Load> {
  const connection = await patiently({ ms: PATIENCE_MS }, () => connect(uri));
  let marked: number;
  try {
    marked = await prepare(connection, clock, how);
  } catch (error) {
    await connection.close();
    throw translate(error);
  }
  const { collections } = connection;
  const patience: Patience = { ms: PATIENCE_MS, passes: mayPass, ...(how.waiting && { waiting: how.waiting }) };
  return {
    apply: (change) => patiently(patience, (attempt) => (change.gone ? remove(connection, change.gone) : put(connection, change, attempt > 0))),
    check: (change) => patiently(patience, () => check(connection, change)),
    putCounters: ({ epoch, fences }) =>
      patiently(patience, async () => {
        await collections.counters.updateOne({ _id: EPOCH }, { $set: { value: epoch } }, { upsert: true });
        for (const { name, fence } of fences)
          await collections.leases.updateOne({ _id: name }, { $set: { holder: '', expires: 0, fence } }, { upsert: true });
      }),
    data: readBack(connection),
    patiently: (work) => patiently(patience, work),
    records: createRecordStore({ connection, clock }),
    finish: () => patiently(patience, () => unmark(connection, marked)),
    close: () => connection.close(),
  };
}

/** The target as a sentence may name it: without user, password and options. */
export function nameOf(uri: string): string {
  const [, scheme = 'mongodb', hosts = '', database = ''] = /^(mongodb(?:\+srv)?):\/\/(?:.*@)?([^/?]*)\/?([^?]*)/.exec(uri) ?? [];
  return `${scheme}://${hosts}/${database || DEFAULT_DATABASE}`;
}

/** Resolves with the mark. */
async function prepare(
  connection: Connection,
  clock: Clock,
  { restart, unlessUnfinished }: Pick<Options, 'restart' | 'unlessUnfinished'>,
): Promise<number> {
  const unfinished = (await unfinishedSince(connection.database)) !== undefined;
  if (!unfinished && unlessUnfinished !== undefined) throw new AssentError('unavailable', unlessUnfinished);
  if (unfinished && !restart)
    throw new AssentError(
      'unavailable',
      'An earlier copy into this database did not finish. Run it again with --restart: that throws away what it left.',
    );
  if (unfinished) {
    const marked = await markUnfinished(connection, clock());
    await migrateAnew(connection);
    return marked;
  }
  await requireNothing(connection);
  await migrateFresh(connection);
  const marked = await markUnfinished(connection, clock());
  try {
    // A server may have started on it while the mark was made.
    await requireNothing(connection);
  } catch (error) {
    await unmark(connection, marked);
    throw error;
  }
  return marked;
}

/** Collections of others count as well: a wrong name in the URI is not to be found out later. */
async function requireNothing({ database }: Connection): Promise<void> {
  for (const { name } of await database.listCollections({}, { nameOnly: true }).toArray()) {
    const empty = name === 'migrations' || name === 'counters' || name.startsWith('system.');
    if (!empty && (await database.collection(name).findOne({}, { projection: { _id: 1 } })))
      throw new AssentError('unavailable', `The database ${database.databaseName} is not empty. A data set is copied into an empty one only.`);
  }
}

type Document = ResourceDocument | HistoryDocument | LogDocument | RecordDocument;

/** `again`: an attempt before this one may have written some of it. */
async function put({ collections }: Connection, change: Change & { readonly gone?: undefined }, again: boolean): Promise<void> {
  const { section, rows } = change;
  if (section === 'resources') await mark(collections, rows.flatMap(marksOf));
  const collection = collections[section] as unknown as Collection<Document>;
  const documents = documentsOf(change);
  if (!again && !change.again && (await inserted(collection, documents))) return;
  const writes = documents.map((document) => ({ replaceOne: { filter: filterOf(section, document), replacement: document, upsert: true } }));
  await collection.bulkWrite(writes as AnyBulkWriteOperation<Document>[], { ordered: false });
}

/** Faster than replacing. False: some were there. */
async function inserted(collection: Collection<Document>, documents: readonly Document[]): Promise<boolean> {
  try {
    await collection.insertMany(documents, { ordered: false });
    return true;
  } catch (error) {
    if (isDuplicate(error)) return false;
    throw error;
  }
}

function documentsOf(change: Change & { readonly gone?: undefined }): Document[] {
  switch (change.section) {
    case 'resources':
      return change.rows.map(named);
    case 'history':
      return change.rows.map((version) => toHistory(named(version)));
    case 'log':
      return change.rows.map(toLogDocument);
    case 'records':
      return change.rows.map(toRecordDocument);
  }
}

function filterOf(section: Section, { _id }: Document): Filter<Document> {
  return section === 'resources' ? byId(_id) : { _id };
}

async function remove({ collections: { records } }: Connection, names: readonly RecordName[]): Promise<void> {
  await records.deleteMany({ _id: { $in: names.map(({ kind, id }) => recordId(kind, id)) } });
}

async function check({ collections }: Connection, change: Change): Promise<void> {
  if (change.gone) {
    const left = await collections.records.countDocuments({ _id: { $in: change.gone.map(({ kind, id }) => recordId(kind, id)) } });
    if (left > 0) throw notTheSame(change.section);
    return;
  }
  const collection = collections[change.section] as unknown as Collection<Document>;
  const documents = documentsOf(change);
  const ids = documents.map(({ _id }) => _id);
  const filter = change.section === 'resources' ? byIds(ids) : { _id: { $in: ids } };
  const found = await collection.find(filter as Filter<Document>, { hint: '_id_' }).toArray();
  const there = new Map(found.map((document) => [document._id, bytesOf(document)]));
  if (!documents.every((document) => there.get(document._id)?.equals(bytesOf(document)))) throw notTheSame(change.section);
}

/** Without the order of waiting rows, which the database fills in and which says nothing once they are numbered. */
function bytesOf(document: Document): Buffer {
  return Buffer.from(BSON.serialize({ ...document, o: undefined }));
}

function notTheSame(section: Section): AssentError {
  return new AssentError('internal', `What was read back is not what was written: ${section}.`);
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

function toLogDocument({ index, key, entry }: LogRow): LogDocument {
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
