/**
 * The writing half of the Gate: create, update and delete, all or nothing, each version with its index keys and facets and each
 * write with its AuditEvent in one commit. consent.md §2 rules 18–23, §3.
 *
 * Invariants: what a caller may not see, it cannot change or find out by trying (rule 22 names the one exception); nothing the server
 * signed or recorded is changed here; nobody widens their own view by writing (rule 21).
 */
import { setImmediate } from 'node:timers/promises';
import type { Act } from '../../audit/event.ts';
import { AssentError } from '../../errors.ts';
import { withMembers } from '../../fhir/json-text.ts';
import type { ResourceDocument, ResourceValue } from '../../fhir/resource.ts';
import { newVersion } from '../../fhir/ids.ts';
import type { Condition } from '../../search/join.ts';
import type { Guard, StoredResource } from '../../store/port.ts';
import { HAS_CONTEXT, IDENTITY, LINKED, SEALED } from '../facets.ts';
import type { WriteOperation, WriteResult } from '../gate.ts';
import type { Labelling } from '../labelling.ts';
import { type Concepts, referencedConcepts, targetKeys } from './concepts.ts';
import { actBase, type Disclosure, rowOf, twofold, versionReference } from './disclose.ts';
import { type Change, HAS_SOURCES, integrityGuards, sourceGuards } from './integrity.ts';
import { resolveJoins } from './joins.ts';
import { labelledRows, spreadingOf } from './labels.ts';
import { movesLinks } from './linked.ts';
import { namedRows, namingOf } from './naming.ts';
import type { Change as ParameterChange, StoredParameters } from './parameters.ts';
import { inView, newestFirst, patientsOf } from './view.ts';

export type Writing = Disclosure & {
  readonly now: () => number;
  /** When this call came, ms: the time of what it writes. By what it took until the commit its writer could tell what is hidden. */
  readonly came: number;
  /** Index keys and facets of a version. */
  readonly keysOf: (
    resource: ResourceValue,
    context: {
      readonly writer: string;
      /** Keys whose patients and labels it has at least: of the version before, where this writer may not drop them (rule 21), and of its targets. */
      readonly previous: readonly string[] | undefined;
      /** Stored resources it refers to, by reference. */
      readonly concepts: Concepts['values'];
      readonly sealed?: boolean;
      /** Of a Patient: whether its identifiers and links count. */
      readonly keeps?: boolean;
      /** Of a Task that the server made: the client, or the party, that may see it. */
      readonly own?: string | undefined;
      readonly owner?: string | undefined;
    },
  ) => { readonly keys: readonly string[]; readonly instant: number | undefined };
  /** Our own FHIR base URL. */
  readonly base: string;
  readonly labelling: Labelling;
  /** Whether references have to lead somewhere. */
  readonly integrity: boolean;
  /** Scope admin, or the client of an organization with a custodian's key (rule 21). */
  readonly isCustodian: () => Promise<boolean>;
  /** What keysOf makes keys for. */
  readonly parameters: Pick<StoredParameters, 'guard' | 'changedBy'>;
};

/** Types a Consent's actors are resolved through: written by admins and custodians only, and they move the consent epoch. */
export const RESOLVES_ACTORS = new Set(['Organization', 'PractitionerRole', 'CareTeam', 'Group']);
const ATTEMPTS = 5;
/** Targets change without anything being wrong with the write. */
const ATTEMPTS_WITH_TARGETS = 20;
/** ms of planning before others get their turn. */
const TURN_MS = 5;
type Step = {
  readonly guards: readonly Guard[];
  readonly result: WriteResult;
  readonly stored: StoredResource | undefined;
  /** The version that is replaced. */
  readonly replaced?: StoredResource | undefined;
};

