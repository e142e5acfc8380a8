/** Receipts as a server would make them, over a log that holds nothing but one story: for whoever wants them changed, or always the same. */
import { checkpointText } from '../../ledger/checkpoint-text.ts';
import { signCheckpoint } from '../../ledger/checkpoint.ts';
import { commitmentOf, type EntryKind, type LogEntry, type PrivateEntry } from '../../ledger/entry.ts';
import { leafHash, sha256 } from '../../ledger/hash.ts';
import { createMap } from '../../ledger/map.ts';
import { MAP_REFERENCE, type MapRoot, mapRootEntry, mapRootOf } from '../../ledger/map-root.ts';
import type { Cosigner, NoteSigner } from '../../ledger/note.ts';
import type { CurrentPiece, Receipt, ReceiptEntry } from '../../ledger/receipt-format.ts';
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
  map?: MapParts;
};

/** Where in the log the root of the map of Consents stands, and what takes the place of the Consent, if anything does. */
export type MapParts = { readonly root: number; readonly replacement?: number };

/** What a server would hand out for a log that holds exactly the story's entries, in this order, and of the map what was asked for. */
export async function receiptByHand({
  signer,
  story,
  parties,
  signatures,
  order,
  kinds = {},
  cosigners = [],
  map,
}: Parts): Promise<Omit<Receipt, 'format'>> {
  const inLog = (order ?? story.entries.map((_, i) => i)).map((i) => story.entries[i] as LogEntry);
  const consent = story.evidence.consents[0] ?? fail('a Consent');
  const { entries, current } = logOf(inLog, { consent: consent.reference, kinds, map });
  const tree = createTree({ size: 0, edge: [] });
  for (const entry of entries) tree.append(leafHash(commitmentOf(entry)));
  const tiles = new Map(tree.grown().map(({ level, index, hashes }) => [`${level}/${index}`, hashes]));
  const pieceOf = (reference: string): ReceiptEntry => pieceIn(entries, reference);
  const { disclosure = '' } = story.evidence;
  const { consent: _consent, ...terms } = JSON.parse(story.statement) as Record<string, unknown>;
  const shown = entries.filter(({ kind }) => map === undefined || kind !== 'consent-withdrawn').map(({ index }) => index);
  const proof = await jointProof([...shown, ...(current?.proofs.flatMap(({ next }) => next ?? []) ?? [])], entries.length, async (level, index) =>
    tiles.get(`${level}/${index}`),
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
    ...(current ? { current } : {}),
    proof: proof.map((hash) => Buffer.from(hash).toString('base64')),
  };
}

function pieceIn(entries: readonly PrivateEntry[], reference: string): ReceiptEntry {
  const { reference: _reference, ...entry } = entries.find((each) => each.reference === reference) ?? fail(reference);
  return entry;
}

type Making = { readonly consent: string; readonly kinds: Partial<Record<string, EntryKind>>; readonly map: MapParts | undefined };

/** The whole log, and what its map says of the Consent. */
function logOf(inLog: readonly LogEntry[], { consent, kinds, map }: Making): { entries: readonly PrivateEntry[]; current: CurrentPiece | undefined } {
  const places: (LogEntry | 'root')[] = [...inLog];
  const withdrawn: LogEntry = { ...(inLog.find(({ reference }) => reference === consent) ?? fail(consent)), kind: 'consent-withdrawn', version: '2' };
  if (map?.replacement !== undefined) places.splice(map.replacement, 0, withdrawn);
  if (map) places.splice(map.root, 0, 'root');
  const entries: PrivateEntry[] = [];
  for (const [index, place] of places.entries()) {
    const entry = place === 'root' ? mapRootEntry(shownBy(entries, consent), '2024-06-01T00:01:00.000Z') : place;
    const ofSubject = place === 'root' ? [] : entries.filter(({ subject }) => subject !== null);
    entries.push({
      ...entry,
      kind: kinds[entry.reference.split('/')[0] ?? ''] ?? entry.kind,
      subject: place === 'root' ? null : 'handle',
      index,
      subjectSeq: place === 'root' ? 0 : ofSubject.length + 1,
      previous: ofSubject.at(-1)?.index ?? null,
      salt: Buffer.alloc(32, index).toString('base64url'),
    });
  }
  if (!map) return { entries, current: undefined };
  const { upTo, root, proof, next } = shownBy(entries.slice(0, map.root), consent);
  return { entries, current: { upTo, root, entry: pieceIn(entries, MAP_REFERENCE), proofs: [{ proof, ...(next === undefined ? {} : { next }) }] } };
}

/** Of the map of these entries, in which others have been replaced as well. */
function shownBy(entries: readonly PrivateEntry[], consent: string): MapRoot & { readonly proof: string; readonly next: number | undefined } {
  const map = createMap();
  for (let i = 0; i < 20; i++) map.set(sha256(`replaced ${i}`), sha256(`by ${i}`));
  const [first, second] = entries.filter(({ reference }) => reference === consent);
  const key = first ? leafHash(commitmentOf(first)) : sha256('nothing');
  if (second) map.set(key, leafHash(commitmentOf(second)));
  return { ...mapRootOf(entries.length, map.root()), proof: map.prove(key).toString('base64'), next: second?.index };
}

function fail(what: string): never {
  throw new Error(`The story has not ${what}.`);
}
