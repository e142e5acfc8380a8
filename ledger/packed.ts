/**
 * A packed file → the text it stands for. docs/receipt.md §2: deflate (RFC 1951) with a preset dictionary, hashes and signatures as bytes, and digests
 * of what stands in the file left to be computed: some 4 kB of receipt where gzip needs 5.5.
 *
 * Invariant: a way of writing a text, never of vouching for it. Whatever comes out is checked like a text that came plain.
 */
import { digestOf, sameBytes, sha256 } from './hash.ts';
import { inflated } from './inflated.ts';
import { WORDS } from './packed-words.ts';

/** Begins no UTF-8 and no gzip. The second byte names this way of packing. */
export const MARK = Uint8Array.of(0xa5, 0x01);
export const CHECK_BYTES = 8;
/** UTF-16 units: a text of more is no receipt. */
const MOST_CHARACTERS = 20_000_000;
const MOST_BYTES = 3 * MOST_CHARACTERS;
const DIGEST_CHARACTERS = 43;

/** What stands for something else: control characters, which JSON text holds none of. */
export const SIGN = { base64: '\u0001', base64url: '\u0002', json: '\u0003', endOfJson: '\u0004', digest: '\u0005' } as const;

export const dictionary: Uint8Array = new TextEncoder().encode(WORDS);

export function isPacked(bytes: Uint8Array): boolean {
  return bytes[0] === MARK[0] && bytes[1] === MARK[1];
}

/** Of the bytes behind it: a file with a bit turned is no file. */
export function checkOf(rest: Uint8Array): Uint8Array {
  return sha256(rest).subarray(0, CHECK_BYTES);
}

/** Undefined: it is damaged, or more than any receipt. */
export async function textOfPacked(bytes: Uint8Array): Promise<string | undefined> {
  const [check, rest] = [bytes.subarray(MARK.length, MARK.length + CHECK_BYTES), bytes.subarray(MARK.length + CHECK_BYTES)];
  if (rest.length < 4 || !sameBytes(checkOf(rest), check)) return undefined;
  const end = 4 + new DataView(rest.buffer, rest.byteOffset).getUint32(0);
  const plain = await inflated('deflate-raw', Buffer.concat([preset(), rest.subarray(end)]), dictionary.length + MOST_BYTES);
  if (!plain || plain.length < dictionary.length || plain.length > dictionary.length + MOST_BYTES) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plain.subarray(dictionary.length));
    return text.length > MOST_CHARACTERS ? undefined : expanded(text, rest.subarray(4, end));
  } catch {
    return undefined;
  }
}

/** The dictionary as a first block, stored (RFC 1951 §3.2.4): what follows refers to it, and no inflater needs to know of dictionaries. */
function preset(): Uint8Array {
  const { length } = dictionary;
  return Buffer.concat([Uint8Array.of(0, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff), dictionary]);
}

/** `raw`: the bytes taken out of the text, in its order. Throws or undefined where it is nothing that was packed. */
export function expanded(packed: string, raw: Uint8Array): string | undefined {
  let used = 0;
  const take = (count: string, form: 'base64' | 'base64url'): string => Buffer.from(raw.subarray(used, (used += Number(count)))).toString(form);
  const text = packed
    .replace(/\u0001([0-9]{1,8})\u0001|\u0002([0-9]{1,8})\u0002/g, (_, standard: string | undefined, forUrls: string) =>
      standard === undefined ? take(forUrls, 'base64url') : take(standard, 'base64'),
    )
    .replace(/\u0003([^\u0003\u0004]*)\u0004/g, (_, json: string) => Buffer.from(json).toString('base64url'));
  return used === raw.length ? withDigests(text) : undefined;
}

/** In the place of each number the digest of the string literal that has it, counted from 0. */
function withDigests(text: string): string {
  const literals = literalsOf(text);
  const digests = new Map<string, string>();
  let length = text.length;
  return text.replace(/\u0005([0-9]{1,8})\u0005/g, (_, number: string) => {
    length += DIGEST_CHARACTERS;
    if (length > MOST_CHARACTERS) throw new RangeError('It is more than any receipt.');
    const digest = digests.get(number) ?? digestOfLiteral(literals[Number(number)]);
    digests.set(number, digest);
    return digest;
  });
}

function digestOfLiteral(literal = ''): string {
  const value = JSON.parse(literal) as string;
  if (!value.isWellFormed()) throw new RangeError('Half a surrogate pair has no UTF-8.');
  return digestOf(value);
}

/** The string literals of a JSON text, with their quotes, in its order: names of members and values alike. */
export function literalsOf(text: string): string[] {
  const literals: string[] = [];
  for (let begin = text.indexOf('"'); begin >= 0; begin = text.indexOf('"', begin)) {
    let end = begin + 1;
    while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
    literals.push(text.slice(begin, end + 1));
    begin = end + 1;
  }
  return literals;
}
