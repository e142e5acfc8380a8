/**
 * The strict reader of FHIR JSON: one linear, non-recursive scan that checks RFC 8259 to the letter and removes insignificant
 * white space, then the platform's JSON.parse on what is left. https://hl7.org/fhir/R4/json.html, RFC 8259
 *
 * Invariant: the text is the truth. Number and string tokens of `text` are byte-identical to what was sent (`1.50` stays `1.50`),
 * and `text` is accepted only if every JSON reader sees the same value in it. Policy, each with a position and never with content:
 * refused are invalid UTF-8, a byte order mark, NUL and other raw control characters, lone surrogates (raw or escaped), comments,
 * trailing commas, duplicate member names at any depth, nesting deeper than `maxDepth`, anything after the value.
 */
import { isUtf8 } from 'node:buffer';
import { AssentError } from '../errors.ts';
import { stringEnd } from './json-text.ts';
import { isObject, type ResourceDocument, type ResourceValue } from './resource.ts';

export type JsonLimits = { readonly maxDepth: number; readonly maxBytes: number };

/** Reads one resource. Throws AssentError: too-large, invalid-json, invalid-request (not an object with a resourceType). */
export function parseDocument(source: string | Uint8Array, limits: JsonLimits): ResourceDocument {
  const { value, text } = parseJson(source, limits);
  if (!isObject(value)) throw new AssentError('invalid-request', 'The body must be one JSON object, a FHIR resource.');
  const type = value['resourceType'];
  if (typeof type !== 'string' || !/^[A-Z][A-Za-z]{0,63}$/.test(type))
    throw new AssentError('invalid-request', [{ diagnostics: 'The resource must name its type in "resourceType".', expression: ['resourceType'] }]);
  return { value: value as ResourceValue, text };
}

/** Reads any JSON value under the same policy. Throws AssentError: too-large, invalid-json. */
export function parseJson(source: string | Uint8Array, { maxDepth, maxBytes }: JsonLimits): { readonly value: unknown; readonly text: string } {
  const bytes = ownBytes(source, maxBytes);
  const { end, members } = scan(bytes, maxDepth);
  const text = bytes.toString('utf8', 0, end);
  const value: unknown = JSON.parse(text);
  // JSON.parse keeps the last of two members with one name, so fewer members in the value than in the text means a duplicate.
  if (countMembers(value) !== members) refuseDuplicate(text);
  return { value, text };
}

/** A private copy (the scan compacts in place) with one zero byte after it as sentinel. */
function ownBytes(source: string | Uint8Array, maxBytes: number): Buffer {
  const length = typeof source === 'string' ? Buffer.byteLength(source, 'utf8') : source.byteLength;
  if (length > maxBytes) throw new AssentError('too-large', `The body has more than ${maxBytes} bytes.`);
  if (typeof source === 'string' && !source.isWellFormed())
    throw new AssentError('invalid-json', `Lone surrogate at character ${source.search(/\p{Surrogate}/u)}.`);
  const bytes = Buffer.allocUnsafe(length + 1);
  if (typeof source === 'string') bytes.write(source, 'utf8');
  else bytes.set(source);
  bytes[length] = 0;
  if (typeof source !== 'string' && !isUtf8(source)) throw new AssentError('invalid-json', `Invalid UTF-8 at byte ${firstInvalid(source)}.`);
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    throw new AssentError('invalid-json', 'A byte order mark is not allowed; send plain UTF-8.');
  return bytes;
}

/** Bisects for the first byte that is not UTF-8; a prefix may end inside a character, hence the three bytes of grace. */
function firstInvalid(bytes: Uint8Array): number {
  const valid = (n: number) => [0, 1, 2, 3].some((cut) => isUtf8(bytes.subarray(0, Math.max(0, n - cut))));
  let low = 0;
  let high = bytes.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (valid(middle)) low = middle;
    else high = middle - 1;
  }
  while (low > 0 && !isUtf8(bytes.subarray(0, low))) low--;
  return low;
}

const VALUE = 0; // a value must come
const FIRST_ITEM = 1; // a value or ]
const KEY = 2; // a member name must come
const FIRST_KEY = 3; // a member name or }
const COLON = 4;
const AFTER = 5; // , or the closing bracket
const END = 6; // only white space

/** Checks the grammar and moves the tokens together in place; `end` is the new length, `members` how many member names there were. */
function scan(bytes: Buffer, maxDepth: number): { end: number; members: number } {
  const last = bytes.length - 1;
  const inObject = new Uint8Array(maxDepth + 1);
  let depth = 0;
  let state = VALUE;
  let out = 0;
  let members = 0;
  let at = 0;
  for (;;) {
    let c = bytes[at] as number;
    while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = bytes[++at] as number;
    if (c === 0 && at === last) break;
    let end = at + 1;
    if (state <= FIRST_ITEM && c !== 0x5d) {
      if (c === 0x7b || c === 0x5b) {
        if (++depth > maxDepth) fail(at, `Nested deeper than ${maxDepth} levels`);
        inObject[depth] = c === 0x7b ? 1 : 0;
        state = c === 0x7b ? FIRST_KEY : FIRST_ITEM;
      } else {
        end = c === 0x22 ? scanString(bytes, at) : scanScalar(bytes, at);
        state = depth === 0 ? END : AFTER;
      }
    } else if (state === COLON) {
      if (c !== 0x3a) fail(at, 'Expected ":"');
      state = VALUE;
    } else if ((state === KEY || state === FIRST_KEY) && c === 0x22) {
      end = scanString(bytes, at);
      members++;
      state = COLON;
    } else if (state === AFTER && c === 0x2c) {
      state = inObject[depth] === 1 ? KEY : VALUE;
    } else if (c === (inObject[depth] === 1 ? 0x7d : 0x5d) && (state === AFTER || state === FIRST_KEY || state === FIRST_ITEM)) {
      state = --depth === 0 ? END : AFTER;
    } else fail(at, expected(state, inObject[depth] === 1));
    if (out === at) out = at = end;
    else while (at < end) bytes[out++] = bytes[at++] as number;
  }
  if (state !== END) fail(at, 'The text ends too early');
  return { end: out, members };
}

