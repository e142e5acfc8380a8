/**
 * One walk over a resource against its shape: kinds of JSON, unknown and missing elements, cardinality, choices, lexical rules, bindings and
 * targets of references. What can only be judged on a proven shape (invariants, rules of a type) is gathered on the way and judged after.
 * https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/conformance-rules.html
 *
 * Invariant: every property of every object is looked at once; nothing unknown to R4 passes.
 */
import { codeFindings } from './bindings.ts';
import { narrativeProblem } from './narrative.ts';
import type { Place } from '../fhir/place.ts';
import type { Finding } from './finding.ts';
import { referenceFindings } from './references.ts';
import { containerScope, type Scope } from './scope.ts';
import type { ElementShape, Invariant, Property, PropertyType, Shape, Shapes } from './shapes.ts';
import type { ValueSets } from './value-sets.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** An object whose shape may carry invariants or rules of its type. */
export type Visit = {
  readonly shape: Shape;
  readonly value: JsonObject;
  readonly place: Place;
  readonly scope: Scope;
  /** Invariants its element adds to those of its type. */
  readonly invariants: readonly Invariant[];
};

export type Walk = { readonly findings: readonly Finding[]; readonly visits: readonly Visit[]; readonly failed: boolean };

export type StructureStep = (root: JsonObject) => Walk;

/** Deeper than any resource of use; the parser's own limit is lower. */
const DEEPEST = 200;

type Walker = {
  readonly shapes: Shapes;
  readonly valueSets: ValueSets;
  readonly most: number;
  readonly findings: Finding[];
  readonly visits: Visit[];
  errors: number;
};
type At = { readonly place: Place; readonly scope: Scope; readonly depth: number };

export function createStructureStep({ shapes, valueSets, most }: Pick<Walker, 'shapes' | 'valueSets' | 'most'>): StructureStep {
  return (root) => {
    const walker: Walker = { shapes, valueSets, most, findings: [], visits: [], errors: 0 };
    resource(walker, root, { place: { step: String(root['resourceType']) }, scope: containerScope(root), depth: 0 });
    return { findings: walker.findings, visits: walker.visits, failed: walker.errors > 0 };
  };
}

function report(walker: Walker, finding: Finding): void {
  const isError = finding.severity === undefined;
  if (isError) walker.errors++;
  // Advice must not crowd out errors.
  if (isError || walker.findings.length < walker.most) walker.findings.push(finding);
}

function below(place: Place, step: string, index?: number): Place {
  return index === undefined ? { up: place, step } : { up: place, step, index };
}

function resource(walker: Walker, value: JsonObject, at: At): void {
  const type = value['resourceType'];
  if (type === undefined)
    return report(walker, { place: below(at.place, '.resourceType'), diagnostics: 'This element is required.', code: 'required' });
  const shape = typeof type === 'string' ? walker.shapes.resource(type) : undefined;
  if (shape) return object(walker, { value, shape, invariants: [] }, at);
  const place: Place = at.depth === 0 ? { step: 'resourceType' } : at.place;
  report(walker, { place, diagnostics: 'R4 has no resource type of this name.', code: 'not-supported' });
}

type Typed = { readonly value: JsonObject; readonly shape: Shape; readonly invariants: readonly Invariant[] };

function object(walker: Walker, { value, shape, invariants }: Typed, at: At): void {
  if (at.depth > DEEPEST) return report(walker, { place: at.place, diagnostics: 'Nested deeper than any resource of use.', code: 'too-long' });
  let isEmpty = true;
  let chosen: Map<ElementShape, string> | undefined;
  for (const key of Object.keys(value)) {
    if (walker.errors >= walker.most) return;
    isEmpty = false;
    const property = shape.properties.get(key);
    if (!property) {
      if (key !== 'resourceType' || !shape.isResource) unknownElement(walker, key, at.place);
      continue;
    }
    if (property.element.isChoice) {
      chosen ??= new Map();
      const other = chosen.get(property.element);
      if (other === undefined) chosen.set(property.element, property.step);
      else if (other !== property.step) twice(walker, property.element, at.place);
    }
    member(walker, { property, key, value: value[key], owner: value }, at);
  }
  if (isEmpty) report(walker, { place: at.place, diagnostics: 'Must not be an empty object; leave the element out.', code: 'structure' });
  else for (const element of shape.required) present(walker, element, { value, place: at.place });
  if (!shape.isResource && typeof value['id'] === 'string') elementId(walker, value['id'], { shape, at });
  walker.visits.push({ shape, value, place: at.place, scope: at.scope, invariants });
}

/** https://hl7.org/fhir/R4/element.html#id. The ids of an ElementDefinition stand in the snapshot and in the differential. */
function elementId(walker: Walker, id: string, { shape, at: { place, scope } }: { shape: Shape; at: At }): void {
  if (shape.name === 'ElementDefinition') return;
  if (scope.elementIds.has(id))
    report(walker, { place: below(place, '.id'), diagnostics: 'Another element of this resource has the same id.', code: 'invariant' });
  scope.elementIds.add(id);
}

function unknownElement(walker: Walker, key: string, place: Place): void {
  const isName = /^_?[A-Za-z][A-Za-z0-9]{0,63}$/.test(key);
  const step = `.${key.startsWith('_') ? key.slice(1) : key}`;
  report(walker, { place: isName ? below(place, step) : place, diagnostics: 'R4 has no such element here.', code: 'structure' });
}

