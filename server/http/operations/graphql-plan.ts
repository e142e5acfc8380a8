/**
 * A GraphQL query made into a plan over the elements of R4: fragments spread, variables put in, every name checked before anything is
 * read. https://hl7.org/fhir/R4/graphql.html, https://spec.graphql.org/October2021/
 *
 * Invariants: a plan has a bounded number of fields and a bounded depth, however fragments multiply; a name that R4 does not know is
 * refused whatever is stored.
 */
import type {
  DirectiveNode,
  DocumentNode,
  FieldNode,
  FragmentDefinitionNode,
  FragmentSpreadNode,
  InlineFragmentNode,
  SelectionSetNode,
} from 'graphql';
import { AssentError } from '../../errors.ts';
import { type ElementInfo, elementsOf } from '../../fhir/elements/elements.ts';
import { isResourceType } from '../../fhir/resource-types.ts';
import { type Argument, type Arguments, argumentsOf, refuse, type Variables } from './graphql-arguments.ts';

/** What all fields have. `on`: for resources of this type only. `slice`: a path whose value is put behind the name. */
type Common = {
  readonly key: string;
  readonly on: string | undefined;
  readonly flatten: boolean;
  readonly first: boolean;
  readonly singleton: boolean;
  readonly slice: string | undefined;
  readonly children: PlanField[];
};
export type Search = {
  readonly type: string;
  readonly parameters: readonly (readonly [string, string])[];
  /** Search parameter that must name the resource the field stands in. */
  readonly reference: string | undefined;
};
export type PlanField = Common &
  (
    | { readonly kind: 'typename' }
    /** Of the schema, not of the record. */
    | { readonly kind: 'schema'; readonly node: FieldNode; readonly fragments: Fragments; readonly variables: Variables }
    | { readonly kind: 'element'; readonly name: string; readonly info: ElementInfo; readonly filters: Arguments }
    /** The target of a Reference. */
    | { readonly kind: 'target'; readonly optional: boolean; readonly type: string | undefined }
    | { readonly kind: 'read'; readonly type: string; readonly id: string }
    | ({ readonly kind: 'list' | 'connection' } & Search)
    /** A member of a connection or of an edge. */
    | { readonly kind: 'page'; readonly name: string }
  );

/** Where a selection stands. `type` of a resource undefined: any. */
type Place =
  | { readonly of: 'root' }
  | { readonly of: 'resource'; readonly type: string | undefined }
  | { readonly of: 'element'; readonly type: string }
  | { readonly of: 'connection' | 'edge'; readonly type: string };

export type Fragments = ReadonlyMap<string, FragmentDefinitionNode>;

export type Compiling = {
  readonly fragments: Fragments;
  readonly variables: Variables;
  /** Names of the search parameters of a type. */
  readonly searchNames: (type: string) => readonly string[];
  /** Told of every type that is read or searched for by name, so that the scopes can be checked before anything is read. */
  readonly need: (letter: 'r' | 's', type: string) => void;
};

const MOST_FIELDS = 1_000;
const MOST_DEPTH = 20;

/** `instance`: the type of the resource the query is asked of; undefined: of the system. */
export function compile(selections: SelectionSetNode, instance: string | undefined, compiling: Compiling): readonly PlanField[] {
  const place: Place = instance === undefined ? { of: 'root' } : { of: 'resource', type: instance };
  return compileSet({ ...compiling, fields: 0 }, selections, { place, on: undefined, depth: 0, within: [] });
}

export function fragmentsOf({ definitions }: DocumentNode): Fragments {
  const found = definitions.flatMap((definition) => (definition.kind === 'FragmentDefinition' ? [[definition.name.value, definition] as const] : []));
  return new Map(found);
}

type State = Compiling & { fields: number };
type At = { readonly place: Place; readonly on: string | undefined; readonly depth: number; readonly within: readonly string[] };

function compileSet(state: State, selections: SelectionSetNode, at: At, into: PlanField[] = []): PlanField[] {
  if (at.depth > MOST_DEPTH) throw new AssentError('too-costly', `GraphQL: selections may be nested ${MOST_DEPTH} deep.`);
  for (const selection of selections.selections) {
    if (++state.fields > MOST_FIELDS) throw new AssentError('too-costly', `GraphQL: a query may have ${MOST_FIELDS} fields, fragments spread.`);
    if (!isIncluded(selection.directives ?? [], state.variables)) continue;
    if (selection.kind === 'Field') addField(into, compileField(state, selection, at));
    else spread(state, selection, at, into);
  }
  return into;
}

function spread(state: State, node: FragmentSpreadNode | InlineFragmentNode, { place, on, depth, within }: At, into: PlanField[]): void {
  const name = node.kind === 'FragmentSpread' ? node.name.value : undefined;
  const fragment = node.kind === 'FragmentSpread' ? state.fragments.get(node.name.value) : node;
  if (!fragment) throw refuse('a fragment is spread that is not defined.');
  if (name !== undefined && within.includes(name)) throw refuse('a fragment spreads itself.');
  const inner = narrowed(place, fragment.typeCondition?.name.value);
  const inside = { place: inner.place, on: inner.on ?? on, depth: depth + 1, within: name === undefined ? within : [...within, name] };
  compileSet(state, fragment.selectionSet, inside, into);
}

