/**
 * What a query asks of a resource, as a tree over the resource's index keys. Search plans, consent scopes and
 * subscriptions are all expressions, so one evaluator decides all of them.
 *
 * Keys are strings compared by their UTF-8 bytes. A key that starts with `~` is kept with the resource but not put into
 * the engine's index: it can filter, never drive. Keys belong to one resource type; the engine keeps types apart.
 */

export type Expression =
  | { readonly kind: 'all' }
  | { readonly kind: 'none' }
  /** One of these logical ids. */
  | { readonly kind: 'id'; readonly ids: ReadonlySet<string> }
  /** Has at least one of these keys. */
  | { readonly kind: 'any'; readonly keys: ReadonlySet<string> }
  /** Has a key k with from ≤ k < to. */
  | { readonly kind: 'range'; readonly from: string; readonly to: string }
  /** Every key with this prefix is one of `keys`; true when there is none with the prefix. */
  | { readonly kind: 'every'; readonly prefix: string; readonly keys: ReadonlySet<string> }
  /** Has a key `prefix + low + high` (each of `width` characters, INSTANT_DIGITS unless said) with both bounds inside, ends included. */
  | { readonly kind: 'interval'; readonly prefix: string; readonly low?: Bounds; readonly high?: Bounds; readonly width?: number }
  /** Has a key that begins with the prefix and has the text somewhere after it. */
  | { readonly kind: 'contains'; readonly prefix: string; readonly text: string }
  /** Has a key that begins with the prefix and ends with the text, with at most so many UTF-8 bytes after the prefix: a longer one may be cut. */
  | { readonly kind: 'ends'; readonly prefix: string; readonly text: string; readonly most: number }
  /** Has one key with the prefix, of which each part (a list of keys of its own, see `packTuple`) satisfies its expression. */
  | { readonly kind: 'tuple'; readonly prefix: string; readonly parts: readonly Expression[] }
  /** Has a key `prefix` with a place (see `packPlace`) at most this far away. */
  | { readonly kind: 'near'; readonly prefix: string; readonly place: Place; readonly metres: number }
  /**
   * Always true, and only ever one part of a conjunction: what the other parts hold for is sorted by an instant from..to (ms since 1970, ends
   * included), or `unless` holds for it. Where to look, not what to find.
   */
  | { readonly kind: 'instants'; readonly from: number; readonly to: number; readonly unless: Expression }
  | { readonly kind: 'and'; readonly of: readonly Expression[] }
  | { readonly kind: 'or'; readonly of: readonly Expression[] }
  | { readonly kind: 'not'; readonly of: Expression };

/** Degrees. */
export type Place = { readonly latitude: number; readonly longitude: number };

/** Encoded values, ends included; an absent end is open. */
export type Bounds = { readonly from?: string; readonly to?: string };

/** Width of an encoded instant: milliseconds since 0001-01-01 in sortable decimal digits. */
export const INSTANT_DIGITS = 15;
const YEAR_ONE = Date.UTC(2001, 0, 1) - 730_485 * 86_400_000; // 0001-01-01T00:00Z; Date.UTC itself reads years 0–99 as 19xx

/** Sortable digits of an instant in ms since 1970; clamped to the years 1 to 9999, all that FHIR can say. */
export function encodeInstant(ms: number): string {
  const shifted = Math.min(Math.max(ms - YEAR_ONE, 0), 999_999_999_999_999);
  return String(Math.trunc(shifted)).padStart(INSTANT_DIGITS, '0');
}

export const all: Expression = { kind: 'all' };
export const none: Expression = { kind: 'none' };

/** Conjunction, flattened and simplified; `and([])` is `all`. */
export function and(parts: readonly Expression[]): Expression {
  const flat = parts.flatMap((p) => (p.kind === 'and' ? p.of : p.kind === 'all' ? [] : [p]));
  if (flat.some((p) => p.kind === 'none')) return none;
  return flat.length === 0 ? all : flat.length === 1 ? (flat[0] as Expression) : { kind: 'and', of: flat };
}

/** Disjunction, flattened and simplified; `or([])` is `none`. */
export function or(parts: readonly Expression[]): Expression {
  const flat = parts.flatMap((p) => (p.kind === 'or' ? p.of : p.kind === 'none' ? [] : [p]));
  if (flat.some((p) => p.kind === 'all')) return all;
  return flat.length === 0 ? none : flat.length === 1 ? (flat[0] as Expression) : { kind: 'or', of: flat };
}

export function not(part: Expression): Expression {
  if (part.kind === 'all') return none;
  if (part.kind === 'none') return all;
  return part.kind === 'not' ? part.of : { kind: 'not', of: part };
}

export function any(keys: Iterable<string>): Expression {
  const set = new Set(keys);
  return set.size === 0 ? none : { kind: 'any', keys: set };
}

