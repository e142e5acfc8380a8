/**
 * Runs a compiled GraphQL query: every resource it needs is read or searched for through the Gate, once. https://hl7.org/fhir/R4/graphql.html
 *
 * Invariants: a target that is hidden is as one that is absent; values go out as they are stored; what one query may read is bounded.
 */
import type { Row, SortPosition } from '../../consent/gate.ts';
import { AssentError } from '../../errors.ts';
import { decode, elementTexts, memberTexts } from '../../fhir/json-text.ts';
import { parseReference } from '../../fhir/references.ts';
import { isId } from '../../fhir/ids.ts';
import { cursorBinding } from '../cursor-binding.ts';
import type { FhirRequest } from '../interaction.ts';
import type { Services } from '../services.ts';
import { introspect } from './graphql-introspect.ts';
import type { PlanField, Search } from './graphql-plan.ts';
import { addNothing, addValue, type Output } from './graphql-output.ts';
import { createSchema, type Schema } from './graphql-schema.ts';

const MOST_READ = 500;
const MOST_FOUND = 5_000;

export type GraphqlError = { readonly message: string; readonly path: readonly (string | number)[] };
/** `type`: of a resource or of an element. `owner`: the resource it is in. */
type Node = { readonly type: string; readonly text: string; readonly owner: Node | undefined; members?: ReadonlyMap<string, string> };
type Page = { readonly rows: readonly Row[]; readonly next: string | undefined; readonly total: number | undefined; readonly count: number };

export type Run = {
  readonly request: FhirRequest;
  readonly services: Services;
  readonly errors: GraphqlError[];
  readonly receipts: string[];
  readonly known: Map<string, Promise<Node | undefined>>;
  read: number;
  found: number;
};

export function createRun(request: FhirRequest, services: Services): Run {
  return { request, services, errors: [], receipts: [], known: new Map(), read: 0, found: 0 };
}

/** `undefined` on the system level. */
export async function runQuery(run: Run, plan: readonly PlanField[], instance: Row | undefined): Promise<Output> {
  const output: Output = new Map();
  const node = instance && { type: instance.type, text: instance.body, owner: undefined };
  await runFields(run, plan, { node, page: undefined, output, collected: false, suffix: '', path: [] });
  return output;
}

type At = {
  readonly node: Node | undefined;
  readonly page: Page | undefined;
  readonly output: Output;
  /** Within a flattened list: values are collected. */
  readonly collected: boolean;
  readonly suffix: string;
  readonly path: readonly (string | number)[];
};

async function runFields(run: Run, fields: readonly PlanField[], at: At): Promise<void> {
  for (const field of fields) {
    if (field.on !== undefined && at.node?.type !== field.on) continue;
    await runField(run, field, at);
  }
}

async function runField(run: Run, field: PlanField, at: At): Promise<void> {
  const { node } = at;
  switch (field.kind) {
    case 'typename':
      return addValue(at.output, field.key + at.suffix, { many: at.collected && !field.singleton }, JSON.stringify(node?.type ?? 'Query'));
    case 'schema':
      return addValue(at.output, field.key + at.suffix, { many: false }, await introspect(schemaOf(run.services), field));
    case 'read':
      return emit(run, field, at, { nodes: present(await load(run, field.type, field.id)), list: false });
    case 'target':
      return emit(run, field, at, { nodes: node ? present(await target(run, field, node, at.path)) : [], list: false });
    case 'list':
      return emit(run, field, at, { nodes: (await find(run, field, node)).rows.map(nodeOf), list: true });
    case 'connection':
      return runPage(run, field, at, await find(run, field, node));
    case 'page':
      return runPageMember(run, field, at);
    case 'element':
      return emit(run, field, at, { nodes: node ? elementNodes(field, node) : [], list: field.info.many });
  }
}

const schemas = new WeakMap<object, Schema>();

/** Made when first asked for, and kept: its types are made one by one in the same way. */
function schemaOf({ search }: Services): Schema {
  const known = search.known();
  const made = schemas.get(known) ?? createSchema((type) => search.parametersOf(type).map(({ name }) => name));
  schemas.set(known, made);
  return made;
}

