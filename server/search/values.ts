/**
 * Reads one value of a search parameter: escapes, prefixes, tokens, references, dates, numbers with the precision their digits imply.
 * https://hl7.org/fhir/R4/search.html#ptypes
 *
 * Invariant: a value that cannot be read gives a Problem, never a value that matches everything.
 */
import { isId } from '../fhir/ids.ts';
import { parseReference } from '../fhir/references.ts';
import { isResourceType, resourceTypes } from '../fhir/resource-types.ts';
import type { SearchParameter } from '../fhir/search-parameters.ts';
import { parseDate } from '../fhir/dates.ts';
import type { Prefix, SearchValue } from './query.ts';
import { STRING_BYTES } from './keys.ts';
import { foldText } from './text.ts';
import { readTextQuery } from './text-query.ts';
import { canonicalUnit, withItself } from './units.ts';

/** Why a value cannot be used; shown to the caller, so it does not repeat the value. */
export type Problem = { readonly kind: 'problem'; readonly text: string };
export type ValueContext = {
  readonly parameter: SearchParameter;
  readonly modifier: string | undefined;
  /** Our own FHIR base URL. */
  readonly base: string;
  /** ms since 1970, for `ap`. */
  readonly now: number;
};

const problem = (text: string): Problem => ({ kind: 'problem', text });

/** `raw`: one alternative, escapes still in it. */
export function readValue(raw: string, context: ValueContext): SearchValue | Problem {
  if (raw === '') return problem('has an empty value');
  const { parameter, modifier } = context;
  if (modifier === 'identifier') return readToken(raw);
  switch (parameter.type) {
    case 'token':
      return modifier === 'of-type' ? readOfType(raw) : modifier === 'text' ? readString(unescape(raw), modifier) : readToken(raw);
    case 'string':
      return readString(unescape(raw), modifier);
    case 'uri':
      return { kind: 'uri', uri: unescape(raw) };
    case 'reference':
      return readReference(unescape(raw), context);
    case 'date':
      return readDate(unescape(raw), context.now);
    case 'number':
      return readNumber(unescape(raw));
    case 'quantity':
      return readQuantity(raw);
    case 'composite':
      return readComposite(raw, context);
    case 'special':
      return readNear(raw);
    case 'text':
      return readWords(unescape(raw));
  }
}