function expected(state: number, inObject: boolean): string {
  if (state === END) return 'Nothing may follow the value';
  if (state === KEY) return 'Expected a member name in double quotes (no trailing commas, no comments)';
  if (state === FIRST_KEY) return 'Expected a member name in double quotes or "}"';
  if (state === AFTER) return inObject ? 'Expected "," or "}"' : 'Expected "," or "]"';
  return 'Expected a value (no trailing commas, no comments)';
}

/** `at` is the opening quote; answers the index after the closing one. */
function scanString(bytes: Buffer, at: number): number {
  for (let i = at + 1; ; i++) {
    const c = bytes[i] as number;
    if (c === 0x22) return i + 1;
    if (c < 0x20) fail(i, i === bytes.length - 1 ? 'The text ends inside a string' : 'Control characters must be escaped in strings');
    if (c !== 0x5c) continue;
    const escaped = bytes[++i] as number;
    if (escaped === 0x75) i = scanUnicodeEscape(bytes, i);
    else if (!ESCAPES.has(escaped)) fail(i, 'Unknown escape in a string');
  }
}

const ESCAPES: ReadonlySet<number> = new Set([...'"\\/bfnrt'].map((c) => c.charCodeAt(0)));

/** `at` is the u of \uXXXX; answers the index of its last digit, or of the low surrogate's. */
function scanUnicodeEscape(bytes: Buffer, at: number): number {
  const unit = hex4(bytes, at + 1);
  if (unit < 0xd800 || unit > 0xdfff) {
    // U+0000 cannot occur in FHIR strings and cuts strings short in other systems.
    if (unit === 0) fail(at - 1, 'NUL is not allowed in strings');
    return at + 4;
  }
  if (unit >= 0xdc00 || bytes[at + 5] !== 0x5c || bytes[at + 6] !== 0x75) fail(at - 1, 'Lone surrogate');
  const low = hex4(bytes, at + 7);
  if (low < 0xdc00 || low > 0xdfff) fail(at - 1, 'Lone surrogate');
  return at + 10;
}

function hex4(bytes: Buffer, at: number): number {
  const digits = bytes.toString('latin1', at, at + 4);
  if (!/^[0-9a-fA-F]{4}$/.test(digits)) fail(at, 'Expected four hexadecimal digits');
  return Number.parseInt(digits, 16);
}

/** Numbers and the three literals. */
function scanScalar(bytes: Buffer, at: number): number {
  const c = bytes[at] as number;
  if (c === 0x2d || isDigit(c)) return scanNumber(bytes, at);
  for (const literal of ['true', 'false', 'null']) {
    if (c === literal.charCodeAt(0) && bytes.toString('latin1', at, at + literal.length) === literal) return at + literal.length;
  }
  return fail(at, expected(VALUE, false));
}

function scanNumber(bytes: Buffer, at: number): number {
  let i = bytes[at] === 0x2d ? at + 1 : at;
  const digits = (): void => {
    if (!isDigit(bytes[i] as number)) fail(i, 'Expected a digit');
    while (isDigit(bytes[i] as number)) i++;
  };
  if (bytes[i] === 0x30) i++;
  else digits();
  if (bytes[i] === 0x2e) {
    i++;
    digits();
  }
  if (bytes[i] === 0x65 || bytes[i] === 0x45) {
    i++;
    if (bytes[i] === 0x2b || bytes[i] === 0x2d) i++;
    digits();
  }
  return i;
}

function isDigit(c: number): boolean {
  return c >= 0x30 && c <= 0x39;
}

/** Everything before `at` has been compacted, so only the byte offset is known, not line and column. */
function fail(at: number, what: string): never {
  throw new AssentError('invalid-json', `${what} (at byte ${at}).`);
}

function countMembers(root: unknown): number {
  let count = 0;
  const open: unknown[] = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const inner = Array.isArray(value) ? value : Object.values(value);
    if (inner !== value) count += inner.length;
    for (const item of inner) if (typeof item === 'object' && item !== null) open.push(item);
  }
  return count;
}

/** Names the place of the second of two members with one name, as an offset into the text without white space. */
function refuseDuplicate(text: string): never {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '{' || c === '[') open.push(new Set());
    else if (c === '}' || c === ']') open.pop();
    else if (c === '"') {
      const end = stringEnd(text, i);
      if (text[end] === ':') {
        const name = JSON.parse(text.slice(i, end)) as string;
        const names = open.at(-1);
        if (names?.has(name)) throw new AssentError('invalid-json', `Duplicate member name (at character ${i}, counted without white space).`);
        names?.add(name);
      }
      i = end - 1;
    }
  }
  throw new AssentError('invalid-json', 'Duplicate member name.');
}
