/**
 * The encoding of index keys, shared by what is written (index-values.ts) and what is asked (plan.ts). storage.md §3
 *
 * A key is the parameter's code, one character for the kind, then the value. Frozen once released: a change needs new kinds beside the
 * old ones, a higher KEY_RULES and a reindex. A key that begins with `~` is kept with the resource only: it filters and costs no index entry.
 * Invariants: keys of one kind sort as their values do; none in the index is longer than 200 bytes, of a pair 230; a part that is too long
 * is cut and ends in its SHA-256, so equality still holds.
 */
import { createHash } from 'node:crypto';
import { PATIENT_KEY } from '../fhir/compartments.ts';
import { encodeInstant, successor } from './expression.ts';
import { cleanText, foldText, hasCase, ignoresCase } from './text.ts';

/** Which keys a write makes. Keys of lower rules stay valid but answer less: they need a reindex. */
export const KEY_RULES = 8;

const SEPARATOR = '\u0001';
const HASHED = '\u0002';
const HASH_BYTES = 44; // separator and 43 characters of base64url

/** Kinds: the character after the parameter's code. */
const kind = {
  token: 't',
  tokenSystem: 's',
  string: 'a',
  exact: 'x',
  reference: 'r',
  versioned: 'v',
  identifier: 'i',
  identifierSystem: 'j',
  date: 'd',
  dateEnd: 'e',
  number: 'n',
  coded: 'q',
  unit: 'w',
  uri: 'u',
  present: 'p',
  // Since KEY_RULES 2.
  folded: 'f',
  canonical: 'k',
  rangeLow: 'g',
  rangeHigh: 'h',
  place: 'z',
  // Since KEY_RULES 4.
  term: 'b',
  // Since KEY_RULES 5.
  pair: 'm',
  // Since KEY_RULES 6.
  odd: 'c',
  longDate: 'l',
} as const;

/** Kinds of keys that begin with `~`. */
const aside = { tuple: 'c', text: 'l', ofType: 'o', long: 'y', runs: 'b' } as const;

export type TokenKind = 'token' | 'identifier';

/** Kinds of keys that may stand in the keys of a pair (pairs.ts). */
export const PAIRED = {
  reference: kind.reference,
  token: kind.token,
  folded: kind.folded,
  number: kind.number,
  canonical: kind.canonical,
  coded: kind.coded,
  ranges: kind.rangeLow + kind.rangeHigh,
  odd: kind.odd,
} as const;

/** What stands for the key of the first follows, then the key of the second without its code. */
export function pairPrefix(code: string): string {
  return `${code}${kind.pair}`;
}

export function tokenKey(code: string, as: TokenKind, value: string, system: string): string {
  return `${code}${kind[as]}${fit(value, 90)}${SEPARATOR}${fit(system, 100)}`;
}

/** Begins every token of this value, whatever its system. */
export function tokenPrefix(code: string, as: TokenKind, value: string): string {
  return `${code}${kind[as]}${fit(value, 90)}${SEPARATOR}`;
}

/** Whether a span of keys is that of one token of whatever system. */
export function isTokenSpan(from: string, to: string): boolean {
  return from.endsWith(SEPARATOR) && to === successor(from);
}

/** A token of a system in which case says nothing: of whatever case, under its lower case. */
export function foldedKey(code: string, value: string, system: string): string {
  return `${code}${kind.folded}${fit(value.toLowerCase(), 90)}${SEPARATOR}${fit(system, 100)}`;
}

export function foldedPrefix(code: string, value: string): string {
  return `${code}${kind.folded}${fit(value.toLowerCase(), 90)}${SEPARATOR}`;
}

/** Of a token's key the one that is written beside it because case says nothing in its system; undefined where there is none. */
export function foldedOf(key: string, code: string): string | undefined {
  if (!key.startsWith(code + kind.token)) return undefined;
  const [value = '', system = ''] = key.slice(code.length + 1).split(SEPARATOR);
  return hasCase(value) && ignoresCase(system) ? foldedKey(code, value, system) : undefined;
}

/** What a coded value says in words. */
export function wordsKey(code: string, text: string): string {
  return `${wordsPrefix(code)}${cut(foldText(text), STRING_BYTES)}`;
}

