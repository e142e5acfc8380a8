/**
 * The first schema of the MongoDB engine: collections with validators of their envelopes, and indexes. Every step may be repeated: a run that
 * was cut off, or two at once, end the same. https://www.mongodb.com/docs/manual/core/schema-validation/
 */
import type { CreateIndexesOptions, Db, Document, IndexSpecification } from 'mongodb';

export async function up(database: Db): Promise<void> {
  const existing = new Set((await database.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name));
  for (const [name, schema] of Object.entries(schemas)) {
    if (!existing.has(name)) await create(database, name);
    await database.command({ collMod: name, validator: { $jsonSchema: schema }, validationLevel: 'strict', validationAction: 'error' });
  }
  for (const [collection, name, keys, options] of indexes) await database.collection(collection).createIndex(keys, { name, ...options });
  // Inserted, never overwritten: an epoch that went back would bring ended permissions to life again.
  await database.collection<{ _id: string }>('counters').updateOne({ _id: 'epoch' }, { $setOnInsert: { value: 1 } }, { upsert: true });
}

const NAMESPACE_EXISTS = 48;

async function create(database: Db, name: string): Promise<void> {
  const storageEngine = name === 'history' ? { storageEngine: { wiredTiger: { configString: 'block_compressor=zstd' } } } : {};
  try {
    await database.createCollection(name, storageEngine);
  } catch (error) {
    if ((error as { code?: number }).code !== NAMESPACE_EXISTS) throw error;
  }
}

const string = { bsonType: 'string' };
const number = { bsonType: 'number' };
const strings = { bsonType: 'array', items: string };

function envelope(properties: Record<string, Document>, optional: Record<string, Document> = {}): Document {
  return { bsonType: 'object', required: Object.keys(properties), properties: { ...properties, ...optional }, additionalProperties: false };
}

const version = { _id: string, t: string, i: string, v: string, u: number, d: number, del: { bsonType: 'bool' }, f: string, b: string };

const schemas: Readonly<Record<string, Document>> = {
  resources: envelope({ ...version, k: strings }, { g: number }),
  history: envelope(version),
  log: envelope({ _id: string, entry: string, o: { bsonType: 'timestamp' } }, { p: { bsonType: 'bool' }, n: number }),
  records: envelope(
    {
      _id: string,
      kind: string,
      id: string,
      rev: number,
      exp: { bsonType: ['number', 'null'] },
      until: { bsonType: ['date', 'null'] },
      lookup: strings,
      value: { bsonType: ['string', 'binData'] },
    },
    { g: number },
  ),
  counters: envelope({ _id: string, value: number }),
  leases: envelope({ _id: string, holder: string, expires: number, fence: number }),
};

/** An hour past the end by the servers' clocks: until then an expired record is hidden, so a clock that is off removes nothing early. */
const KEPT_SECONDS = 3_600;

const indexes: readonly (readonly [string, string, IndexSpecification, CreateIndexesOptions?])[] = [
  ['resources', 'k_d_id', { k: 1, d: -1, _id: 1 }],
  ['resources', 't_u_i_v', { t: 1, u: -1, i: 1, v: 1 }],
  ['resources', 't_i_u_v', { t: 1, i: 1, u: -1, v: 1 }],
  ['resources', 'u_t_i_v', { u: -1, t: 1, i: 1, v: 1 }],
  ['history', 't_u_i_v', { t: 1, u: -1, i: 1, v: 1 }],
  ['history', 't_i_u_v', { t: 1, i: 1, u: -1, v: 1 }],
  ['history', 'u_t_i_v', { u: -1, t: 1, i: 1, v: 1 }],
  ['log', 'n', { n: 1 }, { unique: true, partialFilterExpression: { n: { $gte: 0 } } }],
  ['log', 'waiting', { o: 1 }, { partialFilterExpression: { p: true } }],
  ['records', 'kind_id', { kind: 1, id: 1 }],
  ['records', 'kind_lookup_id', { kind: 1, lookup: 1, id: 1 }],
  ['records', 'until', { until: 1 }, { expireAfterSeconds: KEPT_SECONDS, partialFilterExpression: { until: { $type: 'date' } } }],
];
