/**
 * Whom a resource names: Patients by their ids, and whether there is somebody else whom no id of ours leads to. consent.md §2 rule 4,
 * docs/adr/0039-who-is-named.md, https://hl7.org/fhir/R4/references.html
 *
 * Invariants: no Patient whom a reference leads to is missed, and where it can be read two ways it counts. At a place that is a patient's by the
 * definitions (elements/patient-places.json) a Reference names a patient unless it says that it is of something else; anywhere else, if it says so.
 * A patient named too many only closes the resource further.
 */
import places from './elements/patient-places.json' with { type: 'json' };
import { parseReference, relativeToBase } from './references.ts';
import { isResourceType } from './resource-types.ts';
import { isObject } from './resource.ts';

export type NamedPatients = {
  /** Logical ids, each once, in order of appearance: itself, references anywhere, Patients inside a Bundle or Parameters; not a contained Patient. */
  readonly ids: ReadonlySet<string>;
  /**
   * Somebody is named by a display alone, by a reference that leads elsewhere or nowhere, as a contained Patient or as one in a Bundle without an id,
   * or as one of a Group. Beside a reference to a Patient of ours an identifier adds nobody.
   */
  readonly unknown: boolean;
  /** Of each who is named so and has identifiers: all of these. */
  readonly identified: readonly (readonly Identifier[])[];
};

export type Identifier = { readonly system: string; readonly value: string };

/** Those that tell one person from another: without a system a value is anybody's. */
export function identifiersIn(value: unknown): readonly Identifier[] {
  return (Array.isArray(value) ? (value as readonly unknown[]) : [value]).flatMap((each) => {
    if (!isObject(each) || typeof each['system'] !== 'string' || typeof each['value'] !== 'string') return [];
    return [{ system: each['system'], value: each['value'] }];
  });
}

/** `links`: what references that are not resolved yet stand for. */
type Reading = { readonly base: string; readonly links?: ReadonlyMap<string, string> | undefined };

/** `base`: our own FHIR base URL, so that absolute references to it count. */
export function namedPatients(resource: unknown, base: string, links?: Reading['links']): NamedPatients {
  const found = { ids: new Set<string>(), unknown: false, identified: [] };
  const walk: Walk = { base, links, found, fullUrls: nothing, contained: false, isRoot: true };
  if (isObject(resource)) visitResource(resource, walk);
  return found;
}

type Element = Readonly<Record<string, unknown>>;
type Walk = Reading & {
  readonly found: { readonly ids: Set<string>; unknown: boolean; readonly identified: (readonly Identifier[])[] };
  /** Of the entries of the Bundle it is in: what a reference finds beside itself is looked at there. */
  readonly fullUrls: ReadonlySet<unknown>;
  readonly contained: boolean;
  readonly isRoot: boolean;
};

/** `of`: whose a Reference that stands there is; `self`: of another record of the person that this one is of. */
type Place = { readonly of?: 'patient' | 'self'; readonly inner: ReadonlyMap<string, Place> };
const nothing: ReadonlySet<unknown> = new Set();
const nowhere: Place = { inner: new Map() };

const placesByType = new Map(
  [
    ...Object.entries<readonly string[]>(places).map(([type, paths]) => ({ type, paths, of: 'patient' as const })),
    { type: 'Patient', paths: ['link.other'], of: 'self' as const },
    { type: 'Person', paths: ['link.target'], of: 'self' as const },
  ].map(({ type, paths, of }) => [type, placeOf(paths, of)]),
);

function placeOf(paths: readonly string[], of: NonNullable<Place['of']>): Place {
  const steps = Map.groupBy(paths, (path) => path.split('.', 1)[0] as string);
  const inner = [...steps].map(([step, under]): [string, Place] => {
    const deeper = under.flatMap((path) => (path === step ? [] : [path.slice(step.length + 1)]));
    return [step, { ...placeOf(deeper, of), ...(under.includes(step) ? { of } : {}) }];
  });
  return { inner: new Map(inner) };
}

/** Members that hold resources, where these hold one and not an element of that name. */
const HOLDERS = new Set(['contained', 'resource', 'outcome']);

function visitResource(resource: Element, walk: Walk): void {
  const { resourceType: type, id } = resource;
  if (type === 'Patient') {
    if (typeof id === 'string' && !walk.contained) walk.found.ids.add(id);
    else if (!walk.isRoot) addSomebody(resource, walk);
  }
  const within = { ...walk, isRoot: false, ...(type === 'Bundle' ? { fullUrls: fullUrlsOf(resource) } : {}) };
  visitMembers(resource, (typeof type === 'string' ? placesByType.get(type) : undefined) ?? nowhere, within);
}

