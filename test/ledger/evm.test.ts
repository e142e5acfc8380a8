/** Anchoring in a real EVM node: every state and every way back, crashes between any two, nodes that lie, and the contract against whoever calls it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { createContract } from 'micro-eth-signer/abi.js';
import contractJson from '../../ledger/anchor/contract/ConsentAnchor.json' with { type: 'json' };
import { createEvmAnchor, type EvmOptions } from '../../ledger/anchor/evm/anchor.ts';
import { anchorCall, headCall, readHead } from '../../ledger/anchor/evm/contract.ts';
import { emptyOutbox, type Outbox, type OutboxStore } from '../../ledger/anchor/evm/outbox.ts';
import { createNodes, type Fetch } from '../../ledger/anchor/evm/rpc.ts';
import { accountOf, newAccountKey } from '../../ledger/anchor/evm/transaction.ts';
import { signCheckpoint } from '../../ledger/checkpoint.ts';
import { sha256 } from '../../ledger/hash.ts';
import { newSignerKey, parseSignerKey } from '../../ledger/note.ts';
import { type Anvil, deploy, type Deployed, startAnvil } from '../support/anvil.ts';
import { committedContract, compiledContract } from '../support/compile-contract.ts';

const ORIGIN = 'log.example';
const signer = parseSignerKey(newSignerKey(ORIGIN)) ?? expect.fail();
const rootOf = (size: number) => sha256(`root of ${size}`);
const checkpoint = (size: number) => ({ size, note: signCheckpoint({ origin: ORIGIN, size, root: rootOf(size) }, [signer]) });

let anvil: Anvil;
let deployed: Deployed;
beforeAll(async () => {
  anvil = await startAnvil();
});
afterAll(() => anvil.stop());
beforeEach(async () => {
  await anvil.rpc('evm_setAutomine', true);
  deployed = await deploy(anvil, ORIGIN);
});

/** Kept like a database keeps it: what was read is compared with what is there. */
function memory(): OutboxStore & { outbox: Outbox } {
  const store = {
    outbox: emptyOutbox,
    read: async () => store.outbox,
    replace: async (before: Outbox, next: Outbox) => {
      if (JSON.stringify(before) !== JSON.stringify(store.outbox)) return false;
      store.outbox = next;
      return true;
    },
  };
  return store;
}

type Change = Partial<EvmOptions> & { readonly fetches?: readonly Fetch[] };
const time = { now: 0 };
function anchorWith({ fetches = [fetch], ...change }: Change = {}) {
  const store = memory();
  const urls = fetches.map((_, i) => `http://node-${i}.invalid/`);
  const nodes = createNodes(urls, (url, init) => (fetches[urls.indexOf(url)] ?? fetch)(anvil.url, init));
  const { contract, logId, writer } = deployed;
  const options = { nodes, contract, logId, account: writer, confirmations: 3, intervalMs: 0, store, clock: () => time.now, ...change };
  return { anchor: createEvmAnchor(options), store, again: () => createEvmAnchor(options) };
}

/** The node makes blocks in its own time. */
async function until(anchor: ReturnType<typeof createEvmAnchor>, held: (more: boolean) => boolean): Promise<void> {
  for (let turn = 0; !held(await anchor.work()); turn++) {
    if (turn > 1_000) expect.fail('The node made no block.');
    await sleep(10);
  }
}

/** Until there is nothing more to be done. */
const done = (anchor: ReturnType<typeof createEvmAnchor>) => until(anchor, (more) => !more);

const textOf = ({ body }: RequestInit) => (typeof body === 'string' ? body : expect.fail('A call without a text.'));

const head = async () => readHead(await anvil.rpc('eth_call', { to: deployed.contract, data: headCall(deployed.logId) }, 'latest'));

