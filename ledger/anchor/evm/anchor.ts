/**
 * Anchors checkpoints in a ConsentAnchor contract of an EVM chain. ledger.md §5
 *
 * Invariants: every step is made from what is kept and what the chain says, so the process may die between any two; nothing counts that not
 * all nodes say; of a backlog only the newest checkpoint is anchored, as the log’s consistency proofs cover the others.
 */
import { parseCheckpoint } from '../../checkpoint-text.ts';
import { parseNote } from '../../note.ts';
import type { EvmPlace } from '../place.ts';
import type { Anchor, Anchored } from '../port.ts';
import { type Anchoring, anchorCall, type Head, headCall, isAnchored, readHead } from './contract.ts';
import { attemptOf, type Final, type Included, type Outbox, type OutboxStore, type Sent, feesOf } from './outbox.ts';
import { bigQuantity, hex, type Nodes, quantity, RpcError } from './rpc.ts';
import { type Account, chainIdOf, currentFees, dearer } from './transaction.ts';

export type EvmOptions = {
  readonly nodes: Nodes;
  /** Of the contract: 0x and 40 hex digits. */
  readonly contract: string;
  /** 0x and 64 hex digits, as the opening of the log answered. */
  readonly logId: string;
  readonly account: Account;
  /** Blocks on top of the one with the anchor before it counts as final. */
  readonly confirmations: number;
  /** Between two anchors. */
  readonly intervalMs: number;
  readonly store: OutboxStore;
  readonly clock: () => number;
};

export type EvmAnchor = Anchor & {
  /** One step, as far as it goes now. Resolves with whether there is more to be done soon. Throws RpcError, or EvmFault. */
  work(): Promise<boolean>;
  /** The size the contract holds; more than the log has: the log was set back. */
  anchoredSize(): Promise<number>;
  /** wei of the writing account. */
  balance(): Promise<bigint>;
  /** Where the largest tree that is safe there stands in the chain. */
  place(): Promise<{ readonly size: number; readonly place: EvmPlace } | undefined>;
};

/** Something that waiting does not mend: for the operator. */
export class EvmFault extends Error {}

/** An anchor takes some 30,000. */
const GAS = 60_000;
const STUCK_MS = 5 * 60_000;
const OTHER_CHAIN = 'The nodes are of another chain than the one that this log is anchored in.';
/** So far back nothing is about to appear any more, also where blocks are final at once. */
const SETTLED_BLOCKS = 2;

type Wanted = { readonly size: number; readonly root: Uint8Array };

export function createEvmAnchor(options: EvmOptions): EvmAnchor {
  const { store, nodes } = options;
  let wanted: Wanted | undefined;
  let running: Promise<boolean> | undefined;
  return {
    name: 'evm',
    async anchor({ note }) {
      const checkpoint = parseCheckpoint(parseNote(note)?.text ?? '');
      if (checkpoint && checkpoint.size > (wanted?.size ?? 0)) wanted = checkpoint;
    },
    async latest(): Promise<Anchored | undefined> {
      const { final } = await store.read();
      return final ? { size: final.size, at: final.at } : undefined;
    },
    work: () =>
      (running ??= step(options, wanted).finally(() => {
        running = undefined;
      })),
    anchoredSize: async () => (await headAt(options, await nodes.height())).size,
    async place() {
      const { final } = await store.read();
      return final ? placeOf(final, options) : undefined;
    },
    balance: async () => bigQuantity(await nodes.agreed('eth_getBalance', options.account.address, hex(await nodes.height()))),
  };
}

function placeOf(
  { size, seq, hash: transaction, block, chainId }: Final,
  { contract, logId }: EvmOptions,
): { readonly size: number; readonly place: EvmPlace } | undefined {
  return chainId === undefined ? undefined : { size, place: { kind: 'evm', chainId, contract, logId, seq, transaction, block } };
}

async function step(options: EvmOptions, wanted: Wanted | undefined): Promise<boolean> {
  const { store, nodes } = options;
  const outbox = await store.read();
  if (!outbox.sent && !wanted) return false;
  const height = await nodes.height();
  if (outbox.sent) return follow(options, { outbox, sent: outbox.sent, height });
  return wanted !== undefined && submit(options, { outbox, wanted, height });
}

type Submitting = { readonly outbox: Outbox; readonly wanted: Wanted; readonly height: number };

/** PENDING → SUBMITTED. */
async function submit(options: EvmOptions, { outbox, wanted, height }: Submitting): Promise<boolean> {
  const { account, clock, intervalMs, logId, nodes, contract, store } = options;
  const { final } = outbox;
  if (final && (wanted.size <= final.size || clock() - final.at < intervalMs)) return false;
  const head = await headAt(options, height);
  if (head.size > wanted.size)
    throw new EvmFault(`The contract holds ${head.size} entries of this log, which has ${wanted.size}: the log is older than its anchor.`);
  if (head.size === wanted.size) return false;
  if (head.writer !== account.address) throw new EvmFault('The contract takes anchors of this log from another account, or from nobody any more.');
  const nonce = quantity(await nodes.agreed('eth_getTransactionCount', account.address, hex(height)));
  const fees = await currentFees(nodes, height);
  const anchoring: Anchoring = { logId, seq: head.seq + 1, ...wanted };
  const chainId = await requireChain(nodes, outbox);
  const signed = account.sign({ to: contract, data: anchorCall(anchoring), nonce, chainId, gas: GAS, ...fees });
  const root = Buffer.from(wanted.root).toString('base64');
  const sent: Sent = { size: wanted.size, root, seq: anchoring.seq, nonce, chainId, attempts: [attemptOf(signed, fees, clock())], included: null };
  if (!(await store.replace(outbox, { ...outbox, sent }))) return true;
  await nodes.send(signed.raw);
  return true;
}

