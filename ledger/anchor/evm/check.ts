/** Whether a chain holds what somebody says it holds. */
import type { EvmPlace } from '../place.ts';
import { isAnchored } from './contract.ts';
import { hex, type Nodes, quantity } from './rpc.ts';
import { chainIdOf } from './transaction.ts';

type Receipt = { readonly status?: unknown; readonly blockNumber?: unknown; readonly blockHash?: unknown; readonly logs?: readonly object[] };

/** All nodes say that this transaction put exactly this tree into the contract, in a block that is on the chain. Throws RpcError. */
export async function isOnChain(
  nodes: Nodes,
  { chainId, contract, logId, seq, transaction, block }: EvmPlace,
  { size, root }: { readonly size: number; readonly root: Uint8Array },
): Promise<boolean> {
  if ((await chainIdOf(nodes)) !== chainId) return false;
  const receipt = (await nodes.agreed('eth_getTransactionReceipt', transaction)) as Receipt | null;
  const anchored = receipt?.status === '0x1' && receipt.logs?.some((log) => isAnchored(log, contract, { logId, seq, size, root }));
  if (!anchored || quantity(receipt.blockNumber) !== block) return false;
  const onChain = (await nodes.agreed('eth_getBlockByNumber', hex(block), false)) as { readonly hash?: unknown } | null;
  return onChain?.hash === receipt.blockHash;
}
