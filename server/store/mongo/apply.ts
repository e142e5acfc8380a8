/**
 * Write sets inside one transaction, one after the other. Guards are checked before anything of their set is written, so a refused write set
 * leaves nothing to undo and the others go on.
 *
 * Invariant: snapshot isolation notices only documents that two transactions change. So what a guard relies on is changed as well: the
 * document it names, or for a conditional create the guard document of its type; for the epoch one of a few documents that every
 * (small) commit which moves the epoch changes all of, and likewise for records that many rely on at once. So a disclosure is committed before a withdrawal or judged again, never beside it.
 */
import type { ClientSession } from 'mongodb';
import { AssentError } from '../../errors.ts';
import { all, and, any } from '../../search/expression.ts';
import type { CommitResult, Guard, Query, WriteSet } from '../port.ts';
import { carriers } from './carriers.ts';
import type { Collections, Connection } from './connection.ts';
import { byIds, EPOCH_COUNTERS, epochFrom, recordId, resourceId } from './documents.ts';
import type { EpochGate } from './epoch-gate.ts';
import { findRows } from './find.ts';
import { type Reader, transactionReader } from './reader.ts';
import { createLogChanges, type LogChanges } from './log-changes.ts';
import { createRecordChanges, type KnownRecord, type RecordChanges } from './record-changes.ts';
import { createResourceChanges, type KnownResource, type ResourceChanges } from './resource-changes.ts';
import { changesShared, reliesOnShared, type SharedGate } from './shared-gate.ts';

type Inside = {
  readonly connection: Connection;
  readonly session: ClientSession;
  readonly now: number;
  readonly attempt: number;
  readonly gate: EpochGate;
  readonly shared: SharedGate;
};

export async function applyWriteSets(
  { connection, session, now, attempt, gate, shared }: Inside,
  sets: readonly WriteSet[],
): Promise<readonly CommitResult[]> {
  const { inSession } = connection;
  const closes = gate.closes && sets.some((set) => set.bumpEpoch);
  // First of all, so that the snapshot is of this moment and nobody has passed since.
  if (closes) await gate.close(inSession, session);
  if (sets.some(changesShared)) await shared.close(inSession, session);
  // After a lost race the epoch is taken first, so that a long write set does not lose to short ones for ever.
  const early = attempt > 0 ? sets.filter((set) => set.bumpEpoch).length : 0;
  const before = sets.some(needsEpoch) ? await epochOf(inSession, session) : 0;
  if (early > 0) await gate.move(inSession, session, early);
  const loaded = await load(inSession, session, { sets, checkLog: attempt > 0 });
  const state: State = {
    resources: createResourceChanges({ inSession, session, marks: connection.marks }, loaded.resources),
    records: createRecordChanges({ inSession, session, now }, loaded.records),
    log: createLogChanges({ inSession, session }, loaded.logged),
  };
  const check: Check = { state, inSession, session, reader: transactionReader(connection, session) };
  const results: CommitResult[] = [];
  let moved = 0;
  for (const set of sets) {
    const guard = await firstFailed(check, set.guards, before + moved);
    results.push(guard ? { kind: 'conflict', guard } : { kind: 'committed' });
    if (guard) continue;
    write(state, set);
    if (set.bumpEpoch) moved++;
  }
  await flush(state);
  const done = sets.filter((_set, i) => results[i]?.kind === 'committed');
  if (done.some(reliesOnShared)) await shared.pass(inSession, session);
  // Last of all, so that a withdrawal has to wait for the shortest time.
  if (!closes && done.some(needsEpoch)) await gate.pass(inSession, session);
  if (moved !== early) await gate.move(inSession, session, moved - early);
  return results;
}

type State = { readonly resources: ResourceChanges; readonly records: RecordChanges; readonly log: LogChanges };

function write(state: State, { guards, resources, records, log, erase = [], redact = [] }: WriteSet): void {
  for (const guard of guards) {
    if (guard.kind === 'version') state.resources.rely(resourceId(guard.type, guard.id));
    if (guard.kind === 'record' && !guard.shared) state.records.rely(recordId(guard.recordKind, guard.id));
  }
  for (const resource of resources) state.resources.write(resource);
  for (const { type, id } of erase) state.resources.erase(resourceId(type, id));
  for (const record of records) state.records.write(record);
  for (const row of redact) state.log.redact(row);
  for (const row of log) state.log.append(row);
}

async function flush({ resources, records, log }: State): Promise<void> {
  await resources.flush();
  await records.flush();
  await log.flush();
}

type Check = {
  readonly state: State;
  readonly inSession: Collections;
  readonly session: ClientSession;
  readonly reader: Reader;
};

