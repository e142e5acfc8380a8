/** What a receipt says of places outside, held against them: the one part of `assent verify` that asks a network, if it is told whom. */
import { readFile } from 'node:fs/promises';
import { isOnChain } from '../../ledger/anchor/evm/check.ts';
import { createNodes } from '../../ledger/anchor/evm/rpc.ts';
import { certificatesIn, verifyTimeStamp } from '../../ledger/anchor/rfc3161/time-stamp.ts';
import { checkpointText } from '../../ledger/checkpoint-text.ts';
import { type Anchor, placeSentence } from '../../ledger/receipt-anchors.ts';
import type { Verdict } from '../../ledger/receipt.ts';

/** `rpc`: nodes of the chain, all of which must say so; `authority`: PEM file of the certificates that a time-stamp must lead to. */
export type Places = { readonly rpc: readonly string[]; readonly authority: string | undefined };

type Checked = { readonly kind: 'holds'; readonly sentence: string } | Extract<Verdict, { readonly kind: 'refuted' | 'unreadable' }>;

/** The verdict with what was found, or another one. */
export async function checkAnchors(verdict: Verdict, { rpc, authority }: Places): Promise<Verdict> {
  if (verdict.kind !== 'proven') return verdict;
  const anchors = verdict.anchors ?? [];
  const [chain, stamps] = (['evm', 'rfc3161'] as const).map((kind) => anchors.filter(({ place }) => place?.kind === kind)) as [Anchor[], Anchor[]];
  if (rpc.length > 0 && chain.length === 0) return { kind: 'refuted', reason: 'It is anchored in no chain.' };
  if (authority !== undefined && stamps.length === 0) return { kind: 'refuted', reason: 'It holds no time-stamp.' };
  let [proven, notProven] = [verdict.proven, verdict.notProven];
  for (const anchor of [...(rpc.length > 0 ? chain : []), ...(authority === undefined ? [] : stamps)]) {
    const checked = anchor.place?.kind === 'evm' ? await inChain(anchor, rpc) : await stamped(anchor, authority ?? '');
    if (checked.kind !== 'holds') return checked;
    const open = placeSentence(anchor);
    [proven, notProven] = [[...proven, checked.sentence], notProven.filter((sentence) => sentence !== open)];
  }
  return { ...verdict, proven, notProven };
}

async function inChain({ place, aggregate }: Anchor, rpc: readonly string[]): Promise<Checked> {
  if (place?.kind !== 'evm') return { kind: 'refuted', reason: 'It is anchored in no chain.' };
  const { chainId, transaction, block, contract, seq } = place;
  try {
    if (!(await isOnChain(createNodes(rpc, fetch), place, aggregate)))
      return { kind: 'refuted', reason: 'The chain does not hold what the aggregate says.' };
  } catch {
    return { kind: 'unreadable', reason: 'The chain could not be asked.' };
  }
  const what = `The aggregate’s root over ${aggregate.size} entries is in EVM chain ${chainId}: number ${seq} in contract ${contract}`;
  return { kind: 'holds', sentence: `${what}, transaction ${transaction}, block ${block}. All nodes that were asked say so.` };
}

async function stamped({ aggregate, stamp }: Anchor, authority: string): Promise<Checked> {
  const trusted = certificatesIn(await readFile(authority, 'utf8'));
  const verdict = await verifyTimeStamp(stamp ?? Buffer.alloc(0), { text: checkpointText(aggregate), trusted });
  if (verdict.kind === 'refused') return { kind: 'refuted', reason: verdict.reason };
  const at = new Date(verdict.at).toISOString();
  return {
    kind: 'holds',
    sentence: `The aggregate’s checkpoint of ${aggregate.size} entries existed at ${at}: so says the time-stamp of ${verdict.authority}.`,
  };
}