export function isIncluded(directives: readonly DirectiveNode[], variables: Variables): boolean {
  return directives.every((directive) => {
    const name = directive.name.value;
    if (name !== 'skip' && name !== 'include') return true;
    const condition = argumentsOf(directive.arguments, variables).get('if');
    if (condition !== 'true' && condition !== 'false') throw refuse(`@${name} needs if, true or false.`);
    return (condition === 'true') === (name === 'include');
  });
}

function compileField(state: State, node: FieldNode, { place, on, depth, within }: At): PlanField {
  const name = node.name.value;
  const common = { key: node.alias?.value ?? name, on, ...directivesOf(node), children: [] as PlanField[] };
  if (place.of === 'root' && (name === '__schema' || name === '__type'))
    return { ...common, kind: 'schema', node, fragments: state.fragments, variables: state.variables };
  const { field, inner } = shapeOf(state, name, argumentsOf(node.arguments, state.variables), place);
  if (inner && !node.selectionSet) throw refuse(`"${name}" needs a selection of what it holds.`);
  if (!inner && node.selectionSet) throw refuse(`"${name}" holds a single value.`);
  if (inner && node.selectionSet) compileSet(state, node.selectionSet, { place: inner, on: undefined, depth: depth + 1, within }, common.children);
  return { ...common, ...field };
}

type Shape = { readonly field: Bare; readonly inner: Place | undefined };

function shapeOf(state: State, name: string, given: Arguments, place: Place): Shape {
  if (name === '__typename') return { field: { kind: 'typename' }, inner: undefined };
  if (name.startsWith('__')) throw refuse(`"${name}" is offered at the root of a query of the system.`);
  if (place.of === 'connection' || place.of === 'edge') return pageShape(name, place);
  if (place.of === 'root')
    return isResourceType(name) ? readShape(state, name, given) : (searchShape(state, name, given, false) ?? unknown(name, 'the system'));
  const searched = place.of === 'resource' ? searchShape(state, name, given, true) : undefined;
  if (searched) return searched;
  if (place.of === 'resource' && name === 'resourceType') return { field: { kind: 'typename' }, inner: undefined };
  if (place.type === 'Reference' && name === 'resource') return targetShape(given);
  return elementShape(name, place.type ?? 'Resource', given);
}

function readShape(state: State, type: string, given: Arguments): Shape {
  const { id, ...rest } = Object.fromEntries(given);
  if (typeof id !== 'string' || Object.keys(rest).length > 0) throw refuse(`"${type}" takes one argument, id.`);
  state.need('r', type);
  return { field: { kind: 'read', type, id }, inner: { of: 'resource', type } };
}

/** `inside` a resource a search is for what refers to it. */
function searchShape(state: State, name: string, given: Arguments, inside: boolean): Shape | undefined {
  const [, type = '', form] = /^([A-Z][A-Za-z]*?)(List|Connection)$/.exec(name) ?? [];
  if (!isResourceType(type)) return undefined;
  state.need('s', type);
  const asked = given.get('_reference');
  if ((typeof asked === 'string') !== inside) throw refuse(`"${name}" takes _reference inside a resource, and only there.`);
  const reference = typeof asked === 'string' ? searchName(state, type, asked) : undefined;
  const parameters = parametersOf(state, type, given, form === 'Connection');
  if (form === 'List') return { field: { kind: 'list', type, parameters, reference }, inner: { of: 'resource', type } };
  return { field: { kind: 'connection', type, parameters, reference }, inner: { of: 'connection', type } };
}

function parametersOf(state: State, type: string, given: Arguments, pages: boolean): [string, string][] {
  const found: [string, string][] = [];
  for (const [name, value] of given) {
    if (name === '_reference') continue;
    const known = name === '_count' || name === '_sort' || (name === '_cursor' && pages) ? name : searchName(state, type, name);
    for (const each of typeof value === 'string' ? [value] : value) found.push([known, each]);
  }
  return found;
}

/** GraphQL names have no hyphens. */
function searchName({ searchNames }: State, type: string, name: string): string {
  const found = searchNames(type).find((each) => each.replaceAll('-', '_') === name);
  if (found === undefined) throw refuse(`"${name}" is no search parameter of ${type}.`);
  return found;
}

type Bare = PlanField extends infer F ? (F extends PlanField ? Omit<F, keyof Common> : never) : never;

function unknown(name: string, of: string): never {
  throw refuse(`"${name}" is not known of ${of}.`);
}

/** A fragment of a type holds for resources of that type; elsewhere its type must be the one that is there. */
function narrowed(place: Place, type: string | undefined): { readonly place: Place; readonly on: string | undefined } {
  if (type === undefined || type === 'Resource' || type === 'DomainResource') return { place, on: undefined };
  if (place.of === 'resource' && isResourceType(type) && (place.type === undefined || place.type === type))
    return { place: { of: 'resource', type }, on: type };
  if (place.of === 'element' && place.type === type) return { place, on: undefined };
  throw refuse(`a fragment of "${type}" can never hold where it stands.`);
}

