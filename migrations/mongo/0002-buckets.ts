/**
 * Each resource gets its bucket, and patients who have something outside theirs get their mark; both go into the shard key's favour
 * (docs/adr/0011-a-record-on-one-shard.md). Every step may be repeated; what has its bucket is not touched again.
 *
 * Invariant: from the first step on the database takes no resource without a bucket, so an older server that is still running can add none;
 * a resource gets its bucket after its patients have their marks.
 */
import type { AnyBulkWriteOperation, Db } from 'mongodb';
import { bucketOf } from '../../server/fhir/ids.ts';
import { mark, marksOf } from '../../server/store/mongo/astray.ts';
import { unpackKeys } from '../../server/store/packed-keys.ts';

type Stored = { readonly _id: string; readonly s?: string; readonly t: string; readonly i: string; readonly f: string };

const SLICE = 1_000;

export async function up(database: Db): Promise<void> {
  await prepareCollections(database);
  await database.collection('resources').createIndex({ k: 1, d: -1, _id: 1, s: 1 }, { name: 'k_d_id_s' });
  let after = '';
  for (;;) {
    const last = await placeSlice(database, after);
    if (last === undefined) break;
    after = last;
  }
  await database
    .collection('resources')
    .dropIndex('k_d_id')
    .catch((error: unknown) => unlessCode(error, INDEX_NOT_FOUND));
}

async function prepareCollections(database: Db): Promise<void> {
  await database.createCollection('astray').catch((error: unknown) => unlessCode(error, NAMESPACE_EXISTS));
  for (const [name, schema] of Object.entries({ resources, astray }))
    await database.command({ collMod: name, validator: { $jsonSchema: schema }, validationLevel: 'strict', validationAction: 'error' });
}

/** The last `_id` that was looked at; undefined: there are no more. */
async function placeSlice(database: Db, after: string): Promise<string | undefined> {
  const stored = database.collection<Stored>('resources');
  const options = { hint: '_id_', sort: { _id: 1 }, limit: SLICE, projection: { t: 1, i: 1, f: 1 } } as const;
  const slice = await stored.find({ _id: { $gt: after }, s: { $exists: false } }, options).toArray();
  if (slice.length === 0) return undefined;
  const marks = slice.flatMap(({ t, i, f }) => marksOf({ type: t, id: i, keys: unpackKeys(f) }));
  await mark({ astray: database.collection('astray') }, marks);
  const updates = slice.map(
    ({ _id, t, i }): AnyBulkWriteOperation<Stored> => ({ updateOne: { filter: { _id }, update: { $set: { s: bucketOf(t, i) } } } }),
  );
  await stored.bulkWrite(updates, { ordered: false });
  return slice.at(-1)?._id;
}

const NAMESPACE_EXISTS = 48;
const INDEX_NOT_FOUND = 27;

function unlessCode(error: unknown, code: number): void {
  if ((error as { code?: number }).code !== code) throw error;
}

const string = { bsonType: 'string' };
const number = { bsonType: 'number' };
const bucket = { bsonType: 'string', minLength: 2, maxLength: 2 };

const version = { _id: string, t: string, i: string, v: string, u: number, d: number, del: { bsonType: 'bool' }, f: string, b: string };
const resource = { ...version, s: bucket, k: { bsonType: 'array', items: string } };

const resources = {
  bsonType: 'object',
  required: Object.keys(resource),
  properties: { ...resource, g: number },
  additionalProperties: false,
};
const astray = { bsonType: 'object', required: ['_id', 's'], properties: { _id: string, s: bucket }, additionalProperties: false };
