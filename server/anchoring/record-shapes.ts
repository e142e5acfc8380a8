/**
 * Whether a record of the log is of the shape it is written in (log-records.ts): what is read from a database may have been edited by hand.
 * Invariant: a record that passes can be used without failing; what it says is proven elsewhere, by the tree and by signatures.
 */
import { fromBase64Url } from '../../ledger/encoding.ts';
import { SALT_BYTES } from '../../ledger/entry.ts';
import { isAggregatePiece } from '../../ledger/receipt-format.ts';
import type { RecordValue } from '../store/port.ts';

type Members = Readonly<Record<string, unknown>>;

const isText = (value: unknown): value is string => typeof value === 'string';
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isList = (value: unknown, each: (one: unknown) => boolean, length: number): boolean =>
  Array.isArray(value) && value.length === length && value.every(each);

function isBatch({ first, count, fence, root, salts, seqs, previous }: Members): boolean {
  if (!isCount(first) || !isCount(count) || !isCount(fence) || !isText(root) || !isText(salts)) return false;
  const isPrevious = (one: unknown): boolean => one === null || isCount(one);
  return fromBase64Url(salts)?.length === count * SALT_BYTES && isList(seqs, isCount, count) && isList(previous, isPrevious, count);
}

function isCheckpoint({ size, note, signedAt }: Members): boolean {
  return isCount(size) && isText(note) && typeof signedAt === 'number';
}

function isAggregate({ size, root, index, places }: Members): boolean {
  const isPlace = ({ kind, size: covered, at, piece }: Members): boolean =>
    isText(kind) && isCount(covered) && typeof at === 'number' && isAggregatePiece(piece);
  return isCount(size) && isText(root) && isCount(index) && Array.isArray(places) && places.every((place) => isPlace(Object(place) as Members));
}

const shapes: Readonly<Record<string, (record: Members) => boolean>> = {
  'log-batch': isBatch,
  'log-subject': ({ handle, seq, last }) => isText(handle) && isCount(seq) && (last === null || isCount(last)),
  'log-head': ({ size }) => isCount(size),
  'log-checkpoint': isCheckpoint,
  'log-witnessed': (record) => isCheckpoint(record) && Array.isArray(record['witnesses']) && record['witnesses'].every(isText),
  'log-aggregate': isAggregate,
  'log-anchor-note': ({ note, stamp }) => isText(note) && (stamp === undefined || isText(stamp)),
  'log-map': ({ upTo }) => isCount(upTo),
};

/** False of a kind that has no members. */
export function isOfShape(recordKind: string, value: RecordValue): boolean {
  const isWhole = shapes[recordKind];
  return isWhole !== undefined && typeof value === 'object' && value !== null && !Array.isArray(value) && isWhole(value as Members);
}
