/**
 * Checkpoints of the log as signed notes. https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note
 *
 * Invariants: a note counts only with a good signature by a key that the reader already trusts; one bad signature by such a key refutes
 * it, signatures by strangers are passed over; whatever does not have exactly the specified form is malformed.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { fromBase64 } from './encoding.ts';
import { HASH_BYTES, sha256 } from './hash.ts';
import { isSize } from './proof.ts';

export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Uint8Array };

/** `text`: the form people pin and pass on, `<name>+<key id in hex>+<base64>`. */
export type VerifierKey = { readonly name: string; readonly id: string; readonly text: string; readonly publicKey: KeyObject };

export type NoteSigner = {
  readonly verifierKey: VerifierKey;
  /** The signature line for a note's text, newline included. */
  readonly line: (text: string) => string;
};

const ED25519 = 0x01;
/** What stands before the 32 bytes of a key. RFC 8410 */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const MOST_SIGNATURES = 32;
const MOST_CHARACTERS = 1_000_000;

function isKeyName(name: string): boolean {
  return /^[^\s+]+$/u.test(name) && name.isWellFormed();
}

function keyId(name: string, key: Uint8Array): string {
  return sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([ED25519]), key]))
    .subarray(0, 4)
    .toString('hex');
}

export function parseVerifierKey(text: string): VerifierKey | undefined {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text);
  const [name = '', id = '', encoded = ''] = match?.slice(1) ?? [];
  const key = fromBase64(encoded);
  if (!isKeyName(name) || key?.length !== 1 + KEY_BYTES || key[0] !== ED25519 || keyId(name, key.subarray(1)) !== id) return undefined;
  return { name, id, text, publicKey: createPublicKey({ key: Buffer.concat([SPKI, key.subarray(1)]), format: 'der', type: 'spki' }) };
}

/** A new Ed25519 signing key in the form of Go's note package: `PRIVATE+KEY+<name>+<key id>+<base64>`. */
export function newSignerKey(name: string): string {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-KEY_BYTES);
  return `PRIVATE+KEY+${name}+${keyId(name, rawPublicKey(publicKey))}+${Buffer.concat([Buffer.from([ED25519]), seed]).toString('base64')}`;
}

function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES);
}

/** undefined unless `text` is one whole Ed25519 signer key that belongs to its own name and id. */
export function parseSignerKey(text: string): NoteSigner | undefined {
  const match = /^PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text);
  const [name = '', id = '', encoded = ''] = match?.slice(1) ?? [];
  const key = fromBase64(encoded);
  if (!isKeyName(name) || key?.length !== 1 + KEY_BYTES || key[0] !== ED25519) return undefined;
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8, key.subarray(1)]), format: 'der', type: 'pkcs8' });
  const raw = rawPublicKey(createPublicKey(privateKey));
  const verifierKey = parseVerifierKey(`${name}+${id}+${Buffer.concat([Buffer.from([ED25519]), raw]).toString('base64')}`);
  if (!verifierKey) return undefined;
  const line = (note: string): string =>
    `— ${name} ${Buffer.concat([Buffer.from(id, 'hex'), sign(null, Buffer.from(note, 'utf8'), privateKey)]).toString('base64')}\n`;
  return { verifierKey, line };
}

export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
}

export function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): string {
  const text = checkpointText(checkpoint);
  return `${text}\n${signers.map((signer) => signer.line(text)).join('')}`;
}

export type NoteSignature = { readonly name: string; readonly id: string; readonly signature: Uint8Array };
export type Note = { readonly text: string; readonly signatures: readonly NoteSignature[] };

export function parseNote(note: string): Note | undefined {
  const at = note.lastIndexOf('\n\n');
  if (at < 0 || note.length > MOST_CHARACTERS || !note.isWellFormed() || hasControls(note)) return undefined;
  const lines = note.slice(at + 2).split('\n');
  if (lines.pop() !== '' || lines.length === 0 || lines.length > MOST_SIGNATURES) return undefined;
  const signatures = lines.map(parseSignature);
  return signatures.every((signature) => signature !== undefined) ? { text: note.slice(0, at + 1), signatures } : undefined;
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

export type NoteVerdict =
  | { readonly kind: 'signed'; readonly by: readonly VerifierKey[] }
  | { readonly kind: 'forged' }
  | { readonly kind: 'unsigned' };

/** `by`: the known keys that signed. A key counts once, whatever it signed how often. */
export function verifyNote({ text, signatures }: Note, keys: readonly VerifierKey[]): NoteVerdict {
  const bytes = Buffer.from(text, 'utf8');
  const by = new Set<VerifierKey>();
  for (const { name, id, signature } of signatures) {
    const key = keys.find((known) => known.name === name && known.id === id);
    if (!key) continue;
    if (signature.length !== SIGNATURE_BYTES || !verify(null, bytes, key.publicKey, signature)) return { kind: 'forged' };
    by.add(key);
  }
  return by.size > 0 ? { kind: 'signed', by: [...by] } : { kind: 'unsigned' };
}

/** Extension lines are refused: nobody can audit them. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  const [origin = '', digits = '', encoded = '', end, more] = text.split('\n');
  const root = fromBase64(encoded);
  const size = Number(digits);
  if (origin === '' || end !== '' || more !== undefined || !/^(0|[1-9]\d*)$/.test(digits) || !isSize(size) || root?.length !== HASH_BYTES)
    return undefined;
  return { origin, size, root };
}

export type OpenedCheckpoint =
  | { readonly kind: 'signed'; readonly checkpoint: Checkpoint; readonly by: readonly VerifierKey[] }
  | { readonly kind: 'malformed' | 'forged' | 'unsigned' };

export function openCheckpoint(note: string, keys: readonly VerifierKey[]): OpenedCheckpoint {
  const parsed = parseNote(note);
  const checkpoint = parsed && parseCheckpoint(parsed.text);
  if (!parsed || !checkpoint) return { kind: 'malformed' };
  const verdict = verifyNote(parsed, keys);
  return verdict.kind === 'signed' ? { kind: 'signed', checkpoint, by: verdict.by } : verdict;
}
