/**
 * Signed notes: the keys, and who signed a text. https://c2sp.org/signed-note, https://c2sp.org/tlog-cosignature
 *
 * Invariants: a note counts only with a good signature by a key that the reader already trusts; one bad signature by such a key refutes
 * it, signatures by strangers are passed over; whatever does not have exactly the specified form is malformed.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { fromBase64 } from './encoding.ts';
import { sha256 } from './hash.ts';

/** What a key signs: a note's text, or, as a witness does, that text with the time at which it was seen. */
export type KeyUse = 'note' | 'cosignature';

/** `text`: the form people pin and pass on, `<name>+<key id in hex>+<base64>`. */
export type VerifierKey = {
  readonly name: string;
  readonly id: string;
  readonly text: string;
  readonly use: KeyUse;
  readonly publicKey: KeyObject;
};

export type NoteSigner = {
  readonly verifierKey: VerifierKey;
  /** The signature line for a note's text, newline included. */
  readonly line: (text: string) => string;
};

export type Cosigner = {
  readonly verifierKey: VerifierKey;
  /** The signature line for a checkpoint's text seen at this time (seconds since 1970), newline included. */
  readonly line: (text: string, time: number) => string;
};

/** The first byte of a key. Both are Ed25519. */
const TYPES: Readonly<Record<KeyUse, number>> = { note: 0x01, cosignature: 0x04 };
/** What stands before the 32 bytes of a key. RFC 8410 */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const TIME_BYTES = 8;
const MOST_SIGNATURES = 32;
const MOST_CHARACTERS = 1_000_000;

export function isKeyName(name: string): boolean {
  return /^[^\s+]+$/u.test(name) && name.isWellFormed();
}

function keyId(name: string, key: Uint8Array): string {
  return sha256(Buffer.concat([Buffer.from(`${name}\n`), key]))
    .subarray(0, 4)
    .toString('hex');
}

function typed(use: KeyUse, key: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([TYPES[use]]), key]);
}

type NamedKey = { readonly name: string; readonly id: string; readonly use: KeyUse; readonly key: Uint8Array };

function parseKey(text: string): NamedKey | undefined {
  const [, name = '', id = '', encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  const bytes = fromBase64(encoded);
  const use = bytes?.[0] === TYPES.note ? 'note' : bytes?.[0] === TYPES.cosignature ? 'cosignature' : undefined;
  return isKeyName(name) && use && bytes?.length === 1 + KEY_BYTES ? { name, id, use, key: bytes.subarray(1) } : undefined;
}

export function parseVerifierKey(text: string): VerifierKey | undefined {
  const parsed = parseKey(text);
  if (!parsed || keyId(parsed.name, typed(parsed.use, parsed.key)) !== parsed.id) return undefined;
  const { name, id, use, key } = parsed;
  return { name, id, text, use, publicKey: createPublicKey({ key: Buffer.concat([SPKI, key]), format: 'der', type: 'spki' }) };
}

/** A new Ed25519 signing key in the form of Go's note package: `PRIVATE+KEY+<name>+<key id>+<base64>`. */
export function newSignerKey(name: string, use: KeyUse = 'note'): string {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-KEY_BYTES);
  return `PRIVATE+KEY+${name}+${keyId(name, typed(use, rawPublicKey(publicKey)))}+${typed(use, seed).toString('base64')}`;
}

function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES);
}

/** undefined unless `text` is one whole Ed25519 key for notes that belongs to its own name and id. */
export function parseSignerKey(text: string): NoteSigner | undefined {
  return parsePrivateKey(text, 'note');
}

/** undefined unless `text` is one whole Ed25519 key for cosignatures that belongs to its own name and id. */
export function parseCosignerKey(text: string): Cosigner | undefined {
  return parsePrivateKey(text, 'cosignature');
}

