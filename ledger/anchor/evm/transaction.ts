/** Transactions, signed here: a node never sees a key. https://eips.ethereum.org/EIPS/eip-1559 */
import { addr, Transaction } from 'micro-eth-signer';
import { bigQuantity, type Nodes, quantity, RpcError } from './rpc.ts';

export type Account = {
  /** 0x and 40 lower-case hex digits. */
  readonly address: string;
  readonly sign: (wanted: Wanted) => Signed;
};

/** `fee`: the most wei for a unit of gas; `tip`: of which this much is for who makes the block. Without base fees (`tip` undefined) the price itself. */
export type Fees = { readonly fee: bigint; readonly tip: bigint | undefined };
export type Wanted = Fees & {
  readonly to: string | undefined;
  readonly data: string;
  readonly nonce: number;
  readonly chainId: number;
  readonly gas: number;
};
export type Signed = { readonly raw: string; readonly hash: string };

/** `key`: 0x and 64 hex digits. Throws Error when it is no secp256k1 key. */
export function accountOf(key: string): Account {
  const address = addr.fromPrivateKey(key).toLowerCase();
  return {
    address,
    sign({ to, data, nonce, chainId, gas, fee, tip }) {
      const common = { to: to ?? '0x', value: 0n, nonce: BigInt(nonce), gasLimit: BigInt(gas), chainId: BigInt(chainId), data };
      const draft =
        tip === undefined
          ? Transaction.prepare({ type: 'legacy', gasPrice: fee, ...common })
          : Transaction.prepare({ maxFeePerGas: fee, maxPriorityFeePerGas: tip, ...common });
      const signed = draft.signBy(key);
      return { raw: signed.toHex(), hash: `0x${signed.hash.replace(/^0x/, '')}` };
    },
  };
}

export function newAccountKey(): string {
  return addr.random().privateKey;
}

/** Twice the base fee of today, so that six full blocks in a row do not price it out. Throws RpcError where nodes ask prices too far apart. */
export async function currentFees(nodes: Nodes, height: number): Promise<Fees> {
  const block = (await nodes.agreed('eth_getBlockByNumber', `0x${height.toString(16)}`, false)) as { readonly baseFeePerGas?: unknown } | null;
  if (block?.baseFeePerGas === undefined) return { fee: dearest((await nodes.each('eth_gasPrice')).map(bigQuantity)), tip: undefined };
  return { fee: 2n * bigQuantity(block.baseFeePerGas) + TIP, tip: TIP };
}

/** Without base fees each node makes its price from the blocks and transactions it knows: honest ones differ by a little, and a liar could empty the account. */
function dearest(prices: readonly bigint[]): bigint {
  const [least = 0n, ...others] = [...prices].sort((a, b) => (a < b ? -1 : 1));
  const most = others.at(-1) ?? least;
  if (most * 10n > least * 11n) throw new RpcError('The nodes ask gas prices that are more than a tenth apart.');
  return most;
}

/**
 * A transaction takes another’s place only if it pays an eighth more; a quarter is enough for every client. Undefined: the other offers what is asked today
 * and many times the usual tip already, so it is not the price it waits for: the chain stands still, or the account is empty, for however long.
 */
export function dearer({ fee, tip }: Fees, than: Fees): Fees | undefined {
  const more = (old: bigint) => (old * 5n) / 4n + 1n;
  const larger = (a: bigint, b: bigint) => (a > b ? a : b);
  const next = { fee: larger(fee, more(than.fee)), tip: tip === undefined ? undefined : larger(tip, more(than.tip ?? 0n)) };
  const isDear = next.tip === undefined || tip === undefined ? next.fee > MOST_TIMES * fee : next.tip > MOST_TIMES * tip;
  return isDear && fee <= than.fee ? undefined : next;
}

const MOST_TIMES = 16n;

/** 1 gwei. */
const TIP = 1_000_000_000n;

export async function chainIdOf(nodes: Nodes): Promise<number> {
  return quantity(await nodes.agreed('eth_chainId'));
}