function present(node: Node | undefined): readonly Node[] {
  return node ? [node] : [];
}

function nodeOf({ type, body }: Row): Node {
  return { type, text: body, owner: undefined };
}

type Values = { readonly nodes: readonly Node[]; readonly list: boolean };

/** Puts the values of a field into the output, as its directives say. */
async function emit(run: Run, field: PlanField, at: At, { nodes, list }: Values): Promise<void> {
  const many = (list || at.collected) && !field.singleton && !(field.first && !at.collected);
  if (nodes.length === 0 && !field.flatten && field.slice === undefined && !at.collected) addNothing(at.output, field.key + at.suffix);
  for (const [index, node] of nodes.entries()) {
    const suffix = field.slice === undefined ? at.suffix : `${at.suffix}.${sliceOf(field.slice, node, index)}`;
    const path = [...at.path, field.key, ...(list ? [index] : [])];
    const inner = { node, page: undefined, suffix, path };
    if (field.flatten) await runFields(run, field.children, { ...inner, output: at.output, collected: at.collected || (list && !field.first) });
    else if (field.children.length === 0) addValue(at.output, field.key + suffix, { many }, node.text);
    else {
      const output: Output = new Map();
      await runFields(run, field.children, { ...inner, output, collected: false, suffix: '' });
      addValue(at.output, field.key + suffix, { many }, output);
    }
    if (field.first) return;
  }
}

/** The value that tells slices apart, or $index. */
function sliceOf(slice: string, node: Node, index: number): string {
  if (slice === '$index') return String(index);
  let text: string | undefined = node.text;
  for (const name of slice.split('.')) {
    const inner: string | undefined = text?.startsWith('{') ? memberTexts(text).get(name) : undefined;
    text = inner?.startsWith('[') ? elementTexts(inner)[0] : inner;
  }
  if (text === undefined) return '';
  return text.startsWith('"') ? decode(text) : text;
}

function membersOf(node: Node): ReadonlyMap<string, string> {
  node.members ??= node.text.startsWith('{') ? memberTexts(node.text) : new Map<string, string>();
  return node.members;
}

function elementNodes({ name, info, filters }: PlanField & { readonly kind: 'element' }, node: Node): readonly Node[] {
  const text = membersOf(node).get(name);
  if (text === undefined) return [];
  const owner = node.owner ?? node;
  const items = text.startsWith('[') ? elementTexts(text) : [text];
  const nodes = items.flatMap((item): Node[] => {
    if (info.holds !== 'resource') return [{ type: info.type, text: item, owner }];
    return [{ type: typeIn(item), text: item, owner: undefined }];
  });
  return filters.size === 0 ? nodes : filtered(nodes, filters);
}

function typeIn(text: string): string {
  const type = text.startsWith('{') ? memberTexts(text).get('resourceType') : undefined;
  return type?.startsWith('"') ? decode(type) : '';
}

function filtered(nodes: readonly Node[], filters: (PlanField & { readonly kind: 'element' })['filters']): readonly Node[] {
  const wanted = [...filters].filter(([name]) => name !== '_offset' && name !== '_count');
  const fitting = nodes.filter((node) =>
    wanted.every(([name, value]) => hasValue(membersOf(node).get(name), typeof value === 'string' ? [value] : value)),
  );
  const from = Number(filters.get('_offset') ?? 0);
  return fitting.slice(from, from + Number(filters.get('_count') ?? fitting.length));
}

function hasValue(text: string | undefined, values: readonly string[]): boolean {
  if (text === undefined) return false;
  const items = text.startsWith('[') ? elementTexts(text) : [text];
  return items.some((item) => values.includes(item.startsWith('"') ? decode(item) : item));
}

/** The resource a Reference names. What cannot be had is an error unless it was called optional: hidden or absent, it is the same. */
async function target(
  run: Run,
  { optional, type, key }: PlanField & { readonly kind: 'target' },
  node: Node,
  path: At['path'],
): Promise<Node | undefined> {
  const text = membersOf(node).get('reference');
  const parsed = text?.startsWith('"') ? parseReference(decode(text), run.services.base) : undefined;
  if (type !== undefined && parsed?.kind === 'local' && parsed.type !== type) return undefined;
  const found =
    parsed?.kind === 'contained' ? contained(node, parsed.id) : parsed?.kind === 'local' ? await load(run, parsed.type, parsed.id) : undefined;
  if (found && type !== undefined && found.type !== type) return undefined;
  if (!found && !optional) run.errors.push({ message: 'The reference leads to nothing that can be read.', path: [...path, key] });
  return found;
}

