/**
 * The Consents in force, held compiled in memory and kept equal to the log. ledger.md §3, consent.md §3 (pushdown)
 *
 * Invariants: a Consent acts only while its stored bytes have the digest its newest log entry names and its signatures verify; one that
 * was edited, deleted or rolled back in the database is void from the next read, and so is everything about its patient. One that was ended acts on
 * where its end does not stand, and then only denies. No timers: what is loaded follows the consent epoch.
 */
import { setImmediate } from 'node:timers/promises';
import { digestOf } from '../../ledger/hash.ts';
import type { StoredResource } from '../store/port.ts';
import type { CompiledConsent } from './compile.ts';

/** The newest entry of the log about one Consent. */
export type LoggedConsent = {
  readonly index: number;
  /** When it was logged, ms since 1970. */
  readonly at: number;
  readonly digest: string;
  readonly kind: string;
  readonly subject: string | null;
  /** base64url SHA-256 of the signatures that came with it. */
  readonly signatures?: readonly string[];
};

/** Follows the log; knows the newest entry of every Consent. */
export type ConsentLog = {
  catchUp(): Promise<void>;
  latest(reference: string): LoggedConsent | undefined;
  /** All about it, oldest first. */
  entries(reference: string): readonly LoggedConsent[];
  /** Consents, and keys and authorities by id, with entries at or after the position, and the position to ask from next time. */
  changedSince(position: number): { readonly references: readonly string[]; readonly kids: readonly string[]; readonly position: number };
};

/** A Consent ready to be decided with; `reference` without its version. */
export type PolicyInForce = { readonly reference: string; readonly version: string; readonly compiled: CompiledConsent };

export type PoliciesDeps = {
  readonly log: ConsentLog;
  /** Stored Consents by logical id, as they are in the database now. */
  readonly fetch: (ids: readonly string[]) => Promise<readonly StoredResource[]>;
  /** What the kept signatures make of this version: verified again here, so that no row written into the database counts for one. */
  readonly judge: (consent: StoredResource) => Promise<
    | {
        readonly kind: 'established';
        readonly compiled: CompiledConsent /** Keys that signed it, and what they signed under. */;
        readonly kids: readonly string[];
      }
    | { readonly kind: 'forged' }
  >;
  /** Of a Consent that was ended: whether it is over, by the keys that ended it as they are known now. */
  readonly endOf: (
    reference: string,
    ended: LoggedConsent,
  ) => Promise<{ readonly kind: 'stands' | 'void'; readonly kids: readonly string[] } | { readonly kind: 'forged' }>;
  /** ResourceStore.writtenByOthers */
  readonly writtenByOthers?: (() => Promise<number>) | undefined;
  /** A Consent in the database is not the one in the log. Never given patient data. */
  readonly alarm: (finding: { readonly logIndex: number }) => void;
};

export type Policies = {
  /** Brings the index to this epoch; concurrent requests share one load. */
  upTo(epoch: number): Promise<void>;
  /** Grows with every change of what is in force. */
  generation(): number;
  epoch(): number;
  inForce(): Iterable<PolicyInForce>;
  /** By its reference without version. */
  get(reference: string): PolicyInForce | undefined;
  voidPatients(): ReadonlySet<string>;
  /** Compares every Consent about these patients with the log, byte for byte; false if one was not the one the log knows. */
  confirm(patients: readonly string[]): Promise<boolean>;
  /**
   * The same of everybody's. Read again only when somebody else has written into the database since they all were; where the store cannot tell that,
   * there is no such function.
   */
  confirmAll?: (() => Promise<boolean>) | undefined;
};

const ACTIVE = 'consent-active';
const ENDED = new Set(['consent-withdrawn', 'consent-superseded', 'consent-suspended', 'consent-rejected']);
const SLICE = 500;

