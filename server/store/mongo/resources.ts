/** ResourceStore over MongoDB: what each call reads, and that the epoch is compared after all of it. */
import type { Clock } from '../../clock.ts';
import { AssentError } from '../../errors.ts';
import { decidingPart } from '../deciding-keys.ts';
import { packKeys } from '../packed-keys.ts';
import { createTrace, withTrace } from '../trace.ts';
import type { CountResult, FindResult, Query, Reindexed, ResourceStore, StoredResource } from '../port.ts';
import { mark, marksOf } from './astray.ts';
import { carriers } from './carriers.ts';
import { type Connection, COMMAND_MS } from './connection.ts';
import { byId, indexedKeys, recordId, resourceId, toResource } from './documents.ts';
import type { EpochReader } from './epoch.ts';
import { guarded, promptly } from './faults.ts';
import { countRows, findOne, findRows } from './find.ts';
import { findSeveral } from './find-several.ts';
import type { Committer } from './group-commit.ts';
import { findVersions } from './history.ts';
import { takeLease } from './lease.ts';
import type { Log } from './log.ts';
import { createLookUp } from './look-up.ts';
import { misindexed } from './misindexed.ts';
import { inSnapshot, type Reader } from './reader.ts';
import { isLive } from './records.ts';
import { createSharedGate, type SharedGate } from './shared-gate.ts';
import { WHOLE, WITHOUT_TEXT } from './walk.ts';
import { transact } from './transaction.ts';

type Dependencies = {
  readonly connection: Connection;
  readonly committer: Committer;
  readonly epoch: EpochReader;
  readonly log: Log;
  readonly clock: Clock;
  readonly close: () => Promise<void>;
};

export function createResourceStore({ connection, committer, epoch, log, clock, close }: Dependencies): ResourceStore {
  /** A permission that has ended before the data was read has moved the epoch that is read after it. */
  const within = async <T>(scope: { readonly epoch: number } | 'internal', read: () => Promise<T>): Promise<T | { readonly kind: 'stale' }> => {
    const result = await promptly(read);
    return scope !== 'internal' && scope.epoch !== (await epoch()) ? { kind: 'stale' } : result;
  };
  const lookUps = { whole: createLookUp(connection, WHOLE), bare: createLookUp(connection, WITHOUT_TEXT) };
  const reindexGate = createSharedGate('reindex');
  const read = <T extends FindResult | CountResult>(
    { explain, budget }: Pick<Query, 'explain' | 'budget'>,
    work: (reader: Reader) => Promise<T>,
  ): Promise<T> =>
    inSnapshot(connection, async (reader) => {
      if (!explain) return work(reader);
      const trace = createTrace('main thread and replica set', budget);
      return withTrace(await work({ ...reader, trace }), trace);
    });
  return {
    find: (query) =>
      within(query.scope, () => {
        const id = onlyId(query);
        return id === undefined ? read(query, (reader) => findRows(reader, query)) : findOne(lookUps, query, id);
      }),
    findSeveral: (query) => within(query.parts[0]?.scope ?? 'internal', () => inSnapshot(connection, (reader) => findSeveral(reader, query))),
    count: (query, cap) => within(query.scope, () => read(query, (reader) => countRows(reader, query, cap))),
    carriers: (key, types) => promptly(() => inSnapshot(connection, (reader) => carriers(reader, key, types))),
    history: (query) => within(query.scope, () => inSnapshot(connection, (reader) => findVersions(reader, query))),
    commit: (writes) => committer.commit(writes),
    epoch,
    readLog: (from, limit) => log.read(from, limit),
    lease: (name, holder, ttlMs) => takeLease(connection, clock, { name, holder, ttlMs }),
    reindex: (slice, keysOf) => guarded(() => reindex({ connection, gate: reindexGate, clock }, slice, keysOf)),
    misindexed: (type, most) => guarded(() => misindexed(connection.collections, type, most)),
    check: () => promptly(() => check(connection, epoch, clock)),
    close,
  };
}

/** The id of a first page that can have one row only: one command answers it, and no snapshot has to span several. */
function onlyId({ where, after }: Query): string | undefined {
  if (where.kind !== 'id' || where.ids.size !== 1 || after) return undefined;
  const [id] = where.ids;
  return id;
}

const REINDEX_SLICE = 100;
/** Losing to writers of the same resources again and again. */
const REINDEX_MS = 10_000;

async function reindex(
  { connection, gate, clock }: { readonly connection: Connection; readonly gate: SharedGate; readonly clock: Clock },
  asked: Parameters<ResourceStore['reindex']>[0],
  keysOf: Parameters<ResourceStore['reindex']>[1],
): Promise<Reindexed> {
  const { type, after = '', ids, guard } = asked;
  const { collections } = connection;
  const range = ids ? { $in: ids.map((id) => resourceId(type, id)) } : { $gt: resourceId(type, after), $lt: resourceId(type, '\u{10FFFF}') };
  const limit = ids ? {} : { limit: REINDEX_SLICE };
  const slice = await collections.resources.find({ _id: range, del: false }, { hint: '_id_', sort: { _id: 1 }, ...limit }).toArray();
  if (slice.length === 0) return { read: 0, written: 0, next: undefined };
  const rekeyed = await Promise.all(slice.map(toResource).map(async (resource) => ({ ...resource, ...(await keysOf(resource)) })));
  await mark(collections, rekeyed.flatMap(marksOf));
  const updates = rekeyed.map((fresh, i) => rekey(fresh, slice[i]?.f ?? ''));
  const { matchedCount, modifiedCount: written } = await (guard
    ? transact(connection, performance.now() + REINDEX_MS, async (session) => {
        const { resources, records } = connection.inSession;
        const found = await records.findOne({ _id: recordId(guard.recordKind, guard.id) }, { session, projection: { rev: 1, exp: 1 } });
        if ((found && isLive(found, clock()) ? found.rev : null) !== guard.revision) throw new AssentError('conflict');
        const done = await resources.bulkWrite(updates, { ordered: true, session });
        await gate.pass(connection.inSession, session);
        return done;
      })
    : collections.resources.bulkWrite(updates, { ordered: false }));
  // Of the rest, what somebody else rekeyed is computed again from what that left; whoever was first has written something: it is not for ever.
  if (matchedCount < slice.length) {
    const again = await reindex({ connection, gate, clock }, asked, keysOf);
    return { ...again, written: written + again.written };
  }
  return { read: slice.length, written, next: ids || slice.length < REINDEX_SLICE ? undefined : rekeyed.at(-1)?.id };
}

/** Only a resource still at the version, and with the packed keys, that the new ones were computed from is changed. */
function rekey({ type, id, version, keys, instant }: StoredResource, from: string) {
  const f = packKeys(keys);
  const update = { $set: { f, c: decidingPart(f), k: indexedKeys(type, keys), d: instant } };
  return { updateOne: { filter: { ...byId(resourceId(type, id)), v: version, f: from, del: false }, update } };
}

async function check({ collections }: Connection, epoch: EpochReader, clock: Clock): Promise<void> {
  await collections.counters.updateOne({ _id: 'checked' }, { $set: { value: clock() } }, { upsert: true, maxTimeMS: COMMAND_MS });
  await epoch();
}
