/** A text → a packed file (packed.ts). Whoever writes receipts needs this, whoever verifies them does not. */
import { deflateRawSync } from 'node:zlib';
import { fromBase64, fromBase64Url } from './encoding.ts';
import { digestOf } from './hash.ts';
import { checkOf, dictionary, expanded, literalsOf, MARK, SIGN } from './packed.ts';

/** Shorter ones gain nothing. */
const BASE64 = /(?<=["+. ]|\\n)(?:[A-Za-z0-9+/]{40,}={0,2}|[A-Za-z0-9_-]{40,})(?=["\\])/g;
const HEADER = /(?<=["])eyJ[A-Za-z0-9_-]{37,}(?=["\\.])/g;
const DIGEST = /"([A-Za-z0-9_-]{43})"/g;

/** The same text gives the same bytes. Throws a RangeError on what is no JSON text: a control character in it would stand for something else. */
export function packed(text: string): Uint8Array {
  const { short, raw } = shortened(text);
  if (expanded(short, raw) !== text) throw new RangeError('Only a receipt can be packed.');
  return framed(raw, deflateRawSync(short, { level: 9, memLevel: 9, dictionary }));
}

export function framed(raw: Uint8Array, deflated: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, raw.length);
  const rest = Buffer.concat([length, raw, deflated]);
  return Buffer.concat([MARK, checkOf(rest), rest]);
}

/** `short`: the text with signs in it; `raw`: the bytes taken out. */
export function shortened(text: string): { readonly short: string; readonly raw: Uint8Array } {
  const ofStrings = new Map(literalsOf(text).map((literal, i) => [digestOf(JSON.parse(literal) as string), i]));
  const withoutDigests = text
    .replace(DIGEST, (literal, digest: string) => (ofStrings.has(digest) ? `"${SIGN.digest}${ofStrings.get(digest)}${SIGN.digest}"` : literal))
    .replace(HEADER, (header) => {
      const json = fromBase64Url(header)?.toString() ?? '';
      return Buffer.from(json).toString('base64url') === header ? `${SIGN.json}${json}${SIGN.endOfJson}` : header;
    });
  // What stands there twice is shorter as text: the second time it costs next to nothing.
  const times = new Map<string, number>();
  for (const [run] of withoutDigests.matchAll(BASE64)) times.set(run, (times.get(run) ?? 0) + 1);
  const taken: Uint8Array[] = [];
  const short = withoutDigests.replace(BASE64, (run) => {
    const forUrls = fromBase64Url(run);
    const bytes = forUrls ?? fromBase64(run);
    if (!bytes || (times.get(run) ?? 0) > 1) return run;
    taken.push(bytes);
    const sign = forUrls ? SIGN.base64url : SIGN.base64;
    return `${sign}${bytes.length}${sign}`;
  });
  return { short, raw: Buffer.concat(taken) };
}
