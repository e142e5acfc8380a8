/**
 * The words of a narrative, without its markup. https://hl7.org/fhir/R4/narrative.html
 * Invariant: linear in the length, whatever the text; tags, attributes and comments are never words.
 */
import { numberedEntities } from './entities.ts';

/** Of everything else, begin and end part words. */
const INSIDE_WORDS: ReadonlySet<string> = new Set('a abbr acronym b bdo big em font i q s samp small span strike strong sub sup tt u var'.split(' '));

/** `most`: characters after which the rest is left out. */
export function narrativeText(div: string, most: number): string {
  let text = '';
  for (let at = 0; at < div.length && text.length < most; ) {
    const tag = div.indexOf('<', at);
    text += div.slice(at, tag === -1 ? undefined : tag);
    if (tag === -1) break;
    const end = tagEnd(div, tag);
    const [, name = ''] = /^<\/?(\w+)/.exec(div.slice(tag, tag + 12)) ?? [];
    if (!INSIDE_WORDS.has(name.toLowerCase())) text += ' ';
    at = end;
  }
  return decoded(text.slice(0, most));
}

/** The place after a tag or a comment. A > inside quotes does not end it. */
function tagEnd(div: string, from: number): number {
  if (div.startsWith('<!--', from)) return after(div, '-->', from + 4);
  for (let at = from + 1; at < div.length; at++) {
    const character = div[at] as string;
    if (character === '>') return at + 1;
    if (character === '"' || character === "'") at = after(div, character, at + 1) - 1;
  }
  return div.length;
}

function after(text: string, what: string, from: number): number {
  const found = text.indexOf(what, from);
  return found === -1 ? text.length : found + what.length;
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decoded(text: string): string {
  if (!text.includes('&')) return text;
  return numberedEntities(text).replace(
    /&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(amp|lt|gt|quot|apos));/g,
    (all, hex?: string, digits?: string, name?: string) => {
      if (name !== undefined) return NAMED[name] ?? all;
      const code = hex === undefined ? Number(digits) : Number.parseInt(hex, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : ' ';
    },
  );
}
