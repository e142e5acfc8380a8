/**
 * Whom a resource is about, read from the prose alone: by references, by identifiers that lead to one Patient there is, and otherwise somebody unknown;
 * and which records are of one person. Naive, slow, and sharing nothing with server/: reference-consent.ts.
 */
import type { Json } from './reference-consent.ts';

export type Who = { readonly named: readonly string[]; readonly unknown: boolean };

/** `patients`: those that are stored. */
export function whoIn(resources: readonly Json[], patients: readonly Json[]): Who {
  const others = resources.flatMap((each) => somebodies(each)).map((identifiers) => holders(identifiers, patients));
  return {
    named: [...new Set([...resources.flatMap(patientsIn), ...others.flatMap((found) => (found.length === 1 ? found : []))])],
    unknown: others.some((found) => found.length !== 1),
  };
}

function holders(identifiers: readonly Json[], patients: readonly Json[]): string[] {
  const has = (patient: Json) =>
    (patient['identifier'] ?? []).some((own: Json) =>
      identifiers.some(({ system, value }) => system !== undefined && value !== undefined && own['system'] === system && own['value'] === value),
    );
  return patients.filter(has).map(({ id }) => id as string);
}

/** The other records of the same person, as the links of those that are stored say. */
export function recordsBeside(patient: string, patients: readonly Json[]): string[] {
  const person = new Set([patient]);
  for (let before = 0; before !== person.size; ) {
    before = person.size;
    for (const { id, link } of patients) {
      const records: string[] = [id, ...(link ?? []).flatMap(({ other }: Json) => idOfOurs(other.reference ?? '') ?? [])];
      if (records.some((each) => person.has(each))) for (const each of records) person.add(each);
    }
  }
  person.delete(patient);
  return [...person];
}

function patientsIn(resource: Json): string[] {
  const named = new Set<string>();
  const look = (node: Json[string], contained: boolean): void => {
    if (typeof node !== 'object' || node === null) return;
    if (node.resourceType === 'Patient' && !contained) named.add(node.id);
    if (typeof node.reference === 'string') {
      const id = idOfOurs(node.reference);
      if (id !== undefined) named.add(id);
    }
    for (const [name, value] of Object.entries(node)) look(value, contained || name === 'contained');
  };
  look(resource, false);
  return [...named];
}

/** Where a patient is meant unless something else is said. */
const USUALLY =
  /\.(?:subject|patient|for|beneficiary|subscriber|policyHolder|candidate|sourcePatientInfo)$|^Observation\.focus$|^ResearchSubject\.individual$|^Group\.member\.entity$/;
type Where = { readonly place: string; readonly contained: boolean; readonly beside: readonly string[] };

/** Of each who is named otherwise than by a reference of ours, what identifiers are told: by identifier, by name, on another server, in a Group, contained, or in a Bundle without an id. */
function somebodies(node: Json[string], where: Where = { place: '', contained: false, beside: [] }): Json[][] {
  if (typeof node !== 'object' || node === null) return [];
  if (Array.isArray(node)) return node.flatMap((item) => somebodies(item, where));
  const { resourceType } = node;
  const isPatient = resourceType === 'Patient' && (where.contained || (where.place !== '' && node.id === undefined));
  const isOwn = /^(?:Patient\.link\.other|Person\.link\.target)$/.test(where.place);
  const here =
    isPatient || (!resourceType && !isOwn && isSomebody(node, where)) ? [kindOf(node) === 'Group' ? [] : [node.identifier ?? []].flat()] : [];
  const beside = resourceType === 'Bundle' ? (node.entry ?? []).map(({ fullUrl }: Json) => fullUrl) : where.beside;
  const within = Object.entries(node).flatMap(([name, value]) =>
    somebodies(value as Json[string], {
      place: `${resourceType ?? where.place}.${name}`,
      contained: where.contained || name === 'contained',
      beside,
    }),
  );
  return [...here, ...within];
}

/** By its address, or as it says. */
function kindOf({ reference, type }: Json): string | undefined {
  const stated = typeof type === 'string' ? type.split('/').pop() : undefined;
  const [, kind = stated] = typeof reference === 'string' ? (/([A-Z][A-Za-z]+)[/?][^/]+(?:\/_history\/[^/]+)?$/.exec(reference) ?? []) : [];
  return kind;
}

function isSomebody(node: Json, { place, beside }: Where): boolean {
  const { reference, identifier, display } = node;
  const usual = USUALLY.test(place);
  const kind = kindOf(node);
  const maybe = usual && (kind === undefined || kind === 'Group' || kind === 'Patient');
  if (typeof reference !== 'string')
    return maybe || (kind === 'Patient' && (display !== undefined || (identifier !== undefined && !Array.isArray(identifier))));
  if (idOfOurs(reference) !== undefined || reference.startsWith('#') || beside.includes(reference)) return false;
  return maybe || kind === 'Patient';
}

function idOfOurs(reference: string): string | undefined {
  return /^(?:https:\/\/records\.example\/fhir\/)?Patient\/([^/]+)/.exec(reference)?.[1];
}
