/**
 * Parts of a resource for `_summary` and `_elements`, as text. https://hl7.org/fhir/R4/search.html#summary
 *
 * Invariant: what remains is byte for byte what was stored; a part of a resource always says so in meta.tag, because it must not be taken,
 * or written back, for the whole.
 */
import { type ElementInfo, elementsOf } from '../elements/elements.ts';
import { elementTexts, memberText, memberTexts, objectText } from '../json-text.ts';
import type { ResourceValue } from '../resource.ts';

/** `names`: base names of elements of the resource. */
export type Subset = { readonly by: 'true' | 'text' | 'data' } | { readonly by: 'elements'; readonly names: ReadonlySet<string> };

export const SUBSETTED = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' } as const;

/** `text`: a resource without insignificant white space. */
export function subsetText(text: string, subset: Subset): string {
  const members = memberTexts(text);
  const type = String(JSON.parse(members.get('resourceType') ?? '""'));
  const kept = new Map(selected(members, type, topLevel(subset)));
  kept.set('meta', taggedMeta(members.get('meta') ?? '{}'));
  const leading = ['resourceType', 'id', 'meta'].map((name) => [name, kept.get(name)] as const);
  return objectText([...leading, ...[...kept].filter(([name]) => !leading.some(([first]) => first === name))]);
}

/** Whether this is only a part of a resource. */
export function isSubset({ meta }: ResourceValue): boolean {
  const tags = (meta as { readonly tag?: unknown } | undefined)?.tag;
  return Array.isArray(tags) && tags.some((tag: Partial<typeof SUBSETTED> | null) => tag?.system === SUBSETTED.system && tag.code === SUBSETTED.code);
}

/** The base name an `_elements` name stands for: `value` for value, value[x] and valueQuantity; undefined: this type has none such. */
export function elementNamed(type: string, name: string): string | undefined {
  const plain = name.replace(/\[x\]$/, '');
  const elements = elementsOf(type);
  const direct = elements?.get(plain);
  if (direct) return direct.element;
  return [...(elements?.values() ?? [])].find(({ element }) => element === plain)?.element;
}

/** What to do with an element: its whole text, its own summary, or nothing. */
type Choice = 'whole' | 'summary' | 'none';
type Choose = (info: ElementInfo) => Choice;

const ALWAYS: ReadonlySet<string> = new Set(['id', 'meta']);

function topLevel(subset: Subset): Choose {
  switch (subset.by) {
    case 'true':
      return ofSummary;
    case 'data':
      return ({ name }) => (name === 'text' ? 'none' : 'whole');
    case 'text':
      return ({ name, mandatory }) => (ALWAYS.has(name) || name === 'text' || mandatory ? 'whole' : 'none');
    case 'elements':
      return ({ name, element, mandatory, modifier }) => (ALWAYS.has(name) || mandatory || modifier || subset.names.has(element) ? 'whole' : 'none');
  }
}

const ofSummary: Choose = ({ summary, mandatory, modifier, type }) => {
  // Modifiers are in R4's summaries except for modifierExtension of a resource: left out, the rest would mean something else.
  if (!summary && !mandatory && !modifier) return 'none';
  // The value of an extension carries no mark of its own: what is kept of an extension is kept whole.
  return type === 'Extension' ? 'whole' : 'summary';
};

function selected(members: ReadonlyMap<string, string>, type: string, choose: Choose): (readonly [string, string])[] {
  const elements = elementsOf(type);
  const kept: (readonly [string, string])[] = [];
  for (const [name, text] of members) {
    const info = elements?.get(name.replace(/^_/, ''));
    // Not an element: the name of the type.
    const choice = info ? choose(info) : name === 'resourceType' ? 'whole' : 'none';
    if (choice === 'none') continue;
    if (choice === 'whole' || info?.holds !== 'elements') kept.push([name, text]);
    else
      kept.push([
        name,
        text.startsWith('[')
          ? `[${elementTexts(text)
              .map((item) => summarised(item, info.type))
              .join(',')}]`
          : summarised(text, info.type),
      ]);
  }
  return kept;
}

function summarised(text: string, type: string): string {
  const kept = selected(memberTexts(text), type, ofSummary);
  // FHIR has no empty objects; an element of which nothing is marked stays as it is.
  return kept.length === 0 ? text : objectText(kept);
}

function taggedMeta(meta: string): string {
  const members = memberTexts(meta);
  const tags = elementTexts(memberText(meta, 'tag') ?? '[]');
  const own = JSON.stringify(SUBSETTED);
  members.set('tag', `[${[...tags.filter((tag) => tag !== own), own].join(',')}]`);
  return objectText(members);
}
