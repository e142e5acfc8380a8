/**
 * Builds the JSON text of a resource from the tags of its XML, checking each against the definitions. https://hl7.org/fhir/R4/json.html
 *
 * Invariant: every element is one the definition has at this place, in its order, at most as often as it allows; a failure names its
 * place in the resource and in the text.
 */
import type { SaxesAttributeNS, SaxesTagNS } from 'saxes';
import { AssentError } from '../../errors.ts';
import { type ElementInfo, elementsOf } from '../elements/elements.ts';
import { isResourceType } from '../resource-types.ts';
import { XHTML } from './narrative.ts';

const FHIR = 'http://hl7.org/fhir';
const SCHEMA_INSTANCE = 'http://www.w3.org/2001/XMLSchema-instance';

export type Builder = {
  /** True: this element is a narrative; its tags are taken elsewhere. */
  open(tag: SaxesTagNS): boolean;
  close(): void;
  narrative(div: string): void;
  /** Ends the reading with a sentence about the element that is open. */
  refuse(words: string): never;
  /** The text of the whole resource. */
  result(): string;
};

/** What one name gives: `name` and `_name`, item by item. */
type Given = { readonly info: ElementInfo; readonly values: (string | undefined)[]; readonly extras: (string | undefined)[] };
type Frame = {
  readonly kind: 'resource' | 'wrapper' | 'elements' | 'primitive' | 'narrative';
  /** Undefined: the resource itself. */
  readonly info: ElementInfo | undefined;
  /** Type whose elements may come here. */
  readonly type: string;
  readonly path: string;
  /** Levels of JSON down to here. */
  readonly depth: number;
  readonly members: Map<string, Given>;
  /** Order of the last child. */
  last: number;
  /** JSON text of a primitive's value, or of the resource in a wrapper. */
  value: string | undefined;
};

/** `at`: where the reader is, in words. `maxDepth`: of the JSON, because that is what will be stored. */
export function createBuilder(at: () => string, maxDepth: number): Builder {
  const frames: Frame[] = [];
  let whole = '';
  const refuse = (words: string, path = frames.at(-1)?.path): never => {
    throw new AssentError('invalid-resource', [{ code: 'structure', diagnostics: `${words} (${at()}).`, ...(path ? { expression: [path] } : {}) }]);
  };
  const close = (): void => {
    const frame = frames.pop();
    const parent = frames.at(-1);
    if (!frame) return;
    if (frame.kind === 'resource') {
      if (parent) parent.value = textOf(frame);
      else whole = textOf(frame);
    } else if (parent) give(parent, frame, (words) => refuse(words, frame.path));
  };
  return {
    open(tag) {
      const parent = frames.at(-1);
      const frame = parent && parent.kind !== 'wrapper' ? child(parent, tag, refuse) : resource(parent, tag, refuse);
      if (frame.depth > maxDepth) throw new AssentError('invalid-xml', `Nested deeper than ${maxDepth} levels (${at()}).`);
      frames.push(frame);
      if (frame.kind === 'narrative') return true;
      for (const attribute of Object.values(tag.attributes)) take(frame, attribute, refuse);
      return false;
    },
    close,
    narrative(div) {
      const frame = frames.at(-1);
      if (frame) frame.value = JSON.stringify(div);
      close();
    },
    refuse,
    result: () => whole,
  };
}

type Refuse = (words: string, path?: string) => never;

function resource(parent: Frame | undefined, { uri, local }: SaxesTagNS, refuse: Refuse): Frame {
  const isResource = uri === FHIR && isResourceType(local);
  if (!parent && !isResource) throw new AssentError('invalid-request', 'The root must be a FHIR resource in the namespace http://hl7.org/fhir.');
  if (!isResource) return refuse('A resource is expected here');
  if (parent?.value !== undefined) return refuse('Only one resource may stand here');
  return {
    kind: 'resource',
    info: undefined,
    type: local,
    path: parent?.path ?? local,
    depth: (parent?.depth ?? 0) + 1,
    members: new Map(),
    last: -1,
    value: undefined,
  };
}