export function createPolicies(deps: PoliciesDeps): Policies {
  const index = createIndex();
  const everybody = deps.writtenByOthers && createComparison(deps, index, deps.writtenByOthers);
  let position = 0;
  let loadedEpoch = -1;
  let loading: Promise<void> | undefined;

  async function load(epoch: number): Promise<void> {
    const loaded = everybody && (await everybody.begin());
    await deps.log.catchUp();
    const changed = deps.log.changedSince(position);
    // Void ones are looked at again: what was put back as it was acts again. So are those whose signer's key was revoked: it may have been stolen.
    const again = [...index.voidReferences(), ...index.signedBy(new Set(changed.kids))];
    for (const slice of slices([...new Set([...changed.references, ...again])])) await loadConsents(deps, index, slice);
    position = changed.position;
    loadedEpoch = epoch;
    index.touch();
    loaded?.();
  }

  return {
    async upTo(epoch) {
      while (loadedEpoch < epoch) {
        loading ??= load(epoch).finally(() => {
          loading = undefined;
        });
        await loading;
      }
    },
    generation: index.generation,
    epoch: () => loadedEpoch,
    inForce: index.inForce,
    get: index.entry,
    voidPatients: index.voidPatients,
    confirm: (patients) => confirm(deps, index, patients),
    confirmAll: everybody?.confirm,
  };
}

/**
 * Of all Consents in force at once. Each was compared with the log when it was loaded; what this process changes of one comes with an epoch, and is
 * loaded again. So they stand as long as nobody else has written into the database.
 *
 * Invariant: `since` is a number told before any of them was read for the last time.
 */
function createComparison(deps: PoliciesDeps, index: Index, writtenByOthers: () => Promise<number>) {
  let since: number | undefined;
  let comparing: Promise<boolean> | undefined;
  const stand = async (): Promise<boolean> => since !== undefined && since === (await writtenByOthers());

  async function compare(): Promise<boolean> {
    const [now, generation] = [await writtenByOthers(), index.generation()];
    const sound = await confirm(deps, index, index.patients());
    // What was loaded meanwhile was not compared.
    if (sound && index.generation() === generation) since = now;
    return sound;
  }

  return {
    /** Before some are loaded; to be called when they are. */
    async begin(): Promise<() => void> {
      const [now, isFirst] = [await writtenByOthers(), index.generation() === 0];
      return () => {
        if (isFirst) since = now;
        else if (since !== now) since = undefined;
      };
    },
    async confirm(): Promise<boolean> {
      if (await stand()) return true;
      // One that was begun before the answer was read says nothing of now.
      await comparing;
      if (await stand()) return true;
      comparing ??= compare().finally(() => {
        comparing = undefined;
      });
      return comparing;
    },
  };
}

type Entry = PolicyInForce & { readonly logged: LoggedConsent; readonly kids: readonly string[] };

/** Maps only; knows nothing of stores or logs. */
type Index = ReturnType<typeof createIndex>;

function createIndex() {
  const entries = new Map<string, Entry>();
  const over = new Map<string, readonly string[]>(); // the kids that ended it, by Consent reference
  const byPatient = new Map<string, Set<string>>();
  const voided = new Map<string, { readonly patient: string; readonly logIndex: number }>(); // by Consent reference
  let generation = 0;

  function forget(reference: string): void {
    const entry = entries.get(reference);
    if (entry) byPatient.get(entry.compiled.patient)?.delete(reference);
    entries.delete(reference);
    over.delete(reference);
    voided.delete(reference);
  }

  return {
    touch: () => void generation++,
    generation: () => generation,
    inForce: (): Iterable<PolicyInForce> => entries.values(),
    voidReferences: () => [...voided.keys()],
    voidPatients: (): ReadonlySet<string> => new Set([...voided.values()].map(({ patient }) => patient)),
    /** Or ended by one of them. */
    signedBy(kids: ReadonlySet<string>): string[] {
      if (kids.size === 0) return [];
      const signed = [...entries.values()].map((entry): [string, readonly string[]] => [entry.reference, entry.kids]);
      return [...signed, ...over].flatMap(([reference, by]) => (by.some((kid) => kids.has(kid)) ? [reference] : []));
    },
    entry: (reference: string) => entries.get(reference),
    about: (patient: string): Iterable<string> => byPatient.get(patient) ?? [],
    patients: (): readonly string[] => [...byPatient.keys()],
    forget,
    end(reference: string, kids: readonly string[]) {
      forget(reference);
      over.set(reference, kids);
    },
    admit(entry: Entry) {
      forget(entry.reference);
      entries.set(entry.reference, entry);
      const theirs = byPatient.get(entry.compiled.patient) ?? new Set();
      byPatient.set(entry.compiled.patient, theirs.add(entry.reference));
    },
    /** False if it was void already. */
    makeVoid(reference: string, { subject, index }: LoggedConsent): boolean {
      const known = voided.get(reference)?.logIndex === index;
      forget(reference);
      voided.set(reference, { patient: (subject ?? '').slice('Patient/'.length), logIndex: index });
      return !known;
    },
  };
}

