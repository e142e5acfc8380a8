/**
 * What a resource says in words, for `_text` and `_content`: its narrative, and every element of the types string and markdown, contained
 * resources and extensions included. https://hl7.org/fhir/R4/search.html#text
 *
 * Codes, units, identifiers, references, addresses of machines and data in base64 are no words and have parameters of their own. Headers that
 * go out with a request may hold a secret. `meta` is about the resource and not in it.
 * Invariant: what is read of a resource is bounded, and none, however odd, makes it throw.
 */
import { elementsOf } from '../fhir/elements/elements.ts';
import { isObject } from '../fhir/resource.ts';
import { narrativeText } from '../fhir/xml/narrative-text.ts';

/** Characters of a narrative, and of all the rest of a resource, in which words are found. */
export const TEXT_CHARACTERS = 16_384;
const MOST_LEVELS = 60;

/** `url`: of an extension. `data`: of SampledData, a row of numbers. */
const NO_WORDS: ReadonlySet<string> = new Set(['id', 'meta', 'reference', 'url', 'linkId', 'data', 'header', 'versionId', 'path', 'xpath', 'unit']);

type Element = Readonly<Record<string, unknown>>;
export type ResourceText = { readonly narrative: readonly string[]; readonly rest: readonly string[] };
type Texts = { readonly into: string[]; left: number };

export function textsOf(resource: Element): ResourceText {
  const narrative: Texts = { into: [], left: TEXT_CHARACTERS };
  const rest: Texts = { into: [], left: TEXT_CHARACTERS };
  const own = resource['text'];
  const type = typeof resource['resourceType'] === 'string' ? resource['resourceType'] : '';
  const isNarrative = elementsOf(type)?.get('text')?.type === 'Narrative' && isObject(own);
  if (isNarrative && typeof own['div'] === 'string') addNarrative(own['div'], narrative);
  addElements(isNarrative ? { ...resource, text: undefined } : resource, { type, level: 0 }, rest);
  return { narrative: narrative.into, rest: rest.into };
}

function addNarrative(div: string, texts: Texts): void {
  if (texts.left > 0) add(narrativeText(div, texts.left), texts);
}

function add(text: string, texts: Texts): void {
  if (texts.left <= 0) return;
  const taken = text.slice(0, texts.left);
  texts.into.push(taken);
  texts.left -= taken.length;
}

type Place = { readonly type: string; readonly level: number };

function addElements(element: Element, { type, level }: Place, texts: Texts): void {
  const known = elementsOf(type);
  if (!known || level > MOST_LEVELS) return;
  for (const name in element) {
    const info = known.get(name);
    // Beside a primitive stand its extensions, such as translations.
    const child = info
      ? { ...info, level: level + 1 }
      : name.startsWith('_')
        ? { type: 'Element', holds: 'elements' as const, level: level + 1 }
        : undefined;
    if (!child || child.type === 'Identifier' || NO_WORDS.has(name)) continue;
    const value = element[name];
    for (const one of Array.isArray(value) ? value : [value]) addValue(one, child, texts);
  }
}

function addValue(value: unknown, { type, holds, level }: Place & { readonly holds: string }, texts: Texts): void {
  if (typeof value === 'string') {
    if (holds === 'xhtml') addNarrative(value, texts);
    else if (type === 'string' || type === 'markdown') add(value, texts);
  } else if (isObject(value)) {
    if (holds === 'elements') addElements(value, { type, level }, texts);
    else if (holds === 'resource') addElements(value, { type: String(value['resourceType']), level }, texts);
  }
}