function contained(node: Node, id: string): Node | undefined {
  const owner = node.owner ?? node;
  const items = elementTexts(membersOf(owner).get('contained') ?? '[]');
  const text = items.find((item) => item.startsWith('{') && memberTexts(item).get('id') === JSON.stringify(id));
  // A reference within a contained resource is to its siblings.
  return text === undefined ? undefined : { type: typeIn(text), text, owner };
}

function load(run: Run, type: string, id: string): Promise<Node | undefined> {
  const { known, request, services } = run;
  const key = `${type}/${id}`;
  const before = known.get(key);
  if (before) return before;
  if (!isId(id) || !services.allows(request.gate.caller, 'r', type)) return Promise.resolve(undefined);
  if (++run.read > MOST_READ) throw new AssentError('too-costly', `GraphQL: a query may read ${MOST_READ} resources by reference.`);
  const loading = request.gate.read(type, id).then((found) => {
    if (found.kind === 'found' && found.receipt !== undefined) run.receipts.push(found.receipt);
    return found.kind === 'found' ? nodeOf(found.row) : undefined;
  });
  known.set(key, loading);
  return loading;
}

async function find(run: Run, { type, parameters, reference }: Search, node: Node | undefined): Promise<Page> {
  const { request, services } = run;
  const query = new URLSearchParams(parameters.map(([name, value]): [string, string] => [name, value]));
  if (reference !== undefined && node) query.append(reference, `${node.type}/${idOf(node)}`);
  const plan = services.search.plan(type, query, 'strict');
  const binding = cursorBinding(request, `$graphql ${type}?${plan.used}`);
  const after = plan.cursor === undefined ? undefined : (services.cursors.open(plan.cursor, binding) as SortPosition);
  const { where, order, count, total } = plan;
  const result = await request.gate.search({ type, where, order, count, total, query: `${type}?${plan.used}`, ...(after ? { after } : {}) });
  run.found += result.rows.length;
  if (run.found > MOST_FOUND) throw new AssentError('too-costly', `GraphQL: a query may find ${MOST_FOUND} resources.`);
  if (result.receipt !== undefined) run.receipts.push(result.receipt);
  return { rows: result.rows, next: result.next && services.cursors.seal(result.next, binding), total: result.total, count };
}

function idOf(node: Node): string {
  const text = membersOf(node).get('id');
  return text?.startsWith('"') ? decode(text) : '';
}

async function runPage(run: Run, field: PlanField, at: At, page: Page): Promise<void> {
  const output: Output = new Map();
  await runFields(run, field.children, { ...at, node: undefined, page, output, collected: false, suffix: '', path: [...at.path, field.key] });
  addValue(at.output, field.key + at.suffix, { many: at.collected }, output);
}

async function runPageMember(run: Run, field: PlanField & { readonly kind: 'page' }, at: At): Promise<void> {
  const { page, node, output } = at;
  if (field.name === 'edges') return runEdges(run, field, at);
  if (field.name === 'resource') return emit(run, field, at, { nodes: present(node), list: false });
  const values: Readonly<Record<string, string | number | undefined>> = {
    count: page?.total,
    pagesize: page?.count,
    next: page?.next,
    mode: 'match',
  };
  const value = values[field.name];
  if (value === undefined) addNothing(output, field.key);
  else addValue(output, field.key, { many: false }, JSON.stringify(value));
}

async function runEdges(run: Run, field: PlanField, at: At): Promise<void> {
  const edges: Output[] = [];
  for (const [index, row] of (at.page?.rows ?? []).entries()) {
    const output: Output = new Map();
    await runFields(run, field.children, { ...at, node: nodeOf(row), output, path: [...at.path, field.key, index] });
    edges.push(output);
  }
  addValue(at.output, field.key, { many: true }, ...edges);
}
