/** One transaction that is waited for: the deployment of a contract, the opening of a log. */
import { deployCode, openCall, openedLogId } from './contract.ts';
import { hex, type Nodes, quantity, RpcError } from './rpc.ts';
import { type Account, chainIdOf, currentFees } from './transaction.ts';

export type Receipt = {
  readonly status: string;
  readonly gasUsed: string;
  readonly contractAddress: string | null;
  readonly logs: readonly { readonly topics?: unknown }[];
};
type Call = { readonly to: string | undefined; readonly data: string };

const GAS = 3_000_000;
const POLL_MS = 200;
const LONGEST_MS = 5 * 60_000;

/** `pause`: resolves after so many ms. Throws RpcError when it is not in a block within five minutes. */
export async function perform(nodes: Nodes, account: Account, { to, data }: Call, pause: (ms: number) => Promise<void>): Promise<Receipt> {
  const height = await nodes.height();
  const nonce = quantity(await nodes.agreed('eth_getTransactionCount', account.address, hex(height)));
  const { raw, hash } = account.sign({ to, data, nonce, chainId: await chainIdOf(nodes), gas: GAS, ...(await currentFees(nodes, height)) });
  await nodes.send(raw);
  for (let waited = 0; waited < LONGEST_MS; waited += POLL_MS) {
    const receipt = (await nodes.agreed('eth_getTransactionReceipt', hash)) as Receipt | null;
    if (receipt) return receipt;
    await pause(POLL_MS);
  }
  throw new RpcError(`The transaction ${hash} is in no block yet.`);
}

type Acting = { readonly nodes: Nodes; readonly admin: Account; readonly pause: (ms: number) => Promise<void> };

/** The contract’s address. `delay`: seconds until another writer of a log may take over. */
export async function deployAnchor({ nodes, admin, pause }: Acting, delay: number): Promise<string> {
  const { status, contractAddress } = await perform(nodes, admin, { to: undefined, data: deployCode(delay) }, pause);
  if (status !== '0x1' || contractAddress === null) throw new RpcError('The contract could not be deployed.');
  return contractAddress;
}

/** The log’s id. `name`: SHA-256 of its origin. An admin opens a name once. */
export async function openLogAt(
  { nodes, admin, pause }: Acting,
  contract: string,
  { name, writer }: { readonly name: Uint8Array; readonly writer: string },
): Promise<string> {
  const { logs } = await perform(nodes, admin, { to: contract, data: openCall(name, writer) }, pause);
  const logId = logs.map(openedLogId).find((id) => id !== undefined);
  if (logId === undefined) throw new RpcError('The log could not be opened: this account has opened it already, or there is no such contract.');
  return logId;
}
