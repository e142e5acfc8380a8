/**
 * What references inside a resource can name without leaving it: its contained resources and, in a Bundle, the other entries.
 * https://hl7.org/fhir/R4/references.html#contained, https://hl7.org/fhir/R4/bundle.html#references
 */
import type { JsonObject } from './structure.ts';

export type Scope = {
  /** The resource that contains, or is not contained. */
  readonly container: JsonObject;
  /** The innermost resource. */
  readonly resource: JsonObject;
  readonly isContained: boolean;
  /** Type of a contained resource by id; undefined when there is none. */
  contained(id: string): string | undefined;
  /** Type of the Bundle's entry with this fullUrl; undefined when there is none. */
  entry(fullUrl: string): string | undefined;
  /** Notes that `#…` was named from here. */
  name(fragment: string): void;
  /** Fragments named anywhere in the container. */
  readonly named: ReadonlySet<string>;
  /** Ids of the resource's own elements, as far as it has been walked. */
  readonly elementIds: Set<string>;
  /** Contained resources that name their container. */
  readonly backward: ReadonlySet<JsonObject>;
  /** The scope of a resource in this slot of the resource. */
  inner(value: JsonObject, slot: string): Scope;
};

type Entries = (fullUrl: string) => string | undefined;

export function containerScope(container: JsonObject, outer: Entries = () => undefined): Scope {
  const contained = typesByKey(container['contained'], (item) => [item['id'], item]);
  const own = container['resourceType'] === 'Bundle' ? typesByKey(container['entry'], (item) => [item['fullUrl'], item['resource']]) : undefined;
  const named = new Set<string>();
  const backward = new Set<JsonObject>();
  const scope: Scope = {
    container,
    resource: container,
    isContained: false,
    contained: (id) => contained.get(id),
    entry: own ? (url) => own.get(url) : outer,
    name: (fragment) => void named.add(fragment),
    named,
    elementIds: new Set(),
    backward,
    inner: (value, slot) => (slot === 'contained' ? containedScope(value, scope, backward) : containerScope(value, scope.entry)),
  };
  return scope;
}

function containedScope(resource: JsonObject, container: Scope, backward: Set<JsonObject>): Scope {
  const scope: Scope = {
    ...container,
    resource,
    isContained: true,
    elementIds: new Set(),
    name: (fragment) => {
      if (fragment === '#') backward.add(resource);
      container.name(fragment);
    },
    inner: (value, slot) => (slot === 'contained' ? scope : containerScope(value, container.entry)),
  };
  return scope;
}

function typesByKey(list: unknown, pick: (item: JsonObject) => readonly [unknown, unknown]): ReadonlyMap<string, string> {
  const types = new Map<string, string>();
  for (const item of Array.isArray(list) ? (list as unknown[]) : []) {
    if (typeof item !== 'object' || item === null) continue;
    const [key, value] = pick(item as JsonObject);
    const type = typeof value === 'object' && value !== null ? (value as JsonObject)['resourceType'] : undefined;
    if (typeof key === 'string' && typeof type === 'string') types.set(key, type);
  }
  return types;
}
