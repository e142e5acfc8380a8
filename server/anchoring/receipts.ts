/**
 * Builds receipts: the pieces the Gate permits, each with its private log entry, and one proof to the newest signed checkpoint. ledger.md §6
 *
 * Invariants: nothing is in a receipt that its caller was not handed; an entry is found by the second its event was recorded or by its
 * name, never by a walk through the log, and no row is kept for it.
 */
import { type EntryKind, type LogEntry, type PrivateEntry, parseEntry } from '../../ledger/entry.ts';
import { digestOf } from '../../ledger/hash.ts';
import { namesKey } from '../../ledger/receipt.ts';
import { type AnchorPiece, type ConsentPiece, type CurrentPiece, type ReceiptEntry, writeReceipt } from '../../ledger/receipt-format.ts';
import { jointProof, type ReadTile } from '../../ledger/tree.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import type { LogKeys } from './log-keys.ts';
import type { LogRows } from './log-port.ts';
import { type BatchRecord, type CheckpointRecord, createLogRecords, type LogRecords, privateEntry, referenceKey, secondKey } from './log-records.ts';

/** What the Gate hands over about one Consent version. `statement` and `signatures`: '' and none where it was not signed. */
export type ConsentEvidence = {
  readonly reference: string;
  /** The exact stored text. */
  readonly consent: string;
  readonly statement: string;
  /** Detached compact JWS over the statement. */
  readonly signatures: readonly string[];
};

/** `key`: the exact text of its registration event. */
export type KeyEvidence = { readonly kid: string; readonly key: string };

export type Evidence = {
  /** The exact stored text of the AuditEvent. */
  readonly disclosure?: string;
  readonly consents: readonly ConsentEvidence[];
  readonly keys: readonly KeyEvidence[];
  /** What somebody signed under: `grant` is the exact text of its event. */
  readonly authorities?: readonly { readonly id: string; readonly grant: string; readonly kid: string }[];
};

export type ReceiptResult =
  | { readonly kind: 'ready'; readonly receipt: string }
  /** Not yet in a signed checkpoint. */
  | { readonly kind: 'pending' }
  /** The log has no such entry. */
  | { readonly kind: 'absent' };

export type Receipts = {
  /**
   * `reference`: the `AuditEvent/…` or `Consent/…` the receipt is about; `fresh`: only with what a root of the map of Consents that is at most a
   * minute old says of its Consents. Throws AssentError('unavailable'): the log holds a root that its entries do not give.
   */
  receiptFor(reference: string, evidence: Evidence, options?: { readonly fresh?: boolean }): Promise<ReceiptResult>;
};

type Dependencies = {
  readonly log: LogRows;
  readonly records: RecordStore;
  readonly keys: Pick<LogKeys, 'at'>;
  /** What the map of Consents says of them under a root with an index below `size`, if it can be told. */
  readonly standing: { readonly of: (consents: readonly PrivateEntry[], size: number) => Promise<CurrentPiece | undefined> };
  /** Where what is about entries up to this index is anchored. */
  readonly anchored: readonly (
    | { readonly piecesFor: (index: number, checkpoint: CheckpointRecord) => Promise<readonly AnchorPiece[]> }
    | undefined
  )[];
  /** A root about the entry at this index too, not older than a minute; undefined: not yet. */
  readonly mapRoots: { readonly ensure: (index: number) => Promise<{ readonly index: number } | undefined> };
};
type Context = { readonly log: LogRows; readonly stored: LogRecords };
/** An entry to look for: the digest of exact bytes under a name. */
type Wanted = { readonly reference: string; readonly digest: string; readonly lookup: string; readonly kind?: EntryKind };
type Found = { readonly kind: 'sealed'; readonly entry: PrivateEntry } | { readonly kind: 'pending' } | { readonly kind: 'absent' };

