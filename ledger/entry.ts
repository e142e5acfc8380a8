/**
 * Entries of the log: what a commit hands over, what is kept private, what the public sees. ledger.md §1, RFC 8785
 *
 * Invariant: the public entry is the SHA-256 of the private one, which holds 32 random bytes: of constant size, and nothing about
 * who, where or when can be guessed from it. Deleting the salt makes it say nothing for ever.
 */
import canonicalize from 'canonicalize';
import { digestOf, sha256 } from './hash.ts';

export const entryKinds = [
  'disclosure',
  'denial',
  'write',
  /** Somebody may see a patient’s record for some minutes without a Consent, for a reason they gave. */
  'break-glass',
  'consent-proposed',
  'consent-active',
  'consent-withdrawn',
  'consent-suspended',
  'consent-superseded',
  /** What was asked for was refused, or nobody answered in time. */
  'consent-rejected',
  /** Of what the entries before name under this reference, neither text nor statement is kept any more. */
  'erasure',
  'key-registered',
  'key-revoked',
  /** A new key waits for the delay of a recovery; somebody stopped it. */
  'key-recovery-opened',
  'key-recovery-stopped',
  /** Somebody may act for a patient; may no longer. */
  'authority-granted',
  'authority-ended',
  /** What the map of replaced Consents comes to (map-root.ts). */
  'map-root',
  /** The log's own key was replaced: from the next checkpoint on another one signs. */
  'log-key-rotated',
] as const;
export type EntryKind = (typeof entryKinds)[number];

/** Of something that somebody did or tried: the text it is about is an AuditEvent. */
export function isAct(kind: EntryKind): boolean {
  return kind === 'disclosure' || kind === 'denial' || kind === 'write' || kind === 'break-glass';
}

export type LogEntry = {
  readonly kind: EntryKind;
  /** ISO instant. */
  readonly occurredAt: string;
  /** `Patient/x`, or null. Never leaves the database: the log holds a random handle in its place. */
  readonly subject: string | null;
  /** What the digest is of, e.g. `AuditEvent/7`, `Consent/7`, `Key/<kid>`. */
  readonly reference: string;
  readonly version?: string;
  /** base64url SHA-256 of the exact stored bytes; of an erasure that names entries: erasureDigest. */
  readonly digest: string;
  /** base64url SHA-256 of the statement that was signed. */
  readonly statement?: string;
  /** base64url SHA-256 of each signature over the statement that came with this entry, as compact JWS: what was signed stands at this index. */
  readonly signatures?: readonly string[];
  /** Of an erasure: the indexes of the entries about this reference that say nothing any more, in ascending order. */
  readonly erases?: readonly number[];
};

/** What is left of the row of an erased entry: no digest that a guess could be held against. */
export type ErasedEntry = Pick<LogEntry, 'kind' | 'occurredAt' | 'subject' | 'reference' | 'version'> & {
  /** base64url coverOf: the row can still be counted among those that were signed. */
  readonly erased: string;
};

/** An entry at its place in the log. `subject` is the handle; `previous` the index of the subject's entry before, `subjectSeq` counts from 1 (0: no subject). */
export type PrivateEntry = LogEntry & {
  readonly index: number;
  readonly subjectSeq: number;
  readonly previous: number | null;
  /** base64url, 32 random bytes. */
  readonly salt: string;
};

export const SALT_BYTES = 32;

/** A row for the commit that makes the entry true. The key is the entry's own name, so the same thing is logged once. */
export function logRow(entry: LogEntry): { readonly key: string; readonly entry: string } {
  return { key: `${entry.reference} ${entry.kind} ${entry.digest}`, entry: JSON.stringify(entry) };
}

/** Throws RangeError: a stored row is not as logRow wrote it. */
export function parseEntry(text: string): LogEntry {
  const row = parseRow(text);
  if (isErased(row)) throw new RangeError('A log row was erased.');
  return row;
}

/** A row as it stands in the database now. Throws RangeError: it is neither as logRow nor as erasedRow wrote it. */
export function parseRow(text: string): LogEntry | ErasedEntry {
  const row = readRow(text);
  if (!row) throw new RangeError('A log row has not the members of an entry, or others.');
  return row;
}

/** The same of a row that somebody may have edited: undefined where it is neither. */
export function readRow(text: unknown): LogEntry | ErasedEntry | undefined {
  const value = typeof text === 'string' ? readJson(text) : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  const { kind, occurredAt, subject, reference, version, ...rest } = value as Record<string, unknown>;
  const known = isEntryKind(kind) && isText(occurredAt) && isText(reference) && (subject === null || isText(subject)) && isOptionalText(version);
  return known && (hasContent(rest, kind) || hasErased(rest)) ? (value as LogEntry | ErasedEntry) : undefined;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isErased(row: LogEntry | ErasedEntry): row is ErasedEntry {
  return 'erased' in row;
}

function hasContent({ digest, statement, signatures, erases, ...more }: Record<string, unknown>, kind: EntryKind): boolean {
  const signed = signatures === undefined || (Array.isArray(signatures) && signatures.every(isText));
  return isText(digest) && isOptionalText(statement) && signed && (erases === undefined || (kind === 'erasure' && isErases(erases))) && isEmpty(more);
}

function hasErased({ erased, ...more }: Record<string, unknown>): boolean {
  return isText(erased) && isEmpty(more);
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isOptionalText = (value: unknown): boolean => value === undefined || typeof value === 'string';
const isEmpty = (value: object): boolean => Object.keys(value).length === 0;

/** Some indexes, each greater than the one before. */
export function isErases(value: unknown): value is readonly number[] {
  if (!Array.isArray(value) || value.length === 0) return false;
  return value.every((index: unknown, i) => Number.isSafeInteger(index) && (index as number) > (i === 0 ? -1 : (value[i - 1] as number)));
}

/** An erasure has no text that its digest could be of: it is of what it names, so that nothing of what was erased is in it. */
export function erasureDigest(erases: readonly number[]): string {
  return digestOf(JSON.stringify(erases));
}

/** Hides a row’s text behind the salt of its entry: without the salt no guess of the text can be confirmed. */
export function coverOf(text: string, salt: Uint8Array): Buffer {
  return coverOfDigest(sha256(text), salt);
}

/** The same from the SHA-256 of the text. */
export function coverOfDigest(digest: Uint8Array, salt: Uint8Array): Buffer {
  return sha256(Buffer.concat([salt, digest]));
}

/** What takes the place of a row when its entry is erased. The key of a row holds its digest, so it gets another. */
export function erasedRow(
  { index, entry }: { readonly index: number; readonly entry: string },
  salt: Uint8Array,
): { readonly index: number; readonly key: string; readonly entry: string } {
  const { kind, occurredAt, subject, reference, version } = parseEntry(entry);
  const erased: ErasedEntry = {
    kind,
    occurredAt,
    subject,
    reference,
    ...(version === undefined ? {} : { version }),
    erased: coverOf(entry, salt).toString('base64url'),
  };
  return { index, key: `${reference} erased ${index}`, entry: JSON.stringify(erased) };
}

export function isEntryKind(value: unknown): value is EntryKind {
  return entryKinds.some((kind) => kind === value);
}

/** The public entry: 32 bytes. */
export function commitmentOf(entry: PrivateEntry): Buffer {
  return sha256(canonicalize(entry) as string);
}