function twice(walker: Walker, { name }: ElementShape, place: Place): void {
  report(walker, { place: below(place, `.${name}`), diagnostics: 'Only one type of a choice element may be given.', code: 'structure' });
}

function present(walker: Walker, element: ElementShape, { value, place }: { value: JsonObject; place: Place }): void {
  if (element.keys.some((key) => value[key] !== undefined)) return;
  report(walker, { place: below(place, `.${element.name}`), diagnostics: 'This element is required.', code: 'required' });
}

type Member = { readonly property: Property; readonly key: string; readonly value: unknown; readonly owner: JsonObject };

function member(walker: Walker, given: Member, at: At): void {
  const { property, value } = given;
  const { element, step } = property;
  if (!element.isList) {
    const place = below(at.place, step);
    if (Array.isArray(value)) return report(walker, { place, diagnostics: 'Must be one value, not an array.', code: 'structure' });
    return one(walker, { property, value }, { ...at, place });
  }
  const place = below(at.place, step);
  if (!Array.isArray(value)) return report(walker, { place, diagnostics: 'Must be an array.', code: 'structure' });
  if (value.length === 0) return report(walker, { place, diagnostics: 'Must not be an empty array; leave the element out.', code: 'structure' });
  if (value.length > element.max) report(walker, { place, diagnostics: `Must not have more than ${element.max} values.`, code: 'structure' });
  if (property.type.kind === 'primitive' || property.isTwin) uneven(walker, given, place);
  const partner = partnerOf(given);
  for (let index = 0; index < value.length && walker.errors < walker.most; index++) {
    const item: unknown = value[index];
    // Null holds the place of a value that only has an extension, or of an extension that only has a value.
    if (item === null && partner?.[index] !== undefined && partner[index] !== null) continue;
    one(walker, { property, value: item }, { ...at, place: below(at.place, step, index) });
  }
}

function partnerOf({ property, key, owner }: Member): readonly unknown[] | undefined {
  if (property.type.kind !== 'primitive' && !property.isTwin) return undefined;
  const partner = owner[property.isTwin ? key.slice(1) : `_${key}`];
  return Array.isArray(partner) ? partner : undefined;
}

/** https://hl7.org/fhir/R4/json.html#primitive: nulls fill both arrays so that they align. */
function uneven(walker: Walker, given: Member, place: Place): void {
  const partner = partnerOf(given);
  if (!partner || !given.property.isTwin || partner.length === (given.value as unknown[]).length) return;
  report(walker, {
    place,
    diagnostics: 'The array of values and the array of their extensions must have the same length, filled up with null.',
    code: 'structure',
  });
}

function one(walker: Walker, { property, value }: { property: Property; value: unknown }, at: At): void {
  const { type } = property;
  if (type.kind === 'primitive') return primitive(walker, { property, type, value }, at);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const diagnostics = value === null ? 'Must not be null; leave the element out.' : 'Must be an object.';
    return report(walker, { place: at.place, diagnostics, code: 'structure' });
  }
  const inner = { ...at, depth: at.depth + 1 };
  if (type.kind === 'resource')
    return resource(walker, value as JsonObject, { ...inner, scope: at.scope.inner(value as JsonObject, property.element.name) });
  const before = walker.errors;
  object(walker, { value: value as JsonObject, shape: type.shape(), invariants: type.invariants }, inner);
  if (walker.errors === before) content(walker, { property, type, value: value as JsonObject }, at);
}

type Complex = { readonly property: Property; readonly type: Extract<PropertyType, { kind: 'complex' }>; readonly value: JsonObject };

/** What the element, not the type, says of a well-formed value. */
function content(walker: Walker, { property, type, value }: Complex, { place, scope }: At): void {
  if (type.name === 'Reference') for (const found of referenceFindings(value, { place, scope, targets: type.targets })) report(walker, found);
  const { binding } = property.element;
  if (binding && !property.isTwin)
    for (const found of codeFindings({ type: type.name, value, binding }, walker.valueSets)) report(walker, { place, ...found });
}

type Primitive = { readonly property: Property; readonly type: Extract<PropertyType, { kind: 'primitive' }>; readonly value: unknown };

function primitive(walker: Walker, { property, type, value }: Primitive, { place, scope }: At): void {
  if (value === null) return report(walker, { place, diagnostics: 'Must not be null; leave the element out.', code: 'structure' });
  const problem = type.check(value);
  if (problem) {
    const isKind = typeof value === (type.name === 'boolean' ? 'boolean' : NUMBERS.has(type.name) ? 'number' : 'string');
    return report(walker, { place, diagnostics: problem, code: isKind ? 'value' : 'structure' });
  }
  if (type.name === 'xhtml') {
    const unsafe = narrativeProblem(value as string);
    if (unsafe) report(walker, { place, diagnostics: unsafe, code: 'invalid' });
  }
  if (typeof value === 'string' && value.startsWith('#') && URIS.has(type.name)) scope.name(value);
  const { binding } = property.element;
  if (binding) for (const found of codeFindings({ type: type.name, value, binding }, walker.valueSets)) report(walker, { place, ...found });
}

const NUMBERS: ReadonlySet<string> = new Set(['decimal', 'integer', 'positiveInt', 'unsignedInt']);
const URIS: ReadonlySet<string> = new Set(['uri', 'canonical', 'url']);