function fullUrlsOf({ entry }: Element): ReadonlySet<unknown> {
  return new Set((Array.isArray(entry) ? (entry as readonly unknown[]) : []).flatMap((each) => (isObject(each) ? [each['fullUrl']] : [])));
}

function visitMembers(element: Element, { inner }: Place, walk: Walk): void {
  for (const name in element) {
    const value = element[name];
    if (typeof value !== 'object') continue;
    if (HOLDERS.has(name)) visitHeld(value, name === 'contained' ? { ...walk, contained: true } : walk);
    else visit(value, inner.get(name) ?? nowhere, walk);
  }
}

function visitHeld(value: unknown, walk: Walk): void {
  if (Array.isArray(value)) for (const item of value) visitHeld(item, walk);
  else if (isObject(value) && typeof value['resourceType'] === 'string') visitResource(value, walk);
  else visit(value, nowhere, walk);
}

function visit(value: unknown, place: Place, walk: Walk): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, place, walk);
    return;
  }
  if (!isObject(value)) return;
  if (typeof value['reference'] === 'string') readLiteral(value['reference'], value, { place, walk });
  else if (place.of === 'patient' ? maybeOfPatient(statedType(value)) : saysPatient(value, place)) addSomebody(value, walk);
  visitMembers(value, place, walk);
}

function addSomebody(element: Element, { found }: Walk): void {
  const identifiers = statedType(element) === 'Group' ? [] : identifiersIn(element['identifier']);
  if (identifiers.length === 0) found.unknown = true;
  else found.identified.push(identifiers);
}

/** Where a patient's is meant: of a Patient, of several in a Group, or of who knows what. */
function maybeOfPatient(type: string | undefined): boolean {
  return type === undefined || type === 'Patient' || type === 'Group';
}

/** A Reference elsewhere: not what only has a `type` that is called so, such as a DataRequirement. */
function saysPatient(value: Element, { of }: Place): boolean {
  return of !== 'self' && statedType(value) === 'Patient' && (isObject(value['identifier']) || typeof value['display'] === 'string');
}

/** Wider than what R4 allows as a reference: what follows the id does not matter. */
const PATIENT = /^(?:\.?\/)*Patient\/([A-Za-z0-9\-.]{1,64})(?![A-Za-z0-9\-.])/;

type At = { readonly place: Place; readonly walk: Walk };

function readLiteral(reference: string, element: Element, { place, walk }: At): void {
  const { base, links, found, fullUrls } = walk;
  const to = (links?.get(reference) ?? reference).trim();
  const mayBe = to.includes('Patient');
  const id = mayBe ? PATIENT.exec(relativeToBase(to, base))?.[1] : undefined;
  if (id !== undefined) found.ids.add(id);
  // What is contained, or beside it in a Bundle, is looked at where it stands.
  if (id !== undefined || place.of === 'self' || to.startsWith('#') || fullUrls.has(to)) return;
  if (place.of === undefined && !mayBe && element['type'] === undefined) return;
  const type = typeOfTarget(to, base) ?? statedType(element);
  // A Group has an identifier of its own.
  if (type === 'Group' && place.of === 'patient') found.unknown = true;
  else if (place.of === 'patient' ? maybeOfPatient(type) : type === 'Patient') addSomebody(element, walk);
}

function typeOfTarget(to: string, base: string): string | undefined {
  const parsed = parseReference(to, base);
  // A search that nobody resolved: `Patient?identifier=…`.
  const type = parsed.kind === 'unreadable' ? /^([A-Za-z]+)\?/.exec(to)?.[1] : 'type' in parsed ? parsed.type : undefined;
  return type !== undefined && isResourceType(type) ? type : undefined;
}

/** Reference.type is a URI, relative to this where it is not absolute: both spellings are one type. https://hl7.org/fhir/R4/references.html#Reference */
const TYPES = 'http://hl7.org/fhir/StructureDefinition/';

function statedType({ type }: Element): string | undefined {
  if (typeof type !== 'string') return undefined;
  const name = type.startsWith(TYPES) ? type.slice(TYPES.length) : type;
  return isResourceType(name) ? name : undefined;
}
