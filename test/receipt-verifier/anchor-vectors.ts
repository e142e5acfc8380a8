/** Vectors of receipts that show where a checkpoint of their log is held outside. docs/receipt.md §5 */
import { anchorText } from '../../ledger/anchor/anchor-note.ts';
import { parsePlace } from '../../ledger/anchor/place.ts';
import { checkpointText } from '../../ledger/checkpoint-text.ts';
import { commitmentOf } from '../../ledger/entry.ts';
import { digestOf, leafHash } from '../../ledger/hash.ts';
import { type NoteSigner } from '../../ledger/note.ts';
import { MAP_REFERENCE } from '../../ledger/map-root.ts';
import { type AggregateAnchorPiece, type OwnAnchorPiece, type Receipt, type ReceiptEntry, writeReceipt } from '../../ledger/receipt-format.ts';
import { consistencyProof, createTree, inclusionProof, type ReadTile } from '../../ledger/tree.ts';
import type { Vector } from './vectors.ts';

type Open = Omit<Receipt, 'format'>;

type Given = {
  readonly plain: Open;
  /** The same story in the log when it had grown by one entry, the root of the map. */
  readonly later: Open;
  readonly signer: NoteSigner;
  readonly aggregate: NoteSigner;
  readonly stranger: NoteSigner;
};

const EVM = `evm 1 0x${'0a'.repeat(20)} 0x${'0b'.repeat(32)} 7 0x${'0c'.repeat(32)} 123`;
const PINNED = `anchor evm 1 0x${'0a'.repeat(20)} 0x${'0b'.repeat(32)}`;
const STAMP = Buffer.from('what an authority replied');

export async function anchorVectors({ plain, later, signer, aggregate, stranger }: Given): Promise<Vector[]> {
  const vector = (verdict: Vector['verdict'], name: string, receipt: Open): Vector => ({
    name: `anchored: ${name}`,
    verdict,
    file: writeReceipt(receipt),
  });
  const noteOf = (text: string, by: NoteSigner = aggregate): string => `${text}\n${by.line(text)}`;
  const text = (lines = '', size = 3): string => `${checkpointText({ origin: aggregate.verifierKey.name, size, root: tree.root() })}${lines}`;
  const [tree, tile] = treeOf([
    leafHash(Buffer.from('another log')),
    leafHash(Buffer.from(plain.checkpoint)),
    leafHash(Buffer.from(later.checkpoint)),
  ]);
  const ofLog = treeOf(leavesOf(later));
  const consistency = base64(await consistencyProof(4, 5, ofLog[1]));
  const piece = async (member: string, lines = '', index = 1): Promise<AggregateAnchorPiece> => ({
    aggregate: aggregate.verifierKey.text,
    checkpoint: noteOf(text(lines)),
    index,
    member,
    inclusion: base64(await inclusionProof(index, 3, tile)),
    consistency: [],
  });
  const good = await piece(plain.checkpoint, `${EVM}\n`);
  const stamped = { ...(await piece(plain.checkpoint, `rfc3161 ${digestOf(STAMP)}\n`)), stamp: STAMP.toString('base64') };
  const newer = { ...(await piece(later.checkpoint, '', 2)), consistency };
  const refuted = (name: string, change: Partial<AggregateAnchorPiece>): Vector =>
    vector('refuted', name, { ...plain, anchors: [{ ...good, ...change }] });
  const line = (lines: string): Partial<AggregateAnchorPiece> => ({ checkpoint: noteOf(text(lines)) });
  const [memberText = ''] = plain.checkpoint.split('\n\n');
  return [
    vector('proven', 'in an aggregate', { ...plain, anchors: [await piece(plain.checkpoint)] }),
    vector('proven', 'in a chain and by a time-stamp', { ...plain, anchors: [good, stamped] }),
    vector('proven', 'by a later checkpoint of the log', { ...plain, anchors: [newer] }),
    vector('proven', 'by an earlier checkpoint of the log, which holds all but the root of the map', {
      ...later,
      anchors: [{ ...good, consistency }],
    }),
    vector('refuted', 'by a later checkpoint, without the proof that it continues', { ...plain, anchors: [{ ...newer, consistency: [] }] }),
    vector('refuted', 'by one that is older than what is to be proven', older({ later, plain, signer, aggregate })),
    refuted('the key of another aggregate', { aggregate: stranger.verifierKey.text }),
    refuted('signed by another', { checkpoint: noteOf(text(`${EVM}\n`), stranger) }),
    refuted('with two signatures', { checkpoint: good.checkpoint + stranger.line(text(`${EVM}\n`)) }),
    refuted('the line about the chain changed', { checkpoint: good.checkpoint.replace(' 123\n', ' 124\n') }),
    refuted('an unknown line', line('somewhere\n')),
    refuted('a number with a leading zero', line(`${EVM.replace(' 7 ', ' 07 ')}\n`)),
    refuted('two lines', line(`${EVM}\n${EVM}\n`)),
    refuted('another index', { index: 2 }),
    refuted('a hash too many', { inclusion: [...good.inclusion, ...good.inclusion] }),
    refuted('a hash too few', { inclusion: good.inclusion.slice(1) }),
    refuted('a hash that is none', { inclusion: ['AAAA', ...good.inclusion.slice(1)] }),
    refuted('a proof of continuation where there is nothing to prove', { consistency }),
    refuted('a checkpoint of the log that it did not sign', { member: noteOf(`${memberText}\n`, stranger) }),
    refuted('a stamp nobody names', { stamp: STAMP.toString('base64') }),
    vector('refuted', 'another stamp', { ...plain, anchors: [{ ...stamped, stamp: Buffer.from('another').toString('base64') }] }),
    vector('refuted', 'no stamp', { ...plain, anchors: [{ ...(await piece(plain.checkpoint, `rfc3161 ${digestOf(STAMP)}\n`)) }] }),
    ...ownAnchorVectors({ plain, later, signer, stranger }, { consistency, three: older({ later, plain, signer, aggregate }) }),
    vector('unreadable', 'an unknown member', { ...plain, anchors: [{ ...good, more: '' } as AggregateAnchorPiece] }),
  ];
}

