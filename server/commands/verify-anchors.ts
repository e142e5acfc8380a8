/** What a receipt says of places outside, held against them: the one part of `assent verify` that asks a network, if it is told whom. */
import { readFile } from 'node:fs/promises';
import { timeOnChain } from '../../ledger/anchor/evm/check.ts';
import { createNodes } from '../../ledger/anchor/evm/rpc.ts';
import { certificatesIn, verifyTimeStamp } from '../../ledger/anchor/rfc3161/time-stamp.ts';
import { checkpointText } from '../../ledger/checkpoint-text.ts';
import { type Anchor, CHAIN_NOT_ASKED, placeSentence } from '../../ledger/receipt-anchors.ts';
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
    // In a contract that the reader knows a log has one history, once the chain says so.
    const open = [placeSentence(anchor), ...(anchor.place?.kind === 'evm' ? [CHAIN_NOT_ASKED] : [])];
    [proven, notProven] = [[...proven, checked.sentence], notProven.filter((sentence) => !open.includes(sentence))];
  }
  return { ...verdict, proven, notProven };
}

/** The tree that was anchored, as it is told. */
function treeOf({ aggregate, anchored }: Anchor): string {
  return aggregate ? `The aggregate’s root over ${anchored.size} entries` : `The root over the log’s first ${anchored.size} entries`;
}

async function inChain(anchor: Anchor, rpc: readonly string[]): Promise<Checked> {
  const { place, anchored } = anchor;
  if (place?.kind !== 'evm') return { kind: 'refuted', reason: 'It is anchored in no chain.' };
  const { chainId, transaction, block, contract, logId, seq } = place;
  let at: number | undefined;
  try {
    at = await timeOnChain(createNodes(rpc, fetch), place, anchored);
  } catch {
    return { kind: 'unreadable', reason: 'The chain could not be asked.' };
  }
  if (at === undefined) return { kind: 'refuted', reason: `The chain does not hold what the ${anchor.aggregate ? 'aggregate' : 'log'} says.` };
  const what = `${treeOf(anchor)} is in EVM chain ${chainId}: number ${seq} of ${logId} in contract ${contract}`;
  const when = `transaction ${transaction}, block ${block} of ${new Date(at).toISOString()}`;
  return { kind: 'holds', sentence: `${what}, ${when}. All nodes that were asked say so.` };
}

async function stamped(anchor: Anchor, authority: string): Promise<Checked> {
  const { anchored, stamp } = anchor;
  const trusted = certificatesIn(await readFile(authority, 'utf8'));
  const verdict = await verifyTimeStamp(stamp ?? Buffer.alloc(0), { text: checkpointText(anchored), trusted });
  if (verdict.kind === 'refused') return { kind: 'refuted', reason: verdict.reason };
  const at = new Date(verdict.at).toISOString();
  const what = anchor.aggregate ? `The aggregate’s checkpoint of ${anchored.size} entries` : `The log’s first ${anchored.size} entries`;
  return { kind: 'holds', sentence: `${what} existed at ${at}: so says the time-stamp of ${verdict.authority}.` };
}
