/**
 * Erasure: everything kept of one resource, or of one patient, is taken away for ever; what the log proves stays proven. ledger.md §1
 *
 * Invariants: AuditEvents stay, they hold no content; a Consent goes only after everything that it might deny, in one commit with what the log
 * could confirm of it, and leaves a tombstone in the log that names the entries that say nothing any more; what names another patient as well is not erased on behalf of one; every step is recorded in the commit that makes it.
 * Whoever asked for a Consent keeps the Task of their request, which holds what they sent: without it they would learn that somebody was there (consent.md §5).
 */
import type { Recorder } from '../../audit/record.ts';
import type { Clock } from '../../clock.ts';
import { AssentError } from '../../errors.ts';
import { resourceTypes } from '../../fhir/resource-types.ts';
import type { JobContext, JobHandler } from '../../jobs/job.ts';
import { any } from '../../search/expression.ts';
import type { Guard, LogRow, NewLogRow, Position, RecordStore, RecordWrite, ResourceStore, StoredResource, VersionPlace } from '../../store/port.ts';
import { facet, OWN, SEALED } from '../facets.ts';
import type { Caller } from '../model.ts';
import { PREPARED, SIGNED } from './ceremony.ts';
import { actBase, type Disclosure } from './disclose.ts';
import { isOpenRequest, REQUESTED } from './requests.ts';
import { newestFirst, patientsOf } from './view.ts';
import { RESOLVES_ACTORS } from './write.ts';

type Dependencies = {
  readonly resources: ResourceStore;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly recorder: Recorder;
  readonly logRow: Disclosure['logRow'] &
    ((entry: {
      readonly kind: 'erasure';
      readonly occurredAt: string;
      readonly subject: string | null;
      readonly reference: string;
      readonly digest: string;
      readonly erases: readonly number[];
    }) => NewLogRow);
  /** What the log has of Consents. */
  readonly entries: Entries;
  /** Answers that wait to be fetched may hold what is erased. */
  readonly dropResults: () => Promise<void>;
  readonly registrationOf: (client: string) => Promise<string | undefined>;
  /** Ends what was asked for, before the Consent goes. */
  readonly endRequest: (consent: string) => Promise<void>;
};

/** Parts of the commit that erases, and what its tombstones say, by reference. */
type Forgotten = {
  readonly guards: readonly Guard[];
  readonly records: readonly RecordWrite[];
  readonly redact: readonly LogRow[];
  readonly tombstones: ReadonlyMap<string, { readonly erases: readonly number[]; readonly digest: string }>;
};
type Entries = {
  forget(references: readonly string[]): Promise<Forgotten>;
  /** With entries that still say something. */
  consentsOf(subject: string): AsyncIterable<string>;
};

export type PurgeInput = { readonly caller: Caller; readonly registration: string; readonly type: string; readonly id: string };

/** `kept`: what names other patients as well. */
type Found = { readonly erase: readonly StoredResource[]; readonly kept: readonly string[] };
type Tally = { erased: number; readonly kept: Set<string> };

const TOGETHER = 25;
const MOST_KEPT_NAMED = 100;
/** The trail stays; Consents and the Patient come last, because the one decides over the rest and the other is what it is about. */
const LAST = ['Consent', 'Patient'];
const inOrder = [...resourceTypes.filter((type) => type !== 'AuditEvent' && !LAST.includes(type)), ...LAST];

export function purgeJob(deps: Dependencies): JobHandler {
  return {
    async mayRun(input) {
      const { caller, registration } = input as unknown as PurgeInput;
      return (await deps.registrationOf(caller.client)) === registration;
    },
    async run(input, context) {
      const asked = input as unknown as PurgeInput;
      const saved = context.checkpoint as { readonly erased: number; readonly kept: readonly string[] } | undefined;
      const tally: Tally = { erased: saved?.erased ?? 0, kept: new Set(saved?.kept) };
      const purge = { deps, asked, context, tally };
      if (asked.type === 'Patient') await purgePatient(purge);
      else await purgeOne(purge);
      await deps.dropResults();
      await sweep(deps, asked);
      const named = [...tally.kept].sort().slice(0, MOST_KEPT_NAMED);
      return { erased: tally.erased, kept: tally.kept.size, ...(named.length > 0 ? { namesOthers: named } : {}) };
    },
  };
}