/** The log tells by itself where it is anchored. `consistency`: from four entries to five; `three`: a receipt whose anchor is of three entries. */
function ownAnchorVectors(
  { plain, later, signer, stranger }: Omit<Given, 'aggregate'>,
  { consistency, three }: { readonly consistency: readonly string[]; readonly three: Open },
): Vector[] {
  const rootOf = ({ checkpoint }: Open) => Buffer.from(checkpoint.split('\n')[2] ?? '', 'base64');
  const noteOf = (text: string, by: NoteSigner = signer): string => `${text}\n${by.line(text)}`;
  const place = parsePlace(EVM);
  if (!place) throw new Error('A fixed place is none.');
  const text = anchorText({ size: 4, root: rootOf(plain), place });
  const good: OwnAnchorPiece = { anchor: noteOf(text), consistency: [] };
  const stampLine = `rfc3161 ${digestOf(STAMP)}`;
  const stamped: OwnAnchorPiece = { anchor: noteOf(text.replace(EVM, stampLine)), consistency: [], stamp: STAMP.toString('base64') };
  const newer: OwnAnchorPiece = { anchor: noteOf(anchorText({ size: 5, root: rootOf(later), place })), consistency };
  const [ofThree] = three.anchors ?? [];
  const [, size = '', root = ''] = ofThree && 'member' in ofThree ? ofThree.member.split('\n') : [];
  const old = anchorText({ size: Number(size), root: Buffer.from(root, 'base64'), place });
  const vector = (verdict: Vector['verdict'], name: string, piece: object, receipt = plain): Vector => ({
    name: `anchored by itself: ${name}`,
    verdict,
    file: writeReceipt({ ...receipt, anchors: [piece as OwnAnchorPiece] }),
  });
  return [
    vector('proven', 'in a chain', good),
    vector('proven', 'by a time-stamp', stamped),
    vector('proven', 'a later tree', newer),
    vector('proven', 'an earlier tree, which holds all but the root of the map', { ...good, consistency }, later),
    { ...vector('proven', 'in both', good), file: writeReceipt({ ...plain, anchors: [good, stamped] }) },
    { ...vector('proven', 'where the policy demands it', good), trust: `${plain.log}\n${PINNED}` },
    { ...vector('refuted', 'where the policy demands another contract', good), trust: `${plain.log}\n${PINNED.replace('0a0a', '0a0b')}` },
    { ...vector('refuted', 'where the policy demands a time-stamp', good), trust: `${plain.log}\nanchor rfc3161` },
    vector('refuted', 'an older tree than what is to be proven', { anchor: noteOf(old), consistency: ofThree?.consistency ?? [] }),
    vector('refuted', 'a later tree, without the proof that it continues', { ...newer, consistency: [] }),
    vector('refuted', 'another tree', { ...good, anchor: noteOf(anchorText({ size: 4, root: rootOf(later), place })) }),
    vector('refuted', 'told by another', { ...good, anchor: noteOf(text, stranger) }),
    vector('refuted', 'signed twice', { ...good, anchor: good.anchor + signer.line(text) }),
    vector('refuted', 'the place changed', { ...good, anchor: good.anchor.replace(' 123\n', ' 124\n') }),
    vector('refuted', 'an unknown place', { ...good, anchor: noteOf(text.replace(EVM, 'somewhere')) }),
    vector('refuted', 'two places', { ...good, anchor: noteOf(`${text}${EVM}\n`) }),
    vector('refuted', 'as a checkpoint', { ...good, anchor: noteOf(text.replace('assent-anchor-1', signer.verifierKey.name)) }),
    vector('refuted', 'a size with a leading zero', { ...good, anchor: noteOf(text.replace('\n4\n', '\n04\n')) }),
    vector('refuted', 'a stamp nobody names', { ...good, stamp: STAMP.toString('base64') }),
    vector('refuted', 'another stamp', { ...stamped, stamp: Buffer.from('another').toString('base64') }),
    vector('refuted', 'no stamp', { anchor: stamped.anchor, consistency: [] }),
    vector('unreadable', 'a member of the other kind', { ...good, index: 1 }),
  ];
}

