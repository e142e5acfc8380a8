/** The operations of a FHIRPath Patch, read from its Parameters resource as exact text. https://hl7.org/fhir/R4/fhirpatch.html */
import { AssentError } from '../../errors.ts';
import type { ResourceDocument } from '../resource.ts';
import { MOST_OPERATIONS } from './json-patch.ts';
import { itemsOf, type JsonNode, membersOf, nodeOf } from './tree.ts';

/** What is to be put somewhere: a data type with its name as in `valueQuantity`, the elements of an anonymous type, or a resource. */
export type PatchValue =
  | { readonly kind: 'typed'; readonly type: string; readonly value: JsonNode | undefined; readonly extra: JsonNode | undefined }
  | { readonly kind: 'parts'; readonly parts: readonly { readonly name: string; readonly value: PatchValue }[] }
  | { readonly kind: 'resource'; readonly value: JsonNode };

export type FhirPathOperation = { readonly path: string } & (
  | { readonly type: 'add'; readonly name: string; readonly value: PatchValue }
  | { readonly type: 'insert'; readonly index: number; readonly value: PatchValue }
  | { readonly type: 'delete' }
  | { readonly type: 'replace'; readonly value: PatchValue }
  | { readonly type: 'move'; readonly source: number; readonly destination: number }
);

export function operationPath(index: number): string {
  return `Parameters.parameter[${index}]`;
}

/** Throws AssentError: invalid-request with the place of what is malformed, too-large. */
export function readOperations({ text, value }: ResourceDocument): FhirPathOperation[] {
  if (value.resourceType !== 'Parameters') throw refused('A FHIRPath Patch is a Parameters resource.', 'resourceType');
  const parameter = membersOf(nodeOf(text))?.get('parameter');
  const items = parameter ? itemsOf(parameter) : [];
  if (!items) throw refused('The parameters must be an array.', 'Parameters.parameter');
  if (items.length > MOST_OPERATIONS) throw new AssentError('too-large', `A patch may have ${MOST_OPERATIONS} operations.`);
  return items.map(readOperation);
}

function refused(diagnostics: string, expression: string): AssentError {
  return new AssentError('invalid-request', [{ diagnostics, expression: [expression] }]);
}

const PARTS = new Set(['type', 'path', 'name', 'value', 'index', 'source', 'destination']);

function readOperation(node: JsonNode, index: number): FhirPathOperation {
  const refuse = (diagnostics: string): AssentError => refused(diagnostics, operationPath(index));
  if (stringOf(membersOf(node)?.get('name')) !== 'operation') throw refuse('Each parameter of a FHIRPath Patch is named "operation".');
  const parts = new Map<string, JsonNode>();
  for (const part of partsOf(node) ?? []) {
    const name = stringOf(membersOf(part)?.get('name'));
    if (name === undefined || !PARTS.has(name)) throw refuse(`The parts of an operation are ${[...PARTS].join(', ')}.`);
    if (parts.has(name)) throw refuse(`An operation has one part "${name}".`);
    parts.set(name, part);
  }
  const text = (name: string): string => {
    const found = primitiveOf(parts.get(name));
    const value = stringOf(found);
    if (value === undefined) throw refuse(`The operation needs "${name}", a string.`);
    return value;
  };
  const number = (name: string): number => {
    const found = primitiveOf(parts.get(name))?.text ?? '';
    if (!/^\d{1,9}$/.test(found)) throw refuse(`The operation needs "${name}", a whole number from 0 up.`);
    return Number(found);
  };
  const value = (): PatchValue => {
    const found = parts.get('value');
    const read = found && valueOf(found);
    if (!read) throw refuse('The operation needs "value": a value[x], the parts of an element, or a resource.');
    return read;
  };
  const path = text('path');
  switch (text('type')) {
    case 'add':
      return { type: 'add', path, name: text('name'), value: value() };
    case 'insert':
      return { type: 'insert', path, index: number('index'), value: value() };
    case 'delete':
      return { type: 'delete', path };
    case 'replace':
      return { type: 'replace', path, value: value() };
    case 'move':
      return { type: 'move', path, source: number('source'), destination: number('destination') };
    default:
      throw refuse('"type" must be add, insert, delete, replace or move.');
  }
}

function partsOf(node: JsonNode): JsonNode[] | undefined {
  const part = membersOf(node)?.get('part');
  return part && itemsOf(part);
}

function stringOf(node: JsonNode | undefined): string | undefined {
  return node?.text?.startsWith('"') ? (JSON.parse(node.text) as string) : undefined;
}

function primitiveOf(part: JsonNode | undefined): JsonNode | undefined {
  const value = part && valueOf(part);
  return value?.kind === 'typed' ? value.value : undefined;
}

/** Undefined unless there is exactly one value. */
function valueOf(part: JsonNode): PatchValue | undefined {
  const members = membersOf(part);
  if (!members) return undefined;
  const types = new Set([...members.keys()].flatMap((name) => /^_?value([A-Z]\w*)$/.exec(name)?.[1] ?? []));
  const [type] = types;
  const resource = members.get('resource');
  const parts = partsOf(part);
  if (types.size + (resource ? 1 : 0) + (parts ? 1 : 0) !== 1) return undefined;
  if (resource) return { kind: 'resource', value: resource };
  if (type !== undefined) return { kind: 'typed', type, value: members.get(`value${type}`), extra: members.get(`_value${type}`) };
  const named = (parts ?? []).map((inner) => ({ name: stringOf(membersOf(inner)?.get('name')), value: valueOf(inner) }));
  return named.every((one): one is { name: string; value: PatchValue } => one.name !== undefined && one.value !== undefined)
    ? { kind: 'parts', parts: named }
    : undefined;
}
