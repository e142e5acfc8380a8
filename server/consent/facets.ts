/**
 * What a version of a resource says about itself, as index keys a consent scope is made of: whom it names, how it is labelled, what it is
 * about, when it happened, who wrote it. consent.md §2 rules 4, 8–10, 18, 21, §3 (pushdown)
 *
 * Keys that start with `@` are indexed and may drive a query; those with `~` only filter. Frozen once released: stored with each version.
 * Invariant: a container carries the highest label and every code of its parts, so no part is easier to see than it would be alone.
 */
import { hash } from 'node:crypto';
import { PATIENT_KEY } from '../fhir/compartments.ts';
import { type Identifier, identifiersIn, type NamedPatients, namedPatients } from '../fhir/named-patients.ts';
import { parseReference, relativeToBase } from '../fhir/references.ts';
import { opensByScopeAlone } from '../fhir/resource-types.ts';
import { isObject, type ResourceValue } from '../fhir/resource.ts';
import { rangeOf } from '../fhir/dates.ts';
import { and, any, encodeInstant, type Expression, not } from '../search/expression.ts';
import { rankOf, systems, UNLABELLED_RANK } from './code-systems.ts';

export const facet = {
  patient: (id: string) => PATIENT_KEY + id,
  /** The actor that wrote this version. */
  writer: (actor: string) => `@writer/${actor}`,
  /** The client whose act this AuditEvent or Task records, and that may see it. */
  own: (client: string) => OWN + client,
  /** The party whose Task this is: made by the server, for whoever acts for them. */
  owner: (actor: string) => `@owner/${actor}`,
  /** A patient whom this AuditEvent concerns beside others, none of whom it names. */
  concerned: (id: string) => `@concerned/${id}`,
  /** In the place of a key that naming a patient would have given an AuditEvent which names none. */
  nobody: (place: number, text: string) => `@nobody/${place}/${text}`,
  rank: (rank: number) => `${RANK}${rank}`,
  sensitivity: (code: string) => SENSITIVITY + code,
  /** What a permit by code looks at. */
  primaryCode: (system: string, code: string) => `~code/${system}|${code}`,
  /** What a deny by code looks at. */
  anyCode: (system: string, code: string) => `${ANY_CODE}${system}|${code}`,
  /** Type of a contained resource or of one it holds. */
  part: (type: string) => PART + type,
  author: (reference: string) => AUTHOR + reference,
  /** Who wrote a part of it. */
  partAuthor: (reference: string) => PART_AUTHOR + reference,
  /** What it, or a part within it, refers to: `Type/id`. */
  refersTo: (reference: string) => REFERS_TO + reference,
  /** What a part that lives elsewhere refers to. */
  partRefersTo: (reference: string) => PART_REFERS_TO + reference,
  /** A part that has an id elsewhere: a Bundle's entry, what a Composition's section speaks of. */
  partIs: (reference: string) => PART_IS + reference,
  /** What decides about it besides itself: what a Composition's section speaks of, a Binary's securityContext, a Provenance's target. */
  source: (reference: string) => SOURCE + reference,
  /** A sensitivity that its codes, or those of what it refers to, stand for, and that its source does not state. */
  assigned: (code: string) => ASSIGNED + code,
  /** The rank stated, where what was assigned raised it. */
  stated: (rank: number) => `${STATED}${rank}`,
  /** Of a Patient: another record of the same person. */
  linked: (patient: string) => LINKED + patient,
  /** Of a Patient: an identifier it is known by here, as whoKey of it. */
  identity: (who: string) => IDENTITY + who,
  /** An identifier by which it names a patient. */
  subject: (who: string) => SUBJECT + who,
  /** Somebody who is named by these identifiers. */
  named: (whos: readonly string[]) => NAMED + [...new Set(whos)].sort().join('.'),
  /** A patient who is named by identifiers alone. */
  found: (patient: string) => FOUND + patient,
  /** By which rules sensitivities were assigned. */
  labelledBy: (rules: string) => LABELLED_BY + rules,
  /** Labelled by what this refers to, which is not known to be about the same patients. */
  restsOn: (reference: string) => RESTS_ON + reference,
  /** Lends no label: whoever wrote that this refers to it did not see it. */
  unlent: (reference: string) => UNLENT + reference,
  /** A key of an earlier version that is not its own any more, and still one of what it is a part of. */
  was: (key: string) => WAS + key,
  /** Which sources, as one key. */
  sources: (references: readonly string[]) => `~srcs/${hash('sha256', [...references].sort().join(' '), 'base64url')}`,
} as const;

