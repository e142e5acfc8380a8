/**
 * The literal references of a resource to others of this server, each with the place it stands at. https://hl7.org/fhir/R4/references.html#literal
 *
 * Invariants: wherever R4 lets a Reference stand it is found: also in what is contained, in extensions and in those of primitives. Not meant:
 * `#id`, URNs, other servers, searches, canonicals, and what lies in the entries of a Bundle, where references are the Bundle's own.
 */
import { type ElementInfo, elementsOf } from './elements/elements.ts';
import { expressionOf, type Place } from './place.ts';
import { parseReference } from './references.ts';
import type { ResourceValue } from './resource.ts';

export type LiteralReference = {
  /** `Type/id`, whatever version it names. */
  readonly target: string;
  readonly type: string;
  readonly id: string;
  /** FHIRPath, the resource's type included. */
  readonly expression: string;
};

type Element = Readonly<Record<string, unknown>>;
type Walk = { readonly base: string; readonly found: LiteralReference[] };

/** `base`: our own FHIR base URL. */
export function literalReferences(resource: ResourceValue, base: string): readonly LiteralReference[] {
  const walk: Walk = { base, found: [] };
  visit(resource, resource.resourceType, { step: resource.resourceType }, walk);
  return walk.found;
}

function visit(element: Element, type: string, place: Place, walk: Walk): void {
  if (type === 'Reference') read(element, place, walk);
  const elements = elementsOf(type);
  for (const name in element) {
    const value = element[name];
    if (typeof value !== 'object' || value === null) continue;
    const info = infoOf(name, elements);
    if (info) visitAll(value, info, place, walk);
  }
}

type Info = Pick<ElementInfo, 'name' | 'element' | 'type' | 'holds'>;

function infoOf(name: string, elements: ReadonlyMap<string, ElementInfo> | undefined): Info | undefined {
  // Beside a primitive stands what it is extended by; in anything an extension may stand.
  if (name.startsWith('_')) return { name, element: name.slice(1), type: 'Element', holds: 'elements' };
  return elements?.get(name) ?? (name === 'extension' ? { name, element: name, type: 'Extension', holds: 'elements' } : undefined);
}

function visitAll(value: object, { name, element, type, holds }: Info, up: Place, walk: Walk): void {
  if (holds === 'resource' ? name !== 'contained' : holds !== 'elements') return;
  const step = element === name || name.startsWith('_') ? `.${element}` : `.${element}.ofType(${type})`;
  const many = Array.isArray(value);
  for (const [i, each] of (many ? (value as readonly unknown[]) : [value]).entries()) {
    if (typeof each !== 'object' || each === null || Array.isArray(each)) continue;
    const inner = holds === 'resource' ? String((each as Element)['resourceType']) : type;
    visit(each as Element, inner, { up, step, index: many ? i : undefined }, walk);
  }
}

function read({ reference }: Element, place: Place, { base, found }: Walk): void {
  if (typeof reference !== 'string') return;
  const parsed = parseReference(reference, base);
  if (parsed.kind !== 'local') return;
  const { type, id } = parsed;
  found.push({ target: `${type}/${id}`, type, id, expression: expressionOf(place) });
}