/** Erases what is not there any more, so that the store clears away the traces of what was dropped just now as well. */
async function sweep({ resources }: Dependencies, { type, id }: PurgeInput): Promise<void> {
  const guards = [{ kind: 'version' as const, type, id, version: null }];
  await resources.commit({ guards, resources: [], records: [], log: [], erase: [{ type, id }], bumpEpoch: false });
}

type Purge = { readonly deps: Dependencies; readonly asked: PurgeInput; readonly context: JobContext; readonly tally: Tally };

async function purgeOne(purge: Purge): Promise<void> {
  const { deps, asked } = purge;
  const [row] = await newestOf(deps, asked.type, [asked.id]);
  if (row?.keys.includes(SEALED)) throw new AssentError('sealed-resource', 'Signed or recorded evidence is erased only with its patient.');
  if (row) await erase(purge, [row], patientsOf([row]));
}

/** What is live is in the index; what was deleted is found by a walk through the histories. Run again, it finds what is left. */
async function purgePatient(purge: Purge): Promise<void> {
  for (const type of inOrder) await purgeLive(purge, type);
  await purgeDeleted(purge);
  await purgeEntries(purge);
}

async function purgeLive(purge: Purge, type: string): Promise<void> {
  const { deps, asked, context } = purge;
  const where = any([facet.patient(asked.id)]);
  for (let after: Position | undefined; ; ) {
    context.cancelled.throwIfAborted();
    const found = await deps.resources.find({
      type,
      where,
      scope: 'internal',
      order: newestFirst,
      limit: TOGETHER,
      budget: Number.MAX_SAFE_INTEGER,
      ...(after ? { after } : {}),
    });
    if (found.kind !== 'rows') throw new AssentError('unavailable');
    await eraseTheirs(purge, found.rows);
    after = found.next;
    if (!after) return;
  }
}

async function purgeDeleted(purge: Purge): Promise<void> {
  const { deps, asked, context } = purge;
  const where = () => any([facet.patient(asked.id)]);
  for (let after: VersionPlace | undefined; ; ) {
    context.cancelled.throwIfAborted();
    const scope = { epoch: await deps.resources.epoch(), where };
    const found = await deps.resources.history({ types: inOrder, scope, limit: TOGETHER, direction: 'oldest-first', ...(after ? { after } : {}) });
    if (found.kind === 'stale') continue;
    for (const [type, rows] of Map.groupBy(found.rows, (row) => row.type)) {
      await eraseTheirs(purge, await newestOf(deps, type, [...new Set(rows.map(({ id }) => id))]));
    }
    after = found.next;
    if (!after) return;
  }
}

/** Of Consents whose texts an earlier server erased, and left what the log could confirm of them. */
async function purgeEntries(purge: Purge): Promise<void> {
  const { deps, asked, context } = purge;
  for await (const reference of deps.entries.consentsOf(`Patient/${asked.id}`)) {
    context.cancelled.throwIfAborted();
    const id = reference.slice('Consent/'.length);
    if ((await newestOf(deps, 'Consent', [id])).length > 0) continue;
    const { acts, tombstones, forgotten } = await preparations(purge, { references: [reference], consents: [id], patients: [asked.id] });
    await commit(deps, {
      records: forgotten.records,
      redact: forgotten.redact,
      guards: [{ kind: 'version', type: 'Consent', id, version: null }, ...forgotten.guards],
      resources: acts.map(({ resource }) => resource),
      log: [...acts.map(({ entry }) => deps.logRow(entry)), ...tombstones],
      bumpEpoch: false,
    });
  }
}

async function eraseTheirs(purge: Purge, rows: readonly StoredResource[]): Promise<void> {
  const { asked, tally } = purge;
  const { erase: theirs, kept } = partition(
    rows.filter((row) => !isOfRequester(row)),
    asked.id,
  );
  for (const reference of kept) tally.kept.add(reference);
  if (theirs.length > 0) await erase(purge, theirs, [asked.id]);
}

/** The Task of whoever asked for a Consent: their own act, which nobody but the server can write. */
function isOfRequester({ type, keys }: StoredResource): boolean {
  return type === 'Task' && keys.includes(SEALED) && keys.some((key) => key.startsWith(OWN));
}