export const PATIENT = PATIENT_KEY;
export const OWN = '@own/';
export const SOURCE = '~src/';
/** Another source that leads nowhere here. */
export const UNKNOWN_SOURCE = '~src?';
export const SENSITIVITY = '~sens/';
export const RANK = '~rank/';
export const ASSIGNED = '~given/';
export const STATED = '~stated/';
export const LABELLED_BY = '~labelled/';
export const RESTS_ON = '@rests/';
export const UNLENT = '~unlent/';
export const WAS = '~was/';
export const LINKED = '@link/';
export const IDENTITY = '@identity/';
export const SUBJECT = '@subject/';
/** That it has some SUBJECT: where no resource has, nobody needs to be looked for. */
export const ANY_SUBJECT = `${SUBJECT}*`;
export const NAMED = '~named/';
export const FOUND = '~found/';
/** Names somebody whom no identifier leads to either. */
export const NOBODY = '~nobody';
export const ANY_CODE = '~any/';
export const REFERS_TO = '~ref/';
export const PART_REFERS_TO = '~pref/';
export const PART_IS = '~is/';
export const AUTHOR = '~author/';
export const PART_AUTHOR = '~pauthor/';
export const PART = '~part/';
/** Followed by two encoded instants. */
export const WHEN = '~when/';
export const UNDATED = '~undated';
/** Signed or recorded by the server: nobody changes it by PUT, PATCH or DELETE. */
export const SEALED = '~sealed';
/** A medicationReference that leads nowhere: every deny by code holds. */
export const UNKNOWN_CODE = '~any?';
/** A Composition's section speaks of resources whose labels and codes are not here: every deny by label, class, code or time holds. */
export const UNKNOWN_PART = '~part?';
/** Names a patient by what leads to nobody's id: they cannot be asked, so no Consent of anybody else opens it. */
export const UNKNOWN_PATIENT = '~patient?';
/** A Provenance of something whose patients are not known here. */
export const UNKNOWN_TARGET = '~target?';
/** A Binary with a securityContext: decided by it, not by who wrote it (rule 18). */
export const HAS_CONTEXT = '~context';

/** Stored with `refersTo`, `partIs` and `partAuthor`. What was stored before these were kept may refer to anything: every deny by such holds. */
export const REFERENCES_KEPT = '~refs';

/** Names some of these patients (as keys, facet.patient), nobody else, and nobody who cannot be found. */
export function namesOnly(patients: ReadonlySet<string>): Expression {
  return and([any(patients), { kind: 'every', prefix: PATIENT, keys: patients }, not(any([UNKNOWN_PATIENT]))]);
}

/** Index keys that an AuditEvent has because an entity of it is a patient: `entity` and `patient`, and the facet. */
const KEYS_OF_PATIENT = 3;

type Concerning = { readonly patient: string | undefined; readonly concerned: readonly string[]; readonly what: readonly string[] };

/**
 * Of an AuditEvent about something whose patients its sender must not learn of: facets of those it does not name, and as many keys more as naming one patient
 * would have given it. To write it takes as long whether it concerns one, a few or none: keys are most of what an event costs.
 */
export function concernedKeys({ patient, concerned, what }: Concerning): string[] {
  const isNamed = patient !== undefined && !what.includes(`Patient/${patient}`);
  if (isNamed) return [];
  const keys = patient === undefined ? concerned.map(facet.concerned) : [];
  // The same for the same question: asked again, they go where the ones before went, as a patient's do.
  const text = hash('sha256', what.join(), 'base64url').slice(0, 25);
  for (let place = keys.length; place < KEYS_OF_PATIENT; place++) keys.push(facet.nobody(place, text));
  return keys;
}

/** Whether a stored key is a facet rather than a key of a search parameter. */
export function isFacet(key: string): boolean {
  return /^(?:@(?:patient|writer|own|owner|concerned|nobody|rests|link|identity|subject)\/|~[a-z])/.test(key);
}