async function firstFailed(check: Check, guards: readonly Guard[], epoch: number): Promise<Guard | undefined> {
  for (const guard of guards) if (!(await isMet(check, guard, epoch))) return guard;
  return undefined;
}

async function isMet(check: Check, guard: Guard, epoch: number): Promise<boolean> {
  switch (guard.kind) {
    case 'version':
      return check.state.resources.versionOf(resourceId(guard.type, guard.id)) === guard.version;
    case 'no-match':
      return hasNoMatch(check, guard, epoch);
    case 'unused':
      return isUnused(check, guard, epoch);
    case 'epoch':
      return epoch === guard.epoch;
    case 'record':
      return check.state.records.revisionOf(recordId(guard.recordKind, guard.id)) === guard.revision;
  }
}

/** A scope that has gone stale proves nothing: not met. */
async function hasNoMatch({ state, inSession, session, reader }: Check, guard: Guard & { kind: 'no-match' }, epoch: number): Promise<boolean> {
  const { type, where, scope } = guard;
  if (scope !== 'internal' && scope.epoch !== epoch) return false;
  await flush(state);
  await inSession.counters.updateOne({ _id: `no-match ${type}` }, { $inc: { value: 1 } }, { session, upsert: true });
  return isEmpty(reader, { type, where, scope });
}

/**
 * Whoever begins to use the key has to rely on something this write set changes (for a reference: its target), or the two would not meet.
 */
async function isUnused(check: Check, { key, types, allowed }: Guard & { kind: 'unused' }, epoch: number): Promise<boolean> {
  await flush(check.state);
  const scopes = new Map(allowed.map((one) => [one.type, one]));
  for (const type of await carriers(check.reader, key, types)) {
    const { where, scope } = scopes.get(type) ?? { where: all, scope: 'internal' as const };
    if (scope !== 'internal' && scope.epoch !== epoch) return false;
    if (!(await isEmpty(check.reader, { type, where: and([any([key]), where]), scope }))) return false;
  }
  return true;
}

async function isEmpty(reader: Reader, query: Pick<Query, 'type' | 'where' | 'scope'>): Promise<boolean> {
  const found = await findRows(reader, { ...query, order: { by: 'instant', direction: 'newest-first' }, limit: 1 });
  if (found.kind === 'budget') throw new AssentError('too-costly');
  return found.kind === 'rows' && found.rows.length === 0;
}

function needsEpoch({ guards }: WriteSet): boolean {
  return guards.some((guard) => {
    if (guard.kind === 'unused') return guard.allowed.some(({ scope }) => scope !== 'internal');
    return guard.kind === 'epoch' || (guard.kind === 'no-match' && guard.scope !== 'internal');
  });
}

async function epochOf({ counters }: Collections, session: ClientSession): Promise<number> {
  return epochFrom(await counters.find(EPOCH_COUNTERS, { session }).toArray()) ?? 0;
}

type Loading = { readonly sets: readonly WriteSet[]; readonly checkLog: boolean };

type Loaded = {
  readonly resources: Map<string, KnownResource>;
  readonly records: Map<string, KnownRecord>;
  /** Idempotency keys known to be in the log. */
  readonly logged: Set<string>;
};

/** Everything the sets name. Log keys are looked up only after one turned out to be there: they are mostly new. */
async function load({ resources, records, log }: Collections, session: ClientSession, { sets, checkLog }: Loading): Promise<Loaded> {
  const guards = sets.flatMap((set) => set.guards);
  const ids = new Set([
    ...sets.flatMap((set) => set.resources.map(({ type, id }) => resourceId(type, id))),
    ...guards.flatMap((guard) => (guard.kind === 'version' ? [resourceId(guard.type, guard.id)] : [])),
  ]);
  const recordIds = new Set([
    ...sets.flatMap((set) => set.records.map(({ recordKind, id }) => recordId(recordKind, id))),
    ...guards.flatMap((guard) => (guard.kind === 'record' ? [recordId(guard.recordKind, guard.id)] : [])),
  ]);
  const keys = checkLog ? sets.flatMap((set) => set.log.map(({ key }) => key)) : [];
  const loaded: Loaded = { resources: new Map(), records: new Map(), logged: new Set() };
  if (ids.size > 0) {
    for await (const found of resources.find(byIds(ids), { session, hint: '_id_', projection: { k: 0 } })) loaded.resources.set(found._id, found);
  }
  if (recordIds.size > 0) {
    const found = records.find({ _id: { $in: [...recordIds] } }, { session, projection: { rev: 1, exp: 1 } });
    for await (const record of found) loaded.records.set(record._id, record);
  }
  if (keys.length > 0) {
    for await (const row of log.find({ _id: { $in: keys } }, { session, projection: { _id: 1 } })) loaded.logged.add(row._id);
  }
  return loaded;
}
