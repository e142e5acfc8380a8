/**
 * A profile as a tree of what it asks beyond its base: built from elements by their ids, then pruned of everything the base says as well,
 * so that a resource is judged by the few rules a profile really adds. https://hl7.org/fhir/R4/profiling.html
 *
 * Invariant: pruning drops only what the check of the base type has proven already.
 */
import type { ElementShape, Property, PropertyType, Shape, Shapes } from '../shapes.ts';
import { CORE, type SlimElement, type Slicing } from './slim.ts';

export type TypeRule = { readonly code: string; readonly profiles: readonly string[]; readonly targets: readonly string[] };
export type Constraint = { readonly key: string; readonly severity: 'error' | 'warning'; readonly human: string; readonly expression: string };
export type Boundary = { readonly value: unknown };

/** Rules for the values of one element, or of one slice of it. Complete once the tree is built. */
export type Rules = {
  /** The element's name as in the path, e.g. `value[x]`; of a slice its name. */
  readonly name: string;
  min: number;
  max: number;
  types: readonly TypeRule[];
  fixed?: Boundary;
  pattern?: Boundary;
  least?: Boundary;
  most?: Boundary;
  maxLength?: number;
  binding?: { readonly strength: 'required' | 'extensible'; readonly valueSet: string };
  constraints: readonly Constraint[];
  slicing?: Slicing;
  /** Where the children are, when they are those of another element. */
  refers?: Rules;
  readonly slices: Map<string, Rules>;
  readonly children: Map<string, Rules>;
};

function emptyRules(name: string): Rules {
  return { name, min: 0, max: Number.POSITIVE_INFINITY, types: [], constraints: [], slices: new Map(), children: new Map() };
}

/** Lists of elements one over the other: a base profile's first, then what is said more. */
export function buildRules(type: string, lists: readonly (readonly SlimElement[])[]): Rules {
  const root = emptyRules(type);
  for (const elements of lists) for (const element of elements) apply(root, element);
  return root;
}

function apply(root: Rules, element: SlimElement): void {
  const rules = at(root, idOf(element));
  const { min, max, type, binding, constraint = [], slicing, contentReference, fixed, pattern, least, most, maxLength } = element;
  if (min !== undefined) rules.min = min;
  if (max !== undefined) rules.max = max === '*' ? Number.POSITIVE_INFINITY : Number(max);
  if (type) rules.types = type.map(({ code = '', profile = [], targetProfile = [] }) => ({ code, profiles: profile, targets: targetProfile }));
  Object.assign(rules, present({ fixed, pattern, least, most, maxLength, slicing }));
  const { strength, valueSet } = binding ?? {};
  if (valueSet && (strength === 'required' || strength === 'extensible')) rules.binding = { strength, valueSet };
  if (contentReference) rules.refers = at(root, contentReference.slice(contentReference.indexOf('#') + 1));
  const more = constraint.flatMap(({ key = '', severity, human = '', expression }) =>
    expression && !rules.constraints.some((known) => known.key === key)
      ? [{ key, severity: severity === 'warning' ? ('warning' as const) : ('error' as const), human, expression }]
      : [],
  );
  rules.constraints = [...rules.constraints, ...more];
}