export type FacetContext = {
  readonly writer: string;
  readonly sealed?: boolean;
  /** Client id. */
  readonly own?: string | undefined;
  /** FHIR reference. */
  readonly owner?: string | undefined;
  /** Facets of the version before, where this writer may not lower labels or drop patients (rule 21). */
  readonly keep?: readonly string[];
  /** Of a Patient: whether its writer says whose identifiers are whose, and which records are of one person. */
  readonly keeps?: boolean;
  /** Our own FHIR base URL: absolute references to it are local. */
  readonly base: string;
  /** A stored resource by its reference `Type/id`: Medications of medicationReference, targets of a Provenance. */
  readonly lookup: (reference: string) => ResourceValue | undefined;
};

type Element = Readonly<Record<string, unknown>>;

export function facetsOf(resource: ResourceValue, context: FacetContext): string[] {
  const parts = partsOf(resource);
  const keys = new Set<string>();
  const named = namedPatients(resource, context.base);
  for (const patient of named.ids) keys.add(facet.patient(patient));
  if (!context.sealed) addSomebody(keys, named);
  keys.add(facet.writer(context.writer));
  if (context.own !== undefined) keys.add(facet.own(context.own));
  if (context.owner !== undefined) keys.add(facet.owner(context.owner));
  if (context.sealed) keys.add(SEALED);
  for (const part of parts) if (part !== resource) keys.add(facet.part(String(part['resourceType'])));
  addSectionTargets(keys, parts, context);
  if (resource.resourceType === 'Patient' && context.keeps) addRecord(keys, resource, context.base);
  if (resource.resourceType === 'Provenance') addTargets(keys, resource, context);
  if (resource.resourceType === 'Binary' && resource['securityContext'] !== undefined) {
    keys.add(HAS_CONTEXT);
    addSource(keys, (resource['securityContext'] as Element | null)?.['reference'], context.base);
  }
  addSourceSet(keys);
  addLabels(keys, parts, context.keep ?? []);
  addCodes(keys, parts, context);
  addDates(keys, resource, parts);
  for (const reference of authorsOf(resource)) keys.add(facet.author(relativeToBase(reference, context.base)));
  // No Consent reaches what the server records or has had signed.
  if (!context.sealed) addReferences(keys, parts, context);
  addBefore(keys, context.keep ?? []);
  return [...keys];
}

/** Where one of another patient's documents is denied by a date, an author or a reference of what a section speaks of: who takes it away opens nothing. */
const KEPT_AS_PART = [WHEN, REFERS_TO, AUTHOR, PART_AUTHOR, PART, PART_IS];

function addBefore(keys: Set<string>, keep: readonly string[]): void {
  const before = keep.flatMap((key) =>
    key.startsWith(WAS) ? [key.slice(WAS.length)] : KEPT_AS_PART.some((each) => key.startsWith(each)) ? [key] : [],
  );
  for (const key of before) if (!keys.has(key)) keys.add(facet.was(key));
}

/** With those that addCodes finds on its walk. */
function addReferences(keys: Set<string>, parts: readonly Element[], { base }: FacetContext): void {
  keys.add(REFERENCES_KEPT);
  // The id of what is contained is its container's own affair.
  for (const entry of entriesOf(parts))
    if (typeof entry['id'] === 'string') keys.add(facet.partIs(`${String(entry['resourceType'])}/${entry['id']}`));
  for (const part of parts.slice(1)) {
    for (const reference of authorsOf(part)) keys.add(facet.partAuthor(relativeToBase(reference, base)));
  }
}

function entriesOf(parts: readonly Element[]): Element[] {
  return parts.flatMap(heldBy);
}

/** The resource itself, what it contains and what it holds, at any depth. */
function partsOf(resource: Element): Element[] {
  return [resource, ...[...list(resource['contained']), ...heldBy(resource)].flatMap(partsOf)];
}

/** Of a Bundle its entries and what was answered to them, of Parameters the resources among them. */
function heldBy(resource: Element): Element[] {
  if (resource['resourceType'] === 'Parameters') return list(resource['parameter']).flatMap(resourcesIn);
  if (resource['resourceType'] !== 'Bundle') return [];
  return list(resource['entry']).flatMap((entry) => [...list(entry['resource']), ...list(entry['response']).flatMap(({ outcome }) => list(outcome))]);
}

function resourcesIn(parameter: Element): Element[] {
  return [...list(parameter['resource']), ...list(parameter['part']).flatMap(resourcesIn)];
}

