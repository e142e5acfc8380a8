/**
 * The file a patient keeps: one JSON text in one spelling. ledger.md §6
 *
 * Invariant: a receipt is read only if writing it again gives the same text, with no member unknown, twice or missing: there is no
 * character in it that says nothing.
 */
import { isEntryKind, type PrivateEntry } from './entry.ts';
import { isSize } from './proof.ts';

export const RECEIPT_FORMAT = 'assent-receipt-1';
const MOST_CHARACTERS = 20_000_000;

/** A private entry without its reference, which the piece it is about says itself. */
export type ReceiptEntry = Omit<PrivateEntry, 'reference'>;

export type EventPiece = { readonly event: string; readonly entry: ReceiptEntry };
/** `terms`: the signed statement without its Consent, which is the one beside it; `signatures`: over the statement, each a detached compact JWS or a passkey's assertion (webauthn.ts). */
export type ConsentPiece = {
  readonly consent: string;
  readonly entry: ReceiptEntry;
  readonly terms: { readonly [member: string]: unknown } | null;
  readonly signatures: readonly string[];
};
export type KeyPiece = { readonly key: string; readonly entry: ReceiptEntry };
/** What somebody signed under on behalf of a patient: the exact text of its grant. */
export type AuthorityPiece = { readonly authority: string; readonly entry: ReceiptEntry };

/** What the map of Consents says of each Consent, in order: `proof` in base64 (map.ts); `next`: index of the entry that took its place. */
export type CurrentPiece = {
  readonly upTo: number;
  /** base64 */
  readonly root: string;
  readonly entry: ReceiptEntry;
  readonly proofs: readonly { readonly proof: string; readonly next?: number }[];
};

/** A replacement of the log's key: its exact text. */
export type RotationPiece = { readonly rotation: string; readonly entry: ReceiptEntry };

/** That a checkpoint of the log is in an aggregate (aggregate.ts), and where that is anchored. */
export type AggregatePiece = {
  /** Of the aggregate, with at most one extension line. */
  readonly checkpoint: string;
  /** Of the entry in the aggregate. */
  readonly index: number;
  /** The entry: the log’s checkpoint, as it signed it. */
  readonly member: string;
  /** RFC 6962 §2.1.1, base64. */
  readonly inclusion: readonly string[];
  /** base64 of the authority’s reply over the checkpoint’s text without its extension line. RFC 3161 */
  readonly stamp?: string;
};

/** `aggregate`: its verifier key; `consistency`: RFC 6962 §2.1.2, base64, between `member` and the checkpoint of the file, whichever is older. */
export type AggregateAnchorPiece = AggregatePiece & { readonly aggregate: string; readonly consistency: readonly string[] };

/** `anchor`: the log’s own word where a tree of it is anchored (anchor/anchor-note.ts); `consistency` and `stamp`: as above, of that tree. */
export type OwnAnchorPiece = { readonly anchor: string; readonly consistency: readonly string[]; readonly stamp?: string };

export type AnchorPiece = AggregateAnchorPiece | OwnAnchorPiece;

/** What every file that rests on a checkpoint says of it. */
export type OnLog = {
  /** The log's verifier key, in signed-note form: the one that signed the checkpoint. */
  readonly log: string;
  /** A signed checkpoint. */
  readonly checkpoint: string;
  /** The verifier keys of those who cosigned it; absent where nobody did. */
  readonly witnesses?: readonly string[];
  /** How `log` came to be the log's key, from its first one on; absent where it is that. */
  readonly rotations?: readonly RotationPiece[];
};

/** Written so in each. */
export function onLog({ log, checkpoint, witnesses = [], rotations = [] }: OnLog): OnLog {
  return { log, checkpoint, ...(witnesses.length > 0 ? { witnesses } : {}), ...(rotations.length > 0 ? { rotations } : {}) };
}

export type Receipt = OnLog & {
  readonly format: typeof RECEIPT_FORMAT;
  readonly event: EventPiece | null;
  readonly consents: readonly ConsentPiece[];
  readonly keys: readonly KeyPiece[];
  /** Absent where nobody signed on behalf of another. */
  readonly authorities?: readonly AuthorityPiece[];
  /** Absent where no root of the map of Consents was at hand that speaks of them. */
  readonly current?: CurrentPiece;
  /** Where a checkpoint of the log is held outside; absent where nowhere yet. */
  readonly anchors?: readonly AnchorPiece[];
  /** base64 hashes that lead from all entries of the pieces to the checkpoint's root, from left to right. */
  readonly proof: readonly string[];
};

