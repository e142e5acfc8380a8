/** Receipts as a server would make them, over a log that holds nothing but one story: for whoever wants them changed, or always the same. */
import { checkpointText, signCheckpoint } from '../../ledger/checkpoint.ts';
import { commitmentOf, type EntryKind, type LogEntry, type PrivateEntry } from '../../ledger/entry.ts';
import { leafHash } from '../../ledger/hash.ts';
import type { Cosigner, NoteSigner } from '../../ledger/note.ts';
import type { Receipt, ReceiptEntry } from '../../ledger/receipt-format.ts';
import { createTree, jointProof } from '../../ledger/tree.ts';
import type { Party, Story } from './log-fixture.ts';

export type Parts = {
  signer: NoteSigner;
  story: Story;
  parties: readonly Party[];
  signatures?: readonly string[];
  order?: readonly number[];
  kinds?: Partial<Record<string, EntryKind>>;
  /** The checkpoint’s signature by these as well. */
  cosigners?: readonly { readonly cosigner: Cosigner; readonly time: number }[];
};

/** What a server would hand out for a log that holds exactly the story's entries, in this order. */
export async function receiptByHand({
  signer,
  story,
  parties,
  signatures,
  order,
  kinds = {},
  cosigners = [],
}: Parts): Promise<Omit<Receipt, 'format'>> {
  const inLog = (order ?? story.entries.map((_, i) => i)).map((i) => story.entries[i] as LogEntry);
  const entries = inLog.map((entry, index): PrivateEntry => {
    const kind = kinds[entry.reference.split('/')[0] ?? ''] ?? entry.kind;
    return {
      ...entry,
      kind,
      subject: 'handle',
      index,
      subjectSeq: index + 1,
      previous: index === 0 ? null : index - 1,
      salt: Buffer.alloc(32, index).toString('base64url'),
    };
  });
  const tree = createTree({ size: 0, edge: [] });
  for (const entry of entries) tree.append(leafHash(commitmentOf(entry)));
  const tiles = new Map(tree.grown().map(({ level, index, hashes }) => [`${level}/${index}`, hashes]));
  const pieceOf = (reference: string): ReceiptEntry => {
    const { reference: _reference, ...entry } = entries.find((each) => each.reference === reference) ?? fail(reference);
    return entry;
  };
  const { disclosure = '', consents } = story.evidence;
  const consent = consents[0] ?? fail('a Consent');
  const { consent: _consent, ...terms } = JSON.parse(story.statement) as Record<string, unknown>;
  const proof = await jointProof(
    entries.map(({ index }) => index),
    entries.length,
    async (level, index) => tiles.get(`${level}/${index}`),
  );
  const checkpoint = { origin: signer.verifierKey.name, size: entries.length, root: tree.root() };
  const cosigned = cosigners.map(({ cosigner, time }) => cosigner.line(checkpointText(checkpoint), time));
  return {
    log: signer.verifierKey.text,
    checkpoint: signCheckpoint(checkpoint, [signer]) + cosigned.join(''),
    ...(cosigners.length > 0 ? { witnesses: cosigners.map(({ cosigner }) => cosigner.verifierKey.text) } : {}),
    event: { event: disclosure, entry: pieceOf(story.entries.at(-1)?.reference ?? '') },
    consents: [{ consent: consent.consent, entry: pieceOf(consent.reference), terms, signatures: signatures ?? consent.signatures }],
    keys: parties.map(({ kid, record }) => ({ key: record, entry: pieceOf(`Key/${kid}`) })),
    proof: proof.map((hash) => Buffer.from(hash).toString('base64')),
  };
}

function fail(what: string): never {
  throw new Error(`The story has not ${what}.`);
}
