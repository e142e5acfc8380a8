/**
 * What an aggregate publishes for each of its logs: a file with the proof that the log’s checkpoint is in it, and where that is anchored. ledger.md §5
 * Invariant: a file is replaced whole; it holds of other logs nothing but hashes.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Place, placeLine } from '../../ledger/anchor/place.ts';
import { proofName, writeAggregateProof } from '../../ledger/aggregate.ts';
import { checkpointText } from '../../ledger/checkpoint-text.ts';
import { type NoteSigner } from '../../ledger/note.ts';
import type { AggregatePiece } from '../../ledger/receipt-format.ts';
import { inclusionProof, rootAt } from '../../ledger/tree.ts';
import type { AggregateStore } from './store.ts';

/** That the tree of this size is safe somewhere. */
export type Evidence = { readonly size: number; readonly place: Place; readonly stamp?: Uint8Array };

export type ProofsDependencies = {
  readonly folder: string;
  readonly origins: readonly string[];
  readonly store: Pick<AggregateStore, 'checkpoint' | 'newest' | 'tile'>;
  readonly signer: NoteSigner;
  /** From each anchor the newest, where there is one. */
  readonly evidence: () => Promise<readonly Evidence[]>;
};

/** Writes the files anew if there is anything new. A start does, whatever a killed process left. */
export function createProofs(deps: ProofsDependencies): () => Promise<void> {
  let written: string | undefined;
  return async () => {
    const { store, evidence } = deps;
    const [newest, places] = [store.checkpoint(), await evidence()];
    const state = [newest?.size, ...places.map(({ size, place }) => `${size} ${placeLine(place)}`)].join('\n');
    if (!newest || state === written) return;
    await writeAll({ ...deps, size: newest.size, note: newest.note, places });
    written = state;
  };
}

type Writing = ProofsDependencies & { readonly size: number; readonly note: string; readonly places: readonly Evidence[] };
type Under = { readonly size: number; readonly checkpoint: string; readonly stamp?: Uint8Array };

async function writeAll({ size, note, places, ...deps }: Writing): Promise<void> {
  const { folder, origins, store, signer } = deps;
  const anchored = await Promise.all(places.map((place) => checkpointWith(place, deps)));
  for (const origin of origins) {
    const pieces = await Promise.all([{ size, checkpoint: note }, ...anchored].map((under) => pieceOf(origin, under, store)));
    const found = pieces.flatMap((piece) => piece ?? []);
    if (found.length > 0) await replaceFile(join(folder, proofName(origin)), writeAggregateProof({ log: signer.verifierKey.text, pieces: found }));
  }
}

/** The checkpoint of that size, which says where it is anchored. */
async function checkpointWith({ size, place, stamp }: Evidence, { store, signer }: ProofsDependencies): Promise<Under> {
  const text = `${checkpointText({ origin: signer.verifierKey.name, size, root: await rootAt(size, store.tile) })}${placeLine(place)}\n`;
  return { size, checkpoint: `${text}\n${signer.line(text)}`, ...(stamp ? { stamp } : {}) };
}

/** Undefined: nothing of this log was taken by then. */
async function pieceOf(
  origin: string,
  { size, checkpoint, stamp }: Under,
  { newest, tile }: ProofsDependencies['store'],
): Promise<AggregatePiece | undefined> {
  const found = newest(origin, size);
  if (!found) return undefined;
  const inclusion = (await inclusionProof(found.index, size, tile)).map((hash) => Buffer.from(hash).toString('base64'));
  return { checkpoint, index: found.index, member: found.entry, inclusion, ...(stamp ? { stamp: Buffer.from(stamp).toString('base64') } : {}) };
}

async function replaceFile(file: string, content: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.draft`, content);
  await rename(`${file}.draft`, file);
}
