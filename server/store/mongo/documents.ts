/**
 * The documents as they lie in MongoDB, and the way between them and the port's values. Short field names: they are in every document.
 *
 * Invariant: whatever came from outside is a string value inside a document or a filter, never a field name or an operator, so a value that
 * starts with `$` is data.
 */
import type { Binary, Timestamp } from 'mongodb';
import { AssentError } from '../../errors.ts';
import { bucketOf } from '../../fhir/ids.ts';
import { decidingPart } from '../deciding-keys.ts';
import { isIndexed } from '../driver.ts';
import { packKeys, unpackKeys } from '../packed-keys.ts';
import type { StoredResource } from '../port.ts';

type Versioned = {
  /** Type, id, version. */
  readonly t: string;
  readonly i: string;
  readonly v: string;
  /** Last update and sort instant, ms since 1970. */
  readonly u: number;
  readonly d: number;
  readonly del: boolean;
  /** All keys, packed: what is not in the index included. */
  readonly f: string;
  /** The exact JSON text. */
  readonly b: string;
};

/** `_id` is Type/id; `s` is the bucket that follows from it: the two are the shard key, so each `_id` has one place. `k`: what the index holds, none for a deletion. `c`: of `f` the keys that decide. `g` is changed by transactions that rely on this version. */
export type ResourceDocument = Versioned & {
  readonly _id: string;
  readonly s: string;
  readonly k: readonly string[];
  readonly c: string;
  readonly g?: number;
};
/** A superseded version; `_id` is Type/id/version. */
export type HistoryDocument = Versioned & { readonly _id: string };

/** `_id` is the idempotency key; `o` orders rows not yet numbered, which have `p`; `n` is the number. */
export type LogDocument = { readonly _id: string; readonly entry: string; readonly o: Timestamp; readonly p?: true; readonly n?: number };

/** `value` is JSON text or bytes; `until` is `exp` as a date, for the TTL index. */
export type RecordDocument = {
  readonly _id: string;
  readonly kind: string;
  readonly id: string;
  readonly rev: number;
  readonly exp: number | null;
  readonly until: Date | null;
  readonly lookup: readonly string[];
  readonly value: string | Binary;
  readonly g?: number;
};

/** `_id` is Type/id of a type and a patient who has something of that type outside the bucket `s`. */
export type Mark = { readonly _id: string; readonly s: string };

export type Counter = { readonly _id: string; readonly value: number };
export type LeaseDocument = { readonly _id: string; readonly holder: string; readonly expires: number; readonly fence: number };

/** What a walk needs of a document. */
export type Row = Pick<ResourceDocument, '_id' | 'i' | 'd' | 'f'>;
/** What is enough of most to count them. */
export type DecidingRow = Pick<ResourceDocument, '_id' | 'c'>;

/** Whether it was read with everything else as well. */
export function isWhole(row: Row): row is ResourceDocument {
  return 'b' in row;
}

/**
 * The consent epoch is the sum of two counters: a commit of many resources moves its own, so that however long it takes it keeps no withdrawal
 * waiting. Both only grow, so an unchanged sum is an unchanged epoch, and one that is read in parts is not older than the question.
 */
export const EPOCH = 'epoch';
export const EPOCH_OF_LARGE = 'epoch-of-large';

export function epochFrom(counters: readonly Counter[]): number | undefined {
  if (!counters.some(({ _id }) => _id === EPOCH)) return undefined;
  return counters.reduce((sum, { value }) => sum + value, 0);
}

export const EPOCH_COUNTERS: { readonly _id: { readonly $in: string[] } } = { _id: { $in: [EPOCH, EPOCH_OF_LARGE] } };

/** MongoDB's limit is 16 MiB for a document, keys and all. */
const MOST_BYTES = 15 * 1024 * 1024;

export function resourceId(type: string, id: string): string {
  return `${type}/${id}`;
}

/** The filter for one document of `resources`, by `_id`: with the bucket, so that a router asks the shard that has it. */
export function byId(_id: string): { readonly _id: string; readonly s: string } {
  return { _id, s: bucketOfDocument(_id) };
}

/** The same for several. */
export function byIds(ids: Iterable<string>): { readonly _id: { readonly $in: string[] }; readonly s: { readonly $in: string[] } } {
  const wanted = [...ids];
  return { _id: { $in: wanted }, s: { $in: [...new Set(wanted.map(bucketOfDocument))] } };
}

function bucketOfDocument(_id: string): string {
  const slash = _id.indexOf('/');
  return bucketOf(_id.slice(0, slash), _id.slice(slash + 1));
}

export function recordId(kind: string, id: string): string {
  return `${kind}\n${id}`;
}

/** Keys of one type are apart from those of others and keep their order. */
export function indexedKey(type: string, key: string): string {
  return `${type}/${key}`;
}

/** The key that every live resource of a type has; no other key is without a slash. */
export function typeKey(type: string): string {
  return type;
}

/** Throws AssentError('too-large'). */
export function toDocument(resource: StoredResource): ResourceDocument {
  const { type, id, version, lastUpdated, instant, deleted, keys, body } = resource;
  const f = packKeys(keys);
  const c = decidingPart(f);
  const k = deleted ? [] : indexedKeys(type, keys);
  if (Buffer.byteLength(body) + 3 * Buffer.byteLength(f) + Buffer.byteLength(c) > MOST_BYTES)
    throw new AssentError('too-large', 'A resource may have at most 15 MB.');
  return { ...byId(resourceId(type, id)), t: type, i: id, v: version, u: lastUpdated, d: instant, del: deleted, k, c, f, b: body };
}

export function indexedKeys(type: string, keys: readonly string[]): string[] {
  const indexed = new Set(keys.filter(isIndexed).map((key) => indexedKey(type, key)));
  return [typeKey(type), ...indexed];
}

export function toHistory({ _id, t, i, v, u, d, del, f, b }: Omit<ResourceDocument, 'k' | 's' | 'c'>): HistoryDocument {
  return { _id: `${_id}/${v}`, t, i, v, u, d, del, f, b };
}

export function toResource({ t, i, v, u, d, del, f, b }: Versioned): StoredResource {
  return { type: t, id: i, version: v, lastUpdated: u, instant: d, deleted: del, body: b, keys: unpackKeys(f) };
}
