/**
 * Folds text so that search does not depend on accents, case, width or spacing. https://hl7.org/fhir/R4/search.html#string
 *
 * Frozen with the index keys: folded text is what is stored in them.
 */

const PLAIN = /^[!-~]+(?: [!-~]+)*$/;
const WORDS = /^[0-9A-Za-z]+(?: [0-9A-Za-z]+)*$/;

/** Letters that no decomposition takes apart, as they are written where they are not on the keyboard; ς and ı are other forms of a letter. */
const LETTERS: Readonly<Record<string, string>> = { ς: 'σ', ı: 'i', ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', ł: 'l', đ: 'd', ð: 'd', þ: 'th' };
const SPECIAL = new RegExp(`[${Object.keys(LETTERS).join('')}]`, 'g');

/**
 * NFKD, marks removed, lower case, punctuation and white space as R4 says: what stands inside a word (apostrophes, full stops) counts for
 * nothing, what stands between words (hyphens, commas, slashes) is a space, and spaces are one. A text of nothing else keeps its marks, so
 * that it is found by them.
 */
export function foldText(text: string): string {
  if (WORDS.test(text)) return text.toLowerCase();
  const base = text
    .toWellFormed()
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}+/gu, '')
    .replace(SPECIAL, (letter) => LETTERS[letter] ?? letter);
  return spaced(base.replace(/['.\u2018\u2019\u02bc\u02b9\u201b\u2032\u00b7\u2027`]|\p{Cf}/gu, '').replace(/\p{P}+/gu, ' ')) || spaced(base);
}

function spaced(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
}

/** Control characters would collide with the separators of keys; unpaired surrogates have no UTF-8. */
export function cleanText(text: string): string {
  if (PLAIN.test(text)) return text;
  const visible = /[\u0000-\u001f\u007f]/.test(text) ? text.replace(/[\u0000-\u001f\u007f]/g, ' ') : text;
  return visible.isWellFormed() ? visible : visible.toWellFormed();
}

/** Systems in which case tells codes apart: FHIR's and HL7's own, UCUM, SNOMED CT (digits), the registries of IANA. */
const LITERAL = /^(?:https?:\/\/(?:hl7\.org\/fhir|terminology\.hl7\.org|unitsofmeasure\.org|snomed\.info)|urn:ietf:)/;

/** R4: tokens are compared without regard to case, unless it is known that case counts. */
export function ignoresCase(system: string): boolean {
  return !LITERAL.test(system);
}

export function hasCase(text: string): boolean {
  return text.toLowerCase() !== text.toUpperCase();
}

/** Whether a URI is the other one, or begins it up to the end of a segment. */
export function isAbove(beginning: string, uri: string): boolean {
  if (!uri.startsWith(beginning)) return false;
  const ends = uri.startsWith('urn:') ? '.:' : '/#?';
  return beginning === uri || ends.includes(uri[beginning.length] ?? '') || ends.includes(beginning.at(-1) ?? ' ');
}

/** Systems of a ContactPoint: what tells one from an Identifier, whose case is kept, because a wrong identity is worse than a missed one. */
export const CONTACTS: ReadonlySet<string> = new Set(['phone', 'fax', 'email', 'pager', 'url', 'sms', 'other']);

/** What `:text` looks at: CodeableConcept.text, Coding.display, Identifier.type.text. https://hl7.org/fhir/R4/search.html#token */
export function wordsOf(element: Readonly<Record<string, unknown>>): readonly string[] {
  const { text, display, coding, type } = element;
  const inner: unknown[] = Array.isArray(coding) ? coding : [];
  const words = [text, display, ...inner.map((one) => member(one, 'display')), member(type, 'text')];
  return words.filter((one): one is string => typeof one === 'string');
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}
