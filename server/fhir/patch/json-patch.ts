/**
 * JSON Patch over exact text: all operations of a patch in order, or none. RFC 6902, RFC 6901, https://hl7.org/fhir/R4/http.html#patch
 *
 * Invariant: an attacker controls the patch. Every operation costs at most the width of what it passes through, what is copied is paid
 * from one budget, and nothing grows deeper than a body may be.
 */
import { AssentError } from '../../errors.ts';
import { elementTexts, memberTexts } from '../json-text.ts';
import { depthOf, equal, itemsOf, type JsonNode, membersOf, nodeOf, textOf } from './tree.ts';

export type PatchLimits = { readonly maxDepth: number; readonly maxBytes: number };

/** More in one patch is no edit of a resource any more. */
export const MOST_OPERATIONS = 1000;

/** `patch[3]`: the operation to blame, in place of a FHIRPath: the patch is no resource. */
function place(index: number): string {
  return `patch[${index}]`;
}

/**
 * Both texts as parseJson made them. Throws AssentError: invalid-request (no JSON Patch), patch-failed (this resource is not what the patch
 * expects), too-large.
 */
export function applyJsonPatch(target: string, patch: string, limits: PatchLimits): string {
  if (!patch.startsWith('[')) throw new AssentError('invalid-request', 'A JSON Patch is an array of operations.');
  const texts = elementTexts(patch);
  if (texts.length > MOST_OPERATIONS) throw new AssentError('too-large', `A patch may have ${MOST_OPERATIONS} operations.`);
  const operations = texts.map(readOperation);
  const document: Document = { root: nodeOf(target), limits, budget: limits.maxBytes };
  for (const [index, operation] of operations.entries()) {
    const failure = run(document, operation);
    if (failure !== undefined)
      throw new AssentError('patch-failed', [
        { diagnostics: `Operation ${index} (${operation.op}) cannot be applied: ${failure}.`, expression: [place(index)] },
      ]);
  }
  return textOf(document.root);
}

type Pointer = readonly string[];
type Operation =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: Pointer; readonly value: string }
  | { readonly op: 'remove'; readonly path: Pointer }
  | { readonly op: 'move' | 'copy'; readonly path: Pointer; readonly from: Pointer };

function readOperation(text: string, index: number): Operation {
  const refuse = (diagnostics: string): AssentError => new AssentError('invalid-request', [{ diagnostics, expression: [place(index)] }]);
  if (!text.startsWith('{')) throw refuse('An operation is an object.');
  const members = memberTexts(text);
  const pointer = (name: 'path' | 'from'): Pointer => {
    const found = readPointer(members.get(name));
    if (!found) throw refuse(`"${name}" must be a JSON Pointer, like /name/0/family.`);
    return found;
  };
  const op = members.get('op');
  switch (op) {
    case '"add"':
    case '"replace"':
    case '"test"': {
      const value = members.get('value');
      if (value === undefined) throw refuse('This operation needs a "value".');
      return { op: op.slice(1, -1) as 'add', path: pointer('path'), value };
    }
    case '"remove"':
      return { op: 'remove', path: pointer('path') };
    case '"move"':
    case '"copy"':
      return { op: op.slice(1, -1) as 'move', path: pointer('path'), from: pointer('from') };
    default:
      throw refuse('"op" must be add, remove, replace, move, copy or test.');
  }
}

/** RFC 6901: `~1` is a slash and `~0` a tilde, undone in that order. */
function readPointer(text: string | undefined): Pointer | undefined {
  if (!text?.startsWith('"')) return undefined;
  const pointer = JSON.parse(text) as string;
  if (pointer === '') return [];
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) return undefined;
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

type Document = { root: JsonNode; readonly limits: PatchLimits; budget: number };

/** What stood in the way, in words that hold nothing of the resource; undefined: done. */
function run(document: Document, operation: Operation): string | undefined {
  const { path } = operation;
  switch (operation.op) {
    case 'add':
      return insert(document, path, nodeOf(spend(document, operation.value)));
    case 'replace':
      return replace(document, path, nodeOf(spend(document, operation.value)));
    case 'remove':
      return remove(document, path);
    case 'test': {
      const found = find(document.root, path);
      return found && equal(found, nodeOf(operation.value)) ? undefined : 'the test does not hold';
    }
    case 'copy': {
      const found = find(document.root, operation.from);
      return found ? insert(document, path, nodeOf(spend(document, textOf(found)))) : NOTHING;
    }
    case 'move':
      return move(document, operation.from, path);
  }
}

const NOTHING = 'there is nothing at its path';
const DEEP = 'the result would be nested too deep';
const WHOLE = 'a resource cannot be removed from itself';

/** What is put in is paid for, so that copies of copies end. */
function spend(document: Document, text: string): string {
  document.budget -= text.length;
  if (document.budget < 0) throw new AssentError('too-large', 'The patch makes the resource larger than the server accepts.');
  return text;
}

function move(document: Document, from: Pointer, path: Pointer): string | undefined {
  const within = from.length < path.length && from.every((token, i) => token === path[i]);
  if (within) return 'a value cannot be moved into itself';
  const found = find(document.root, from);
  if (!found) return NOTHING;
  if (from.length === 0) return undefined;
  return remove(document, from) ?? insert(document, path, nodeOf(spend(document, textOf(found))));
}

function find(root: JsonNode, path: Pointer): JsonNode | undefined {
  let node: JsonNode | undefined = root;
  for (const token of path) {
    if (!node) return undefined;
    node = membersOf(node)?.get(token) ?? itemsOf(node)?.[indexOf(token) ?? -1];
  }
  return node;
}

/** No leading zeros, no signs. */
function indexOf(token: string): number | undefined {
  return /^(?:0|[1-9]\d{0,9})$/.test(token) ? Number(token) : undefined;
}

function insert(document: Document, path: Pointer, value: JsonNode): string | undefined {
  if (tooDeep(document, path, value)) return DEEP;
  const last = path.at(-1);
  if (last === undefined) return void (document.root = value);
  const parent = find(document.root, path.slice(0, -1));
  const members = parent && membersOf(parent);
  if (members) return void members.set(last, value);
  const items = parent && itemsOf(parent);
  if (!items) return NOTHING;
  const at = last === '-' ? items.length : indexOf(last);
  if (at === undefined || at > items.length) return 'there is no such place in the array';
  items.splice(at, 0, value);
  return undefined;
}

function replace(document: Document, path: Pointer, value: JsonNode): string | undefined {
  if (!find(document.root, path)) return NOTHING;
  if (tooDeep(document, path, value)) return DEEP;
  const last = path.at(-1);
  if (last === undefined) return void (document.root = value);
  const parent = find(document.root, path.slice(0, -1)) as JsonNode;
  const members = membersOf(parent);
  if (members) members.set(last, value);
  else itemsOf(parent)?.splice(Number(last), 1, value);
  return undefined;
}

function remove(document: Document, path: Pointer): string | undefined {
  const last = path.at(-1);
  if (last === undefined) return WHOLE;
  const parent = find(document.root, path.slice(0, -1));
  if (!parent || !find(parent, [last])) return NOTHING;
  const members = membersOf(parent);
  if (members) members.delete(last);
  else itemsOf(parent)?.splice(Number(last), 1);
  return undefined;
}

function tooDeep({ limits }: Document, path: Pointer, value: JsonNode): boolean {
  return path.length + depthOf(textOf(value)) > limits.maxDepth;
}