export function createReceipts({ log, records, keys, standing, anchored, mapRoots }: Dependencies): Receipts {
  const context: Context = { log, stored: createLogRecords(records) };
  return {
    async receiptFor(reference, given, { fresh = false } = {}) {
      const evidence = { ...given, keys: given.keys.filter(({ kid }, i) => given.keys.findIndex((key) => key.kid === kid) === i) };
      const wanted = [...wantedEvent(evidence), ...wantedConsents(evidence), ...wantedKeys(evidence), ...wantedAuthorities(evidence)];
      if (!wanted.some((piece) => piece.reference === reference)) return { kind: 'absent' };
      const root = fresh ? await freshRoot(wanted, mapRoots, context) : undefined;
      // Read before the entries: whatever is found later may be in it or not, but never the other way round.
      const [witnessed, newest] = await Promise.all([context.stored.witnessed(), context.stored.checkpoint()]);
      const found = await Promise.all(wanted.map((piece) => find(piece, context)));
      if (found.some(({ kind }) => kind === 'absent')) return { kind: 'absent' };
      const entries = found.flatMap((one) => (one.kind === 'sealed' ? [one.entry] : []));
      const checkpoint = checkpointOver([...entries, ...(root ? [root] : [])], [witnessed, newest]);
      if (!checkpoint || entries.length < found.length || (fresh && !root)) return { kind: 'pending' };
      const current = await standing.of(
        entries.filter((entry) => entry.reference.startsWith('Consent/')),
        checkpoint.size,
      );
      if (fresh && !current) return { kind: 'pending' };
      const newestEntry = Math.max(...entries.map(({ index }) => index));
      const anchors = (await Promise.all(anchored.map(async (each) => (await each?.piecesFor(newestEntry, checkpoint)) ?? []))).flat();
      const parts: Parts = { evidence, entries, current, checkpoint, anchors, signed: keys.at(checkpoint.size) };
      return { kind: 'ready', receipt: await assemble(parts, context.stored.tile) };
    },
  };
}

/** The newest root, about all of the Consents and not older than a minute; undefined: one of them is not sealed yet, or not in the log. */
async function freshRoot(
  wanted: readonly Wanted[],
  mapRoots: Dependencies['mapRoots'],
  context: Context,
): Promise<{ readonly index: number } | undefined> {
  const consents = wanted.filter(({ reference }) => reference.startsWith('Consent/'));
  const found = await Promise.all(consents.map((piece) => find(piece, context)));
  const indexes = found.flatMap((one) => (one.kind === 'sealed' ? [one.entry.index] : []));
  return indexes.length === found.length ? mapRoots.ensure(Math.max(...indexes)) : undefined;
}

/** The first checkpoint that holds all of them: a witnessed one proves more than a newer one. */
export function checkpointOver<T extends CheckpointRecord>(
  entries: readonly { readonly index: number }[],
  checkpoints: readonly (T | undefined)[],
): T | undefined {
  return checkpoints.find((checkpoint) => checkpoint && entries.every(({ index }) => index < checkpoint.size));
}

function wantedEvent({ disclosure }: Evidence): Wanted[] {
  if (disclosure === undefined) return [];
  const { id, recorded } = JSON.parse(disclosure) as { id: string; recorded: string };
  return [{ reference: `AuditEvent/${id}`, digest: digestOf(disclosure), lookup: secondKey(recorded) }];
}

function wantedConsents({ consents }: Evidence): Wanted[] {
  return consents.map(({ reference, consent }) => ({ reference, digest: digestOf(consent), lookup: referenceKey(reference) }));
}

function wantedKeys({ keys }: Evidence): Wanted[] {
  return keys.map(({ kid, key }) => {
    const reference = `Key/${kid}`;
    return { reference, digest: digestOf(key), lookup: referenceKey(reference), kind: 'key-registered' };
  });
}

function wantedAuthorities({ authorities = [] }: Evidence): Wanted[] {
  return authorities.map(({ id, grant }) => {
    const reference = `Authority/${id}`;
    return { reference, digest: digestOf(grant), lookup: referenceKey(reference), kind: 'authority-granted' };
  });
}

/** Where in the log an AuditEvent stands; undefined: it is not sealed yet. */
export async function indexOfEvent(event: string, context: Context): Promise<number | undefined> {
  const [wanted] = wantedEvent({ disclosure: event, consents: [], keys: [] });
  const found = wanted && (await find(wanted, context));
  return found?.kind === 'sealed' ? found.entry.index : undefined;
}

async function find(wanted: Wanted, context: Context): Promise<Found> {
  for (const batch of await context.stored.batchesFor(wanted.lookup)) {
    const rows = await context.log.readLog(batch.first, batch.count);
    const row = rows.find(({ entry }) => isWanted(entry, wanted));
    if (row) return { kind: 'sealed', entry: await openEntry(parseEntry(row.entry), { batch, index: row.index }, context.stored) };
  }
  return (await waits(wanted, context)) ? { kind: 'pending' } : { kind: 'absent' };
}

function isWanted(text: string, { reference, digest, kind }: Wanted): boolean {
  if (!text.includes(digest) || !text.includes(`"${reference}"`)) return false;
  const entry = parseEntry(text);
  return entry.reference === reference && entry.digest === digest && (kind === undefined || entry.kind === kind);
}

