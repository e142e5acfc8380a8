/**
 * The Consents in force, held compiled in memory and kept equal to the log: for each consent epoch, who may see what. ledger.md §3,
 * consent.md §3 (pushdown).
 *
 * Invariants: a Consent acts only while its stored bytes have the digest its newest log entry names and its signatures verify; one that
 * was edited, deleted or rolled back in the database is void from the next read, and so is everything about its patient. No timers:
 * caches die by epoch, and by the first period boundary that could change their answer.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { StoredResource } from '../store/port.ts';
import type { View, Views } from './enforce/view.ts';
import type { Caller } from './model.ts';

/** The newest entry of the log about one Consent. `subject`: `Patient/x`. */
export type LoggedConsent = { readonly index: number; readonly digest: string; readonly kind: string; readonly subject: string | null };

/** Follows the log; knows the newest entry of every Consent. */
export type ConsentLog = {
  catchUp(): Promise<void>;
  latest(reference: string): LoggedConsent | undefined;
  /** References `Consent/…` with entries at or after the position, and the position to ask from next time. */
  changedSince(position: number): { readonly references: readonly string[]; readonly position: number };
};

/** A Consent ready to be decided with. */
export type PolicyInForce<Compiled> = { readonly reference: string; readonly version: string; readonly patient: string; readonly compiled: Compiled };

export type Decision = {
  readonly where: View['scope'] extends (type: string) => { readonly where: infer E } ? E : never;
  readonly validUntil: number;
};

export type PolicyIndexDeps<Compiled, Closure> = {
  readonly clock: Clock;
  readonly epoch: () => Promise<number>;
  readonly log: ConsentLog;
  /** Stored Consents by logical id, as they are in the database now. */
  readonly fetch: (ids: readonly string[]) => Promise<readonly StoredResource[]>;
  /** Whether the signatures kept for this Consent establish it; called once per version. */
  readonly established: (consent: StoredResource) => Promise<boolean>;
  readonly compile: (consent: StoredResource) => { readonly patient: string; readonly compiled: Compiled };
  readonly closureOf: (caller: Caller) => Promise<Closure>;
  /** Whether the Consent speaks to this caller at all (its root *who*, now or at another time of its period). */
  readonly speaksTo: (compiled: Compiled, caller: Caller, closure: Closure) => boolean;
  readonly decide: (input: {
    readonly caller: Caller;
    readonly type: string;
    readonly closure: Closure;
    readonly policies: readonly PolicyInForce<Compiled>[];
    /** Patients one of whose Consents is void: nothing about them is shown on anybody's say. */
    readonly voidPatients: ReadonlySet<string>;
    readonly now: number;
  }) => Decision;
  /** A Consent in the database is not the one in the log. Never given patient data. */
  readonly alarm: (finding: { readonly logIndex: number }) => void;
};

type Entry<Compiled> = PolicyInForce<Compiled> & { readonly logged: LoggedConsent };
type CallerView = { readonly epoch: number; readonly generation: number; readonly view: View; readonly scopes: Map<string, Decision> };

const ACTIVE = 'consent-active';
const MOST_CALLERS = 10_000;
const SLICE = 500;

export type PolicyIndex = { viewsFor(caller: Caller): Views };