export async function write(deps: Writing, operations: readonly WriteOperation[]): Promise<readonly WriteResult[]> {
  await refuseForeignDirectory(deps, operations);
  for (let attempt = 0; attempt < (deps.integrity ? ATTEMPTS_WITH_TARGETS : ATTEMPTS); attempt++) {
    // Before the first key is made.
    const indexed = deps.parameters.guard();
    const concepts = await referencedConcepts(deps, operations);
    const planned = await planSteps(deps, operations, concepts);
    const named = await namedRows(
      deps,
      planned.map((step) => step.stored),
    );
    const steps = planned.map((step, i): Step => ({ ...step, stored: named.rows[i] }));
    const links = await linkGuards(deps, operations, steps);
    const labelled = await labelledRows(
      deps,
      steps.flatMap(({ stored, replaced }) => (stored ? [{ row: stored, replaced }] : [])),
    );
    const stored = labelled.rows;
    const parameters = changedParameters(deps, steps);
    const spreading = spreadingOf(deps, changesOf(operations, steps));
    const naming = await namingOf(deps, steps);
    await spreading.before();
    await naming.before();
    const audit = writeActs(deps, operations, stored).map(({ act, own }) => deps.record(act, { own, at: deps.came }));
    const outcome = await deps.resources.commit({
      guards: [
        ...steps.flatMap(({ guards }) => guards),
        ...links,
        ...named.guards,
        ...sinceEpoch(concepts),
        ...labelled.guards,
        ...(stored.length > 0 ? [indexed] : []),
      ],
      resources: [...stored, ...audit.map(({ resource }) => resource)],
      records: parameters ? [parameters.record] : [],
      log: audit.map(({ entry }) => deps.logRow(entry)),
      bumpEpoch:
        parameters !== undefined ||
        spreading.raises ||
        steps.some((step) => movesLinks(step.stored, step.replaced)) ||
        stored.some(({ type }) => RESOLVES_ACTORS.has(type)),
    });
    // Whatever has become of it: who was lost by it is found again.
    await naming.after();
    if (outcome.kind === 'committed') {
      await spreading.after();
      return steps.map(({ result }) => result);
    }
    refuseLostPrecondition(operations, outcome.guard);
  }
  throw new AssentError('conflict');
}

/** What others may refer to already: what is created has an id that nobody knew. */
function changesOf(operations: readonly WriteOperation[], steps: readonly Step[]): Parameters<typeof spreadingOf>[1] {
  return steps.flatMap(({ stored, replaced }, i) => (stored && operations[i]?.kind === 'update' ? [{ row: stored, replaced }] : []));
}

/** What the SearchParameters among the steps change of what is searched by. */
function changedParameters(deps: Writing, steps: readonly Step[]): ParameterChange | undefined {
  let change: ParameterChange | undefined;
  for (const [i, { stored }] of steps.entries()) {
    try {
      if (stored) change = deps.parameters.changedBy(stored, change, deps.caller);
    } catch (error) {
      throw steps.length > 1 ? blamed(error, i) : error;
    }
  }
  return change;
}

async function linkGuards(deps: Writing, operations: readonly WriteOperation[], steps: readonly Step[]): Promise<readonly Guard[]> {
  const named = steps.filter((_, i) => !('ofShown' in (operations[i] ?? {})));
  const sourced = named.some(({ stored }) => stored && HAS_SOURCES.has(stored.type)) && !(await deps.isCustodian());
  if (!deps.integrity && !sourced) return [];
  const changes = steps.map(({ stored, replaced, result: { kind, row } }): Change => {
    const kept = kind === 'unchanged' && !row.deleted ? `${row.type}/${row.id}` : undefined;
    return { stored, kept, before: async () => (replaced && (await isSeen(deps, replaced)) ? replaced : undefined) };
  });
  return [
    ...(deps.integrity ? await integrityGuards(deps, operations, changes) : []),
    ...(sourced ? await sourceGuards(deps, operations, changes) : []),
  ];
}

/** Who may choose ids may replace what it never saw. */
async function isSeen(deps: Writing, { type, id, version }: StoredResource): Promise<boolean> {
  return !choosesIds(deps) || (await currentFor(deps, type, id, { unseen: false }))?.version === version;
}

async function refuseForeignDirectory(deps: Writing, operations: readonly WriteOperation[]): Promise<void> {
  const touches = operations.some((operation) => RESOLVES_ACTORS.has(typeOf(operation)));
  if (touches && !(await deps.isCustodian())) throw new AssentError('forbidden');
}

function typeOf(operation: WriteOperation): string {
  return 'type' in operation ? operation.type : operation.resource.value.resourceType;
}

/** A changed version under a condition is the caller's answer; without one the write is tried again on the new version. */
function refuseLostPrecondition(operations: readonly WriteOperation[], guard: Guard): void {
  if (guard.kind !== 'version') return;
  const index = operations.findIndex((o) => o.kind !== 'create' && o.id === guard.id && typeOf(o) === guard.type);
  const operation = operations[index];
  if (!operation) return;
  const looked = 'madeFrom' in operation || 'ifNoneExist' in operation;
  const code = looked ? 'conflict' : 'ifMatch' in operation || 'ifNoneMatch' in operation ? 'version-mismatch' : undefined;
  if (code) throw operations.length > 1 ? blamed(new AssentError(code), index) : new AssentError(code);
}

/** What was looked up is still so. */
function sinceEpoch({ epoch }: Concepts): readonly Guard[] {
  return epoch === undefined ? [] : [{ kind: 'epoch', epoch }];
}