/**
 * What a section speaks of is a part too, but lives elsewhere under labels of its own: they are looked up when it is read. What stands in the same
 * Bundle has been walked as a part.
 */
function addSectionTargets(keys: Set<string>, parts: readonly Element[], { base }: FacetContext): void {
  const bundled = parts.filter(({ resourceType }) => resourceType === 'Bundle').flatMap(({ entry }) => list(entry));
  const names = bundled.flatMap(({ fullUrl, resource }) => [
    fullUrl,
    ...(isObject(resource) ? [`${String(resource['resourceType'])}/${String(resource['id'])}`] : []),
  ]);
  const beside = new Set(names);
  const walk = (section: Element): void => {
    for (const { reference } of list(section['entry'])) {
      if (typeof reference === 'string' && (reference.startsWith('#') || beside.has(reference))) continue;
      keys.add(UNKNOWN_PART);
      const target = addSource(keys, reference, base);
      if (target) keys.add(facet.part(target.type)).add(facet.partIs(`${target.type}/${target.id}`));
    }
    list(section['section']).forEach(walk);
  };
  for (const part of parts) if (part['resourceType'] === 'Composition') list(part['section']).forEach(walk);
}

function addSource(keys: Set<string>, reference: unknown, base: string): { readonly type: string; readonly id: string } | undefined {
  const parsed = typeof reference === 'string' ? parseReference(reference, base) : undefined;
  const source = parsed?.kind === 'local' && parsed.type !== undefined && parsed.id !== undefined ? { type: parsed.type, id: parsed.id } : undefined;
  keys.add(source ? facet.source(`${source.type}/${source.id}`) : UNKNOWN_SOURCE);
  return source;
}

/** As long as nobody has looked for them, whoever is named by an identifier is unknown. */
function addSomebody(keys: Set<string>, { unknown, identified }: NamedPatients): void {
  if (unknown) keys.add(NOBODY);
  if (unknown || identified.length > 0) keys.add(UNKNOWN_PATIENT);
  for (const identifiers of identified) {
    const whos = identifiers.map(whoKey);
    keys.add(facet.named(whos)).add(ANY_SUBJECT);
    for (const who of whos) keys.add(facet.subject(who));
  }
}

/** An identifier as one word of fixed length. */
function whoKey({ system, value }: Identifier): string {
  return hash('sha256', JSON.stringify([system, value]), 'base64url');
}

function addRecord(keys: Set<string>, { id, link, identifier }: ResourceValue, base: string): void {
  for (const each of identifiersIn(identifier)) keys.add(facet.identity(whoKey(each)));
  const others = namedPatients({ resourceType: 'Patient', link }, base).ids;
  for (const other of others) if (other !== id) keys.add(facet.linked(other));
}

function addSourceSet(keys: Set<string>): void {
  const sources = [...keys].filter((key) => key.startsWith(SOURCE));
  if (sources.length > 0) keys.add(facet.sources(sources.map((key) => key.slice(SOURCE.length))));
}

const nobody: ReadonlySet<string> = new Set();

/** A Provenance concerns the patients of its targets; one whose targets cannot be looked at is shown to nobody (rule 17). */
function addTargets(keys: Set<string>, resource: ResourceValue, { base, lookup, sealed }: FacetContext): void {
  // The server's own: its target is the Consent of the patient it names as signer.
  if (sealed) return;
  for (const { reference } of list(resource['target'])) {
    addSource(keys, reference, base);
    const parsed = typeof reference === 'string' ? parseReference(reference, base) : undefined;
    if (parsed?.kind === 'local' && parsed.type === 'Patient') continue;
    const target = parsed?.kind === 'local' ? lookup(`${parsed.type}/${parsed.id}`) : undefined;
    const patients = target ? namedPatients(target, base).ids : nobody;
    if (patients.size === 0 && !(parsed?.kind === 'local' && opensByScopeAlone(parsed.type))) keys.add(UNKNOWN_TARGET);
    for (const patient of patients) keys.add(facet.patient(patient));
  }
}

/** STU3 and HL7 v3 names of the two systems mean the same; a label without a system may mean either. */
const CONFIDENTIALITY = new Set<unknown>([systems.confidentiality, 'http://hl7.org/fhir/v3/Confidentiality', 'urn:oid:2.16.840.1.113883.5.25', '']);
const SENSITIVITIES = new Set<unknown>([systems.sensitivity, 'http://hl7.org/fhir/v3/ActCode', 'urn:oid:2.16.840.1.113883.5.4', '']);

