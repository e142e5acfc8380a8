/**
 * A second reading of who acts for a patient and what a signature in their place is worth, written from the prose of consent.md §6 alone: naive, and
 * sharing nothing with server/.
 */

/** Instants in ms since 1970. `birthDate`: of the patient, in full, when it was attested. */
export type Granted = {
  readonly patient: string;
  readonly basis: 'patient' | 'guardian' | 'representative' | 'executor';
  readonly acts: readonly string[];
  readonly purposes?: readonly string[];
  readonly from: number;
  readonly until: number;
  readonly ended: boolean;
  readonly birthDate: string;
};

/** For whom the caller acts. `reads`: in their place; `hides`: labels that are the patient's own, whoever opens the record to the caller. */
export type Acting = { readonly patient: string; readonly reads: boolean; readonly hides: readonly string[] };

const MAJORITY = 18;
const ADOLESCENCE = 12;
const ADOLESCENTS_OWN = ['ADOL', 'SEX', 'STD', 'HIV', 'SUD', 'MH', 'SDV', 'V'];

function birthday(birthDate: string, years: number): number {
  const [year = 0, month = 1, day = 1] = birthDate.split('-').map(Number);
  return Date.UTC(year + years, month - 1, day);
}

/** Undefined: for nobody. An executor acts for who has died, everybody else for the living; a guardian until the patient comes of age. */
export function actingFor(
  granted: Granted,
  { now, purpose, dead }: { readonly now: number; readonly purpose: string; readonly dead: boolean },
): Acting | undefined {
  const { patient, basis, acts, purposes, from, until, ended, birthDate } = granted;
  if (ended || now < from || now >= until || dead !== (basis === 'executor')) return undefined;
  const isAdolescents = basis === 'guardian' && now >= birthday(birthDate, ADOLESCENCE);
  return {
    patient,
    reads: acts.includes('read') && (purposes === undefined || purposes.includes(purpose)),
    hides: isAdolescents ? ADOLESCENTS_OWN : [],
  };
}

/**
 * How a Consent came to be signed, and ended. `relative`: in the patient's place, under this authority; `stolen key`: in other hands by then;
 * `suspended`: its custodian ended it since, alone.
 */
export type Signing =
  | { readonly by: 'relative'; readonly under: Pick<Granted, 'basis' | 'birthDate'> }
  | { readonly by: 'stolen key' }
  | { readonly by: 'suspended' };

/**
 * What it denies it denies, whoever signed. What a relative signed lets no relative in; what a guardian signed, nobody once the patient is of age: both
 * as if the permit had not been signed. One by a stolen key lets nobody in, and closes what a permit closes: nobody knows what the patient wanted. So
 * does one that was suspended: a custodian alone closes, and never widens (consent.md §5, ADR 35).
 */
export function worthOf(
  signing: Signing | undefined,
  { actor, now }: { readonly actor: string; readonly now: number },
): { readonly permits: boolean; readonly closes: boolean } {
  if (signing === undefined) return { permits: true, closes: true };
  if (signing.by !== 'relative') return { permits: false, closes: true };
  const lapsed = signing.under.basis === 'guardian' && now >= birthday(signing.under.birthDate, MAJORITY);
  const permits = !lapsed && !actor.startsWith('RelatedPerson/');
  return { permits, closes: permits };
}

/** When a guardian's authority ends at the latest. */
export function majorityOf(birthDate: string): number {
  return birthday(birthDate, MAJORITY);
}