function child(parent: Frame, { uri, local }: SaxesTagNS, refuse: Refuse): Frame {
  const path = `${parent.path}.${/^[\w-]{1,64}$/.test(local) ? local : '?'}`;
  const info = elementsOf(parent.type)?.get(local);
  if (!info || info.attribute || uri !== (info.holds === 'xhtml' ? XHTML : FHIR)) return refuse('There is no such element here', path);
  if (info.order < parent.last) return refuse('The element comes too late: elements have an order', path);
  const count = parent.members.get(local)?.values.length ?? 0;
  if (!info.many && count > 0) return refuse('The element may be given once', path);
  parent.last = info.order;
  const kind = kinds[info.holds];
  const type = kind === 'primitive' ? 'Element' : info.type;
  const depth = parent.depth + (info.many ? 1 : 0) + (kind === 'wrapper' ? 0 : 1);
  return { kind, info, type, path: info.many ? `${path}[${count}]` : path, depth, members: new Map(), last: -1, value: undefined };
}

const kinds: Readonly<Record<ElementInfo['holds'], Frame['kind']>> = {
  elements: 'elements',
  resource: 'wrapper',
  xhtml: 'narrative',
  string: 'primitive',
  number: 'primitive',
  boolean: 'primitive',
};

function take(frame: Frame, { name, uri, local, value }: SaxesAttributeNS, refuse: Refuse): void {
  if (/^xmlns(:|$)/.test(name) || (uri === SCHEMA_INSTANCE && local === 'schemaLocation')) return;
  if (frame.kind === 'primitive' && name === 'value') {
    frame.value = tokenOf(frame.info?.holds, value) ?? refuse('The value is not of the type the element has');
    return;
  }
  const info = frame.kind === 'elements' || frame.kind === 'primitive' ? elementsOf(frame.type)?.get(name) : undefined;
  if (!info?.attribute) return refuse('There is no such attribute here');
  frame.members.set(name, { info, values: [JSON.stringify(value)], extras: [undefined] });
}

/** The JSON token of a primitive; undefined where JSON has none for it. */
function tokenOf(holds: ElementInfo['holds'] | undefined, value: string): string | undefined {
  if (holds === 'string') return JSON.stringify(value);
  if (holds === 'boolean') return value === 'true' || value === 'false' ? value : undefined;
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(value) ? value : undefined;
}

function give(parent: Frame, { info, kind, value, members }: Frame, refuse: (words: string) => never): void {
  if (!info) return;
  const inner = members.size === 0 ? undefined : objectOf(members);
  const isValue = kind !== 'elements';
  if (value === undefined && inner === undefined) return refuse('The element is empty');
  const given = parent.members.get(info.name) ?? { info, values: [], extras: [] };
  given.values.push(isValue ? value : inner);
  given.extras.push(isValue ? inner : undefined);
  parent.members.set(info.name, given);
}

function textOf({ type, members }: Frame): string {
  const inner = objectOf(members);
  return `{"resourceType":"${type}"${inner === '{}' ? '' : ','}${inner.slice(1)}`;
}

function objectOf(members: ReadonlyMap<string, Given>): string {
  const parts: string[] = [];
  for (const [name, { info, values, extras }] of members) {
    if (values.some((text) => text !== undefined)) parts.push(`"${name}":${listed(info, values)}`);
    if (extras.some((text) => text !== undefined)) parts.push(`"_${name}":${listed(info, extras)}`);
  }
  return `{${parts.join(',')}}`;
}

function listed({ many }: ElementInfo, texts: readonly (string | undefined)[]): string {
  return many ? `[${texts.map((text) => text ?? 'null').join(',')}]` : (texts[0] ?? 'null');
}
