/**
 * Signed notes: the keys, and who signed a text. https://c2sp.org/signed-note, https://c2sp.org/tlog-cosignature
 *
 * Invariants: a note counts only with a good signature by a key that the reader already trusts; one bad signature by such a key refutes
 * it, signatures by strangers are passed over; whatever does not have exactly the specified form is malformed.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { fromBase64 } from './encoding.ts';
import { sha256 } from './hash.ts';
import { publicKeyOfSpki } from './public-keys.ts';
import { type KeyUse, SEED_BYTES, type SignatureTypeName, signatureTypes, typeOfByte, uint64 } from './signature-types.ts';

/** `text`: the form people pin and pass on, `<name>+<key id in hex>+<base64>`. */
export type VerifierKey = {
  readonly name: string;
  readonly id: string;
  readonly text: string;
  readonly type: SignatureTypeName;
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

function typed(type: SignatureTypeName, key: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([signatureTypes[type].byte]), key]);
}

type NamedKey = { readonly name: string; readonly id: string; readonly type: SignatureTypeName; readonly key: Uint8Array };

function parseKey(text: string): NamedKey | undefined {
  const [, name = '', id = '', encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  const bytes = fromBase64(encoded);
  const type = typeOfByte(bytes?.[0]);
  return isKeyName(name) && bytes && type ? { name, id, type, key: bytes.subarray(1) } : undefined;
}

export function parseVerifierKey(text: string): VerifierKey | undefined {
  const { name, id, type, key } = parseKey(text) ?? {};
  if (name === undefined || id === undefined || !type || !key) return undefined;
  const { keyBytes, spki, use } = signatureTypes[type];
  if (key.length !== keyBytes || keyId(name, typed(type, key)) !== id) return undefined;
  return { name, id, text, type, use, publicKey: publicKeyOfSpki(Buffer.concat([spki, key])) };
}

/** A new signing key in the form of Go's note package: `PRIVATE+KEY+<name>+<key id>+<base64>`, of the type byte and the 32 bytes it is made from. */
export function newSignerKey(name: string, type: SignatureTypeName = 'note'): string {
  const seed = randomBytes(SEED_BYTES);
  const id = keyId(name, typed(type, rawPublicKey(privateKeyOf(type, seed), type)));
  return `PRIVATE+KEY+${name}+${id}+${typed(type, seed).toString('base64')}`;
}

function privateKeyOf(type: SignatureTypeName, seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([signatureTypes[type].pkcs8, seed]), format: 'der', type: 'pkcs8' });
}

function rawPublicKey(key: KeyObject, type: SignatureTypeName): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-signatureTypes[type].keyBytes);
}

/** undefined unless `text` is one whole key for notes that belongs to its own name and id. */
export function parseSignerKey(text: string): NoteSigner | undefined {
  return parsePrivateKey(text, 'note');
}

/** undefined unless `text` is one whole key for cosignatures that belongs to its own name and id. Its line throws Error where there is nothing it may sign. */
export function parseCosignerKey(text: string): Cosigner | undefined {
  return parsePrivateKey(text, 'cosignature');
}

function parsePrivateKey(
  text: string,
  use: KeyUse,
): { readonly verifierKey: VerifierKey; readonly line: (text: string, time?: number) => string } | undefined {
  const parsed = text.startsWith('PRIVATE+KEY+') ? parseKey(text.slice('PRIVATE+KEY+'.length)) : undefined;
  if (!parsed || signatureTypes[parsed.type].use !== use || parsed.key.length !== SEED_BYTES) return undefined;
  const { name, id, type } = parsed;
  const privateKey = privateKeyOf(type, parsed.key);
  const verifierKey = parseVerifierKey(`${name}+${id}+${typed(type, rawPublicKey(privateKey, type)).toString('base64')}`);
  if (!verifierKey) return undefined;
  const line = (note: string, time = 0): string => {
    const message = signatureTypes[type].message({ text: note, name, time });
    if (!message) throw new Error('Such a key signs checkpoints only.');
    return signatureLine({ name, id, signature: Buffer.concat([use === 'note' ? Buffer.alloc(0) : uint64(time), sign(null, message, privateKey)]) });
  };
  return { verifierKey, line };
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

/** `time`: seconds since 1970, as a cosignature says; 0: it says nothing of it. */
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
  const { use, signatureBytes, message } = signatureTypes[key.type];
  const timed = use === 'cosignature' ? TIME_BYTES : 0;
  if (bytes.length !== timed + signatureBytes) return undefined;
  const time = timed === 0 ? 0 : Number(Buffer.from(bytes).readBigUInt64BE());
  const signed = Number.isSafeInteger(time) ? message({ text, name: key.name, time }) : undefined;
  if (!signed || !verify(null, signed, key.publicKey, bytes.subarray(timed))) return undefined;
  return timed === 0 ? { key } : { key, time };
}