function parsePrivateKey(
  text: string,
  use: KeyUse,
): { readonly verifierKey: VerifierKey; readonly line: (text: string, time?: number) => string } | undefined {
  const parsed = text.startsWith('PRIVATE+KEY+') ? parseKey(text.slice('PRIVATE+KEY+'.length)) : undefined;
  if (parsed?.use !== use) return undefined;
  const { name, id } = parsed;
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8, parsed.key]), format: 'der', type: 'pkcs8' });
  const verifierKey = parseVerifierKey(`${name}+${id}+${typed(use, rawPublicKey(createPublicKey(privateKey))).toString('base64')}`);
  if (!verifierKey) return undefined;
  const line = (note: string, time?: number): string =>
    signatureLine({ name, id, signature: Buffer.concat([timeBytes(time), sign(null, signedMessage(note, time), privateKey)]) });
  return { verifierKey, line };
}

/** `time`: seconds since 1970, of a cosignature. */
function signedMessage(text: string, time: number | undefined): Buffer {
  return Buffer.from(time === undefined ? text : `cosignature/v1\ntime ${time}\n${text}`, 'utf8');
}

function timeBytes(time: number | undefined): Buffer {
  if (time === undefined) return Buffer.alloc(0);
  const bytes = Buffer.alloc(TIME_BYTES);
  bytes.writeBigUInt64BE(BigInt(time));
  return bytes;
}

export type NoteSignature = { readonly name: string; readonly id: string; readonly signature: Uint8Array };
export type Note = { readonly text: string; readonly signatures: readonly NoteSignature[] };

export function parseNote(note: string): Note | undefined {
  const at = note.lastIndexOf('\n\n');
  if (at < 0 || note.length > MOST_CHARACTERS || !note.isWellFormed() || hasControls(note)) return undefined;
  const signatures = parseSignatures(note.slice(at + 2));
  return signatures && { text: note.slice(0, at + 1), signatures };
}

/** The signature lines of a note, as a witness answers them. */
export function parseSignatures(text: string): readonly NoteSignature[] | undefined {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length === 0 || lines.length > MOST_SIGNATURES) return undefined;
  const signatures = lines.map(parseSignature);
  return signatures.every((signature) => signature !== undefined) ? signatures : undefined;
}

export function signatureLine({ name, id, signature }: NoteSignature): string {
  return `— ${name} ${Buffer.concat([Buffer.from(id, 'hex'), signature]).toString('base64')}\n`;
}

function hasControls(note: string): boolean {
  for (let i = 0; i < note.length; i++) if (note.charCodeAt(i) < 0x20 && note.charCodeAt(i) !== 0x0a) return true;
  return false;
}

function parseSignature(line: string): NoteSignature | undefined {
  const match = /^— (\S+) (\S+)$/u.exec(line);
  const [name = '', encoded = ''] = match?.slice(1) ?? [];
  const bytes = fromBase64(encoded);
  if (!isKeyName(name) || !bytes || bytes.length <= 4) return undefined;
  return { name, id: bytes.subarray(0, 4).toString('hex'), signature: bytes.subarray(4) };
}

/** `time`: seconds since 1970, as a cosignature says. */
export type Signed = { readonly key: VerifierKey; readonly time?: number };

export type NoteVerdict = { readonly kind: 'signed'; readonly by: readonly Signed[] } | { readonly kind: 'forged' } | { readonly kind: 'unsigned' };

/** `by`: the known keys that signed. A key counts once, whatever it signed how often. */
export function verifyNote({ text, signatures }: Note, keys: readonly VerifierKey[]): NoteVerdict {
  const by = new Map<VerifierKey, Signed>();
  for (const { name, id, signature } of signatures) {
    const key = keys.find((known) => known.name === name && known.id === id);
    if (!key) continue;
    const signed = verifySignature(text, signature, key);
    if (!signed) return { kind: 'forged' };
    by.set(key, signed);
  }
  return by.size > 0 ? { kind: 'signed', by: [...by.values()] } : { kind: 'unsigned' };
}

function verifySignature(text: string, bytes: Uint8Array, key: VerifierKey): Signed | undefined {
  const timed = key.use === 'cosignature' ? TIME_BYTES : 0;
  if (bytes.length !== timed + SIGNATURE_BYTES) return undefined;
  const time = timed === 0 ? undefined : Number(Buffer.from(bytes).readBigUInt64BE());
  if (time !== undefined && !Number.isSafeInteger(time)) return undefined;
  if (!verify(null, signedMessage(text, time), key.publicKey, bytes.subarray(timed))) return undefined;
  return time === undefined ? { key } : { key, time };
}
