/**
 * JSON as a tree that can be edited and still is exact text: a value is opened only where an edit goes through it, and what was not
 * opened comes out byte for byte. https://hl7.org/fhir/R4/json.html#decimal
 *
 * Invariant: no number and no string is ever decoded and written again; members are a Map, so `__proto__` is a name like any other.
 */
import { elementTexts, memberTexts, objectText, stringEnd } from '../json-text.ts';

/** Either `text`, or what it was opened into. */
export type JsonNode = { text: string | undefined; members: Map<string, JsonNode> | undefined; items: JsonNode[] | undefined };

/** `text` is JSON without insignificant white space, as parseJson makes it. */
export function nodeOf(text: string): JsonNode {
  return { text, members: undefined, items: undefined };
}

export function objectNode(members: Iterable<readonly [string, JsonNode]>): JsonNode {
  return { text: undefined, members: new Map(members), items: undefined };
}

export function arrayNode(items: readonly JsonNode[]): JsonNode {
  return { text: undefined, members: undefined, items: [...items] };
}

/** The members of an object, for reading and editing; undefined for other values. */
export function membersOf(node: JsonNode): Map<string, JsonNode> | undefined {
  if (node.text?.startsWith('{')) {
    node.members = new Map([...memberTexts(node.text)].map(([name, text]) => [name, nodeOf(text)]));
    node.text = undefined;
  }
  return node.members;
}

/** The items of an array, for reading and editing; undefined for other values. */
export function itemsOf(node: JsonNode): JsonNode[] | undefined {
  if (node.text?.startsWith('[')) {
    node.items = elementTexts(node.text).map(nodeOf);
    node.text = undefined;
  }
  return node.items;
}

export function textOf(node: JsonNode): string {
  if (node.members) return objectText([...node.members].map(([name, value]) => [name, textOf(value)]));
  if (node.items) return `[${node.items.map(textOf).join(',')}]`;
  return node.text ?? 'null';
}

/** Levels of nesting in a text: 0 for a scalar. */
export function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) i = stringEnd(text, i) - 1;
    else if (c === 0x7b || c === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (c === 0x7d || c === 0x5d) depth--;
  }
  return deepest;
}

/** RFC 6902 §4.6: numbers by value, to the last digit; strings by their characters; members in any order. */
export function equal(a: JsonNode, b: JsonNode): boolean {
  const [members, others] = [membersOf(a), membersOf(b)];
  if (members || others) {
    if (!members || !others || members.size !== others.size) return false;
    return [...members].every(([name, value]) => {
      const other = others.get(name);
      return other !== undefined && equal(value, other);
    });
  }
  const [items, rest] = [itemsOf(a), itemsOf(b)];
  if (items || rest) return items?.length === rest?.length && (items ?? []).every((item, i) => equal(item, rest?.[i] ?? nodeOf('')));
  return scalar(a.text ?? '') === scalar(b.text ?? '');
}

/** One spelling for each scalar value. */
function scalar(text: string): string {
  if (text.startsWith('"')) return text.includes('\\') ? JSON.stringify(JSON.parse(text)) : text;
  const number = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!number) return text;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = number;
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  return `${sign}${significant}e${BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length)}`;
}