async function planSteps(deps: Writing, operations: readonly WriteOperation[], concepts: Concepts): Promise<readonly Step[]> {
  const steps: Step[] = [];
  let began = performance.now();
  for (const [i, operation] of operations.entries()) {
    // A large transaction is planned in turns with what others ask.
    if (performance.now() - began > TURN_MS) {
      await setImmediate();
      began = performance.now();
    }
    try {
      steps.push(await planStep(deps, operation, concepts));
    } catch (error) {
      throw operations.length > 1 ? blamed(error, i) : error;
    }
  }
  return steps;
}

/** Of several operations, the one to blame is named. */
function blamed(error: unknown, index: number): unknown {
  if (!(error instanceof AssentError)) return error;
  const issues = error.issues.length > 0 ? error.issues : [{ diagnostics: error.message }];
  return new AssentError(
    error.code,
    issues.map((issue) => ({ ...issue, expression: [`operation[${index}]`] })),
  );
}

async function planStep(deps: Writing, operation: WriteOperation, concepts: Concepts): Promise<Step> {
  switch (operation.kind) {
    case 'create':
      return planCreate(deps, operation, concepts);
    case 'update':
      return planUpdate(deps, operation, concepts);
    case 'delete':
      return planDelete(deps, operation);
    case 'keep':
      return planKeep(deps, operation);
  }
}

async function planCreate(deps: Writing, operation: WriteOperation & { kind: 'create' }, concepts: Concepts): Promise<Step> {
  const type = operation.resource.value.resourceType;
  const keeps = await keepsRecord(deps, operation.resource.value);
  const stored = newVersionOf(deps, operation, { previous: undefined, concepts, after: undefined, keeps });
  if (operation.ifNoneExist === undefined) return { guards: [], stored, result: { kind: 'created', row: rowOf(stored) } };
  const { match, guard } = await matchOf(deps, type, operation.ifNoneExist);
  if (!match) return { guards: [guard], stored, result: { kind: 'created', row: rowOf(stored) } };
  if (operation.ifMatched === 'conflict') throw new AssentError('conflict');
  return { guards: [], stored: undefined, result: { kind: 'unchanged', row: rowOf(match) } };
}

/**
 * Looked for in the caller's view only: a hidden match neither blocks nor shows, nor does one that a join would lead to through what is hidden.
 * `guard`: that there is still none in that view, joins leading where they led.
 */
async function matchOf(
  deps: Writing,
  type: string,
  asked: Condition,
): Promise<{ readonly match: StoredResource | undefined; readonly guard: Guard }> {
  const { found, scope, where } = await inView(deps.views, {
    read: async (view) => {
      const joined = await resolveJoins(deps, view, { type, where: asked });
      if (joined.kind === 'stale') return joined;
      const { where, through } = joined;
      return { ...(await deps.resources.find({ type, where, scope: view.scope(type), order: newestFirst, limit: 2 })), where, through };
    },
    restsOn: ({ rows, through }) => [...patientsOf(rows), ...through],
    conclude: async ({ rows, where }, view) => ({ found: rows, scope: view.scope(type), where }),
  });
  const [match, second] = found;
  if (second) throw new AssentError('multiple-matches');
  return { match, guard: { kind: 'no-match', type, where, scope } };
}

async function planUpdate(deps: Writing, operation: WriteOperation & { kind: 'update' }, concepts: Concepts): Promise<Step> {
  const type = operation.resource.value.resourceType;
  // Clients that may choose ids learn which are taken (rule 22).
  const current = await currentFor(deps, type, operation.id, { unseen: choosesIds(deps) });
  if (!current && !choosesIds(deps)) throw new AssentError('not-found');
  if (current) refuseSealed(current);
  refuseMismatch(operation, current);
  // To bring back what was deleted is to choose its id (rule 22): what hangs on it, hidden since, would be there again.
  if (current?.deleted && !choosesIds(deps)) throw new AssentError('not-found');
  const { match, guard } = operation.ifNoneExist ? await matchOf(deps, type, operation.ifNoneExist) : none;
  if (match) throw new AssentError('conflict');
  if (operation.ifNoneMatch === '*' && current && !current.deleted) throw new AssentError('version-mismatch', 'A resource has this id already.');
  const keep = current && !(await deps.isCustodian()) ? keptOf(current) : undefined;
  if (current && keep) await refuseMoved(deps, operation.resource.value, current);
  const keeps = await keepsRecord(deps, operation.resource.value);
  const stored = newVersionOf(deps, operation, { previous: keep, concepts, after: current?.lastUpdated, keeps });
  const kind = current && !current.deleted ? ('updated' as const) : ('created' as const);
  const version: Guard = { kind: 'version', type, id: operation.id, version: current?.version ?? null };
  return { guards: guard ? [version, guard] : [version], stored, replaced: current, result: { kind, row: rowOf(stored) } };
}