/** Disjunction with all exact keys in one set, so that an engine can seek them together. */
export function alternatives(parts: readonly Expression[]): Expression {
  const keys = parts.flatMap((part) => (part.kind === 'any' ? [...part.keys] : []));
  return or([any(keys), ...parts.filter((part) => part.kind !== 'any')]);
}

/** All keys that start with the prefix. */
export function startsWith(prefix: string): Expression {
  return { kind: 'range', from: prefix, to: successor(prefix) };
}

/** The least string greater than every string that starts with the prefix, in UTF-8 byte order. */
export function successor(prefix: string): string {
  return `${prefix}\u{10FFFF}`;
}

/** Whether a resource with this id and these keys satisfies the expression: the one evaluator both engines share. */
export function holds(expression: Expression, id: string, keys: readonly string[]): boolean {
  switch (expression.kind) {
    case 'all':
    case 'instants':
      return true;
    case 'none':
      return false;
    case 'id':
      return expression.ids.has(id);
    case 'any':
      return keys.some((key) => expression.keys.has(key));
    case 'range':
      return keys.some((key) => compareKeys(key, expression.from) >= 0 && compareKeys(key, expression.to) < 0);
    case 'every':
      return keys.every((key) => !key.startsWith(expression.prefix) || expression.keys.has(key));
    case 'interval':
      return keys.some((key) => insideInterval(key, expression));
    case 'contains':
      return keys.some((key) => key.startsWith(expression.prefix) && key.includes(expression.text, expression.prefix.length));
    case 'ends':
      return keys.some((key) => endsSo(key, expression));
    case 'tuple':
      return keys.some((key) => key.startsWith(expression.prefix) && holdsTuple(key.slice(expression.prefix.length), expression.parts));
    case 'near':
      return keys.some((key) => key.startsWith(expression.prefix) && isNear(key.slice(expression.prefix.length), expression));
    case 'and':
      return expression.of.every((part) => holds(part, id, keys));
    case 'or':
      return expression.of.some((part) => holds(part, id, keys));
    case 'not':
      return !holds(expression.of, id, keys);
  }
}

function insideInterval(key: string, { prefix, low, high, width = INSTANT_DIGITS }: Expression & { kind: 'interval' }): boolean {
  if (!key.startsWith(prefix)) return false;
  const middle = prefix.length + width;
  return inside(key.slice(prefix.length, middle), low) && inside(key.slice(middle, middle + width), high);
}

function endsSo(key: string, { prefix, text, most }: Expression & { kind: 'ends' }): boolean {
  if (!key.startsWith(prefix) || !key.endsWith(text)) return false;
  return key.length - prefix.length >= text.length && Buffer.byteLength(key) - Buffer.byteLength(prefix) <= most;
}

/** Between the keys of one part, and between parts: control characters, which no key has (its values are cleaned). */
const KEY_END = '\u0003';
const PART_END = '\u0004';

/** The keys of each part as the end of one key. */
export function packTuple(parts: readonly (readonly string[])[]): string {
  return parts.map((keys) => keys.join(KEY_END)).join(PART_END);
}

function holdsTuple(packed: string, parts: readonly Expression[]): boolean {
  const lists = packed.split(PART_END);
  return parts.every((part, i) => holds(part, '', lists[i] ? lists[i].split(KEY_END) : []));
}

/** A place as the end of a key; anything may stand before it. */
export function packPlace({ latitude, longitude }: Place): string {
  return `${PART_END}${latitude}${PART_END}${longitude}`;
}

function isNear(packed: string, { place, metres }: Expression & { kind: 'near' }): boolean {
  const [latitude, longitude] = packed.split(PART_END).slice(-2).map(Number);
  return latitude !== undefined && longitude !== undefined && distance(place, { latitude, longitude }) <= metres;
}

const EARTH_RADIUS = 6_371_008.8;

/** Metres along the surface of a sphere. */
export function distance(a: Place, b: Place): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180;
  const north = Math.sin(radians(b.latitude - a.latitude) / 2) ** 2;
  const east = Math.sin(radians(b.longitude - a.longitude) / 2) ** 2;
  const across = north + Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * east;
  return 2 * EARTH_RADIUS * Math.asin(Math.min(1, Math.sqrt(across)));
}

function inside(value: string, bounds: Bounds | undefined): boolean {
  if (!bounds) return true;
  return (bounds.from === undefined || value >= bounds.from) && (bounds.to === undefined || value <= bounds.to);
}

/** UTF-8 byte order. JavaScript compares UTF-16 units, which differs for characters above U+D7FF. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x === y) continue;
    // Surrogates (D800–DFFF) stand for characters above every other UTF-16 unit: lift them over E000–FFFF.
    if (x >= 0xd800 && y >= 0xd800) {
      x = x >= 0xe000 ? x - 0x800 : x + 0x2000;
      y = y >= 0xe000 ? y - 0x800 : y + 0x2000;
    }
    return x - y;
  }
  return a.length - b.length;
}
