/**
 * The labelling step: what a resource is about, told from its codes and from those of what it refers to, as sensitivities beside those that its source
 * states. HL7 v3 InformationSensitivityPolicy; consent.md §2 (labels), §3 (pushdown)
 *
 * Invariants: what a source states stays as it is, so an assigned label only ever closes further; what is assigned can be told from what is stated, and is
 * made again from the keys alone when the rules change. Pure.
 */
import { hash } from 'node:crypto';
import { isSensitivity, UNLABELLED_RANK } from './code-systems.ts';
import {
  ANY_CODE,
  ANY_SUBJECT,
  ASSIGNED,
  facet,
  LABELLED_BY,
  PART_IS,
  PATIENT,
  RANK,
  REFERS_TO,
  RESTS_ON,
  SEALED,
  SENSITIVITY,
  STATED,
  UNLENT,
} from './facets.ts';

/** Codes of v3-ActCode, and what carries them. `pattern`: of whole codes. */
export type SensitiveCodes = {
  readonly labels: readonly string[];
  readonly codes: readonly { readonly system: string; readonly code: string }[];
  readonly patterns: readonly { readonly system: string; readonly pattern: string }[];
};

export type Labelling = {
  /** Another word for other rules. */
  readonly rules: string;
  /** Sensitivities that a coding, `system|code`, stands for. */
  readonly labelsOf: (coding: string) => readonly string[];
};

/** Beyond this codes are looked up anew: codes come from outside. */
const MOST_REMEMBERED = 50_000;
const nothing: readonly string[] = [];

/** Throws Error with a sentence for a label that is not pinned. */
export function createLabelling(sets: readonly SensitiveCodes[]): Labelling {
  for (const code of sets.flatMap(({ labels }) => labels))
    if (!isSensitivity(code)) throw new Error(`The label ${code} of a value set of sensitive codes is no pinned sensitivity code.`);
  const byCoding = new Map<string, readonly string[]>();
  for (const { labels, codes } of sets)
    for (const { system, code } of codes) byCoding.set(`${system}|${code}`, union(byCoding.get(`${system}|${code}`) ?? nothing, labels));
  const patterns = Map.groupBy(
    sets.flatMap(({ labels, patterns: all }) => all.map(({ system, pattern }) => ({ system, labels, pattern: new RegExp(`^(?:${pattern})$`, 'i') }))),
    ({ system }) => system,
  );
  const remembered = new Map<string, readonly string[]>();
  const find = (coding: string): readonly string[] => {
    const bar = coding.lastIndexOf('|');
    const [system, code] = [canonical(coding.slice(0, bar)), coding.slice(bar + 1)];
    const matching = (patterns.get(system) ?? []).filter(({ pattern }) => pattern.test(code));
    return matching.reduce((found, { labels }) => union(found, labels), byCoding.get(`${system}|${code}`) ?? nothing);
  };
  return {
    rules: hash('sha256', JSON.stringify(sets), 'base64url').slice(0, 10),
    labelsOf(coding) {
      const known = remembered.get(coding);
      if (known) return known;
      const found = find(coding);
      if (remembered.size >= MOST_REMEMBERED) remembered.clear();
      remembered.set(coding, found);
      return found;
    },
  };
}

/** The same systems as HL7 v2 and CDA name them. */
const NAMES: Readonly<Record<string, string>> = {
  'urn:oid:2.16.840.1.113883.6.96': 'http://snomed.info/sct',
  'urn:oid:2.16.840.1.113883.6.1': 'http://loinc.org',
  'urn:oid:2.16.840.1.113883.6.88': 'http://www.nlm.nih.gov/research/umls/rxnorm',
  'urn:oid:2.16.840.1.113883.6.3': 'http://hl7.org/fhir/sid/icd-10',
  'urn:oid:2.16.840.1.113883.6.90': 'http://hl7.org/fhir/sid/icd-10-cm',
  'urn:oid:2.16.840.1.113883.6.73': 'http://www.whocc.no/atc',
};

function canonical(system: string): string {
  return NAMES[system] ?? system;
}

function union(a: readonly string[], b: readonly string[]): readonly string[] {
  return a.length === 0 ? b : b.length === 0 ? a : [...new Set([...a, ...b])];
}

/** Types that say what somebody has, had or may get: whatever refers to one says it as well. */
const TELLING = new Set(
  `AllergyIntolerance CarePlan ClinicalImpression Composition Condition DetectedIssue DeviceRequest DiagnosticReport DocumentReference FamilyMemberHistory
  Goal ImagingStudy Immunization ImmunizationRecommendation Media Medication MedicationAdministration MedicationDispense MedicationRequest
  MedicationStatement MolecularSequence NutritionOrder Observation Procedure QuestionnaireResponse RequestGroup RiskAssessment ServiceRequest Specimen`
    .trim()
    .split(/\s+/),
);