/** What was anchored stays where it was: nodes of another chain that holds the same contract are not followed there. Throws EvmFault. */
async function requireChain(nodes: Nodes, { sent, final }: Outbox): Promise<number> {
  const chainId = await chainIdOf(nodes);
  if (chainId !== (sent?.chainId ?? final?.chainId ?? chainId)) throw new EvmFault(OTHER_CHAIN);
  return chainId;
}

type Following = { readonly outbox: Outbox; readonly sent: Sent; readonly height: number };

/** SUBMITTED → INCLUDED → FINAL, and the ways back. */
async function follow(options: EvmOptions, { outbox, sent, height }: Following): Promise<boolean> {
  const { store, nodes, account, clock, confirmations } = options;
  const chainId = await requireChain(nodes, outbox);
  const included = await inclusionOf(options, sent, height);
  if (included) {
    const isFinal = height - included.block >= confirmations;
    const { size, root, seq } = sent;
    const next: Outbox = isFinal
      ? { sent: null, final: { ...included, size, root, seq, at: clock(), chainId } }
      : { ...outbox, sent: { ...sent, included } };
    if (isFinal || sent.included?.blockHash !== included.blockHash) await store.replace(outbox, next);
    return !isFinal;
  }
  const used = async (at: number) => quantity(await nodes.agreed('eth_getTransactionCount', account.address, hex(Math.max(at, 0)))) > sent.nonce;
  if (await used(height - Math.max(confirmations, SETTLED_BLOCKS))) {
    // Its nonce went to another transaction, or the contract refused it: what the contract holds now decides how to go on.
    await store.replace(outbox, { ...outbox, sent: null });
    throw new EvmFault('An anchor was refused, or its account was used by somebody else; it is made anew.');
  }
  // Nodes show a block before the receipts of what is in it.
  if (await used(height)) return true;
  await resend(options, { outbox, sent, height });
  return true;
}

/** Where it is on the chain that all nodes have; undefined: nowhere. */
async function inclusionOf({ nodes, contract, logId }: EvmOptions, sent: Sent, height: number): Promise<Included | undefined> {
  const anchoring: Anchoring = { logId, seq: sent.seq, size: sent.size, root: Buffer.from(sent.root, 'base64') };
  for (const { hash } of sent.attempts) {
    const receipt = (await nodes.agreed('eth_getTransactionReceipt', hash)) as {
      readonly status?: unknown;
      readonly blockNumber?: unknown;
      readonly blockHash?: unknown;
      readonly logs?: readonly object[];
    } | null;
    if (!receipt || receipt.status !== '0x1' || !receipt.logs?.some((log) => isAnchored(log, contract, anchoring))) continue;
    const block = quantity(receipt.blockNumber);
    if (block > height) continue;
    const onChain = (await nodes.agreed('eth_getBlockByNumber', hex(block), false)) as { readonly hash?: unknown } | null;
    if (onChain?.hash === receipt.blockHash) return { hash, block, blockHash: String(receipt.blockHash) };
  }
  return undefined;
}

/** Told again, as nodes forget; after a while with a higher fee. */
async function resend(options: EvmOptions, { outbox, sent, height }: Following): Promise<void> {
  const { account, clock, contract, logId, nodes, store } = options;
  const last = sent.attempts.at(-1);
  if (!last) throw new EvmFault('The outbox holds a transaction without its text.');
  const back: Sent = { ...sent, included: null };
  const fees = clock() - last.at < STUCK_MS ? undefined : dearer(await currentFees(nodes, height), feesOf(last));
  if (!fees) {
    if (sent.included) await store.replace(outbox, { ...outbox, sent: back });
    return nodes.send(last.raw);
  }
  const anchoring: Anchoring = { logId, seq: sent.seq, size: sent.size, root: Buffer.from(sent.root, 'base64') };
  const chainId = await requireChain(nodes, outbox);
  const signed = account.sign({ to: contract, data: anchorCall(anchoring), nonce: sent.nonce, chainId, gas: GAS, ...fees });
  if (!(await store.replace(outbox, { ...outbox, sent: { ...back, attempts: [...sent.attempts, attemptOf(signed, fees, clock())] } }))) return;
  await nodes.send(signed.raw);
}

async function headAt({ nodes, contract, logId }: EvmOptions, height: number): Promise<Head> {
  const head = readHead(await nodes.agreed('eth_call', { to: contract, data: headCall(logId) }, hex(height)));
  if (!head) throw new RpcError('There is no ConsentAnchor contract at this address.');
  return head;
}