export function writeReceipt(receipt: Omit<Receipt, 'format'>): string {
  const { event, consents, keys, authorities = [], current, anchors = [], proof } = receipt;
  const onBehalf = authorities.length > 0 ? { authorities } : {};
  const standing = current ? { current } : {};
  const outside = anchors.length > 0 ? { anchors } : {};
  return JSON.stringify({ format: RECEIPT_FORMAT, ...onLog(receipt), event, consents, keys, ...onBehalf, ...standing, ...outside, proof });
}

/** A sentence where the text is not a receipt. */
export function readReceipt(text: string): Receipt | string {
  return readWhole(text, { format: RECEIPT_FORMAT, what: 'a receipt', is: isReceipt });
}

type Format<T> = { readonly format: string; readonly what: string; readonly is: (value: unknown) => value is T };

/** A sentence where the text is not exactly one of this format. One newline at the end is how editors save. */
export function readWhole<T>(text: string, { format, what, is }: Format<T>): T | string {
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  if (body.length > MOST_CHARACTERS) return `It is too large to be ${what}.`;
  const value = parse(body);
  if (value === undefined) return 'It is not JSON.';
  if ((value as { format?: unknown } | null)?.format !== format) return `It is not ${what} of format ${format}.`;
  if (!is(value)) return `It has not exactly the members of ${what}.`;
  return rewritten(value) === body ? value : 'It is not written as receipts are.';
}

/** Undefined: it is nested too deep to be written. */
function rewritten(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Check = (value: unknown) => boolean;

export const isText: Check = (value) => typeof value === 'string' && value.isWellFormed();
export const isCount: Check = (value) => typeof value === 'number' && isSize(value);
export const isNull: Check = (value) => value === null;
const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
export const either =
  (one: Check, other: Check): Check =>
  (value) =>
    one(value) || other(value);
export const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
export const shape =
  (required: Readonly<Record<string, Check>>, optional: Readonly<Record<string, Check>> = {}): Check =>
  (value) =>
    isObject(value) &&
    Object.entries(required).every(([name, check]) => check((value as Record<string, unknown>)[name])) &&
    Object.entries(value as Record<string, unknown>).every(
      ([name, member]) => Object.hasOwn(required, name) || (Object.hasOwn(optional, name) && optional[name]?.(member)),
    );

export const ENTRY_MEMBERS = {
  kind: isEntryKind,
  occurredAt: isText,
  subject: either(isText, isNull),
  digest: isText,
  index: isCount,
  subjectSeq: isCount,
  previous: either(isCount, isNull),
  salt: isText,
} as const;

/** `more`: further members that an entry may have here. */
export const isEntryWith = (more: Readonly<Record<string, Check>>): Check =>
  shape(ENTRY_MEMBERS, { version: isText, statement: isText, signatures: listOf(isText), ...more });
const isEntry = isEntryWith({});

const PIECE = { checkpoint: isText, index: isCount, member: isText, inclusion: listOf(isText) } as const;
export const isAggregatePiece = shape(PIECE, { stamp: isText });
const isAggregateAnchor = shape({ ...PIECE, aggregate: isText, consistency: listOf(isText) }, { stamp: isText });
const isOwnAnchor = shape({ anchor: isText, consistency: listOf(isText) }, { stamp: isText });

/** Members of every file that rests on a checkpoint. */
export const ON_LOG = { witnesses: listOf(isText), rotations: listOf(shape({ rotation: isText, entry: isEntry })) } as const;

const isReceiptShape = shape(
  {
    format: isText,
    log: isText,
    checkpoint: isText,
    event: either(shape({ event: isText, entry: isEntry }), isNull),
    consents: listOf(shape({ consent: isText, entry: isEntry, terms: either(isObject, isNull), signatures: listOf(isText) })),
    keys: listOf(shape({ key: isText, entry: isEntry })),
    proof: listOf(isText),
  },
  {
    ...ON_LOG,
    authorities: listOf(shape({ authority: isText, entry: isEntry })),
    anchors: listOf(either(isAggregateAnchor, isOwnAnchor)),
    current: shape({ upTo: isCount, root: isText, entry: isEntry, proofs: listOf(shape({ proof: isText }, { next: isCount })) }),
  },
);

function isReceipt(value: unknown): value is Receipt {
  return isReceiptShape(value);
}
