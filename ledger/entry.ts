/**
 * Entries of the log: what a commit hands over, what is kept private, what the public sees. ledger.md §1, RFC 8785
 *
 * Invariant: the public entry is the SHA-256 of the private one, which holds 32 random bytes: of constant size, and nothing about
 * who, where or when can be guessed from it. Deleting the salt makes it say nothing for ever.
 */
import canonicalize from 'canonicalize';
import { sha256 } from './hash.ts';

export const entryKinds = [
  'disclosure',
  'denial',
  'write',
  'consent-proposed',
  'consent-active',
  'consent-withdrawn',
  'consent-suspended',
  'consent-superseded',
  /** Of what the entries before name under this reference, neither text nor statement is kept any more. */
  'erasure',
  'key-registered',
  'key-revoked',
] as const;
export type EntryKind = (typeof entryKinds)[number];

export type LogEntry = {
  readonly kind: EntryKind;
  /** ISO instant. */
  readonly occurredAt: string;
  /** `Patient/x`, or null. Never leaves the database: the log holds a random handle in its place. */
  readonly subject: string | null;
  /** What the digest is of, e.g. `AuditEvent/7`, `Consent/7`, `Key/<kid>`. */
  readonly reference: string;
  readonly version?: string;
  /** base64url SHA-256 of the exact stored bytes. */
  readonly digest: string;
  /** base64url SHA-256 of the statement that was signed. */
  readonly statement?: string;
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
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new RangeError('A log row is not an object.');
  const { kind, occurredAt, subject, reference, version, digest, statement, ...more } = value as Record<string, unknown>;
  const optional = (member: unknown) => member === undefined || typeof member === 'string';
  const texts = [occurredAt, reference, digest].every((member) => typeof member === 'string');
  if (!texts || !isEntryKind(kind) || !(subject === null || typeof subject === 'string') || !optional(version) || !optional(statement))
    throw new RangeError('A log row has not the members of an entry.');
  if (Object.keys(more).length > 0) throw new RangeError('A log row has members that are none of an entry.');
  return value as LogEntry;
}

export function isEntryKind(value: unknown): value is EntryKind {
  return entryKinds.some((kind) => kind === value);
}

/** The public entry: 32 bytes. */
export function commitmentOf(entry: PrivateEntry): Buffer {
  return sha256(canonicalize(entry) as string);
}
