/**
 * A resource as FHIR elements over exact text: what JSON writes as `given` and `_given` is one list of elements, `value[x]` is the member
 * that stands for it. https://hl7.org/fhir/R4/json.html#primitive
 *
 * Invariant: a list and its underscore twin stay parallel, and neither is left empty: FHIR has no empty arrays.
 */
import { type ElementInfo, elementsOf } from '../elements/elements.ts';
import { arrayNode, itemsOf, type JsonNode, membersOf, nodeOf, objectNode } from './tree.ts';

/** One element: its value and, of a primitive, its id and extensions. At least one of both is there. */
export type Entry = { readonly value: JsonNode | undefined; readonly extra: JsonNode | undefined };

/** The place of elements of one name in one parent. */
export type Slot = { readonly owner: Element; readonly info: ElementInfo };

export type Element = Entry & {
  /** Undefined: the resource itself. */
  readonly slot: Slot | undefined;
  readonly index: number;
  /** A data type, a resource type, or the path of a nested element. */
  readonly type: string;
  /** Levels of JSON around its members. */
  readonly depth: number;
};

export function rootElement(node: JsonNode): Element {
  return { value: node, extra: undefined, slot: undefined, index: 0, type: resourceTypeOf(node) ?? '', depth: 1 };
}

/** What may stand under this name in this element: one, or the types of a choice. Empty: R4 knows no such element. */
export function infosOf({ type }: Pick<Element, 'type'>, name: string): readonly ElementInfo[] {
  const elements = elementsOf(type);
  const exact = elements?.get(name);
  if (exact) return [exact];
  if (elements) return [...elements.values()].filter(({ element }) => element === name);
  // Every element has these, primitive ones too.
  return elementsOf('Element')?.has(name) ? [elementsOf('Element')?.get(name) as ElementInfo] : [];
}

export function entriesOf({ owner, info }: Slot): Entry[] {
  const members = holderOf(owner);
  const values = listOf(members?.get(info.name));
  const extras = listOf(members?.get(`_${info.name}`));
  return Array.from({ length: Math.max(values.length, extras.length) }, (_, i) => ({ value: present(values[i]), extra: present(extras[i]) }));
}

export function childrenOf(owner: Element, name: string): Element[] {
  return infosOf(owner, name).flatMap((info) => {
    const slot = { owner, info };
    return entriesOf(slot).map((entry, index) => ({
      ...entry,
      slot,
      index,
      type: (info.type === 'Resource' && entry.value && resourceTypeOf(entry.value)) || info.type,
      depth: owner.depth + 2,
    }));
  });
}

/** Puts these elements in the place of all that were there. */
export function setEntries(slot: Slot, entries: readonly Entry[]): void {
  const { owner, info } = slot;
  const members = holderOf(owner) ?? newHolder(owner);
  const put = (name: string, nodes: readonly (JsonNode | undefined)[]): void => {
    if (nodes.every((node) => node === undefined)) members.delete(name);
    else members.set(name, info.many ? arrayNode(nodes.map((node) => node ?? nodeOf('null'))) : (nodes[0] as JsonNode));
  };
  put(
    info.name,
    entries.map(({ value }) => value),
  );
  put(
    `_${info.name}`,
    entries.map(({ extra }) => extra),
  );
}

/** Takes an element out, and with it every parent that has nothing left. */
export function removeElement({ slot, index }: Element): void {
  if (!slot) return;
  const entries = entriesOf(slot);
  const { owner } = slot;
  setEntries(slot, entries.toSpliced(index, 1));
  if (!owner.slot || holderOf(owner)?.size !== 0) return;
  // A primitive that loses its last extension is still its value.
  if (isObject(owner.value) || !owner.value) removeElement(owner);
  else setEntries(owner.slot, entriesOf(owner.slot).with(owner.index, { value: owner.value, extra: undefined }));
}

/** The members of an element: a primitive's stand in its underscore twin. */
function holderOf({ value, extra }: Element): Map<string, JsonNode> | undefined {
  return (value && membersOf(value)) ?? (extra && membersOf(extra));
}

function newHolder({ slot, index, value }: Element): Map<string, JsonNode> {
  const extra = objectNode([]);
  if (slot) setEntries(slot, entriesOf(slot).with(index, { value, extra }));
  return membersOf(extra) ?? new Map();
}

function isObject(node: JsonNode | undefined): boolean {
  return node !== undefined && membersOf(node) !== undefined;
}

function listOf(node: JsonNode | undefined): readonly JsonNode[] {
  return node ? (itemsOf(node) ?? [node]) : [];
}

function present(node: JsonNode | undefined): JsonNode | undefined {
  return node?.text === 'null' ? undefined : node;
}

function resourceTypeOf(node: JsonNode): string | undefined {
  const text = membersOf(node)?.get('resourceType')?.text;
  return text?.startsWith('"') ? (JSON.parse(text) as string) : undefined;
}