const none = { match: undefined, guard: undefined } as const;

async function planKeep(deps: Writing, { type, id, madeFrom }: WriteOperation & { kind: 'keep' }): Promise<Step> {
  const current = await currentFor(deps, type, id, { unseen: false });
  if (!current || current.deleted || current.version !== madeFrom) throw new AssentError('conflict');
  return { guards: [{ kind: 'version', type, id, version: madeFrom }], stored: undefined, result: { kind: 'unchanged', row: rowOf(current) } };
}

async function planDelete(deps: Writing, operation: WriteOperation & { kind: 'delete' }): Promise<Step> {
  const { type, id } = operation;
  // An administrator erases what it cannot read; a chooser of ids deletes only what it sees.
  const current = await currentFor(deps, type, id, { unseen: deps.caller.admin });
  if (!current) throw new AssentError('not-found');
  if (current.deleted) return { guards: [], stored: undefined, result: { kind: 'unchanged', row: rowOf(current) } };
  refuseSealed(current);
  await refuseRelied(deps, current);
  refuseMismatch(operation, current);
  const lastUpdated = laterThan(deps, current.lastUpdated);
  // A deletion keeps the facets of the last content: they decide who may learn of it (rule 19).
  const stored: StoredResource = { ...current, version: newVersion(), lastUpdated, deleted: true, body: '' };
  const version: Guard = { kind: 'version', type, id, version: current.version };
  return { guards: [version], stored, replaced: current, result: { kind: 'deleted', row: rowOf(stored) } };
}

function choosesIds({ caller }: Writing): boolean {
  return caller.admin || caller.choosesIds;
}

/** The version being replaced or deleted: in the caller's view, or whatever is there. */
async function currentFor(deps: Writing, type: string, id: string, { unseen }: { readonly unseen: boolean }): Promise<StoredResource | undefined> {
  const query = { type, where: { kind: 'id' as const, ids: new Set([id]) }, order: newestFirst, limit: 1, deleted: true };
  if (!unseen) {
    const seen = await inView(deps.views, {
      read: (view) => deps.resources.find({ ...query, scope: view.scope(type) }),
      restsOn: ({ rows }) => patientsOf(rows),
      conclude: async ({ rows }) => rows,
    });
    return seen[0];
  }
  const found = await deps.resources.find({ ...query, scope: 'internal' });
  if (found.kind !== 'rows') throw new AssentError('unavailable');
  return found.rows[0];
}

function refuseSealed(current: StoredResource): void {
  if (current.keys.includes(SEALED))
    throw new AssentError('sealed-resource', `${current.type} holds signed or recorded evidence; it changes only by the matching signature.`);
}

/** What another record's Consents deny, or what nobody opens since two have its identifier, would be open again (rule 21). */
async function refuseRelied(deps: Writing, { type, keys }: StoredResource): Promise<void> {
  if (type === 'Patient' && keys.some((key) => key.startsWith(LINKED) || key.startsWith(IDENTITY)) && !(await deps.isCustodian()))
    throw new AssentError('sealed-resource', 'A Patient whose identifiers or links a custodian has stated is deleted by a custodian only.');
}

/** What a version keeps of the one before. A deletion by a custodian took the identities and links of a Patient: who brings it back gives it none. */
function keptOf({ deleted, keys }: StoredResource): readonly string[] {
  return deleted ? keys.filter((key) => !key.startsWith(LINKED) && !key.startsWith(IDENTITY)) : keys;
}

/**
 * Whoever the context of a Binary is about has a say in it, and keeps it (rule 21). Who may choose ids learns that this one is taken, and not by trying
 * contexts whom it is about.
 */
async function refuseMoved(deps: Writing, value: ResourceValue, current: StoredResource): Promise<void> {
  if (current.type !== 'Binary' || current.deleted) return;
  if (!(await isSeen(deps, current)))
    throw new AssentError('sealed-resource', [{ diagnostics: 'Only who sees a Binary, or a custodian, replaces it.', expression: ['Binary'] }]);
  if (!current.keys.includes(HAS_CONTEXT)) return;
  const contextOf = (of: ResourceValue) => (of['securityContext'] as { readonly reference?: unknown } | undefined)?.reference;
  if (contextOf(value) !== contextOf(JSON.parse(current.body) as ResourceValue))
    throw new AssentError('sealed-resource', [
      { diagnostics: 'Only a custodian changes the securityContext of a Binary.', expression: ['Binary.securityContext'] },
    ]);
}

