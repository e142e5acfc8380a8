/**
 * Who may act for a patient, for what and how long: an authority, granted by the patient or attested by two roles of the institution. Pure.
 * consent.md §6, docs/operations/keys.md
 *
 * Invariants: an authority is a signed and logged statement, never a resource; what was done under it is judged by places in the log, like a key.
 */
import { isPurpose } from './code-systems.ts';
import type { CompiledConsent, Provision } from './compile.ts';
import type { Said } from './key-statements.ts';
import type { SigningKey } from './keys.ts';

/**
 * On whose word: the patient's own; of a minor, of an adult who cannot decide, and of somebody who has died, the custodian's and an administrator's.
 */
export const bases = ['patient', 'guardian', 'representative', 'executor'] as const;
export const acts = ['sign', 'withdraw', 'read'] as const;
type Basis = (typeof bases)[number];
export type Act = (typeof acts)[number];

/** Instants in ms since 1970. */
export type AuthorityTerms = {
  /** Logical id. */
  readonly patient: string;
  /** `RelatedPerson/id`: a handle, as of keys. */
  readonly delegate: string;
  readonly basis: Basis;
  readonly acts: readonly Act[];
  /** Of what is signed and read; absent: any. */
  readonly purposes?: readonly string[];
  readonly from: number;
  readonly until: number;
};

export type Authority = AuthorityTerms & {
  readonly id: string;
  /** The key that signed it, and those that one rests on. */
  readonly kids: readonly string[];
  /** Of a guardian's: when the patient comes of age, and from when sensitive labels are the patient's own. */
  readonly majority?: number;
  readonly adolescence?: number;
  /** `compromisedFromIndex`: what was done under it at this index of the log or later counts no more. */
  readonly ended?: { readonly compromisedFromIndex?: number };
  /** Where in the log it was granted, and ended. */
  readonly logged: { readonly granted: number; readonly ended?: number };
  /** Holds in a commit as long as nothing has happened to it since it was looked up. */
  readonly unchanged: SigningKey['unchanged'];
};

const PATIENT = /^Patient\/([A-Za-z0-9.-]{1,64})$/;
const DELEGATE = /^RelatedPerson\/[A-Za-z0-9.-]{1,64}$/;

/** Undefined where the statement holds what is not understood. */
export function termsOf({ patient, delegate, basis, acts: asked, purposes, from, until }: Said<'authority'>): AuthorityTerms | undefined {
  const id = PATIENT.exec(patient)?.[1];
  const [knownBasis, knownActs] = [bases.find((each) => each === basis), acts.filter((each) => asked.includes(each))];
  const [start, end] = [instantOf(from), instantOf(until)];
  const understood = DELEGATE.test(delegate) && knownActs.length === asked.length && asked.length > 0 && (purposes ?? []).every(isPurpose);
  if (id === undefined || !knownBasis || !understood || purposes?.length === 0 || !(start < end)) return undefined;
  return { patient: id, delegate, basis: knownBasis, acts: knownActs, ...(purposes ? { purposes } : {}), from: start, until: end };
}

/** NaN where the text is no instant in UTC with milliseconds: in this one spelling verifiers compare texts. */
export function instantOf(text: string): number {
  const at = Date.parse(text);
  return !Number.isNaN(at) && new Date(at).toISOString() === text ? at : Number.NaN;
}

/** Whether something new may be done under it now. */
export function mayAct(authority: Authority, act: Act, now: number): boolean {
  return authority.acts.includes(act) && isStanding(authority, now);
}

/** Whether it holds now, for whatever it is for. */
export function isStanding(authority: Authority, now: number): boolean {
  return authority.ended === undefined && isWithin(authority, now);
}

/** Whether it was granted and not ended where the act stands in the log. */
export function couldAct({ logged: { granted, ended }, acts: granting }: Authority, act: Act, index: number): boolean {
  return granting.includes(act) && granted < index && (ended === undefined || index < ended);
}

/** Whether what stands there, logged at this time, still counts. */
export function actStillCounts(authority: Authority, { index, at }: { readonly index: number; readonly at: number }): boolean {
  const from = authority.ended?.compromisedFromIndex;
  return isWithin(authority, at) && (from === undefined || index < from);
}

function isWithin({ from, until }: AuthorityTerms, at: number): boolean {
  return from <= at && at < until;
}

/** Whether a Consent with these terms is one that may be signed under it. */
export function covers({ patient, purposes }: AuthorityTerms, consent: Pick<CompiledConsent, 'patient' | 'root'>): boolean {
  return patient === consent.patient && (purposes === undefined || staysWithin(consent.root, purposes));
}

/** A nested provision reaches no purpose that its parent does not, unless it stands beside it. */
function staysWithin({ purposes: stated, nested }: Provision, purposes: readonly string[]): boolean {
  const own = stated?.every((purpose) => purposes.includes(purpose)) ?? false;
  return own && nested.every((each) => !each.beside || staysWithin(each, purposes));
}

/** A guardian ends nothing that the patient signed themselves. */
export function mayEnd({ basis, acts: granted }: AuthorityTerms, { signedByPatient }: { readonly signedByPatient: boolean }): boolean {
  return granted.includes('withdraw') && !(basis === 'guardian' && signedByPatient);
}

/** A mandate of the living ends with them; an executor's begins then. */
export function fitsLife({ basis }: Pick<AuthorityTerms, 'basis'>, { deceased }: { readonly deceased: boolean }): boolean {
  return (basis === 'executor') === deceased;
}

/** `years` after the birth date, at the beginning of that day or of the month or year it is known by, UTC: never too late. NaN where there is none. */
export function ageReached(birthDate: unknown, years: number): number {
  const [, year, month = '1', day = '1'] = /^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?$/.exec(typeof birthDate === 'string' ? birthDate : '') ?? [];
  return year === undefined ? Number.NaN : Date.UTC(Number(year) + years, Number(month) - 1, Number(day));
}
