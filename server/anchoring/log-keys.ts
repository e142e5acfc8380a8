/**
 * The keys the log has had: which one signed what, and the entries by which each was replaced. ledger.md §2
 * Invariant: read once, at the start: while a server runs its log's key is not replaced (rotate-key.ts).
 */
import { parseEntry, type PrivateEntry } from '../../ledger/entry.ts';
import { digestOf } from '../../ledger/hash.ts';
import { parseVerifierKey, type VerifierKey } from '../../ledger/note.ts';
import type { OnLog, RotationPiece } from '../../ledger/receipt-format.ts';
import { readRotation, type Rotation, rotationReference } from '../../ledger/rotation.ts';
import { AssentError } from '../errors.ts';
import type { LogRows } from './log-port.ts';
import { type LogRecords, referenceKey } from './log-records.ts';
import { openEntry, receiptEntry } from './receipts.ts';

export type LogKeys = {
  /** What a file says of the key that signed the checkpoint of this size. */
  at(size: number): Required<Pick<OnLog, 'log' | 'rotations'>>;
  /** The one that signed the checkpoint of this size, and those before it. */
  before(size: number): readonly VerifierKey[];
  /** From the first one to the present. */
  readonly all: readonly VerifierKey[];
};

type Rotated = Rotation & { readonly piece: RotationPiece };

type Dependencies = { readonly log: LogRows; readonly stored: LogRecords; readonly verifierKey: string };

/** `verifierKey`: the present one. Throws AssentError('unavailable') when a replacement is not what was logged, or leads to another key. */
export async function openLogKeys({ log, stored, verifierKey }: Dependencies): Promise<LogKeys> {
  const rotated: Rotated[] = [];
  for (const note of await stored.rotations()) {
    const rotation = readRotation(note);
    const entry = rotation && (await rotationEntry(note, rotation, { log, stored }));
    if (!entry || (rotated.at(-1)?.to ?? rotation.from).text !== rotation.from.text) throw broken();
    rotated.push({ ...rotation, piece: { rotation: note, entry: receiptEntry(entry) } });
  }
  if ((rotated.at(-1)?.to.text ?? verifierKey) !== verifierKey) throw broken();
  const present = parseVerifierKey(verifierKey);
  if (!present) throw broken();
  const first = rotated[0]?.from ?? present;
  const replacedIn = (size: number) => rotated.filter(({ piece }) => piece.entry.index < size);
  return {
    before: (size) => [first, ...replacedIn(size).map(({ to }) => to)],
    at(size) {
      const until = replacedIn(size);
      return { log: (until.at(-1)?.to ?? first).text, rotations: until.map(({ piece }) => piece) };
    },
    all: [first, ...rotated.map(({ to }) => to)],
  };
}

function broken(): AssentError {
  return new AssentError(
    'unavailable',
    'The replacements of the log’s key do not lead to the key that signs: one that was broken off is finished by `assent rotate`.',
  );
}

/** Undefined: it is not sealed, or not what was logged. */
export async function rotationEntry(
  note: string,
  rotation: Pick<Rotation, 'to'>,
  { log, stored }: Omit<Dependencies, 'verifierKey'>,
): Promise<PrivateEntry | undefined> {
  const reference = rotationReference(rotation);
  for (const batch of await stored.batchesFor(referenceKey(reference))) {
    for (const { index, entry } of await log.readLog(batch.first, batch.count)) {
      if (!entry.includes(`"${reference}"`)) continue;
      const row = parseEntry(entry);
      if (row.reference === reference && row.kind === 'log-key-rotated' && row.digest === digestOf(note))
        return openEntry(row, { batch, index }, stored);
    }
  }
  return undefined;
}