export function wordsPrefix(code: string): string {
  return `~${code}${aside.text}`;
}

/** Of an identifier: its type and its value. */
export function ofTypeKey(code: string, { system, type, value }: { readonly system: string; readonly type: string; readonly value: string }): string {
  return `~${code}${aside.ofType}${fit(type, 60)}${SEPARATOR}${fit(system, 90)}${SEPARATOR}${fit(value, 90)}`;
}

/** Parts of one value of a composite follow. */
export function tuplePrefix(code: string): string {
  return `~${code}${aside.tuple}`;
}

/** Begins every token of the parameter. */
export function tokensPrefix(code: string): string {
  return `${code}${kind.token}`;
}

export function systemKey(code: string, as: TokenKind, system: string): string {
  return `${code}${as === 'token' ? kind.tokenSystem : kind.identifierSystem}${fit(system, 190)}`;
}

export const STRING_BYTES = 180;
/** Up to here a string key holds the whole text, and not perhaps its beginning: a character has 4 bytes at most. */
export const WHOLE_BYTES = STRING_BYTES - 4;
/** Characters of a long text in which `:contains` looks. */
export const LONG_TEXT = 8_192;

export function stringKey(code: string, text: string): string {
  return `${code}${kind.string}${cut(foldText(text), STRING_BYTES)}`;
}

/** Begins every string key that starts with the text; undefined when the text is longer than what keys hold. */
export function stringPrefix(code: string, text: string): string | undefined {
  const folded = foldText(text);
  return Buffer.byteLength(folded) > STRING_BYTES ? undefined : `${code}${kind.string}${folded}`;
}

/** Begins every string key of the parameter. */
export function stringsPrefix(code: string): string {
  return `${code}${kind.string}`;
}

/** The whole of a text that its string key holds only the beginning of; undefined for others. */
export function longKey(code: string, text: string): string | undefined {
  const folded = foldText(text);
  return Buffer.byteLength(folded) <= WHOLE_BYTES ? undefined : longPrefix(code) + folded.slice(0, LONG_TEXT).toWellFormed();
}

export function longPrefix(code: string): string {
  return `~${code}${aside.long}`;
}

export function exactKey(code: string, text: string): string {
  return `${code}${kind.exact}${fit(text, 190)}`;
}

/** `text`: Type/id, URL or URN. */
export function referenceKey(code: string, text: string): string {
  return `${code}${kind.reference}${fit(text, 190)}`;
}

const NAMES_PATIENT = new RegExp(`^(?:${PATIENT_KEY}|.{3}${kind.reference}Patient/)(.+)$`, 's');

/** Id of the patient that every resource with this key names, as far as the key tells. */
export function patientOfKey(key: string): string | undefined {
  return NAMES_PATIENT.exec(key)?.[1];
}

/** Begins every reference of the parameter. */
export function referencePrefix(code: string): string {
  return `${code}${kind.reference}`;
}

export function urisPrefix(code: string): string {
  return `${code}${kind.uri}`;
}

/** A canonical with its version: url|version. */
export function versionedKey(code: string, text: string): string {
  return `${code}${kind.versioned}${fit(text, 190)}`;
}

export function datePrefix(code: string): string {
  return `${code}${kind.date}`;
}

export function dateEndPrefix(code: string): string {
  return `${code}${kind.dateEnd}`;
}

export function dateKey(code: string, low: number, high: number): string {
  return `${code}${kind.date}${encodeInstant(low)}${encodeInstant(high)}`;
}

export function dateEndKey(code: string, high: number): string {
  return `${code}${kind.dateEnd}${encodeInstant(high)}`;
}

/** Dates of at most a day need no other key than their own; longer ones are found by how long they are: up to 31 days, or more. */
export const DAY_MS = 86_400_000;
export const MONTH_MS = 31 * DAY_MS;

/** Begins the keys of those that last longer than a day, or longer than a month; low and high digits follow. */
export function longDatePrefix(code: string, than: 'day' | 'month'): string {
  return `${code}${kind.longDate}${than === 'day' ? '1' : '2'}`;
}