export function isTelling(type: string): boolean {
  return TELLING.has(type);
}

/** Decided by its targets themselves, or recorded by the server. */
const APART = new Set(['Provenance', 'AuditEvent', 'Consent']);

/** Types whose labels follow what they refer to. */
export function followsReferences(type: string): boolean {
  return !APART.has(type);
}

/** `Type/id` of what else says what this is about, as far as it lends labels; entries of a Bundle have been looked at as its parts. */
export function restsOn(type: string, keys: readonly string[]): readonly string[] {
  if (!followsReferences(type) || keys.includes(SEALED)) return nothing;
  const referred = keys.filter((key) => key.startsWith(REFERS_TO)).map((key) => key.slice(REFERS_TO.length));
  const parts = new Set(referred.length === 0 ? [] : keys.filter((key) => key.startsWith(PART_IS)).map((key) => key.slice(PART_IS.length)));
  const unlent = new Set(keys.filter((key) => key.startsWith(UNLENT)).map((key) => key.slice(UNLENT.length)));
  return referred.filter((reference) => TELLING.has(reference.slice(0, reference.indexOf('/'))) && !parts.has(reference) && !unlent.has(reference));
}

/** Sensitivities that the codes of a resource stand for, without those of what it refers to. */
export function labelsByCode(keys: readonly string[], { labelsOf }: Labelling): ReadonlySet<string> {
  const labels = new Set<string>();
  for (const key of keys) if (key.startsWith(ANY_CODE)) for (const label of labelsOf(key.slice(ANY_CODE.length))) labels.add(label);
  return labels;
}

/** Keys of what is referred to; undefined where that is not stored. */
export type Referred = (reference: string) => readonly string[] | undefined;

/** The keys of a resource with what these rules assign to it, instead of what others may have. */
export function withLabels(type: string, given: readonly string[], { labelling, referred }: { labelling: Labelling; referred: Referred }): string[] {
  const keys = new Set(withoutLabels(given));
  keys.add(facet.labelledBy(labelling.rules));
  // The server's own act or evidence: no Consent reaches its codes.
  if (keys.has(SEALED)) return [...keys];
  const labels = new Set(labelsByCode(given, labelling));
  for (const reference of restsOn(type, given)) {
    const target = referred(reference);
    // Who is found by an identifier may be another tomorrow.
    if (!target || keys.has(ANY_SUBJECT) || !namesSame(target, keys)) keys.add(facet.restsOn(reference));
    if (target) for (const label of labelsByCode(target, labelling)) labels.add(label);
  }
  for (const label of labels) {
    if (keys.has(facet.sensitivity(label))) continue;
    keys.add(facet.sensitivity(label)).add(facet.assigned(label));
  }
  if (labels.size > 0) raiseRank(keys);
  return [...keys];
}

/** Whether whoever looks through this resource's patients would find it from the target. */
function namesSame(target: readonly string[], keys: ReadonlySet<string>): boolean {
  return target.some((key) => key.startsWith(PATIENT) && keys.has(key));
}

/** What is sensitive is restricted, whatever its source thought of it. */
function raiseRank(keys: Set<string>): void {
  for (const key of keys) {
    const rank = key.startsWith(RANK) ? Number(key.slice(RANK.length)) : UNLABELLED_RANK;
    if (rank >= UNLABELLED_RANK) continue;
    keys.delete(key);
    keys.add(facet.rank(UNLABELLED_RANK)).add(facet.stated(rank));
    return;
  }
}

/** The keys made anew, less no label that there was. */
export function keepingLabels(before: readonly string[], fresh: readonly string[]): readonly string[] {
  const lost = before.some((key) => key.startsWith(SENSITIVITY) && !fresh.includes(key));
  if (!lost) return fresh;
  const isRank = (key: string) => key.startsWith(RANK) || key.startsWith(STATED);
  const labels = before.filter((key) => key.startsWith(SENSITIVITY) || key.startsWith(ASSIGNED) || isRank(key));
  // Whatever is sensitive was restricted by it.
  return [...new Set([...labels, ...fresh.filter((key) => !isRank(key))])];
}

function withoutLabels(keys: readonly string[]): readonly string[] {
  const assigned = new Set(keys.filter((key) => key.startsWith(ASSIGNED)).map((key) => facet.sensitivity(key.slice(ASSIGNED.length))));
  const stated = keys.find((key) => key.startsWith(STATED));
  const isMade = (key: string) =>
    key.startsWith(LABELLED_BY) ||
    key.startsWith(ASSIGNED) ||
    key.startsWith(RESTS_ON) ||
    key.startsWith(STATED) ||
    (key.startsWith(SENSITIVITY) && assigned.has(key)) ||
    (stated !== undefined && key.startsWith(RANK));
  const kept = keys.filter((key) => !isMade(key));
  return stated === undefined ? kept : [...kept, RANK + stated.slice(STATED.length)];
}
