/** A real EVM node on loopback, with a contract and an account of its own. https://getfoundry.sh/anvil */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deployAnchor, openLogAt, perform, type Receipt } from '../../ledger/anchor/evm/perform.ts';
import { createNodes, hex } from '../../ledger/anchor/evm/rpc.ts';
import { type Account, accountOf, newAccountKey } from '../../ledger/anchor/evm/transaction.ts';
import { freePort } from './ports.ts';
import { sha256 } from '../../ledger/hash.ts';

export type Anvil = {
  readonly url: string;
  rpc(method: string, ...params: readonly unknown[]): Promise<unknown>;
  mine(blocks: number): Promise<void>;
  fund(address: string, wei?: bigint): Promise<void>;
  /** Sends what is signed and waits for its receipt. */
  act(account: Account, to: string | undefined, data: string): Promise<Receipt>;
  stop(): Promise<void>;
};

const ETHER = 10n ** 18n;

/** `options`: of its command line. */
export async function startAnvil(options: readonly string[] = []): Promise<Anvil> {
  const port = await freePort();
  const bin = join(dirname(createRequire(import.meta.url).resolve('@foundry-rs/anvil/package.json')), 'bin.mjs');
  const child: ChildProcess = spawn(process.execPath, [bin, '--port', String(port), '--host', '127.0.0.1', '--silent', ...options], {
    stdio: 'ignore',
    detached: true,
  });
  // The package starts the node as a child of its own: the whole group ends.
  const kill = (): void => void (child.pid !== undefined && child.exitCode === null && process.kill(-child.pid, 'SIGKILL'));
  process.once('exit', kill);
  const url = `http://127.0.0.1:${port}`;
  const rpc = async (method: string, ...params: readonly unknown[]): Promise<unknown> => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const answer = (await (await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).json()) as {
      result?: unknown;
      error?: { message: string };
    };
    if (answer.error) throw new Error(answer.error.message);
    return answer.result;
  };
  await until('an EVM node', () => rpc('eth_chainId').then(Boolean, () => false));
  const nodes = createNodes([url], fetch);
  return {
    url,
    rpc,
    mine: async (blocks) => void (await rpc('anvil_mine', hex(blocks))),
    fund: async (address, wei = ETHER) => void (await rpc('anvil_setBalance', address, `0x${wei.toString(16)}`)),
    act: (account, to, data) => perform(nodes, account, { to, data }, sleep),
    async stop() {
      const ended = once(child, 'exit');
      kill();
      await ended;
      process.off('exit', kill);
    },
  };
}

async function until(what: string, held: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await held())) {
    if (performance.now() > end) throw new Error(`Half a minute has passed, and still not: ${what}.`);
    await sleep(10);
  }
}

export type Deployed = { readonly contract: string; readonly logId: string; readonly admin: Account; readonly writer: Account };

/** `delay`: seconds until another writer may take over. `writerKey`: 0x and 64 hex digits. */
export async function deploy(anvil: Anvil, origin: string, delay = 3600, writerKey = newAccountKey()): Promise<Deployed> {
  const [admin, writer] = [accountOf(newAccountKey()), accountOf(writerKey)];
  for (const { address } of [admin, writer]) await anvil.fund(address);
  const acting = { nodes: createNodes([anvil.url], fetch), admin, pause: sleep };
  const contract = await deployAnchor(acting, delay);
  const logId = await openLogAt(acting, contract, { name: sha256(origin), writer: writer.address });
  return { contract, logId, admin, writer };
}