type Resting = { readonly ifMatch?: string; readonly madeFrom?: string };

function refuseMismatch({ ifMatch, madeFrom }: Resting, current: StoredResource | undefined): void {
  if (ifMatch !== undefined && ifMatch !== current?.version) throw new AssentError('version-mismatch');
  if (madeFrom !== undefined && madeFrom !== current?.version) throw new AssentError('conflict');
}

/** Versions of one resource differ in time, so their order needs no number. */
function laterThan(deps: Writing, before: number | undefined): number {
  return Math.max(deps.came, (before ?? 0) + 1);
}

type Replacing = {
  readonly previous: readonly string[] | undefined;
  readonly concepts: Concepts;
  /** lastUpdated of the version before. */
  readonly after: number | undefined;
  readonly keeps: boolean;
};

/** Who keeps the records says whose identifiers are whose and which are of one person: by the word of anybody else those of others would be opened or closed. */
async function keepsRecord(deps: Writing, { resourceType, link, identifier }: ResourceValue): Promise<boolean> {
  return resourceType === 'Patient' && (link !== undefined || identifier !== undefined) && deps.isCustodian();
}

function newVersionOf(
  deps: Writing,
  { id, resource, version = newVersion() }: { readonly id: string; readonly resource: ResourceDocument; readonly version?: string },
  { after, previous, concepts, keeps }: Replacing,
): StoredResource {
  const lastUpdated = laterThan(deps, after);
  const meta = { versionId: version, lastUpdated: new Date(lastUpdated).toISOString() };
  const body = withMembers(resource.text, { id, meta });
  const value = { ...resource.value, id, meta: { ...(resource.value['meta'] as object | undefined), ...meta } };
  const keep = [...(previous ?? []), ...targetKeys(value, deps.base, concepts)];
  const { keys, instant } = deps.keysOf(value, {
    writer: deps.caller.actor,
    previous: keep.length > 0 ? keep : undefined,
    concepts: concepts.values,
    keeps,
  });
  return { type: resource.value.resourceType, id, version, lastUpdated, instant: instant ?? lastUpdated, deleted: false, body, keys };
}

function nameOf(operation: Exclude<WriteOperation, { kind: 'keep' }>): Act['interaction'] {
  return 'byPatch' in operation ? 'patch' : operation.kind;
}

type Told = { readonly act: Act; readonly own: boolean };

/** One event per patient written about, and one without a patient for what names none. */
function writeActs(deps: Writing, operations: readonly WriteOperation[], stored: readonly StoredResource[]): Told[] {
  const [only] = operations;
  if (stored.length === 0) return [];
  const interaction = operations.length === 1 && only && only.kind !== 'keep' ? nameOf(only) : 'transaction';
  const actOn = (patient: string | undefined, written: readonly StoredResource[]): Act => ({
    ...actBase(deps.caller, interaction),
    patient,
    what: written.map(versionReference),
    basis: [],
  });
  // Whose the targets of a Provenance are its writer may not know: there may be none.
  const ofTargets = deps.caller.admin ? [] : stored.filter(({ type }) => type === 'Provenance');
  const told = ofTargets.length === 0 ? [] : twofold(actOn(undefined, ofTargets), patientsOf(ofTargets));
  const others = stored.filter((row) => !ofTargets.includes(row));
  const acts = [...byPatient(others)].map(([patient, written]) => actOn(patient, written));
  // Who may choose ids may replace what it never saw: whose that was is for the patient and the auditor (rule 17).
  const unseen =
    deps.caller.choosesIds &&
    !deps.caller.admin &&
    operations.some((operation) => ['update', 'delete'].includes(operation.kind) && !('madeFrom' in operation));
  if (!unseen || others.length === 0) return [...told, ...acts.map((act) => ({ act, own: true }))];
  return [...told, { act: actOn(undefined, others), own: true }, ...acts.map((act) => ({ act, own: false }))];
}

/** Each version under every patient it names, and under none where it names none. One pass: a transaction may be about a thousand patients. */
function byPatient(stored: readonly StoredResource[]): Map<string | undefined, StoredResource[]> {
  const groups = new Map<string | undefined, StoredResource[]>();
  for (const row of stored) {
    const patients = patientsOf([row]);
    for (const patient of patients.length === 0 ? [undefined] : patients) {
      const group = groups.get(patient);
      if (group) group.push(row);
      else groups.set(patient, [row]);
    }
  }
  return groups;
}
