/** A receipt as it would be in another log, of any size: for proofs nothing of a log is needed but hashes, and what is not shown may be any. */
import { signCheckpoint } from '../../ledger/checkpoint.ts';
import { commitmentOf } from '../../ledger/entry.ts';
import { leafHash, sha256 } from '../../ledger/hash.ts';
import { newSignerKey, parseSignerKey, parseVerifierKey } from '../../ledger/note.ts';
import { jointRanges, rootOfJoint } from '../../ledger/proof.ts';
import { type Receipt, type ReceiptEntry, readReceipt, writeReceipt } from '../../ledger/receipt-format.ts';

/** Indexes: of the AuditEvent, the Consents and the keys. */
export type Places = { readonly size: number; readonly event: number; readonly consents: readonly number[]; readonly keys: readonly number[] };

/** Genuine, with every proof as long as it is in such a log; signed by a key of its own under the log's name. `current` and anchors are left out. */
export function inLogOf(text: string, { size, event, consents, keys }: Places): string {
  const { current: _current, anchors: _anchors, ...receipt } = receiptIn(text);
  const { name } = parseVerifierKey(receipt.log) ?? fail('a key');
  const signer = parseSignerKey(newSignerKey(name)) ?? fail('a signer');
  const leaves = new Map<number, Uint8Array>();
  function placed<T extends { readonly entry: ReceiptEntry }>(piece: T, index: number | undefined, reference: string): T {
    const at = index ?? fail('a place');
    const entry = { ...piece.entry, index: at, previous: piece.entry.previous === null ? null : at - 1000 };
    leaves.set(at, leafHash(commitmentOf({ ...entry, reference })));
    return { ...piece, entry };
  }
  const moved = {
    event: receipt.event && placed(receipt.event, event, `AuditEvent/${memberOf(receipt.event.event, 'id')}`),
    consents: receipt.consents.map((piece, i) => placed(piece, consents[i], `Consent/${memberOf(piece.consent, 'id')}`)),
    keys: receipt.keys.map((piece, i) => placed(piece, keys[i], `Key/${memberOf(piece.key, 'kid')}`)),
  };
  const hashes = jointRanges([...leaves.keys()], size).map(({ begin, end }) => sha256(`entries ${begin} to ${end}`));
  const root = rootOfJoint(leaves, size, hashes) ?? fail('a root');
  const checkpoint = signCheckpoint({ origin: name, size, root }, [signer]);
  return writeReceipt({ ...receipt, ...moved, log: signer.verifierKey.text, checkpoint, proof: hashes.map((hash) => hash.toString('base64')) });
}

function receiptIn(text: string): Receipt {
  const receipt = readReceipt(text);
  return typeof receipt === 'string' ? fail(receipt) : receipt;
}

function memberOf(text: string, name: string): string {
  return (JSON.parse(text) as Record<string, string>)[name] ?? fail(name);
}

function fail(what: string): never {
  throw new Error(`The receipt lacks ${what}.`);
}
