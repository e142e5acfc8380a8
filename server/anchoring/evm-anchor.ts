/** The chain among the anchors: its settings, its outbox as a record, and when it works. ledger.md §5 */
import { readFile } from 'node:fs/promises';
import { createEvmAnchor, EvmFault, type EvmAnchor } from '../../ledger/anchor/evm/anchor.ts';
import { emptyOutbox, type Outbox, type OutboxStore } from '../../ledger/anchor/evm/outbox.ts';
import { createNodes, type Fetch, RpcError } from '../../ledger/anchor/evm/rpc.ts';
import { accountOf } from '../../ledger/anchor/evm/transaction.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import type { RecordStore } from '../store/port.ts';
import { type LogStore, writeRecords } from './log-port.ts';
import { createRepeated, type Repeated, type RepeatedDependencies } from './repeated.ts';

export type ChainConfig = Pick<Config, 'EVM_RPC' | 'EVM_CONTRACT' | 'EVM_LOG_ID' | 'EVM_KEY_PATH' | 'EVM_INTERVAL_MINUTES' | 'EVM_CONFIRMATIONS'>;

export type ChainDependencies = RepeatedDependencies & {
  /** Of this name, which is that of the log in the contract. */
  readonly outbox: (name: string) => OutboxStore;
  readonly clock: Clock;
  readonly fetch: Fetch;
};

export type Chain = Repeated & {
  readonly anchor: EvmAnchor;
  /** A sentence when the contract holds more than the stored log. */
  contradiction(stored: number): Promise<string | undefined>;
};

const RECORD = 'anchor-outbox';
const MINUTE_MS = 60_000;
/** While something is on its way, and otherwise. */
const SOON_MS = 4_000;
const IDLE_MS = 15_000;

/** Undefined: the operator names no chain. Throws AssentError('unavailable') when the settings cannot be used. */
export async function openChain(config: ChainConfig, deps: ChainDependencies): Promise<Chain | undefined> {
  const { EVM_RPC: urls, EVM_CONTRACT: contract, EVM_LOG_ID: logId } = config;
  if (urls.length === 0) return undefined;
  const account = await accountIn(config.EVM_KEY_PATH);
  const anchor = createEvmAnchor({
    nodes: createNodes(urls, deps.fetch),
    contract,
    logId,
    account,
    confirmations: config.EVM_CONFIRMATIONS,
    intervalMs: config.EVM_INTERVAL_MINUTES * MINUTE_MS,
    store: deps.outbox(`${contract}/${logId}`),
    clock: deps.clock,
  });
  const once = async () => ((await anchor.work()) ? SOON_MS : IDLE_MS);
  return {
    anchor,
    ...createRepeated({ once, retryMs: IDLE_MS, sentenceOf }, deps),
    contradiction: (stored) => contradictionOf(anchor, stored, deps.report),
  };
}

async function accountIn(file: string): Promise<ReturnType<typeof accountOf>> {
  try {
    return accountOf((await readFile(file, 'utf8')).trim());
  } catch {
    throw new AssentError('unavailable', 'ASSENT_EVM_KEY_PATH holds no key of an EVM account.');
  }
}

/** As a record of the database. */
export function outboxIn({ log, records }: { readonly log: LogStore; readonly records: RecordStore }, id: string): OutboxStore {
  const revisions = new WeakMap<Outbox, number | null>();
  return {
    async read() {
      const found = await records.get(RECORD, id);
      const outbox = { ...((found?.value as Outbox | undefined) ?? emptyOutbox) };
      revisions.set(outbox, found?.revision ?? null);
      return outbox;
    },
    async replace(before, next) {
      const name = { recordKind: RECORD, id };
      return writeRecords(log, { ...name, revision: revisions.get(before) ?? null }, [{ kind: 'put', ...name, value: next }]);
    },
  };
}

/** A node’s words may say where it is; ours do not. */
function sentenceOf(fault: unknown): string {
  if (fault instanceof EvmFault) return fault.message;
  return fault instanceof RpcError ? `The chain cannot be used at the moment: ${fault.message}` : 'Anchoring in the chain failed.';
}

async function contradictionOf(anchor: EvmAnchor, stored: number, report: (fault: unknown) => void): Promise<string | undefined> {
  try {
    const size = await anchor.anchoredSize();
    return size > stored ? `The contract holds a checkpoint of ${size} entries of this log, which has ${stored}: the database is older.` : undefined;
  } catch (fault) {
    report(new AssentError('unavailable', sentenceOf(fault)));
    return undefined;
  }
}