function present(members: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** `Observation.component:systolic.code`; definitions without ids say the same by path and sliceName. */
function idOf({ id, path = '', sliceName }: SlimElement): string {
  if (id?.includes('.') || id === path) return id;
  return sliceName ? `${path}:${sliceName}` : path;
}

function at(root: Rules, id: string): Rules {
  let rules = root;
  for (const segment of id.split('.').slice(1)) {
    const colon = segment.indexOf(':');
    rules = member(rules.children, colon === -1 ? segment : segment.slice(0, colon));
    // A slash separates a slice from a slice of it.
    if (colon !== -1) for (const slice of segment.slice(colon + 1).split('/')) rules = member(rules.slices, slice);
  }
  return rules;
}

function member(members: Map<string, Rules>, name: string): Rules {
  const known = members.get(name) ?? emptyRules(name);
  members.set(name, known);
  return known;
}

/** Drops what the base type asks as well. `shape`: of the type the profile is for; undefined where it is for any. */
export function pruneRoot(root: Rules, shape: Shape | undefined, shapes: Shapes): void {
  root.types = [];
  root.constraints = root.constraints.filter(({ key }) => !isGeneral(key) && !keysOf(shape?.invariants).includes(key));
  prune(root, shape, shapes);
}

function prune(rules: Rules, shape: Shape | undefined, shapes: Shapes): void {
  for (const [name, child] of rules.children) {
    const found = shape && propertiesOf(shape, name);
    // What the base does not have cannot be pruned, and cannot be met either.
    if (found && !pruneElement(child, found, shapes)) rules.children.delete(name);
  }
}

/** The JSON properties that can hold an element: one, or one for each type of a choice. */
export function propertiesOf(shape: Shape, name: string): readonly Property[] {
  if (!name.endsWith('[x]')) return shape.properties.has(name) ? [shape.properties.get(name) as Property] : [];
  const stem = name.slice(0, -3);
  return [...shape.properties.values()].filter(({ element, isTwin }) => element.isChoice && element.name === stem && !isTwin);
}

/** Whether anything is left. */
function pruneElement(rules: Rules, properties: readonly Property[], shapes: Shapes): boolean {
  const [first] = properties;
  if (!first) return true;
  const { element } = first;
  if (rules.min <= element.min) rules.min = 0;
  if (rules.max >= element.max) rules.max = Number.POSITIVE_INFINITY;
  const types = properties.map(({ type }) => type);
  pruneContent(rules, { types, element, shapes });
  for (const slice of rules.slices.values()) pruneContent(slice, { types, element, shapes });
  const speaks = rules.min > 0 || rules.max !== Number.POSITIVE_INFINITY || rules.slices.size > 0 || saysOfContent(rules);
  return speaks || rules.children.size > 0 || rules.refers !== undefined;
}

function saysOfContent({ types, constraints, fixed, pattern, least, most, maxLength, binding }: Rules): boolean {
  return types.length > 0 || constraints.length > 0 || [fixed, pattern, least, most, maxLength, binding].some((rule) => rule !== undefined);
}

type Base = { readonly types: readonly PropertyType[]; readonly element: ElementShape; readonly shapes: Shapes };

function pruneContent(rules: Rules, { types, element, shapes }: Base): void {
  const shape = shapeOf(rules, types, shapes);
  const { binding } = rules;
  if (
    binding &&
    element.binding &&
    unversioned(binding.valueSet) === unversioned(element.binding.valueSet) &&
    binding.strength === element.binding.strength
  )
    delete rules.binding;
  if (sayNoMore(rules.types, types)) rules.types = [];
  const known = new Set([...keysOf(shape?.invariants), ...types.flatMap((type) => (type.kind === 'complex' ? keysOf(type.invariants) : []))]);
  rules.constraints = rules.constraints.filter(({ key }) => !isGeneral(key) && !known.has(key));
  prune(rules, shape, shapes);
  for (const slice of rules.slices.values()) pruneContent(slice, { types, element, shapes });
}

/** Constraints of every element and every resource. */
function isGeneral(key: string): boolean {
  return /^(dom-\d|ele-1|ext-1)$/.test(key);
}

function keysOf(invariants: readonly { readonly key: string }[] = []): string[] {
  return invariants.map(({ key }) => key);
}

export function unversioned(canonical: string): string {
  return canonical.replace(/\|.*$/, '');
}

/** The one shape the values can have, after the types the profile leaves. */
function shapeOf(rules: Rules, types: readonly PropertyType[], shapes: Shapes): Shape | undefined {
  const left = rules.types.length === 0 ? types : types.filter((type) => rules.types.some(({ code }) => code === nameOf(type)));
  const [only, ...others] = left.length === 0 ? types : left;
  if (!only || others.length > 0) return undefined;
  if (only.kind === 'complex') return only.shape();
  return only.kind === 'primitive' ? shapes.dataType('Element') : undefined;
}

function nameOf(type: PropertyType): string {
  return type.kind === 'resource' ? 'Resource' : type.name;
}

function sayNoMore(rules: readonly TypeRule[], types: readonly PropertyType[]): boolean {
  if (rules.some(({ profiles }) => profiles.length > 0)) return false;
  if (types.length > 1 && new Set(rules.map(({ code }) => code)).size < types.length) return rules.length === 0;
  const [only] = types;
  if (only?.kind === 'resource' && types.length === 1) return rules.every(({ code }) => code === 'Resource');
  return rules.every(({ code, targets }) => {
    const base = types.find((type) => nameOf(type) === code);
    return targets.length === 0 || (base?.kind === 'complex' && sameTargets(targets, base.targets));
  });
}

function sameTargets(targets: readonly string[], base: ReadonlySet<string> | undefined): boolean {
  const names = targets.map((url) => (url.startsWith(CORE) ? url.slice(CORE.length) : ''));
  if (names.includes('Resource')) return true;
  return base !== undefined && [...base].every((name) => names.includes(name));
}