export async function openEntry(
  row: LogEntry,
  { batch, index }: { readonly batch: BatchRecord; readonly index: number },
  stored: LogRecords,
): Promise<PrivateEntry> {
  const subject = row.subject === null ? undefined : await stored.subject(row.subject);
  if (row.subject !== null && !subject) throw new AssentError('internal', 'The handle of a log subject is missing.');
  return privateEntry(row, batch, { index, handle: subject?.handle ?? null });
}

const SLICE = 1000;

/** Whether it is among the rows not sealed yet, or sealed since it was looked for. */
async function waits(wanted: Wanted, { log, stored }: Context): Promise<boolean> {
  const head = await stored.head();
  for (let from = Math.max(0, head - SLICE); ; from += SLICE) {
    const rows = await log.readLog(from, SLICE);
    if (rows.some(({ entry }) => isWanted(entry, wanted))) return true;
    if (rows.length < SLICE) return false;
  }
}

type Parts = {
  readonly evidence: Evidence;
  readonly entries: readonly PrivateEntry[];
  readonly current: CurrentPiece | undefined;
  readonly checkpoint: CheckpointRecord;
  readonly anchors: readonly AnchorPiece[];
  readonly signed: ReturnType<LogKeys['at']>;
};

/** `entries`: in the order of the evidence: event, Consents, keys, authorities. */
async function assemble({ evidence, entries, current, checkpoint, anchors, signed: by }: Parts, tile: ReadTile): Promise<string> {
  const { disclosure, consents, keys, authorities = [] } = evidence;
  const rest = entries.map(receiptEntry);
  const take = (): ReceiptEntry => rest.shift() as ReceiptEntry;
  const event = disclosure === undefined ? null : { event: disclosure, entry: take() };
  const consentPieces = consents.map((consent) => consentPiece(consent, take()));
  const signatures = consentPieces.flatMap((piece) => piece.signatures);
  // What stands alone was signed by nobody as far as the receipt goes.
  const granted = signatures.length === 0 ? [] : authorities;
  const granting = new Set(granted.map(({ kid }) => kid));
  const signed = ({ kid, key }: KeyEvidence) => granting.has(kid) || signatures.some((signature) => namesKey(signature, key));
  // Keys that signed nothing in this receipt would only make it longer.
  const keyPieces = keys.map((each) => ({ each, piece: { key: each.key, entry: take() } })).filter(({ each }) => signed(each));
  const authorityPieces = granted.map(({ grant }) => ({ authority: grant, entry: take() }));
  const pieces = { event, consents: consentPieces, keys: keyPieces.map(({ piece }) => piece), authorities: authorityPieces };
  const shown = [
    ...(event ? [event] : []),
    ...pieces.consents,
    ...pieces.keys,
    ...pieces.authorities,
    ...(current ? [current] : []),
    ...by.rotations,
  ];
  const indices = new Set([...shown.map(({ entry }) => entry.index), ...(current?.proofs.flatMap(({ next }) => next ?? []) ?? [])]);
  const proof = (await jointProof([...indices], checkpoint.size, tile)).map((hash) => Buffer.from(hash).toString('base64'));
  const { note, witnesses = [] } = checkpoint;
  return writeReceipt({ ...by, checkpoint: note, witnesses, ...pieces, ...(current ? { current } : {}), anchors, proof });
}

export function receiptEntry(entry: PrivateEntry): ReceiptEntry {
  const { kind, occurredAt, subject, version, digest, statement, signatures, erases, index, subjectSeq, previous, salt } = entry;
  return {
    kind,
    occurredAt,
    subject,
    ...(version === undefined ? {} : { version }),
    digest,
    ...(statement === undefined ? {} : { statement }),
    ...(signatures === undefined ? {} : { signatures }),
    ...(erases === undefined ? {} : { erases }),
    index,
    subjectSeq,
    previous,
    salt,
  };
}

/** A Consent whose status is not that of the statement (proposed, withdrawn) stands alone: its bytes and its entry. */
function consentPiece({ consent, statement, signatures }: ConsentEvidence, entry: ReceiptEntry): ConsentPiece {
  if (entry.kind !== 'consent-active' || statement === '') return { consent, entry, terms: null, signatures: [] };
  const { consent: _signed, ...terms } = JSON.parse(statement) as Record<string, unknown>;
  return { consent, entry, terms, signatures };
}