export function createPolicyIndex<Compiled, Closure>(deps: PolicyIndexDeps<Compiled, Closure>): PolicyIndex {
  const inForce = new Map<string, Entry<Compiled>>();
  const byPatient = new Map<string, Set<string>>();
  const voided = new Map<string, string>(); // Consent reference → patient
  const callers = new Map<string, CallerView>();
  let position = 0;
  let loadedEpoch = -1;
  let generation = 0;
  let loading: Promise<void> | undefined;

  async function load(epoch: number): Promise<void> {
    await deps.log.catchUp();
    const changed = deps.log.changedSince(position);
    const references = new Set([...changed.references, ...voided.keys()]);
    for (const slice of slices([...references], SLICE)) await loadConsents(slice);
    position = changed.position;
    loadedEpoch = epoch;
    generation++;
  }

  /** Brings the index to this epoch; concurrent requests share one load. */
  async function upTo(epoch: number): Promise<void> {
    while (loadedEpoch < epoch) {
      loading ??= load(epoch).finally(() => {
        loading = undefined;
      });
      await loading;
    }
  }

  async function loadConsents(references: readonly string[]): Promise<void> {
    const active = references.filter((reference) => deps.log.latest(reference)?.kind === ACTIVE);
    const rows = new Map((await deps.fetch(active.map(idOf))).map((row) => [`Consent/${row.id}`, row]));
    for (const reference of references) {
      const logged = deps.log.latest(reference);
      if (logged?.kind === ACTIVE) await admit(reference, logged, rows.get(reference));
      else forget(reference);
    }
  }

  async function admit(reference: string, logged: LoggedConsent, row: StoredResource | undefined): Promise<void> {
    const sound = row !== undefined && isLogged(row, logged) && (await deps.established(row));
    if (!sound) return (await movedOn(reference, logged)) ? forget(reference) : makeVoid(reference, logged);
    forget(reference);
    const { patient, compiled } = deps.compile(row);
    inForce.set(reference, { reference, version: row.version, patient, compiled, logged });
    const theirs = byPatient.get(patient) ?? new Set();
    byPatient.set(patient, theirs.add(reference));
  }

  function forget(reference: string): void {
    const entry = inForce.get(reference);
    if (entry) byPatient.get(entry.patient)?.delete(reference);
    inForce.delete(reference);
    voided.delete(reference);
  }

  /** A signature or withdrawal of this very moment is no forgery: its own epoch brings the new state in, until then nothing acts. */
  async function movedOn(reference: string, logged: LoggedConsent): Promise<boolean> {
    await deps.log.catchUp();
    return deps.log.latest(reference)?.index !== logged.index;
  }

  function makeVoid(reference: string, logged: LoggedConsent): void {
    forget(reference);
    voided.set(reference, (logged.subject ?? '').slice('Patient/'.length));
    deps.alarm({ logIndex: logged.index });
  }

  /** Compares every Consent about these patients with the log, byte for byte. */
  async function confirm(patients: readonly string[]): Promise<boolean> {
    const references = [...new Set(patients)].flatMap((patient) => [...(byPatient.get(patient) ?? [])]);
    let sound = true;
    for (const slice of slices(references, SLICE)) {
      const rows = new Map((await deps.fetch(slice.map(idOf))).map((row) => [`Consent/${row.id}`, row]));
      for (const reference of slice) {
        const entry = inForce.get(reference);
        const row = rows.get(reference);
        if (!entry || (row && isLogged(row, entry.logged))) continue;
        if (!(await movedOn(reference, entry.logged))) makeVoid(reference, entry.logged);
        sound = false;
      }
    }
    if (!sound) generation++;
    return sound;
  }

  async function viewOf(caller: Caller): Promise<View> {
    const epoch = await deps.epoch();
    await upTo(epoch);
    const key = callerKey(caller);
    const known = callers.get(key);
    if (known && known.epoch === loadedEpoch && known.generation === generation) return known.view;
    const made = await makeView(caller, loadedEpoch);
    if (callers.size >= MOST_CALLERS) callers.clear();
    callers.set(key, made);
    return made.view;
  }

  async function makeView(caller: Caller, epoch: number): Promise<CallerView> {
    const madeAt = generation;
    const closure = await deps.closureOf(caller);
    const policies = [...inForce.values()].filter(({ compiled }) => deps.speaksTo(compiled, caller, closure));
    const voidPatients = new Set(voided.values());
    const scopes = new Map<string, Decision>();
    const scope = (type: string) => {
      const now = deps.clock();
      let decision = scopes.get(type);
      if (!decision || decision.validUntil <= now) {
        decision = deps.decide({ caller, type, closure, policies, voidPatients, now });
        scopes.set(type, decision);
      }
      return { epoch, where: decision.where };
    };
    const bases = new Map<string, string[]>();
    for (const { reference, version, patient } of policies) bases.set(patient, [...(bases.get(patient) ?? []), `${reference}/_history/${version}`]);
    const view: View = { epoch, scope, basis: (patients) => patients.flatMap((patient) => bases.get(patient) ?? []), patients: [...bases.keys()] };
    return { epoch, generation: madeAt, view, scopes };
  }

  return { viewsFor: (caller) => ({ current: () => viewOf(caller), confirm }) };
}

function isLogged(row: StoredResource, logged: LoggedConsent): boolean {
  return createHash('sha256').update(row.body).digest('base64url') === logged.digest;
}

function idOf(reference: string): string {
  return reference.slice('Consent/'.length);
}

/** What a decision depends on besides the Consents themselves. */
function callerKey({ client, actor, purpose, admin }: Caller): string {
  return JSON.stringify([client, actor, purpose, admin]);
}

function* slices<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size);
}