async function loadConsents(deps: PoliciesDeps, index: Index, references: readonly string[]): Promise<void> {
  const acting: Acting[] = [];
  for (const reference of references) {
    const logged = deps.log.latest(reference);
    if (logged?.kind === ACTIVE) acting.push({ reference, logged, kids: [] });
    else if (logged && ENDED.has(logged.kind)) acting.push(...(await endedOne(deps, index, { reference, logged })));
    else index.forget(reference);
  }
  const rows = await fetchByReference(
    deps,
    acting.map(({ reference }) => reference),
  );
  for (const one of acting) await admit(deps, index, { ...one, row: rows.get(one.reference) });
}

/** One, if it acts on because its end does not stand. */
async function endedOne(deps: PoliciesDeps, index: Index, { reference, logged }: Omit<Acting, 'kids'>): Promise<readonly Acting[]> {
  const end = await deps.endOf(reference, logged);
  if (end.kind === 'void') return [{ reference, logged, kids: end.kids }];
  if (end.kind === 'stands') index.end(reference, end.kids);
  else if (await hasMovedOn(deps, reference, logged)) index.forget(reference);
  else alarm(deps, index, reference, logged);
  return [];
}

/** `kids`: that ended it. */
type Acting = { readonly reference: string; readonly logged: LoggedConsent; readonly kids: readonly string[] };

async function admit(
  deps: PoliciesDeps,
  index: Index,
  { reference, logged, row, kids }: Acting & { readonly row: StoredResource | undefined },
): Promise<void> {
  const judged = row && isLogged(row, logged) ? await deps.judge(row) : ({ kind: 'forged' } as const);
  if (judged.kind === 'established' && row)
    index.admit({ reference, version: row.version, compiled: judged.compiled, kids: [...judged.kids, ...kids], logged });
  else if (await hasMovedOn(deps, reference, logged)) index.forget(reference);
  else alarm(deps, index, reference, logged);
}

async function confirm(deps: PoliciesDeps, index: Index, patients: readonly string[]): Promise<boolean> {
  const references = [...new Set(patients)].flatMap((patient) => [...index.about(patient)]);
  let sound = true;
  for (const [i, slice] of [...slices(references)].entries()) {
    if (i > 0) await setImmediate();
    const rows = await fetchByReference(deps, slice);
    for (const reference of slice) {
      const entry = index.entry(reference);
      const row = rows.get(reference);
      if (!entry || (row && isLogged(row, entry.logged))) continue;
      if (!(await hasMovedOn(deps, reference, entry.logged))) alarm(deps, index, reference, entry.logged);
      sound = false;
    }
  }
  return sound;
}

/** A signature or withdrawal of this very moment is no forgery: its own epoch brings the new state in, until then nothing acts. */
async function hasMovedOn(deps: PoliciesDeps, reference: string, logged: LoggedConsent): Promise<boolean> {
  await deps.log.catchUp();
  return deps.log.latest(reference)?.index !== logged.index;
}

function alarm(deps: PoliciesDeps, index: Index, reference: string, logged: LoggedConsent): void {
  // Void ones are looked at again at every epoch: one finding is one alarm.
  if (!index.makeVoid(reference, logged)) return;
  index.touch();
  deps.alarm({ logIndex: logged.index });
}

async function fetchByReference(deps: PoliciesDeps, references: readonly string[]): Promise<ReadonlyMap<string, StoredResource>> {
  if (references.length === 0) return new Map();
  const rows = await deps.fetch(references.map((reference) => reference.slice('Consent/'.length)));
  return new Map(rows.map((row) => [`Consent/${row.id}`, row]));
}

function isLogged(row: StoredResource, logged: LoggedConsent): boolean {
  return digestOf(row.body) === logged.digest;
}

function* slices<T>(items: readonly T[]): Generator<T[]> {
  for (let i = 0; i < items.length; i += SLICE) yield items.slice(i, i + SLICE);
}
