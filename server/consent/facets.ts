/**
 * What a version of a resource says about itself, as index keys a consent scope is made of: whom it names, how it is labelled, what it is
 * about, when it happened, who wrote it. consent.md §2 rules 4, 8–10, 18, 21, §3 (pushdown)
 *
 * Keys that start with `@` are indexed and may drive a query; those with `~` only filter. Frozen once released: stored with each version.
 * Invariant: a container carries the highest label and every code of its parts, so no part is easier to see than it would be alone.
 */
import { patientsNamed } from '../fhir/compartments.ts';
import { relativeToBase } from '../fhir/references.ts';
import type { ResourceValue } from '../fhir/resource.ts';
import { rangeOf } from '../fhir/dates.ts';
import { encodeInstant } from '../search/expression.ts';
import { rankOf, systems, UNLABELLED_RANK } from './code-systems.ts';

export const facet = {
  patient: (id: string) => `@patient/${id}`,
  /** The actor that wrote this version. */
  writer: (actor: string) => `@writer/${actor}`,
  /** The client whose act this AuditEvent or Task records, and that may see it. */
  own: (client: string) => `@own/${client}`,
  rank: (rank: number) => `~rank/${rank}`,
  sensitivity: (code: string) => `~sens/${code}`,
  /** What a permit by code looks at. */
  primaryCode: (system: string, code: string) => `~code/${system}|${code}`,
  /** What a deny by code looks at. */
  anyCode: (system: string, code: string) => `~any/${system}|${code}`,
  /** Type of a contained resource or Bundle entry. */
  part: (type: string) => `~part/${type}`,
  author: (reference: string) => `~author/${reference}`,
} as const;

export const PATIENT = '@patient/';
export const SENSITIVITY = '~sens/';
/** Followed by two encoded instants. */
export const WHEN = '~when/';
export const UNDATED = '~undated';
/** Signed or recorded by the server: nobody changes it by PUT, PATCH or DELETE. */
export const SEALED = '~sealed';
/** A medicationReference that leads nowhere: every deny by code holds. */
export const UNKNOWN_CODE = '~any?';

export type FacetContext = {
  readonly writer: string;
  readonly sealed?: boolean;
  /** Client id. */
  readonly own?: string;
  /** Facets of the version before, where this writer may not lower labels or drop patients (rule 21). */
  readonly keep?: readonly string[];
  /** Our own FHIR base URL: absolute references to it are local. */
  readonly base: string;
  /** A stored Medication by its reference `Medication/x`. */
  readonly lookup: (reference: string) => ResourceValue | undefined;
};

type Element = Readonly<Record<string, unknown>>;

export function facetsOf(resource: ResourceValue, context: FacetContext): string[] {
  const parts = partsOf(resource);
  const keys = new Set<string>();
  for (const patient of patientsNamed(resource, context.base)) keys.add(facet.patient(patient));
  keys.add(facet.writer(context.writer));
  if (context.own !== undefined) keys.add(facet.own(context.own));
  if (context.sealed) keys.add(SEALED);
  for (const part of parts) if (part !== resource) keys.add(facet.part(String(part['resourceType'])));
  addLabels(keys, parts, context.keep ?? []);
  addCodes(keys, resource, context);
  addDates(keys, resource, parts);
  for (const reference of authorsOf(resource)) keys.add(facet.author(relativeToBase(reference, context.base)));
  return [...keys];
}

/** The resource itself, what it contains and, of a Bundle, its entries, at any depth. */
function partsOf(resource: Element): Element[] {
  const contained = list(resource['contained']);
  const entries = resource['resourceType'] === 'Bundle' ? list(resource['entry']).map((entry) => entry['resource']) : [];
  return [resource, ...[...contained, ...entries].filter(isElement).flatMap(partsOf)];
}

