/** Arguments and variables of a GraphQL query as texts, so that no digit of a number is lost. https://spec.graphql.org/October2021/#sec-Values */
import type { ArgumentNode, OperationDefinitionNode, ValueNode } from 'graphql';
import { AssentError } from '../../errors.ts';
import { decode, elementTexts, memberTexts } from '../../fhir/json-text.ts';

export type Argument = string | readonly string[];
export type Arguments = ReadonlyMap<string, Argument>;
/** Declared variables; undefined: null or not given. */
export type Variables = ReadonlyMap<string, Argument | undefined>;

/** An argument that is null is not there. */
export function argumentsOf(nodes: readonly ArgumentNode[] | undefined, variables: Variables): Arguments {
  const found = new Map<string, Argument>();
  for (const { name, value } of nodes ?? []) {
    if (found.has(name.value)) throw refuse(`the argument "${name.value}" is given twice.`);
    const text = valueOf(value, variables);
    if (text !== undefined) found.set(name.value, text);
  }
  return found;
}

/** `text`: the variables as sent, a JSON object or null. */
export function variablesOf({ variableDefinitions = [] }: OperationDefinitionNode, text: string): Variables {
  if (text !== 'null' && !text.startsWith('{')) throw refuse('variables must be an object.');
  const sent = text === 'null' ? new Map<string, string>() : memberTexts(text);
  return new Map(
    variableDefinitions.map(({ variable, type, defaultValue }) => {
      const name = variable.name.value;
      const given = sent.get(name);
      const value = given === undefined ? defaultValue && valueOf(defaultValue, new Map()) : jsonValue(given);
      if (value === undefined && type.kind === 'NonNullType') throw refuse(`the variable $${name} is needed.`);
      return [name, value] as const;
    }),
  );
}

export function refuse(text: string): AssentError {
  return new AssentError('invalid-request', `GraphQL: ${text}`);
}

function valueOf(node: ValueNode, variables: Variables): Argument | undefined {
  switch (node.kind) {
    case 'Variable':
      if (!variables.has(node.name.value)) throw refuse(`the variable $${node.name.value} is not declared.`);
      return variables.get(node.name.value);
    case 'NullValue':
      return undefined;
    case 'BooleanValue':
      return String(node.value);
    case 'ListValue':
      return node.values.flatMap((each) => valueOf(each, variables) ?? []);
    case 'ObjectValue':
      throw refuse('arguments are simple values or lists of them.');
    default:
      return node.value;
  }
}

function jsonValue(text: string): Argument | undefined {
  if (text === 'null') return undefined;
  if (text.startsWith('{')) throw refuse('variables are simple values or lists of them.');
  if (text.startsWith('[')) return elementTexts(text).flatMap((each) => jsonValue(each) ?? []);
  return text.startsWith('"') ? decode(text) : text;
}