describe('anchoring', () => {
  it('goes from pending over submitted and included to final, for under 35,000 gas', async () => {
    const { anchor, store } = anchorWith();
    await anchor.anchor(checkpoint(300));
    await anchor.work();
    expect(store.outbox.sent).toMatchObject({ size: 300, seq: 1, included: null });
    await until(anchor, () => Boolean(store.outbox.sent?.included));
    expect(store.outbox.sent?.included).toMatchObject({ block: expect.any(Number) });
    expect(await anchor.latest()).toBeUndefined();
    await anvil.mine(3);
    expect(await anchor.work()).toBe(false);
    expect(await anchor.latest()).toEqual({ size: 300, at: time.now });
    expect(await head()).toMatchObject({ seq: 1, size: 300, writer: deployed.writer.address });
    await anchor.anchor(checkpoint(301));
    await anchor.work();
    await until(anchor, () => Boolean(store.outbox.sent?.included));
    const { attempts } = store.outbox.sent ?? expect.fail();
    const receipt = (await anvil.rpc('eth_getTransactionReceipt', attempts[0]?.hash)) as { gasUsed: string };
    expect(Number(receipt.gasUsed)).toBeLessThanOrEqual(35_000);
    expect(await anchor.anchoredSize()).toBe(301);
    expect(await anchor.balance()).toBeGreaterThan(0n);
  });

  it('covers a backlog by its newest checkpoint, and waits between two', async () => {
    const { anchor, store } = anchorWith({ intervalMs: 60_000, confirmations: 0 });
    for (const size of [5, 9, 7, 40]) await anchor.anchor(checkpoint(size));
    await done(anchor);
    expect(store.outbox.final?.size).toBe(40);
    await anchor.anchor(checkpoint(50));
    expect(await anchor.work()).toBe(false);
    time.now += 60_000;
    await done(anchor);
    expect(store.outbox.final).toMatchObject({ size: 50, seq: 2 });
  });

  it('survives the end of its process between any two steps', async () => {
    const faults = ['read', 'replace-before', 'replace-after', 'send-before', 'send-after'] as const;
    for (const fault of faults) {
      for (let at = 1; at <= 4; at++) {
        let calls = 0;
        let armed = true;
        const dies = (here: (typeof faults)[number]) => {
          if (armed && here === fault && ++calls === at) {
            armed = false;
            throw new Error('killed');
          }
        };
        const kept = memory();
        const store: OutboxStore = {
          read: async () => (dies('read'), kept.read()),
          async replace(before, next) {
            dies('replace-before');
            const done = await kept.replace(before, next);
            dies('replace-after');
            return done;
          },
        };
        const dying: Fetch = async (url, init) => {
          const sends = textOf(init).includes('eth_sendRawTransaction');
          if (sends) dies('send-before');
          const response = await fetch(url, init);
          if (sends) dies('send-after');
          return response;
        };
        deployed = await deploy(anvil, ORIGIN);
        const { again } = anchorWith({ store, fetches: [dying], confirmations: 1 });
        for (let turn = 0; turn < 12 && kept.outbox.final?.size !== 20; turn++) {
          // Whatever happened before, another process goes on from what is kept.
          const anchor = again();
          await anchor.anchor(checkpoint(turn < 4 ? 10 : 20));
          await anchor.work().catch(() => undefined);
          await anvil.mine(1);
        }
        expect([fault, at, kept.outbox.final?.size]).toEqual([fault, at, 20]);
        expect((await head())?.seq).toBeLessThanOrEqual(2);
      }
    }
  });

  it('is taken back by a reorganization, and anchored again', async () => {
    const { anchor, store } = anchorWith();
    const before = await anvil.rpc('evm_snapshot');
    await anchor.anchor(checkpoint(10));
    await until(anchor, () => Boolean(store.outbox.sent?.included));
    const first = store.outbox.sent?.included?.blockHash;
    expect(first).toBeDefined();
    await anvil.rpc('evm_revert', before);
    await anvil.rpc('evm_setAutomine', false);
    await anvil.mine(2);
    await anchor.work();
    expect(store.outbox.sent).toMatchObject({ size: 10, included: null });
    await anvil.rpc('evm_setAutomine', true);
    await anvil.mine(5);
    await done(anchor);
    expect(store.outbox.final?.size).toBe(10);
    expect(store.outbox.final?.blockHash).not.toBe(first);
    expect(await head()).toMatchObject({ seq: 1, size: 10 });
  });

  it('sends a transaction that is stuck or was dropped again, dearer under the same nonce', async () => {
    const { anchor, store } = anchorWith({ confirmations: 0 });
    await anvil.rpc('evm_setAutomine', false);
    await anchor.anchor(checkpoint(10));
    await anchor.work();
    const [first] = store.outbox.sent?.attempts ?? [];
    await anvil.rpc('anvil_dropTransaction', first?.hash);
    await anchor.work();
    expect(await anvil.rpc('eth_getTransactionByHash', first?.hash)).toMatchObject({ hash: first?.hash });
    time.now += 5 * 60_000;
    await anchor.work();
    const attempts = store.outbox.sent?.attempts ?? [];
    expect(attempts).toHaveLength(2);
    expect(BigInt(attempts[1]?.fee ?? 0)).toBeGreaterThan((BigInt(first?.fee ?? 0) * 9n) / 8n);
    await anvil.mine(1);
    await done(anchor);
    expect(store.outbox.final).toMatchObject({ size: 10, hash: attempts[1]?.hash });
  });

  it('does not bid without end where the chain stands still or the account is empty, and follows a price that rose', async () => {
    const { anchor, store } = anchorWith({ confirmations: 0 });
    await anvil.rpc('evm_setAutomine', false);
    await anchor.anchor(checkpoint(10));
    const halfDay = async () => {
      for (let turn = 0; turn < 150; turn++) {
        time.now += 5 * 60_000;
        await anchor.work();
      }
    };
    await halfDay();
    const attempts = store.outbox.sent?.attempts ?? [];
    expect(attempts.length).toBeGreaterThan(5);
    expect(attempts.length).toBeLessThan(16);
    expect(Number(attempts.at(-1)?.tip)).toBeLessThanOrEqual(16e9);
    // What is asked now is more than was offered: two blocks later it would be priced out.
    const asked = BigInt(attempts.at(-1)?.fee ?? 0);
    await anvil.rpc('anvil_dropAllTransactions');
    await anvil.rpc('anvil_setNextBlockBaseFeePerGas', `0x${asked.toString(16)}`);
    await anvil.mine(1);
    time.now += 5 * 60_000;
    await anchor.work();
    expect(BigInt(store.outbox.sent?.attempts.at(-1)?.fee ?? 0)).toBeGreaterThan(asked);
    await anvil.fund(deployed.writer.address, 10n ** 20n);
    await anvil.mine(1);
    await done(anchor);
    expect(store.outbox.final?.size).toBe(10);
  });

  it('stays in its chain: nodes of another that holds the same contract are not followed there', async () => {
    const { anchor, store } = anchorWith({ confirmations: 0 });
    await anchor.anchor(checkpoint(10));
    await done(anchor);
    await anchor.anchor(checkpoint(20));
    await anvil.rpc('anvil_setChainId', 4242);
    try {
      await expect(anchor.work()).rejects.toThrow('of another chain');
      await anvil.rpc('anvil_setChainId', 31337);
      await anvil.rpc('evm_setAutomine', false);
      await anchor.work();
      const before = store.outbox.sent;
      await anvil.rpc('anvil_setChainId', 4242);
      time.now += 5 * 60_000;
      await expect(anchor.work()).rejects.toThrow('of another chain');
      expect(store.outbox.sent).toEqual(before);
    } finally {
      await anvil.rpc('anvil_setChainId', 31337);
    }
    await anvil.mine(1);
    await done(anchor);
    expect(store.outbox.final).toMatchObject({ size: 20, chainId: 31337 });
  });

  it('waits for money where the account is empty', async () => {
    const { anchor, store } = anchorWith({ confirmations: 0 });
    await anvil.fund(deployed.writer.address, 0n);
    await anchor.anchor(checkpoint(10));
    await expect(anchor.work()).rejects.toThrow(/funds/i);
    await expect(anchor.work()).rejects.toThrow(/funds/i);
    await anvil.fund(deployed.writer.address);
    await done(anchor);
    expect(store.outbox.final?.size).toBe(10);
  });

  it('says what waiting does not mend: a log older than its anchor, an account that may not write', async () => {
    const { anchor } = anchorWith({ confirmations: 0 });
    await anchor.anchor(checkpoint(10));
    await done(anchor);
    const older = anchorWith();
    await older.anchor.anchor(checkpoint(9));
    await expect(older.anchor.work()).rejects.toThrow('the log is older than its anchor');
    const stranger = accountOf(newAccountKey());
    await anvil.fund(stranger.address);
    const other = anchorWith({ account: stranger });
    await other.anchor.anchor(checkpoint(11));
    await expect(other.anchor.work()).rejects.toThrow('from another account');
    const nowhere = anchorWith({ contract: stranger.address });
    await nowhere.anchor.anchor(checkpoint(11));
    await expect(nowhere.anchor.work()).rejects.toThrow('no ConsentAnchor');
  });

  it('does not believe one of two nodes', async () => {
    // It takes transactions, keeps them to itself and makes up receipts and blocks.
    const made = new Map<string, object>();
    const liar: Fetch = async (url, init) => {
      const { method, params } = JSON.parse(textOf(init)) as { method: string; params: string[] };
      const response = await fetch(url, init);
      if (method !== 'eth_getTransactionReceipt') return response;
      const answer = (await response.json()) as { result: object | null };
      const result = answer.result ?? made.get(params[0] ?? '') ?? { status: '0x1', blockNumber: '0x1', blockHash: `0x${'1'.repeat(64)}`, logs: [] };
      return Response.json({ ...answer, result });
    };
    await anvil.rpc('evm_setAutomine', false);
    const { anchor, store } = anchorWith({ fetches: [fetch, liar], confirmations: 0 });
    await anchor.anchor(checkpoint(10));
    await anchor.work();
    await expect(anchor.work()).rejects.toThrow('answer eth_getTransactionReceipt differently');
    expect(store.outbox.final).toBeNull();
    await anvil.mine(1);
    await done(anchor);
    expect(store.outbox.final?.size).toBe(10);
  });
});

