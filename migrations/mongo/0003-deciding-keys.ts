/**
 * Each resource gets the keys that decide as a field of their own (docs/adr/0051-deciding-keys.md). Every step may be repeated; what has the field is
 * not touched again.
 *
 * Invariant: from the first step on the database takes no resource without it, so an older server that is still running can add none.
 */
import type { AnyBulkWriteOperation, Db } from 'mongodb';
import { decidingPart } from '../../server/store/deciding-keys.ts';

type Stored = { readonly _id: string; readonly c?: string; readonly f: string };

const SLICE = 1_000;

export async function up(database: Db): Promise<void> {
  await database.command({ collMod: 'resources', validator: { $jsonSchema: resources }, validationLevel: 'strict', validationAction: 'error' });
  for (let after: string | undefined = ''; after !== undefined; ) after = await fillSlice(database, after);
}

/** The last `_id` that was looked at; undefined: there are no more. */
async function fillSlice(database: Db, after: string): Promise<string | undefined> {
  const stored = database.collection<Stored>('resources');
  const options = { hint: '_id_', sort: { _id: 1 }, limit: SLICE, projection: { f: 1 } } as const;
  const slice = await stored.find({ _id: { $gt: after }, c: { $exists: false } }, options).toArray();
  const updates = slice.map(
    ({ _id, f }): AnyBulkWriteOperation<Stored> => ({ updateOne: { filter: { _id, f }, update: { $set: { c: decidingPart(f) } } } }),
  );
  if (updates.length > 0) await stored.bulkWrite(updates, { ordered: false });
  return slice.at(-1)?._id;
}

const string = { bsonType: 'string' };
const number = { bsonType: 'number' };
const bucket = { bsonType: 'string', minLength: 2, maxLength: 2 };

const version = { _id: string, t: string, i: string, v: string, u: number, d: number, del: { bsonType: 'bool' }, f: string, b: string };
const resource = { ...version, s: bucket, k: { bsonType: 'array', items: string }, c: string };

const resources = {
  bsonType: 'object',
  required: Object.keys(resource),
  properties: { ...resource, g: number },
  additionalProperties: false,
};
