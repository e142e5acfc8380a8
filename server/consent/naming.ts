/**
 * Whom an identifier leads to: one Patient who has it here, or nobody. docs/adr/0043-whom-an-identifier-leads-to.md
 *
 * Invariant: nobody found is the most closed that a resource can be, and where nobody has looked nobody is found. Pure.
 */
import { facet, FOUND, IDENTITY, NAMED, NOBODY, SUBJECT, UNKNOWN_PATIENT } from './facets.ts';

/** Those who have an identifier (facet.identity), by logical id. */
export type Holders = (who: string) => readonly string[];

const none: Holders = () => [];

/** What its identifiers are called (facet.subject). */
export function subjectsIn(keys: readonly string[]): readonly string[] {
  return keys.flatMap((key) => (key.startsWith(NAMED) ? key.slice(NAMED.length).split('.') : []));
}

export function identitiesIn(keys: readonly string[]): readonly string[] {
  return keys.flatMap((key) => (key.startsWith(IDENTITY) ? [key.slice(IDENTITY.length)] : []));
}

/** The keys with whoever its identifiers lead to, instead of those who were found before. */
export function withFound(keys: readonly string[], holders: Holders): readonly string[] {
  const before = new Set(keys.flatMap((key) => (key.startsWith(FOUND) ? [facet.patient(key.slice(FOUND.length))] : [])));
  const own = keys.filter((key) => !key.startsWith(FOUND) && key !== UNKNOWN_PATIENT && !before.has(key));
  const named = keys.flatMap((key) => (key.startsWith(NAMED) ? [key.slice(NAMED.length).split('.')] : []));
  const leads = named.map((whos) => [...new Set(whos.flatMap(holders))]);
  // Two who have it are none: nobody knows which is meant.
  const isUnknown = own.includes(NOBODY) || leads.some((to) => to.length !== 1);
  const found = new Set(leads.flatMap((to) => (to.length === 1 ? to : [])));
  const added = [...found].filter((patient) => !own.includes(facet.patient(patient)));
  const fresh = new Set([
    ...own,
    ...added.flatMap((patient) => [facet.patient(patient), facet.found(patient)]),
    ...(isUnknown ? [UNKNOWN_PATIENT] : []),
  ]);
  // In another order they are the same keys.
  return fresh.size === keys.length && keys.every((key) => fresh.has(key)) ? keys : [...fresh];
}

export function withNobodyFound(keys: readonly string[]): readonly string[] {
  return withFound(keys, none);
}

/** As found now, for good: what it names is not looked for again. */
export function settled(keys: readonly string[]): readonly string[] {
  const kept = keys.filter((key) => !key.startsWith(FOUND) && !key.startsWith(SUBJECT));
  return keys.includes(UNKNOWN_PATIENT) && !kept.includes(NOBODY) ? [...kept, NOBODY] : kept;
}

/** Whether it names somebody of whom anybody has to be asked by an identifier. */
export function hasSubjects(keys: readonly string[]): boolean {
  return keys.some((key) => key.startsWith(NAMED));
}
