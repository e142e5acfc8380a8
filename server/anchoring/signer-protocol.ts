/**
 * What a server and the process that signs its log say to each other: JSON over HTTP, on a socket of one machine. ledger.md §2
 * Invariant: whatever does not have exactly this form is none: the signer signs nothing for it, the server believes nothing of it.
 */
import { parseAnchorText } from '../../ledger/anchor/anchor-note.ts';
import { fromBase64 } from '../../ledger/encoding.ts';
import { HASH_BYTES } from '../../ledger/hash.ts';
import { isSize } from '../../ledger/proof.ts';
import { isTrailText } from '../../ledger/trail.ts';
import { ENTRY_BYTES } from './log-records.ts';
import { STEP_BYTES } from './row-chain.ts';
import type { SignedHead } from './signer.ts';

/** GET: who signs and what was signed last. */
export const HEAD_PATH = '/head';
/** POST: more to be signed. */
export const SIGN_PATH = '/sign';
/** POST {text}: the line for a text of which isSignedAlone, {line}. */
export const LINE_PATH = '/line';
/** Entries of one request; the rest of a longer stretch is signed by further ones. */
export const MOST_ENTRIES = 100_000;
export const MOST_REQUEST_BYTES = 16 * 1024 * 1024;
export const MOST_ANSWER_BYTES = 65_536;

export type SignerHead = {
  readonly verifierKey: string;
  /** Undefined: it signs with one key only. */
  readonly cosignerKey: string | undefined;
  /** Undefined: nothing was signed yet. */
  readonly head: SignedHead | undefined;
  /** Why it refuses everything. */
  readonly refused: string | undefined;
};

export type SignCall = {
  /** What the asker takes for the size signed last: where `entries` and `steps` begin. */
  readonly from: number;
  readonly size: number;
  readonly root: Uint8Array;
  readonly published: string | undefined;
  /** Stored entries [from, size), in order. */
  readonly entries: readonly Uint8Array[];
  /** Of the rows about Consents and keys among them: RowChain. */
  readonly steps: readonly Uint8Array[];
};

export type SignAnswer =
  | { readonly kind: 'signed'; readonly note: string; readonly head: SignedHead }
  | { readonly kind: 'refused'; readonly reason: string }
  /** Somebody else had more signed meanwhile: ask again from there. */
  | { readonly kind: 'moved' };

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const whole = (parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString('base64');

export function writeHead({ verifierKey, cosignerKey, head, refused }: SignerHead): object {
  return { verifierKey, cosignerKey: cosignerKey ?? null, head: head ? headFields(head) : null, refused: refused ?? null };
}

export function writeCall({ from, size, root, published, entries, steps }: SignCall): string {
  return JSON.stringify({ from, size, root: text(root), published: published ?? null, entries: whole(entries), steps: whole(steps) });
}

export function writeAnswer(answer: SignAnswer): object {
  return answer.kind === 'signed' ? { ...answer, head: headFields(answer.head) } : answer;
}

export function readHead(value: unknown): SignerHead | undefined {
  const { verifierKey, cosignerKey = null, head, refused } = fields(value);
  const known = head === null ? undefined : parseHead(head);
  if (typeof verifierKey !== 'string' || (head !== null && !known) || !isTextOrNull(refused) || !isTextOrNull(cosignerKey)) return undefined;
  return { verifierKey, cosignerKey: cosignerKey ?? undefined, head: known, refused: refused ?? undefined };
}

export function readCall(value: unknown): SignCall | undefined {
  const { from, size, root, published, entries, steps } = fields(value);
  const [hash, all, links] = [hashOf(root), cut(entries, ENTRY_BYTES), cut(steps, STEP_BYTES)];
  if (!isIndex(from) || !isIndex(size) || !hash || !isTextOrNull(published) || !all || !links) return undefined;
  return { from, size, root: hash, published: published ?? undefined, entries: all, steps: links };
}

export function readAnswer(value: unknown): SignAnswer | undefined {
  const { kind, note, head, reason } = fields(value);
  if (kind === 'moved') return { kind };
  if (kind === 'refused' && typeof reason === 'string') return { kind, reason };
  const signed = parseHead(head);
  return kind === 'signed' && typeof note === 'string' && signed ? { kind, note, head: signed } : undefined;
}

export function readLine(value: unknown): string | undefined {
  const { line } = fields(value);
  return typeof line === 'string' ? line : undefined;
}

export function readText(value: unknown): string | undefined {
  const { text: asked } = fields(value);
  return typeof asked === 'string' && isSignedAlone(asked) ? asked : undefined;
}

/** What the log’s key signs besides checkpoints, whatever it says: neither can be taken for one. */
export function isSignedAlone(text: string): boolean {
  return isTrailText(text) || parseAnchorText(text) !== undefined;
}

function headFields({ size, root, chain }: SignedHead): object {
  return { size, root: text(root), chain: text(chain) };
}

function parseHead(value: unknown): SignedHead | undefined {
  const { size, root, chain } = fields(value);
  const [hash, rows] = [hashOf(root), hashOf(chain)];
  return isIndex(size) && hash && rows ? { size, root: hash, chain: rows } : undefined;
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && isSize(value);
}

function isTextOrNull(value: unknown): value is string | null {
  return typeof value === 'string' || value === null;
}

function hashOf(value: unknown): Uint8Array | undefined {
  const bytes = typeof value === 'string' ? fromBase64(value) : undefined;
  return bytes?.length === HASH_BYTES ? bytes : undefined;
}

function cut(value: unknown, width: number): Uint8Array[] | undefined {
  const bytes = typeof value === 'string' ? fromBase64(value) : undefined;
  if (!bytes || bytes.length % width !== 0) return undefined;
  return Array.from({ length: bytes.length / width }, (_, i) => bytes.subarray(i * width, (i + 1) * width));
}
