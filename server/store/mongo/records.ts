/**
 * RecordStore over MongoDB: every call is one command on one document. Values are JSON text or bytes, so a field name of theirs is never
 * one of the database's. A TTL index clears away what has long expired; until then it is hidden.
 */
import { randomInt } from 'node:crypto';
import { Binary, type Filter } from 'mongodb';
import type { Clock } from '../../clock.ts';
import { AssentError } from '../../errors.ts';
import type { RecordStore, RecordValue, StoredRecord } from '../port.ts';
import type { Connection } from './connection.ts';
import { type RecordDocument, recordId } from './documents.ts';
import { isDuplicate, promptly } from './faults.ts';

type Dependencies = { readonly connection: Connection; readonly clock: Clock };
type PutOptions = NonNullable<Parameters<RecordStore['put']>[3]>;
type Written = Awaited<ReturnType<RecordStore['put']>>;

const MOST_BYTES = 15 * 1024 * 1024;

export function createRecordStore({ connection, clock }: Dependencies): RecordStore {
  const { records } = connection.collections;
  const live = (): Filter<RecordDocument> => ({ $or: [{ exp: null }, { exp: { $gt: clock() } }] });

  return {
    get: (recordKind, id) =>
      promptly(async () => {
        const found = await records.findOne({ _id: recordId(recordKind, id), ...live() });
        return found ? toRecord(found) : undefined;
      }),
    put: (recordKind, id, value, options = {}) =>
      promptly(() =>
        put({ connection, clock }, { name: { kind: recordKind, id }, fields: recordFields(value, options), revision: options.revision }),
      ),
    delete: (recordKind, id) =>
      promptly(async () => {
        const removed = await records.findOneAndDelete({ _id: recordId(recordKind, id) }, { projection: { exp: 1 } });
        return removed !== null && isLive(removed, clock());
      }),
    list: (recordKind, { lookup, after = '', limit = 0 } = {}) =>
      promptly(async () => {
        const filter = { kind: recordKind, ...(lookup !== undefined && { lookup }), id: { $gt: after }, ...live() };
        const hint = lookup === undefined ? 'kind_id' : 'kind_lookup_id';
        return (await records.find(filter, { hint, sort: { id: 1 }, limit }).toArray()).map(toRecord);
      }),
  };
}

type Fields = Pick<RecordDocument, 'value' | 'lookup' | 'exp' | 'until'>;

/** Throws AssentError('too-large'). */
export function recordFields(value: RecordValue, { lookup = [], expires }: PutOptions): Fields {
  const stored = value instanceof Uint8Array ? new Binary(value) : JSON.stringify(value);
  const size = typeof stored === 'string' ? Buffer.byteLength(stored) : stored.length();
  if (size > MOST_BYTES) throw new AssentError('too-large', 'A record may have at most 15 MB.');
  return { value: stored, lookup: [...new Set(lookup)], exp: expires ?? null, until: expires === undefined ? null : new Date(expires) };
}

/** A record made anew starts anywhere, so that a revision seen before it was deleted never fits again. */
export function firstRevision(): number {
  return randomInt(1, 2 ** 47);
}

export function isLive({ exp }: Pick<RecordDocument, 'exp'>, now: number): boolean {
  return exp === null || exp > now;
}

type Put = { readonly name: { readonly kind: string; readonly id: string }; readonly fields: Fields; readonly revision: number | null | undefined };

async function put({ connection, clock }: Dependencies, { name, fields, revision }: Put): Promise<Written> {
  const { records } = connection.collections;
  const _id = recordId(name.kind, name.id);
  const anew = { ...fields, ...name, rev: firstRevision() };
  if (typeof revision === 'number') {
    const live = [{ exp: null }, { exp: { $gt: clock() } }];
    const updated = await records.updateOne({ _id, rev: revision, $or: live }, { $set: fields, $inc: { rev: 1 } });
    return updated.matchedCount === 1 ? { kind: 'written', revision: revision + 1 } : { kind: 'conflict' };
  }
  if (revision === null) {
    try {
      // A live record is not matched, so the upsert runs into it.
      await records.updateOne({ _id, exp: { $lte: clock() } }, { $set: anew }, { upsert: true });
      return { kind: 'written', revision: anew.rev };
    } catch (error) {
      if (isDuplicate(error)) return { kind: 'conflict' };
      throw error;
    }
  }
  return { kind: 'written', revision: await replace({ connection, clock }, _id, anew) };
}

/** Whatever is there: one command that keeps counting on a live record and begins anew otherwise. */
async function replace({ connection, clock }: Dependencies, _id: string, anew: Omit<RecordDocument, '_id'>): Promise<number> {
  const gone = { $or: [{ $eq: [{ $type: '$rev' }, 'missing'] }, { $and: [{ $ne: ['$exp', null] }, { $lte: ['$exp', clock()] }] }] };
  const rev = { $cond: [gone, anew.rev, { $add: ['$rev', 1] }] };
  const { rev: _first, ...fields } = anew;
  const literal = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { $literal: value }]));
  const update = () =>
    connection.collections.records.findOneAndUpdate({ _id }, [{ $set: { rev, ...literal } }], {
      upsert: true,
      returnDocument: 'after',
      projection: { rev: 1 },
    });
  const written = await update().catch((error: unknown) => {
    // Two who make it at once: the second finds it made.
    if (isDuplicate(error)) return update();
    throw error;
  });
  if (!written) throw new AssentError('internal');
  return written.rev;
}

function toRecord({ id, value, rev, exp }: RecordDocument): StoredRecord {
  return { id, value: typeof value === 'string' ? (JSON.parse(value) as RecordValue) : bytesOf(value), revision: rev, expires: exp ?? undefined };
}

function bytesOf(value: Binary): Uint8Array {
  return new Uint8Array(value.value());
}