/** Splits at a separator that is not escaped; escapes stay. https://hl7.org/fhir/R4/search.html#escaping */
export function splitValue(text: string, separator: ',' | '|' | '$'): string[] {
  const parts: string[] = [''];
  for (let i = 0; i < text.length; i++) {
    const character = text[i] as string;
    if (character === '\\' && i + 1 < text.length) parts[parts.length - 1] += character + (text[++i] as string);
    else if (character === separator) parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts;
}

function unescape(text: string): string {
  return text.replace(/\\([\\,|$])/g, '$1');
}

function readWords(text: string): SearchValue | Problem {
  const query = readTextQuery(text);
  return 'why' in query ? problem(query.why) : { kind: 'words', query };
}

function readToken(raw: string): SearchValue | Problem {
  const parts = splitValue(raw, '|').map(unescape);
  const [first = '', second] = parts;
  if (parts.length > 2) return problem('has more than one | in a value');
  if (second === undefined) return { kind: 'token', system: undefined, value: first };
  if (first === '' && second === '') return problem('has neither system nor code');
  return { kind: 'token', system: first, value: second === '' ? undefined : second };
}

function readOfType(raw: string): SearchValue | Problem {
  const [system = '', type = '', value = '', ...more] = splitValue(raw, '|').map(unescape);
  if (type === '' || value === '' || more.length > 0) return problem('is not system|type|value');
  return { kind: 'of-type', system, type, value };
}

/** One value for each component, with `$` between them. */
function readComposite(raw: string, context: ValueContext): SearchValue | Problem {
  const { components = [] } = context.parameter;
  const texts = splitValue(raw, '$');
  if (texts.length !== components.length) return problem(`needs ${components.length} values with $ between them`);
  const parts: SearchValue[] = [];
  for (const [i, parameter] of components.entries()) {
    const part = readValue(texts[i] ?? '', { ...context, parameter, modifier: undefined });
    if (part.kind === 'problem') return part;
    parts.push(part);
  }
  return { kind: 'composite', parts };
}

const NEAR_METRES = 10_000;
const FARTHEST = 20_100_000; // half around the Earth
const DEGREES = /^[+-]?\d{1,3}(?:\.\d{1,20})?$/;

/** latitude|longitude|distance|unit; R4 leaves the distance to the server where it is not said. https://hl7.org/fhir/R4/location.html#search */
function readNear(raw: string): SearchValue | Problem {
  const [latitude = '', longitude = '', distance = '', unit = '', ...more] = splitValue(raw, '|').map(unescape);
  const place = { latitude: Number(latitude), longitude: Number(longitude) };
  const isPlace = DEGREES.test(latitude) && DEGREES.test(longitude) && Math.abs(place.latitude) <= 90 && Math.abs(place.longitude) <= 180;
  if (!isPlace || more.length > 0) return problem('is not latitude|longitude|distance|unit');
  if (distance === '') return { kind: 'near', place, metres: NEAR_METRES };
  const length = canonicalUnit(unit === '' ? 'km' : unit);
  const metres = /^\d{1,9}(?:\.\d{1,20})?$/.test(distance) && length?.unit === 'm1' ? length.convert(Number(distance)) : Number.NaN;
  return metres <= FARTHEST ? { kind: 'near', place, metres } : problem('has a distance that is none, or is in no unit of length');
}

function readString(text: string, modifier: string | undefined): SearchValue | Problem {
  const folded = foldText(text);
  if (folded === '') return problem('has an empty value');
  if (modifier !== 'exact' && Buffer.byteLength(folded) > STRING_BYTES)
    return problem(`is longer than the ${STRING_BYTES} bytes that are compared; use :exact`);
  return { kind: 'string', text };
}

function readReference(text: string, { parameter, modifier, base }: ValueContext): SearchValue | Problem {
  if (modifier !== undefined) return readTyped(text, modifier, base);
  if (isId(text)) return { kind: 'reference', targets: (parameter.targets ?? resourceTypes).map((type) => `${type}/${text}`) };
  const bar = text.indexOf('|');
  const parsed = parseReference(bar < 0 ? text : text.slice(0, bar), base);
  if (parsed.kind === 'local' && isResourceType(parsed.type) && bar < 0) return { kind: 'reference', targets: [`${parsed.type}/${parsed.id}`] };
  const target = parsed.kind === 'absolute' ? parsed.url : parsed.kind === 'urn' ? parsed.urn : undefined;
  if (target === undefined) return problem('is not a reference: use an id, Type/id or a URL');
  return bar < 0 ? { kind: 'reference', targets: [target] } : { kind: 'reference', targets: [target], versioned: text };
}

/** subject:Patient=1 */
function readTyped(text: string, type: string, base: string): SearchValue | Problem {
  if (isId(text)) return { kind: 'reference', targets: [`${type}/${text}`] };
  const parsed = parseReference(text, base);
  if ((parsed.kind !== 'local' && parsed.kind !== 'absolute') || parsed.type !== type) return problem(`is not the id of a ${type}`);
  return { kind: 'reference', targets: [parsed.kind === 'local' ? `${type}/${parsed.id}` : parsed.url] };
}

const PREFIX = /^(eq|ne|gt|lt|ge|le|sa|eb|ap)(?=[\d.+-])/;

function splitPrefix(text: string): { readonly prefix: Prefix; readonly rest: string } {
  const prefix = PREFIX.exec(text)?.[1];
  return prefix === undefined ? { prefix: 'eq', rest: text } : { prefix: prefix as Prefix, rest: text.slice(2) };
}

function readDate(text: string, now: number): SearchValue | Problem {
  const { prefix, rest } = splitPrefix(text);
  // A + not sent as %2B arrives as a space.
  const range = parseDate(rest.replace(/ (?=\d\d:\d\d$)/, '+'));
  if (!range) return problem('is not a date, or has an unknown prefix');
  if (prefix !== 'ap') return { kind: 'date', prefix, ...range };
  const margin = Math.trunc(Math.abs(now - (range.low + range.high) / 2) / 10);
  return { kind: 'date', prefix, low: range.low - margin, high: range.high + margin };
}

function readNumber(text: string): (SearchValue & { kind: 'number' }) | Problem {
  const { prefix, rest } = splitPrefix(text);
  const [, sign = '', whole = '', fraction = '', exponent] = /^([+-]?)(\d*)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/.exec(rest) ?? [];
  const exact = Number(rest);
  if (whole + fraction === '' || whole.length + fraction.length > 40 || !Number.isFinite(exact))
    return problem('is not a number, or has an unknown prefix');
  if (prefix === 'ap') return { kind: 'number', prefix, exact, low: exact - Math.abs(exact) / 10, high: exact + Math.abs(exact) / 10 };
  // Half a unit of the last digit to each side, exactly: 5.4 means 5.35 ≤ x < 5.45. Of one digit before an exponent R4's table of numbers says
  // as of two: 1e2 means 95 ≤ x < 105.
  const more = exponent !== undefined && /^0*.?$/.test(whole + fraction) ? '00' : '0';
  const tenths = BigInt(whole + fraction + more) * (sign === '-' ? -1n : 1n);
  const scale = Number(exponent ?? 0) - fraction.length - more.length;
  return { kind: 'number', prefix, ...withItself({ exact, low: Number(`${tenths - 5n}e${scale}`), high: Number(`${tenths + 5n}e${scale}`) }) };
}

function readQuantity(raw: string): SearchValue | Problem {
  const [number = '', system, code, ...more] = splitValue(raw, '|').map(unescape);
  const value = readNumber(number);
  if (value.kind === 'problem' || system === undefined) return value;
  if (more.length > 0 || code === undefined || code === '') return problem('is not number|system|code');
  return { ...value, unit: { system: system === '' ? undefined : system, code } };
}
