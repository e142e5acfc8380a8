/**
 * Runs a store query in the caller's view: the compiled consents of one epoch, re-decided when the epoch moved while reading, and
 * confirmed against the log for every patient the answer is about. consent.md §3 (pushdown), ledger.md §3.
 *
 * Invariant: rows come back only if they were read under a scope whose epoch held in the snapshot of the read and still held in the commit
 * that recorded their disclosure, and every Consent about the patients they name is byte for byte the one in the log.
 */
import { AssentError } from '../../errors.ts';
import type { StoredResource } from '../../store/port.ts';
import { paramNameOf } from '../../search/param-codes.ts';
import { PATIENT } from '../facets.ts';
import type { NamedConsent, Tells, Why } from '../why.ts';
import type { SourcedHistoryScope, SourcedScope } from './sourced.ts';

/** The order that costs nothing, for whoever needs none. */
export const newestFirst = { by: 'instant', direction: 'newest-first' } as const;

/** What one caller may see at one consent epoch. */
export type View = {
  readonly epoch: number;
  scope(type: string): SourcedScope;
  /** References `Consent/id/_history/version` of the Consents of these patients that permit this caller something now. */
  basis(patients: readonly string[]): readonly string[];
  /** The same text as long as nothing it was made from has changed. */
  mark(): string;
  /** Every patient of whom a Consent speaks to this caller: what a total rests on, where the store does not say whom it counted. */
  readonly patients: readonly string[];
  /** Of this patient, in force. */
  consentsOf(patient: string): readonly NamedConsent[];
  /** Why it shows or hides a resource, of one patient it names. `anchors`: in the place of those that are visible (rule 11). */
  why(type: string, about: { readonly patient: string | undefined; readonly tells: Tells; readonly anchors?: ReadonlySet<string> }): Why;
};

export type Views = {
  current(): Promise<View>;
  /** False if a Consent about one of these patients is not the one the log knows: it is void from now on, decide again. */
  confirm(patients: readonly string[]): Promise<boolean>;
  /** The same of everybody's: Policies.confirmAll. */
  confirmAll?: (() => Promise<boolean>) | undefined;
};

type Stale = { readonly kind: 'stale' };
type OverBudget = { readonly kind: 'budget'; readonly walked: number; readonly by?: readonly string[] };

const ATTEMPTS = 10;

/** Logical ids of patients; `others`: what the answer says of is all that the view shows. */
export type RestsOn = readonly string[] | { readonly patients: readonly string[]; readonly others: true };

/** One question of a caller: what to read, which patients' Consents the answer rests on, and what makes it an answer. */
type Question<T, R> = {
  readonly read: (view: View) => Promise<T>;
  readonly restsOn: (answer: Exclude<T, Stale | OverBudget>, view: View) => RestsOn;
  /** Records the disclosure; undefined when the epoch moved before the record was durable, and nothing was recorded. */
  readonly conclude: (answer: Exclude<T, Stale | OverBudget>, view: View) => Promise<R | undefined>;
};

/** Throws too-costly when the engine gave up, unavailable when the view never held still. */
export async function inView<T extends { readonly kind: string }, R>(views: Views, { read, restsOn, conclude }: Question<T, R>): Promise<R> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const view = await views.current();
    const found = await read(view);
    if (found.kind === 'stale') continue;
    if (found.kind === 'budget') throw new AssentError('too-costly', howToNarrow(found as unknown as OverBudget));
    const answer = found as Exclude<T, Stale | OverBudget>;
    const concluded = (await isConfirmed(views, view, restsOn(answer, view))) ? await conclude(answer, view) : undefined;
    if (concluded !== undefined) return concluded;
  }
  throw new AssentError('unavailable', 'Permissions are changing faster than this request can be answered.', { retryAfter: 1 });
}

/** What is shown is compared each time; what is only counted, by whether anybody could have changed it. */
async function isConfirmed({ confirm, confirmAll }: Views, view: View, rests: RestsOn): Promise<boolean> {
  if (!('others' in rests)) return confirm(rests);
  if (!confirmAll) return confirm([...rests.patients, ...view.patients]);
  return (await confirm(rests.patients)) && (await confirmAll());
}

/** Names criteria of the search, never a value: what the store went along is one of them, or what the caller may see. */
function howToNarrow({ by = [] }: OverBudget): string {
  const names = by.flatMap((head) => paramNameOf(head) ?? []);
  const along = names.length === 0 ? 'Nothing that was asked for is rare enough to begin with' : `Even ${names.join(', ')} matches too much`;
  return `The search would read too much. ${along}: add a criterion that few resources meet, such as a patient, an identifier or a short span of dates.`;
}

/** A row as the Gate reads it. `concerns`: patients whose Consents it rests on besides those it names (readSources). */
export type GateRow = Pick<StoredResource, 'keys'> & { readonly concerns?: readonly string[] };

/** Logical ids of the patients that rows are about: the facet written with each version, and what they rest on. */
export function patientsOf(rows: readonly GateRow[]): readonly string[] {
  const [only] = rows;
  return rows.length === 1 && only ? patientsOfRow(only) : [...new Set(rows.flatMap(patientsOfRow))];
}

/** An answer asks several times of each of its rows. */
const known = new WeakMap<GateRow, readonly string[]>();

function patientsOfRow(row: GateRow): readonly string[] {
  let patients = known.get(row);
  if (!patients) {
    const { keys, concerns = [] } = row;
    const named = keys.flatMap((key) => (key.startsWith(PATIENT) ? [key.slice(PATIENT.length)] : []));
    known.set(row, (patients = [...new Set([...named, ...concerns])]));
  }
  return patients;
}

export function historyScope(view: View): SourcedHistoryScope {
  return { epoch: view.epoch, where: (type) => view.scope(type).where, refinementOf: (type) => view.scope(type).refinement };
}
