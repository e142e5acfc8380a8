/**
 * The kinds of signature that a note may carry: what each is made over, and how its keys are encoded. https://c2sp.org/signed-note (Signature types),
 * https://c2sp.org/tlog-cosignature (Format)
 *
 * Invariant: no two kinds sign the same bytes, so a signature of one is none of another.
 */
import { parseCheckpoint } from './checkpoint-text.ts';

/** What a key signs: a note's text, or, as a witness does, that text with the time at which it was seen. */
export type KeyUse = 'note' | 'cosignature';

/** `name`: of the key that signs. `time`: seconds since 1970; 0 where nothing is said of it. */
type Said = { readonly text: string; readonly name: string; readonly time: number };

export type SignatureType = {
  /** The first byte of a key. */
  readonly byte: number;
  readonly use: KeyUse;
  readonly keyBytes: number;
  readonly signatureBytes: number;
  /** What stands before the key, and before the 32 bytes that a private one is made from. RFC 8410 §7, RFC 9881 §6 */
  readonly spki: Buffer;
  readonly pkcs8: Buffer;
  /** What is signed; undefined: the text is none that such a key signs. */
  readonly message: (said: Said) => Buffer | undefined;
};

export const SEED_BYTES = 32;

const ed25519 = {
  keyBytes: 32,
  signatureBytes: 64,
  spki: Buffer.from('302a300506032b6570032100', 'hex'),
  pkcs8: Buffer.from('302e020100300506032b657004220420', 'hex'),
} as const;

/** FIPS 204 §4, with an empty context. */
const mlDsa44 = {
  keyBytes: 1312,
  signatureBytes: 2420,
  spki: Buffer.from('30820532300b06096086480165030403110382052100', 'hex'),
  pkcs8: Buffer.from('3034020100300b060960864801650304031104228020', 'hex'),
} as const;

export const signatureTypes = {
  note: { byte: 0x01, use: 'note', ...ed25519, message: ({ text }) => Buffer.from(text, 'utf8') },
  cosignature: {
    byte: 0x04,
    use: 'cosignature',
    ...ed25519,
    message: ({ text, time }) => Buffer.from(`cosignature/v1\ntime ${time}\n${text}`, 'utf8'),
  },
  'ml-dsa-44': { byte: 0x06, use: 'cosignature', ...mlDsa44, message: cosignedMessage },
} as const satisfies Readonly<Record<string, SignatureType>>;

export type SignatureTypeName = keyof typeof signatureTypes;

export function typeOfByte(byte: number | undefined): SignatureTypeName | undefined {
  return (Object.keys(signatureTypes) as SignatureTypeName[]).find((name) => signatureTypes[name].byte === byte);
}

/** `cosigned_message` of the whole tree. https://c2sp.org/tlog-cosignature (ML-DSA-44 signed message) */
function cosignedMessage({ text, name, time }: Said): Buffer | undefined {
  const checkpoint = parseCheckpoint(text, { extended: true });
  const [cosigner, origin] = [opaque(name), opaque(checkpoint?.origin ?? '')];
  if (!checkpoint || !cosigner || !origin) return undefined;
  return Buffer.concat([Buffer.from('subtree/v1\n\0'), cosigner, uint64(time), origin, uint64(0), uint64(checkpoint.size), checkpoint.root]);
}

/** RFC 8446 §3.4: opaque<1..2^8-1> */
function opaque(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'utf8');
  return bytes.length >= 1 && bytes.length < 256 ? Buffer.concat([Buffer.from([bytes.length]), bytes]) : undefined;
}

export function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
