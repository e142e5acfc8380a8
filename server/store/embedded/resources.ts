/** ResourceStore over the embedded database: reads here, in one snapshot each; writes through the writer thread. */
import { AssentError } from '../../errors.ts';
import { holds } from '../../search/expression.ts';
import { packKeys } from '../packed-keys.ts';
import type { FindResult, LogRow, Query, Reindexed, ResourceStore, StoredResource, WriteSet } from '../port.ts';
import { carriers } from './carriers.ts';
import { type Database, many, readEpoch, snapshot } from './database.ts';
import { findVersions } from './history.ts';
import { COMMITTED, type CommitJob, type ReindexRow, type ResourceJob } from './jobs.ts';
import { misindexed } from './misindexed.ts';
import { toDelete, toPut } from './records.ts';
import { createTally } from '../tally.ts';
import { type Reads, within } from './reads.ts';
import { newestAndEpoch, resourceAt, textOf, textsOf } from './rows.ts';
import { walkIds } from './walk.ts';
import type { Writer } from './writer.ts';

type Dependencies = { readonly database: Database; readonly reads: Reads; readonly writer: Writer; readonly close: () => Promise<void> };

export function createResourceStore({ database, reads, writer, close }: Dependencies): ResourceStore {
  return {
    find: async (query) => findOne(database, query) ?? findTexts(database, query) ?? reads.find(query),
    findSeveral: (query) => reads.findSeveral(query),
    count: (query, cap) => reads.count(query, cap),
    carriers: async (key, types) => carriers(database, key, types),
    history: async (query) => within(database, query.scope, () => findVersions(database, query)),
    commit: async (writes) => {
      const outcome = await writer.submit<number>(commitJob(writes));
      const guard = writes.guards[outcome];
      return outcome === COMMITTED || !guard ? { kind: 'committed' } : { kind: 'conflict', guard };
    },
    epoch: async () => readEpoch(database),
    writtenByOthers: () => writer.submit<number>({ kind: 'written-by-others' }),
    readLog: async (from, limit) => readLog(database, from, limit),
    lease: async (name, holder, ttlMs) => (await writer.submit<number | null>({ kind: 'lease', name, holder, ttlMs })) ?? undefined,
    reindex: (slice, keysOf) => reindex({ database, writer }, slice, keysOf),
    misindexed: async (type, most) => snapshot(database, () => misindexed(database, type, most)),
    check: async () => {
      await writer.submit<boolean>({ kind: 'check' });
      requireReadable(database);
    },
    close,
  };
}

/** The read by id, most of all traffic: one statement instead of a transaction. Undefined: the query is something else. */
function findOne(database: Database, query: Query): FindResult | undefined {
  const { type, where, scope, after, limit, total, deleted = false, bodies = true } = query;
  if (where.kind !== 'id' || where.ids.size !== 1 || after || limit < 1) return undefined;
  const [id = ''] = where.ids;
  const { epoch, resource, whole } = newestAndEpoch(database, type, id);
  if (scope !== 'internal' && scope.epoch !== epoch) return { kind: 'stale' };
  const found = resource && (deleted || !resource.deleted) && (scope === 'internal' || holds(scope.where, id, resource.keys));
  const body = !found || !bodies ? '' : whole ? resource.body : textOf(database, resource);
  // Written anew in between.
  if (body === undefined) return findOne(database, query);
  const rows = found ? [whole ? resource : { ...resource, body }] : [];
  const tally = total && createTally(total.naming);
  for (const { keys } of rows) tally?.add(keys);
  return {
    kind: 'rows',
    rows,
    first: undefined,
    next: undefined,
    walked: resource ? 1 : 0,
    ...(tally && { total: tally.total(true) }),
  };
}

/** For the server itself, by ids it knows: nothing has to be decided, so no keys are read. Undefined: the query is something else. */
function findTexts(database: Database, query: Query): FindResult | undefined {
  const { type, where, scope, order, after, reversed = false, limit, total, deleted = false, bodies = true, keys = true } = query;
  const isPlain = scope === 'internal' && !keys && bodies && !deleted && !after && !reversed && !total;
  if (!isPlain || where.kind !== 'id' || where.ids.size > limit || order.by !== 'instant' || order.direction !== 'newest-first') return undefined;
  const rows = textsOf(database, type, [...where.ids]);
  return { kind: 'rows', rows, first: undefined, next: undefined, walked: rows.length };
}

function commitJob({ guards, resources, records, log, erase = [], redact = [], bumpEpoch }: WriteSet): CommitJob {
  return {
    kind: 'commit',
    guards,
    resources: resources.map(resourceJob),
    records: records.map((write) => (write.kind === 'put' ? toPut(write) : toDelete(write))),
    log,
    erase,
    redact,
    bumpEpoch,
  };
}

function resourceJob({ type, id, version, lastUpdated, instant, deleted, body, keys }: StoredResource): ResourceJob {
  return [type, id, version, 0 - lastUpdated, 0 - instant, deleted ? 1 : 0, packKeys(keys), body];
}

function readLog({ statement }: Database, from: number, limit: number): LogRow[] {
  const rows = many<[number, string, string]>(statement('SELECT idx, key, entry FROM log WHERE idx >= ? ORDER BY idx LIMIT ?'), from, limit);
  return rows.map(([index, key, entry]) => ({ index, key, entry }));
}

/** Some ten milliseconds of computing keys. */
const REINDEX_SLICE = 100;

async function reindex(
  { database, writer }: Pick<Dependencies, 'database' | 'writer'>,
  asked: Parameters<ResourceStore['reindex']>[0],
  keysOf: Parameters<ResourceStore['reindex']>[1],
): Promise<Reindexed> {
  const { type, after, ids, guard } = asked;
  const slice = snapshot(database, () => (ids ? liveAmong(database, type, ids) : resourcesAfter(database, type, after)));
  if (slice.length === 0) return { read: 0, written: 0, next: undefined };
  const rows = await Promise.all(
    slice.map(async (resource): Promise<ReindexRow> => {
      const { keys, instant } = await keysOf(resource);
      return [resource.id, resource.version, 0 - instant, packKeys(keys), packKeys(resource.keys)];
    }),
  );
  const written = await writer.submit<number | null | false>({ kind: 'reindex', type, rows, guard });
  if (written === null) throw new AssentError('conflict');
  // Whoever was first has rewritten something: it is not for ever.
  if (written === false) return reindex({ database, writer }, asked, keysOf);
  return { read: slice.length, written, next: ids || slice.length < REINDEX_SLICE ? undefined : slice.at(-1)?.id };
}

function liveAmong(database: Database, type: string, ids: readonly string[]): StoredResource[] {
  return ids.flatMap((id) => {
    const { resource } = newestAndEpoch(database, type, id);
    return resource && !resource.deleted ? [resource] : [];
  });
}

function resourcesAfter(database: Database, type: string, after: string | undefined): StoredResource[] {
  const slice: StoredResource[] = [];
  for (const { rid } of walkIds(database, { type, backward: false, after: after === undefined ? undefined : { sort: 0, id: after } })) {
    if (slice.push(resourceAt(database, rid)) === REINDEX_SLICE) break;
  }
  return slice;
}

function requireReadable(database: Database): void {
  try {
    if (readEpoch(database) > 0) return;
  } catch (cause) {
    throw new AssentError('unavailable', 'The store cannot read.', { cause });
  }
  throw new AssentError('unavailable', 'The store cannot read.');
}