function partition(rows: readonly StoredResource[], patient: string): Found {
  const alone = (row: StoredResource) => patientsOf([row]).every((named) => named === patient) || (row.type === 'Patient' && row.id === patient);
  return { erase: rows.filter(alone), kept: rows.filter((row) => !alone(row)).map(({ type, id }) => `${type}/${id}`) };
}

/** One commit: they are gone, and the trail and the log say so. What was changed meanwhile is looked at again. */
async function erase(purge: Purge, rows: readonly StoredResource[], patients: readonly string[]): Promise<void> {
  const { deps, context, tally } = purge;
  const references = rows.map(({ type, id }) => `${type}/${id}`);
  const consents = rows.flatMap(({ type, id }) => (type === 'Consent' ? [id] : []));
  for (const id of consents) await deps.endRequest(id);
  const { acts, tombstones, forgotten } = await preparations(purge, { references, consents, patients });
  const kept = await Promise.all(consents.map((id) => recordsOf(deps, id)));
  await commit(deps, {
    guards: [...rows.map(({ type, id, version }) => ({ kind: 'version' as const, type, id, version })), ...forgotten.guards],
    resources: acts.map(({ resource }) => resource),
    records: [...kept.flat(), ...forgotten.records],
    log: [...acts.map(({ entry }) => deps.logRow(entry)), ...tombstones],
    erase: rows.map(({ type, id }) => ({ type, id })),
    redact: forgotten.redact,
    bumpEpoch: rows.some(({ type }) => type === 'Consent' || RESOLVES_ACTORS.has(type)),
  });
  tally.erased += rows.length;
  await context.save({ erased: tally.erased, kept: [...tally.kept] }, `${tally.erased} resources erased`);
}

type Erasing = { readonly references: readonly string[]; readonly consents: readonly string[]; readonly patients: readonly string[] };

async function preparations({ deps, asked }: Purge, { references, consents, patients }: Erasing) {
  const { clock, recorder, logRow, entries } = deps;
  const about: readonly (string | undefined)[] = patients.length > 0 ? patients : [undefined];
  const acts = about.map((patient) => recorder({ ...actBase(asked.caller, 'operation'), patient, what: references, basis: [] }, { own: true }));
  const forgotten = await entries.forget(consents.map((id) => `Consent/${id}`));
  const subject = asked.type === 'Patient' ? `Patient/${asked.id}` : null;
  const occurredAt = new Date(clock()).toISOString();
  const tombstones = [...forgotten.tombstones].map(([reference, named]) => logRow({ kind: 'erasure', occurredAt, subject, reference, ...named }));
  return { acts, tombstones, forgotten };
}

type Writes = Parameters<ResourceStore['commit']>[0];

async function commit({ resources }: Dependencies, writes: Writes): Promise<void> {
  const done = await resources.commit(writes);
  if (done.kind === 'conflict') throw new AssentError('unavailable', 'Somebody else changed what is to be erased; it is tried again.');
}

/** Statements and signatures hold the terms of a Consent once more. */
async function recordsOf({ records }: Dependencies, id: string): Promise<RecordWrite[]> {
  const prepared = await records.list(PREPARED, { lookup: `consent:${id}` });
  const request = await records.get(REQUESTED, id);
  // One that still waits for its deadline is what tells whoever asked.
  const requested = request && isOpenRequest(request.value) ? [] : [{ recordKind: REQUESTED, id }];
  const named = [{ recordKind: SIGNED, id }, ...requested, ...prepared.map((record) => ({ recordKind: PREPARED, id: record.id }))];
  return named.map((name) => ({ kind: 'delete', ...name }));
}

async function newestOf({ resources }: Dependencies, type: string, ids: readonly string[]): Promise<readonly StoredResource[]> {
  const rows: StoredResource[] = [];
  // Deletions are looked up one by one: that is what the store does at once.
  for (const id of ids) {
    const found = await resources.find({
      type,
      where: { kind: 'id', ids: new Set([id]) },
      scope: 'internal',
      order: newestFirst,
      limit: 1,
      deleted: true,
    });
    if (found.kind !== 'rows') throw new AssentError('unavailable');
    rows.push(...found.rows);
  }
  return rows;
}
