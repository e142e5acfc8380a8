/**
 * Answers `__schema` and `__type` of a GraphQL query: the selection put over the schema. https://spec.graphql.org/October2021/#sec-Introspection
 *
 * Invariants: no data is read; how much one query is told is bounded, whatever its fragments and aliases multiply; the event loop turns after
 * every few types.
 */
import { setImmediate } from 'node:timers/promises';
import type { FieldNode, SelectionNode, SelectionSetNode } from 'graphql';
import { AssentError } from '../../errors.ts';
import { objectText } from '../../fhir/json-text.ts';
import { argumentsOf, refuse, type Variables } from './graphql-arguments.ts';
import { type Fragments, isIncluded } from './graphql-plan.ts';
import type { Member, Schema, Thing } from './graphql-schema.ts';

export type Asked = { readonly node: FieldNode; readonly fragments: Fragments; readonly variables: Variables };

/** Some five times what the introspection of the usual clients takes. */
const MOST_VALUES = 2_000_000;
const MOST_DEPTH = 20;
/** Lists of the schema and of a type, which lead from type to type: one within another is as deep as clients ask. */
const LISTS = new Set(['types', 'fields', 'interfaces', 'possibleTypes', 'inputFields']);
const MOST_LISTS = 2;
/** Values between two turns of the event loop: some milliseconds. */
const TURN = 5_000;

type Run = Pick<Asked, 'fragments' | 'variables'> & { values: number; turn: number };
type At = { readonly depth: number; readonly lists: number; readonly within: readonly string[] };

/** Answers that are kept: clients ask for the whole schema in the words of a few libraries, and it is some megabytes. */
const MOST_KEPT = 2;

/** The value of the field as JSON text. */
export function introspect(schema: Schema, asked: Asked): Promise<string> {
  const { kept } = schema;
  const key = JSON.stringify([asked.node, [...asked.fragments], [...asked.variables]]);
  const known = kept.get(key);
  if (known) return known;
  const made = answer(schema, asked);
  kept.set(key, made);
  const [oldest] = kept.keys();
  if (kept.size > MOST_KEPT && oldest !== undefined) kept.delete(oldest);
  // What was refused is not worth a place.
  made.catch(() => kept.delete(key));
  return made;
}

async function answer(schema: Schema, { node, fragments, variables }: Asked): Promise<string> {
  const run: Run = { fragments, variables, values: 0, turn: 0 };
  const given = argumentsOf(node.arguments, variables);
  if (!node.selectionSet) throw refuse(`"${node.name.value}" needs a selection of what it holds.`);
  const start = { depth: 0, lists: 0, within: [] };
  if (node.name.value === '__schema') return thingText(run, schema.schema, node.selectionSet, start);
  const name = given.get('name');
  if (typeof name !== 'string') throw refuse('"__type" takes one argument, name.');
  const found = schema.type(name);
  return found ? thingText(run, found, node.selectionSet, start) : 'null';
}

async function thingText(run: Run, thing: Thing, { selections }: SelectionSetNode, at: At): Promise<string> {
  if (at.depth > MOST_DEPTH) throw new AssentError('too-costly', `GraphQL: selections may be nested ${MOST_DEPTH} deep.`);
  const members = new Map<string, string | Promise<string>>();
  for (const { field, within } of spreadOut(run, selections, { thing, at })) {
    if (++run.values > MOST_VALUES) throw new AssentError('too-costly', 'GraphQL: the query asks for too much of the schema.');
    const key = field.alias?.value ?? field.name.value;
    if (members.has(key)) continue;
    const text = fieldText(run, thing, field, { ...at, within });
    members.set(key, typeof text === 'string' ? text : await text);
  }
  return objectText([...members] as [string, string][]);
}

type Spread = { readonly field: FieldNode; readonly within: readonly string[] };

/** The fields of a selection, fragments spread. */
function spreadOut(run: Run, selections: readonly SelectionNode[], { thing, at }: { readonly thing: Thing; readonly at: At }): Spread[] {
  return selections.flatMap((selection): Spread[] => {
    if (++run.values > MOST_VALUES) throw new AssentError('too-costly', 'GraphQL: the query asks for too much of the schema.');
    if (!isIncluded(selection.directives ?? [], run.variables)) return [];
    if (selection.kind === 'Field') return [{ field: selection, within: at.within }];
    const name = selection.kind === 'FragmentSpread' ? selection.name.value : undefined;
    const fragment = selection.kind === 'FragmentSpread' ? run.fragments.get(selection.name.value) : selection;
    if (!fragment) throw refuse('a fragment is spread that is not defined.');
    if (name !== undefined && at.within.includes(name)) throw refuse('a fragment spreads itself.');
    const condition = fragment.typeCondition?.name.value;
    if (condition !== undefined && condition !== thing.__typename) throw refuse(`a fragment of "${condition}" can never hold where it stands.`);
    const within = name === undefined ? at.within : [...at.within, name];
    return spreadOut(run, fragment.selectionSet.selections, { thing, at: { ...at, within } });
  });
}

function fieldText(run: Run, thing: Thing, { name: { value: name }, selectionSet }: FieldNode, at: At): string | Promise<string> {
  if (!Object.hasOwn(thing, name)) throw refuse(`"${name}" is not known of ${thing.__typename}.`);
  const lists = at.lists + (LISTS.has(name) ? 1 : 0);
  if (lists > MOST_LISTS) throw new AssentError('too-costly', `GraphQL: "${name}" leads from type to type: ask for that type by __type.`);
  let value = thing[name] as Member;
  while (typeof value === 'function') value = value();
  const inner = { ...at, depth: at.depth + 1, lists };
  if (Array.isArray(value)) return listText(run, value as readonly (string | Thing)[], selectionSet, inner);
  if (value !== null && typeof value === 'object') return thingText(run, value as Thing, selectionOf(name, selectionSet), inner);
  if (selectionSet && value !== null) throw refuse(`"${name}" holds a single value.`);
  return JSON.stringify(value);
}

function selectionOf(name: string, selectionSet: SelectionSetNode | undefined): SelectionSetNode {
  if (!selectionSet) throw refuse(`"${name}" needs a selection of what it holds.`);
  return selectionSet;
}

async function listText(run: Run, list: readonly (string | Thing)[], selectionSet: SelectionSetNode | undefined, at: At): Promise<string> {
  const texts: string[] = [];
  for (const item of list) {
    texts.push(typeof item === 'string' ? JSON.stringify(item) : await thingText(run, item, selectionOf('it', selectionSet), at));
    if (run.values - run.turn < TURN) continue;
    run.turn = run.values;
    await setImmediate();
  }
  return `[${texts.join(',')}]`;
}
