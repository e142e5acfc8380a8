/** The values of an element inside a resource, with their types and places: one way to look for judging and for telling slices apart. */
import type { Place } from '../../fhir/place.ts';
import type { Scope } from '../scope.ts';
import type { Property, Shape, Shapes } from '../shapes.ts';
import type { JsonObject } from '../structure.ts';
import { propertiesOf } from './rules.ts';

export type Item = {
  /** Undefined: a primitive of which only the extensions are given. */
  readonly value: unknown;
  /** Id and extensions of a primitive. */
  readonly twin: JsonObject | undefined;
  /** `Quantity`, `BackboneElement`; of a resource its type. */
  readonly type: string;
  readonly shape: Shape | undefined;
  readonly place: Place;
};

export function resourceItem(value: JsonObject, place: Place, shapes: Shapes): Item {
  const type = String(value['resourceType']);
  return { value, twin: undefined, type, shape: shapes.resource(type), place };
}

/** The contained resource that a Reference names, if it names one. */
export function containedTargets({ value, place }: Item, { scope, shapes }: { readonly scope: Scope; readonly shapes: Shapes }): readonly Item[] {
  const { reference } = (value ?? {}) as { readonly reference?: unknown };
  const contained = scope.container['contained'];
  if (typeof reference !== 'string' || !Array.isArray(contained)) return [];
  const found = (contained as readonly JsonObject[]).find(({ id }) => reference === `#${String(id)}`);
  return found ? [resourceItem(found, place, shapes)] : [];
}

/** Values of the element `name` (as in a path, `value[x]` for all types of a choice) below an item. */
export function itemsOf(parent: Item, name: string, shapes: Shapes): Item[] {
  const isPlain = typeof parent.value !== 'object' || parent.value === null;
  const owner = isPlain ? parent.twin : (parent.value as JsonObject);
  const shape = isPlain ? shapes.dataType('Element') : parent.shape;
  if (!owner || !shape) return [];
  return propertiesOf(shape, name).flatMap((property) => valuesOf(owner, { property, key: keyOf(shape, property), parent, shapes }));
}

const keys = new WeakMap<Property, string>();

function keyOf(shape: Shape, property: Property): string {
  const known = keys.get(property);
  if (known !== undefined) return known;
  for (const [key, candidate] of shape.properties) keys.set(candidate, key);
  return keys.get(property) ?? property.element.name;
}

type Slot = { readonly property: Property; readonly key: string; readonly parent: Item; readonly shapes: Shapes };

function valuesOf(owner: JsonObject, { property, key, parent, shapes }: Slot): Item[] {
  const value = owner[key];
  const twin = property.type.kind === 'primitive' ? owner[`_${key}`] : undefined;
  if (value === undefined && twin === undefined) return [];
  const make = (item: unknown, beside: unknown, index?: number): Item => {
    const place: Place = { up: parent.place, step: property.step, ...(index === undefined ? {} : { index }) };
    const twinObject = typeof beside === 'object' && beside !== null ? (beside as JsonObject) : undefined;
    if (property.type.kind === 'resource') return resourceItem(item as JsonObject, place, shapes);
    const shape = property.type.kind === 'complex' ? property.type.shape() : undefined;
    return { value: item ?? undefined, twin: twinObject, type: property.type.name, shape, place };
  };
  if (!property.element.isList) return [make(value, twin)];
  const list = (Array.isArray(value) ? value : []) as readonly unknown[];
  const twins = (Array.isArray(twin) ? twin : []) as readonly unknown[];
  return Array.from({ length: Math.max(list.length, twins.length) }, (_none, i) => make(list[i], twins[i], i));
}