/** Undefined: it lasts no longer than a day. */
export function longDateKey(code: string, low: number, high: number): string | undefined {
  if (high - low < DAY_MS) return undefined;
  return longDatePrefix(code, high - low < MONTH_MS ? 'day' : 'month') + encodeInstant(low) + encodeInstant(high);
}

/** Of a resource whose dates are not one that ends after it begins: it comes first among the longest. */
export function oddDateKey(code: string): string {
  return longDatePrefix(code, 'month') + encodeInstant(Number.NEGATIVE_INFINITY);
}

/** Of a resource with more numbers than one where there is to be one. */
export function oddKey(code: string): string {
  return `${code}${kind.odd}`;
}

export function numberPrefix(code: string): string {
  return `${code}${kind.number}`;
}

/** Value with this coded unit: digits follow. The unit comes first so that one range answers value and unit together. */
export function codedPrefix(code: string, system: string, unitCode: string): string {
  return `${code}${kind.coded}${fit(unitCode, 70)}${SEPARATOR}${fit(system, 90)}${SEPARATOR}`;
}

/** Value with this unit, by code or by its printed form: digits follow. */
export function unitPrefix(code: string, unit: string): string {
  return `${code}${kind.unit}${fit(unit, 160)}${SEPARATOR}`;
}

/** Value in the base units of UCUM: digits follow. */
export function canonicalPrefix(code: string, unit: string): string {
  return `${code}${kind.canonical}${fit(unit, 160)}${SEPARATOR}`;
}

/** Begins the keys of ranges of numbers in the unit `prefix` says (one of the prefixes above): low and high digits follow. */
export function rangePrefix(code: string, prefix: string): string {
  return `${code}${kind.rangeLow}${prefix.slice(code.length)}`;
}

/** As rangePrefix: high digits follow. */
export function rangeEndPrefix(code: string, prefix: string): string {
  return `${code}${kind.rangeHigh}${prefix.slice(code.length)}`;
}

/** Digits of the latitude follow, then the place. */
export function placePrefix(code: string): string {
  return `${code}${kind.place}`;
}

/** A word of the resource (words.ts), whatever element it stands in. */
export function termKey(code: string, term: string): string {
  return `${code}${kind.term}${fit(term, 120)}`;
}

/** The words of a text in their order follow. */
export function runsPrefix(code: string): string {
  return `~${code}${aside.runs}`;
}

/** Bytes of the beginning of a URI that its key holds whatever its length. */
export const URI_BEGINNING = 140;

/** Begins every key of a URI that begins so. */
export function uriPrefix(code: string, beginning: string): string {
  return `${code}${kind.uri}${cleanText(beginning)}`;
}

export function uriKey(code: string, uri: string): string {
  return `${code}${kind.uri}${fit(uri, 190)}`;
}

/** The element is there, but holds nothing the parameter can find: it is not missing. */
export function presentKey(code: string): string {
  return `${code}${kind.present}`;
}

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

/** Sixteen characters that sort as the numbers do: the IEEE 754 bits, with all bits turned for negatives. */
export function encodeNumber(value: number): string {
  float[0] = value === 0 ? 0 : value; // -0 equals 0
  const low = words[0] as number;
  const high = words[1] as number;
  const negative = high >>> 31 === 1;
  return hex(negative ? ~high : high ^ 0x80000000) + hex(negative ? ~low : low);
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

/** The text itself, or where it is over `bytes` long its beginning and its hash. */
function fit(text: string, bytes: number): string {
  const clean = cleanText(text);
  if (clean.length * 3 <= bytes || Buffer.byteLength(clean) <= bytes) return clean;
  return `${cut(clean, bytes - HASH_BYTES)}${HASHED}${createHash('sha256').update(clean).digest('base64url')}`;
}

/** The longest beginning of at most this many UTF-8 bytes. */
function cut(text: string, bytes: number): string {
  if (text.length * 3 <= bytes || Buffer.byteLength(text) <= bytes) return text;
  const buffer = Buffer.from(text);
  let end = bytes;
  while (end > 0 && ((buffer[end] as number) & 0xc0) === 0x80) end--;
  return buffer.toString('utf8', 0, end);
}