describe('the contract', () => {
  const anchorAs = (account: Deployed['writer'], seq: number, size: number) =>
    anvil.act(account, deployed.contract, anchorCall({ logId: deployed.logId, seq, size, root: rootOf(size) }));

  it('is the one that was committed', () => {
    expect(JSON.parse(compiledContract())).toEqual(JSON.parse(committedContract()));
  });

  it('takes larger trees in order from the writer, and nothing else from anybody', async () => {
    const { admin, writer } = deployed;
    const status = async (account: Deployed['writer'], seq: number, size: number) => (await anchorAs(account, seq, size)).status;
    let [seq, size] = [0, 0];
    // A walk that a seed decides: whoever calls with whatever, the head moves exactly when the rules say so.
    let seed = 7;
    const below = (n: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % n;
    for (let i = 0; i < 120; i++) {
      const account = [writer, writer, writer, admin][below(4)] ?? writer;
      const [nextSeq, nextSize] = [seq + below(3), size + below(5) - 1];
      const allowed = account === writer && nextSeq === seq + 1 && nextSize > size;
      expect([i, await status(account, nextSeq, Math.max(nextSize, 0))]).toEqual([i, allowed ? '0x1' : '0x0']);
      if (allowed) [seq, size] = [nextSeq, nextSize];
      expect(await head()).toMatchObject({ seq, size });
    }
    expect(seq).toBeGreaterThan(5);
  });

  it('hands the writing over only after the delay, to who holds the key, and ends it for ever', async () => {
    const { admin, writer, contract, logId } = deployed;
    const next = accountOf(newAccountKey());
    await anvil.fund(next.address);
    const calls = createContract(contractJson.abi as never) as unknown as Readonly<Record<string, { encodeInput(input: unknown): Uint8Array }>>;
    const call = async (account: Deployed['writer'], name: string, input: unknown) =>
      (await anvil.act(account, contract, `0x${Buffer.from(calls[name]?.encodeInput(input) ?? []).toString('hex')}`)).status;
    const id = new Uint8Array(Buffer.from(logId.slice(2), 'hex'));
    const proposal = { logId: id, writer: next.address };
    expect(await call(writer, 'proposeWriter', proposal)).toBe('0x0');
    expect(await call(admin, 'proposeWriter', proposal)).toBe('0x1');
    expect(await call(next, 'acceptWriter', id)).toBe('0x0');
    expect(await call(admin, 'cancelRotation', id)).toBe('0x1');
    await anvil.rpc('evm_increaseTime', 3601);
    expect(await call(next, 'acceptWriter', id)).toBe('0x0');
    expect(await call(admin, 'proposeWriter', proposal)).toBe('0x1');
    await anvil.rpc('evm_increaseTime', 3601);
    expect(await call(writer, 'acceptWriter', id)).toBe('0x0');
    expect((await anchorAs(writer, 1, 5)).status).toBe('0x1');
    expect(await call(next, 'acceptWriter', id)).toBe('0x1');
    expect((await anchorAs(writer, 2, 6)).status).toBe('0x0');
    expect((await anchorAs(next, 2, 6)).status).toBe('0x1');
    // A log of the same name by another admin is another log.
    expect(await call(next, 'open', { name: new Uint8Array(sha256(ORIGIN)), writer: next.address })).toBe('0x1');
    expect(await call(admin, 'open', { name: new Uint8Array(sha256(ORIGIN)), writer: admin.address })).toBe('0x0');
    expect(await call(accountOf(newAccountKey()), 'freeze', id).catch(() => 'no money')).toBe('no money');
    expect(await call(writer, 'freeze', id)).toBe('0x0');
    expect(await call(admin, 'freeze', id)).toBe('0x1');
    expect((await anchorAs(next, 3, 7)).status).toBe('0x0');
    expect(await call(admin, 'proposeWriter', proposal)).toBe('0x0');
    expect(await head()).toMatchObject({ seq: 2, size: 6 });
  });

  it('has nothing by which it could be changed, owned or paid', () => {
    const names = contractJson.abi.filter(({ type }) => type === 'function').map(({ name }) => name);
    const known = ['acceptWriter', 'admins', 'anchor', 'cancelRotation', 'freeze', 'logs', 'open', 'proposeWriter', 'rotationDelay', 'rotations'];
    expect(new Set(names)).toEqual(new Set(known));
    expect(contractJson.abi.some((item) => 'stateMutability' in item && item.stateMutability === 'payable')).toBe(false);
  });
});