/**
 * What a version has at least, besides the rank. Its codes too: where one of another patient's documents is denied by the code of what a section speaks
 * of, whoever may write that would open the document.
 */
const KEPT = [PATIENT, UNKNOWN_PATIENT, SENSITIVITY, ANY_CODE, UNKNOWN_CODE];
const KEPT_OF_PATIENT = [...KEPT, LINKED, IDENTITY];

function addLabels(keys: Set<string>, parts: readonly Element[], keep: readonly string[]): void {
  let rank = 0;
  for (const [i, part] of parts.entries()) {
    const labels = codings((part['meta'] as Element | undefined)?.['security']).filter(({ system }) => system !== systems.purpose);
    const ranks = labels.flatMap(({ system, code }) => (CONFIDENTIALITY.has(system) ? (rankOf(code) ?? (system === '' ? [] : UNLABELLED_RANK)) : []));
    // What says nothing of itself is restricted; a part then takes what its container says.
    rank = Math.max(rank, ...ranks, ...(i === 0 && ranks.length === 0 ? [UNLABELLED_RANK] : []));
    for (const { system, code } of labels) {
      if (CONFIDENTIALITY.has(system) && rankOf(code) !== undefined) continue;
      const known = SENSITIVITIES.has(system) || CONFIDENTIALITY.has(system);
      keys.add(facet.sensitivity(known ? code : `${system}|${code}`));
    }
  }
  const kept = parts[0]?.['resourceType'] === 'Patient' ? KEPT_OF_PATIENT : KEPT;
  for (const key of keep) {
    if (kept.some((prefix) => key.startsWith(prefix))) keys.add(key);
    // Whoever it named before stays.
    if (key === UNKNOWN_PATIENT) keys.add(NOBODY);
    if (key.startsWith(RANK)) rank = Math.max(rank, Number(key.slice(RANK.length)));
  }
  keys.add(facet.rank(rank));
}

/** code, medicationCodeableConcept, vaccineCode, type (rule 9). */
const PRIMARY = ['code', 'medicationCodeableConcept', 'vaccineCode', 'type'];

function addCodes(keys: Set<string>, parts: readonly Element[], { base, lookup, sealed }: FacetContext): void {
  const [resource = {}] = parts;
  for (const name of PRIMARY) for (const { system, code } of conceptCodings(resource[name])) keys.add(facet.primaryCode(system, code));
  addContent(keys, resource, sealed ? undefined : base);
  for (const part of parts) {
    if (part['medicationReference'] === undefined) continue;
    const reference = (part['medicationReference'] as Element | null)?.['reference'];
    const medication = typeof reference === 'string' ? medicationOf(part, relativeToBase(reference, base), lookup) : undefined;
    if (!medication) keys.add(UNKNOWN_CODE);
    else if (part === resource) for (const { system, code } of conceptCodings(medication['code'])) keys.add(facet.primaryCode(system, code));
    addContent(keys, medication, undefined);
  }
}

function medicationOf(resource: Element, reference: string, lookup: FacetContext['lookup']): Element | undefined {
  if (!reference.startsWith('#')) return lookup(reference);
  return list(resource['contained']).find(({ id }) => id === reference.slice(1));
}

/** Every coding outside meta, and every reference where a base is given, wherever it stands. */
function addContent(keys: Set<string>, node: unknown, base: string | undefined): void {
  if (Array.isArray(node)) {
    for (const item of node) addContent(keys, item, base);
    return;
  }
  if (!isObject(node)) return;
  if (typeof node['code'] === 'string' && typeof node['system'] === 'string') keys.add(facet.anyCode(node['system'], node['code']));
  if (base !== undefined && typeof node['reference'] === 'string') {
    const parsed = parseReference(node['reference'], base);
    if (parsed.kind === 'local') keys.add(facet.refersTo(`${parsed.type}/${parsed.id}`));
  }
  for (const name in node) if (name !== 'meta' && typeof node[name] === 'object') addContent(keys, node[name], base);
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
    const reference = isObject(value) ? value['reference'] : undefined;
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
  return (Array.isArray(value) ? value : [value]).filter(isObject);
}