/** In the aggregate when the log had three entries of the four that the receipt shows. */
function older({ plain, signer, aggregate, later }: Omit<Given, 'stranger'>): Open {
  const three = createTree({ size: 0, edge: [] });
  const leaves = leavesOf(later);
  for (const leaf of leaves.slice(0, 3)) three.append(leaf);
  const text = checkpointText({ origin: signer.verifierKey.name, size: 3, root: three.root() });
  const member = `${text}\n${signer.line(text)}`;
  const above = checkpointText({ origin: aggregate.verifierKey.name, size: 1, root: leafHash(Buffer.from(member)) });
  // RFC 6962 §2.1.2: from three leaves to four, the third, the fourth, and the first two together.
  const pair = createTree({ size: 0, edge: [] });
  for (const leaf of leaves.slice(0, 2)) pair.append(leaf);
  const consistency = base64([leaves[2], leaves[3], pair.root()].flatMap((hash) => hash ?? []));
  const piece: AggregateAnchorPiece = {
    aggregate: aggregate.verifierKey.text,
    checkpoint: `${above}\n${aggregate.line(above)}`,
    index: 0,
    member,
    inclusion: [],
    consistency,
  };
  return { ...plain, anchors: [piece] };
}

/** Of all entries of its log, which the receipt shows whole. */
function leavesOf({ event, consents, keys, current }: Open): Uint8Array[] {
  const named: [string, ReceiptEntry | undefined][] = [
    [`AuditEvent/${idOf(event?.event)}`, event?.entry],
    ...consents.map(({ consent, entry }): [string, ReceiptEntry] => [`Consent/${idOf(consent)}`, entry]),
    ...keys.map(({ key, entry }): [string, ReceiptEntry] => [`Key/${(JSON.parse(key) as { kid: string }).kid}`, entry]),
    [MAP_REFERENCE, current?.entry],
  ];
  const entries = named.flatMap(([reference, entry]) => (entry ? [{ ...entry, reference }] : []));
  return entries.sort((a, b) => a.index - b.index).map((entry) => leafHash(commitmentOf(entry)));
}

function idOf(text = '{}'): string {
  return String((JSON.parse(text) as { id?: unknown }).id);
}

function treeOf(leaves: readonly Uint8Array[]): [ReturnType<typeof createTree>, ReadTile] {
  const tree = createTree({ size: 0, edge: [] });
  for (const leaf of leaves) tree.append(leaf);
  const tiles = new Map(tree.grown().map(({ level, index, hashes }) => [`${level}/${index}`, hashes]));
  return [tree, async (level, index) => tiles.get(`${level}/${index}`)];
}

function base64(hashes: readonly Uint8Array[]): string[] {
  return hashes.map((hash) => Buffer.from(hash).toString('base64'));
}
