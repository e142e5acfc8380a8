/** Whether a chain holds what somebody says it holds. */
import type { EvmPlace } from '../place.ts';
import { isAnchored } from './contract.ts';
import { hex, type Nodes, quantity } from './rpc.ts';
import { chainIdOf } from './transaction.ts';

type Receipt = { readonly status?: unknown; readonly blockNumber?: unknown; readonly blockHash?: unknown; readonly logs?: readonly object[] };

/** All nodes say that this transaction put exactly this tree into the contract, in a block that is on the chain: when that was, in ms since 1970 by the block. Undefined: they do not. Throws RpcError. */
export async function timeOnChain(
  nodes: Nodes,
  { chainId, contract, logId, seq, transaction, block }: EvmPlace,
  { size, root }: { readonly size: number; readonly root: Uint8Array },
): Promise<number | undefined> {
  if ((await chainIdOf(nodes)) !== chainId) return undefined;
  const receipt = (await nodes.agreed('eth_getTransactionReceipt', transaction)) as Receipt | null;
  const anchored = receipt?.status === '0x1' && receipt.logs?.some((log) => isAnchored(log, contract, { logId, seq, size, root }));
  if (!anchored || quantity(receipt.blockNumber) !== block) return undefined;
  const onChain = (await nodes.agreed('eth_getBlockByNumber', hex(block), false)) as { readonly hash?: unknown; readonly timestamp?: unknown } | null;
  return onChain?.hash === receipt.blockHash ? quantity(onChain?.timestamp) * 1000 : undefined;
}
