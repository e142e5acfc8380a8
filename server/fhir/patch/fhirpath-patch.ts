/**
 * FHIRPath Patch over exact text: all operations of a Parameters resource in order, or none. https://hl7.org/fhir/R4/fhirpatch.html
 *
 * Invariant: an operation that needs one element changes one or fails; only the resource being patched can be reached. Whether the outcome is a
 * valid resource is for the validator to say.
 */
import { AssentError } from '../../errors.ts';
import { elementsOf } from '../elements/elements.ts';
import type { ResourceDocument } from '../resource.ts';
import { childrenOf, type Element, entriesOf, type Entry, infosOf, removeElement, rootElement, setEntries, type Slot } from './elements.ts';
import type { PatchLimits } from './json-patch.ts';
import { type FhirPathOperation, operationPath, type PatchValue, readOperations } from './patch-parameters.ts';
import { type Budget, elementsAt, slotAt, Unusable } from './path.ts';
import { depthOf, type JsonNode, nodeOf, objectNode, textOf } from './tree.ts';

/** What the criteria of one patch may look at: some hundred ms of work. */
const CRITERIA_CHARACTERS = 20_000_000;

/**
 * `target` as parseDocument made it. Throws AssentError: invalid-request (no FHIRPath Patch), patch-failed (this resource is not what the
 * patch expects), too-large, too-costly.
 */
export function applyFhirPathPatch(target: string, patch: ResourceDocument, { maxDepth }: PatchLimits): string {
  const root = nodeOf(target);
  const budget: Budget = { characters: CRITERIA_CHARACTERS };
  for (const [index, operation] of readOperations(patch).entries()) {
    try {
      apply(rootElement(root), operation, { budget, maxDepth });
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      const diagnostics = `Operation ${index} (${operation.type}) cannot be applied: ${error.message}.`;
      throw new AssentError('patch-failed', [{ diagnostics, expression: [operationPath(index)] }]);
    }
  }
  return textOf(root);
}

type Bounds = { readonly budget: Budget; readonly maxDepth: number };

function apply(root: Element, operation: FhirPathOperation, bounds: Bounds): void {
  const { path } = operation;
  switch (operation.type) {
    case 'add':
      return add(one(elementsAt(root, path, bounds.budget)), operation, bounds);
    case 'insert': {
      const slot = slotAt(root, path, bounds.budget);
      const entries = entriesOf(slot);
      if (operation.index > entries.length) throw new Unusable('its index is after the end of the list');
      const entry = entryOf(slot, operation.value, bounds);
      return setEntries(slot, entries.toSpliced(operation.index, 0, entry));
    }
    case 'delete': {
      const found = elementsAt(root, path, bounds.budget);
      if (found.length === 0) return;
      const element = one(found);
      if (!element.slot) throw new Unusable('a resource cannot be deleted from itself');
      return removeElement(element);
    }
    case 'replace':
      return replace(one(elementsAt(root, path, bounds.budget)), operation.value, bounds);
    case 'move': {
      const slot = slotAt(root, path, bounds.budget);
      const entries = entriesOf(slot);
      const moved = entries[operation.source];
      if (!moved || operation.destination >= entries.length) throw new Unusable('its source or destination is after the end of the list');
      return setEntries(slot, entries.toSpliced(operation.source, 1).toSpliced(operation.destination, 0, moved));
    }
  }
}

function one(elements: readonly Element[]): Element {
  const [element, second] = elements;
  if (!element) throw new Unusable('its path selects nothing');
  if (second) throw new Unusable('its path selects several elements, and one is needed');
  return element;
}

function add(owner: Element, { name, value }: { readonly name: string; readonly value: PatchValue }, bounds: Bounds): void {
  const slot = slotFor(owner, name, value);
  const entries = entriesOf(slot);
  // Another type of the same choice is in the way as well.
  if (!slot.info.many && childrenOf(owner, slot.info.element).length > 0) throw new Unusable('the element is there already and does not repeat');
  setEntries(slot, [...entries, entryOf(slot, value, bounds)]);
}

function replace({ slot, index }: Element, value: PatchValue, bounds: Bounds): void {
  if (!slot) throw new Unusable('a resource cannot be replaced by itself; send it with PUT');
  const { owner, info } = slot;
  const choice = info.name !== info.element;
  const target = choice ? slotFor(owner, info.element, value) : slot;
  const entry = entryOf(target, value, bounds);
  const entries = entriesOf(slot);
  if (target.info.name === info.name) return setEntries(slot, entries.with(index, entry));
  setEntries(slot, []);
  setEntries(target, [entry]);
}

/** The member that takes this value: for a choice the one of its type. */
function slotFor(owner: Element, name: string, value: PatchValue): Slot {
  const infos = infosOf(owner, name);
  const [only, other] = infos;
  if (!only) throw new Unusable('R4 defines no element of this name there');
  if (only.name === name && !other) return { owner, info: only };
  const info = infos.find((choice) => value.kind === 'typed' && choice.name === name + value.type);
  if (!info) throw new Unusable('the element cannot have a value of this type');
  return { owner, info };
}

function entryOf(slot: Slot, value: PatchValue, { maxDepth }: Bounds): Entry {
  const { owner } = slot;
  const entry = contentOf(slot, value);
  if (owner.depth + 2 + Math.max(depthIn(entry.value), depthIn(entry.extra)) > maxDepth) throw new Unusable('the result would be nested too deep');
  return entry;
}

/** A value may be used by several operations: each gets its own nodes. */
function copyOf(value: Exclude<PatchValue, { kind: 'parts' }>): Entry {
  const copy = (node: JsonNode | undefined) => node && nodeOf(textOf(node));
  return { value: copy(value.value), extra: value.kind === 'typed' ? copy(value.extra) : undefined };
}

function depthIn(node: JsonNode | undefined): number {
  return node ? depthOf(textOf(node)) : 0;
}

/** An element of an anonymous type from its parts, in their order. */
function build(type: string, parts: (PatchValue & { kind: 'parts' })['parts']): JsonNode {
  if (!elementsOf(type)) throw new Unusable('the element there has no parts');
  const node = objectNode([]);
  const owner: Element = { value: node, extra: undefined, slot: undefined, index: 0, type, depth: 0 };
  for (const { name, value } of parts) {
    const slot = slotFor(owner, name, value);
    const entries = entriesOf(slot);
    if (!slot.info.many && childrenOf(owner, slot.info.element).length > 0) throw new Unusable('a part of its value does not repeat');
    setEntries(slot, [...entries, contentOf(slot, value)]);
  }
  return node;
}

function contentOf({ info }: Slot, value: PatchValue): Entry {
  return value.kind === 'parts' ? { value: build(info.type, value.parts), extra: undefined } : copyOf(value);
}