const EDGE: ReadonlySet<string> = new Set(['mode', 'score']);
const CONNECTION: ReadonlySet<string> = new Set(['count', 'offset', 'pagesize', 'first', 'previous', 'next', 'last']);

function pageShape(
  name: string,
  { of, type }: Place & { readonly of: 'connection' | 'edge' },
): { readonly field: Bare; readonly inner: Place | undefined } {
  const field = { kind: 'page' as const, name };
  if (of === 'connection' && name === 'edges') return { field, inner: { of: 'edge', type } };
  if (of === 'edge' && name === 'resource') return { field, inner: { of: 'resource', type } };
  if ((of === 'edge' ? EDGE : CONNECTION).has(name)) return { field, inner: undefined };
  return unknown(name, `a ${of}`);
}

function targetShape(given: Arguments): { readonly field: Bare; readonly inner: Place } {
  const { optional = 'false', type, ...rest } = Object.fromEntries(given);
  if ((optional !== 'true' && optional !== 'false') || Object.keys(rest).length > 0)
    throw refuse('"resource" takes optional, true or false, and type.');
  if (type !== undefined && (typeof type !== 'string' || !isResourceType(type))) throw refuse('type must be a resource type.');
  return { field: { kind: 'target', optional: optional === 'true', type }, inner: { of: 'resource', type } };
}

/** What every resource has, for places where its type is not known. */
const COMMON: ReadonlySet<string> = new Set(['id', 'meta', 'implicitRules', 'language']);

function elementShape(name: string, type: string, given: Arguments): { readonly field: Bare; readonly inner: Place | undefined } {
  const anywhere = type === 'Resource';
  const plain = name.startsWith('_') ? name.slice(1) : name;
  const info = anywhere && !COMMON.has(plain) ? undefined : elementsOf(anywhere ? 'Patient' : type)?.get(plain);
  if (!info) return unknown(name, anywhere ? 'every resource; ask within a fragment of its type' : type);
  const primitive = info.holds !== 'elements' && info.holds !== 'resource';
  if (name !== plain && !primitive) return unknown(name, type);
  if (given.size > 0 && !info.many) throw refuse(`"${name}" is no list and takes no arguments.`);
  checkFilters(given, info);
  const field = { kind: 'element' as const, name, info, filters: given };
  if (name !== plain) return { field, inner: { of: 'element', type: 'Element' } };
  if (info.holds === 'resource') return { field, inner: { of: 'resource', type: undefined } };
  return { field, inner: primitive ? undefined : { of: 'element', type: info.type } };
}

function checkFilters(given: Arguments, { type }: ElementInfo): void {
  for (const [name, value] of given) {
    if (name === 'fhirpath') throw refuse('filters by FHIRPath are not offered; name an element and its value.');
    if (name === '_offset' || name === '_count') {
      if (typeof value !== 'string' || !/^\d{1,9}$/.test(value)) throw refuse(`${name} must be a whole number.`);
      continue;
    }
    if (!elementsOf(type)?.has(name)) return unknown(name, type);
  }
}

const OURS: ReadonlySet<string> = new Set(['flatten', 'first', 'singleton', 'slice', 'skip', 'include']);

function directivesOf({ directives = [] }: FieldNode): Pick<Common, 'flatten' | 'first' | 'singleton' | 'slice'> {
  const other = directives.find(({ name }) => !OURS.has(name.value));
  if (other) throw refuse(`the directive @${other.name.value} is not known.`);
  const has = (name: string): boolean => directives.some((directive) => directive.name.value === name);
  const slice = directives.find(({ name }) => name.value === 'slice');
  const path = slice && argumentsOf(slice.arguments, new Map()).get('path');
  if (slice && (typeof path !== 'string' || !/^(\$index|[A-Za-z]+(\.[A-Za-z]+)*)$/.test(path)))
    throw refuse('@slice takes a path of element names, or $index.');
  if (slice && has('first')) throw refuse('@slice and @first cannot be combined.');
  return { flatten: has('flatten'), first: has('first'), singleton: has('singleton'), slice: typeof path === 'string' ? path : undefined };
}

/** Fields of one name in one place are one field; they must mean the same. */
function addField(into: PlanField[], field: PlanField): void {
  const same = into.find(
    ({ key, on, flatten, slice }) => key === field.key && on === field.on && !flatten && !field.flatten && slice === field.slice,
  );
  if (!same) {
    into.push(field);
    return;
  }
  if (meaningOf(same) !== meaningOf(field)) throw refuse(`"${field.key}" is asked for twice with different meanings; give one an alias.`);
  for (const child of field.children) addField(same.children, child);
}

function meaningOf({ children: _, ...field }: PlanField): string {
  return JSON.stringify(field, (_name, value: unknown) => (value instanceof Map ? [...(value as Map<string, Argument>)] : value));
}
