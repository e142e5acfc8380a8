/** Everything in the database, row by row, to be compared with what was to be copied into it. */
import type { Filter, FindCursor, Sort } from 'mongodb';
import { AssentError } from '../../errors.ts';
import { bucketOf } from '../../fhir/ids.ts';
import type { DataSet, Slices } from '../transfer.ts';
import { marksOf } from './astray.ts';
import type { Collections, Connection } from './connection.ts';
import { EPOCH_COUNTERS, epochFrom, indexedKeys, type RecordDocument, type ResourceDocument, toResource } from './documents.ts';
import { guarded } from './faults.ts';

const BY_VERSION: { readonly sort: Sort; readonly hint: string } = { sort: { t: 1, i: 1, u: -1, v: 1 }, hint: 't_i_u_v' };
const SLICE = 500;

export function readBack({ collections }: Connection): DataSet {
  const { resources, history, log, records, astray, counters, leases } = collections;
  return {
    counters: () =>
      guarded(async () => ({
        epoch: epochFrom(await counters.find(EPOCH_COUNTERS).toArray()) ?? 0,
        fences: (await leases.find().sort({ _id: 1 }).toArray()).map(({ _id: name, fence }) => ({ name, fence })),
      })),
    resources: () =>
      marked(
        slices(resources.find({}, BY_VERSION), (document) => toResource(requireIndexed(document))),
        astray,
      ),
    history: () => slices(history.find({}, BY_VERSION), toResource),
    log: () => slices(log.find({ n: { $gte: 0 } }, { sort: { n: 1 }, hint: 'n' }), ({ _id: key, entry, n }) => ({ index: n ?? -1, key, entry })),
    records: (now) =>
      slices(records.find(live(now), { sort: { kind: 1, id: 1 }, hint: 'kind_id' }), ({ kind, id, rev, exp, lookup, value }) => ({
        kind,
        id,
        revision: rev,
        expires: exp,
        lookup,
        value: typeof value === 'string' ? value : new Uint8Array(value.value()),
      })),
  };
}

function live(now: number): Filter<RecordDocument> {
  return { $or: [{ exp: null }, { exp: { $gt: now } }] };
}

/** The index keys follow from the rest, so they are compared here rather than with the other engine's. */
function requireIndexed(document: ResourceDocument): ResourceDocument {
  const { t, i, del, k, s } = document;
  const expected = del ? [] : indexedKeys(t, toResource(document).keys);
  if (s === bucketOf(t, i) && k.length === expected.length && k.every((key, at) => key === expected[at])) return document;
  throw new AssentError('internal', `The index of ${t}/${i} is not what its keys say.`);
}

/** A patient without a mark would be searched for in one place only. */
async function* marked(resources: Slices<'resources'>, astray: Collections['astray']): Slices<'resources'> {
  for await (const slice of resources) {
    const wanted = new Map(slice.flatMap(marksOf).map((one) => [one._id, one.s]));
    const there = await guarded(() => astray.find({ _id: { $in: [...wanted.keys()] } }, { hint: '_id_' }).toArray());
    if (there.length !== wanted.size || there.some(({ _id, s }) => s !== wanted.get(_id)))
      throw new AssentError('internal', 'Not every patient who has something outside the bucket has a mark.');
    yield slice;
  }
}

async function* slices<D, T>(cursor: FindCursor<D>, make: (document: D) => T): AsyncGenerator<readonly T[]> {
  let slice: T[] = [];
  try {
    for (;;) {
      const document = await guarded(() => cursor.next());
      if (document === null) break;
      slice.push(make(document));
      if (slice.length < SLICE) continue;
      yield slice;
      slice = [];
    }
    if (slice.length > 0) yield slice;
  } finally {
    await cursor.close();
  }
}