function addLabels(keys: Set<string>, parts: readonly Element[], keep: readonly string[]): void {
  let highest = -1;
  for (const part of parts) {
    for (const { system, code } of codings((part['meta'] as Element | undefined)?.['security'])) {
      if (system === systems.confidentiality) highest = Math.max(highest, rankOf(code) ?? UNLABELLED_RANK);
      else keys.add(facet.sensitivity(system === systems.sensitivity ? code : `${system}|${code}`));
    }
  }
  let rank = highest < 0 ? UNLABELLED_RANK : highest;
  for (const key of keep) {
    if (key.startsWith(PATIENT) || key.startsWith(SENSITIVITY)) keys.add(key);
    if (key.startsWith('~rank/')) rank = Math.max(rank, Number(key.slice('~rank/'.length)));
  }
  keys.add(facet.rank(rank));
}

/** code, medicationCodeableConcept, vaccineCode, type (rule 9). */
const PRIMARY = ['code', 'medicationCodeableConcept', 'vaccineCode', 'type'];

function addCodes(keys: Set<string>, resource: ResourceValue, { base, lookup }: FacetContext): void {
  for (const name of PRIMARY) for (const { system, code } of conceptCodings(resource[name])) keys.add(facet.primaryCode(system, code));
  addEveryCoding(keys, resource);
  const reference = (resource['medicationReference'] as Element | undefined)?.['reference'];
  if (typeof reference !== 'string') return;
  // A contained Medication has been walked with everything else.
  if (reference.startsWith('#')) return;
  const medication = lookup(relativeToBase(reference, base));
  if (!medication) {
    keys.add(UNKNOWN_CODE);
    return;
  }
  for (const { system, code } of conceptCodings(medication['code'])) keys.add(facet.primaryCode(system, code));
  addEveryCoding(keys, medication);
}

/** Every coding outside meta, wherever it stands. */
function addEveryCoding(keys: Set<string>, node: unknown): void {
  if (Array.isArray(node)) {
    for (const item of node) addEveryCoding(keys, item);
    return;
  }
  if (!isElement(node)) return;
  if (typeof node['code'] === 'string' && typeof node['system'] === 'string') keys.add(facet.anyCode(node['system'], node['code']));
  for (const name in node) if (name !== 'meta' && typeof node[name] === 'object') addEveryCoding(keys, node[name]);
}

/** Rule 10: the elements that say when. */
const DATES = `
  effectiveDateTime effectivePeriod effectiveTiming effectiveInstant onsetDateTime onsetPeriod recordedDate performedDateTime performedPeriod
  authoredOn occurrenceDateTime occurrencePeriod occurrenceTiming period servicedDate servicedPeriod billablePeriod date authored sent start
  created issued`
  .trim()
  .split(/\s+/);

function addDates(keys: Set<string>, resource: Element, parts: readonly Element[]): void {
  const own = datesOf(resource);
  if (own.length === 0) keys.add(UNDATED);
  for (const key of [...own, ...parts.slice(1).flatMap(datesOf)]) keys.add(key);
}

function datesOf(resource: Element): string[] {
  return DATES.flatMap((name) => {
    const range = resource[name] === undefined ? undefined : rangeOf(resource[name]);
    return range ? [`${WHEN}${encodeInstant(range.low)}${encodeInstant(range.high)}`] : [];
  });
}

const AUTHORS = ['performer', 'author', 'recorder', 'asserter', 'requester', 'sender'];

function authorsOf(resource: Element): string[] {
  return AUTHORS.flatMap((name) => list(resource[name]).flatMap((value) => [value, value['actor']])).flatMap((value) => {
    const reference = isElement(value) ? value['reference'] : undefined;
    return typeof reference === 'string' ? [reference] : [];
  });
}

function conceptCodings(concept: unknown): { system: string; code: string }[] {
  return list(concept).flatMap((each) => codings(each['coding']));
}

function codings(value: unknown): { system: string; code: string }[] {
  return list(value).flatMap(({ system, code }) => (typeof code === 'string' ? [{ system: typeof system === 'string' ? system : '', code }] : []));
}

/** A value that may be one or many, as the many; anything that is no object is left out. */
function list(value: unknown): Element[] {
  return (Array.isArray(value) ? value : [value]).filter(isElement);
}

function isElement(value: unknown): value is Element {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
