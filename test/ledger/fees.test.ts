/** Anchoring in a chain without base fees (before EIP-1559, as consortium chains are): nodes make up their gas prices, each for itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anchorCall, readHead, headCall } from '../../ledger/anchor/evm/contract.ts';
import { perform } from '../../ledger/anchor/evm/perform.ts';
import { createNodes, type Fetch } from '../../ledger/anchor/evm/rpc.ts';
import { currentFees } from '../../ledger/anchor/evm/transaction.ts';
import { sha256 } from '../../ledger/hash.ts';
import { type Anvil, deploy, type Deployed, startAnvil } from '../support/anvil.ts';

let anvil: Anvil;
let deployed: Deployed;
beforeAll(async () => {
  anvil = await startAnvil(['--hardfork', 'berlin']);
  deployed = await deploy(anvil, 'log.example');
});
afterAll(() => anvil.stop());

/** The same chain at several nodes, of which each asks so many hundredths of the price. */
const nodesAsking = (...hundredths: readonly bigint[]) => {
  const urls = hundredths.map((_, i) => `http://node-${i}.invalid/`);
  const fetches: Fetch = async (url, init) => {
    const response = await fetch(anvil.url, init);
    const { method } = JSON.parse(init.body as string) as { method: string };
    if (method !== 'eth_gasPrice') return response;
    const answer = (await response.json()) as { result: string };
    const price = (BigInt(answer.result) * (hundredths[urls.indexOf(url)] ?? 100n)) / 100n;
    return Response.json({ ...answer, result: `0x${price.toString(16)}` });
  };
  return createNodes(urls, fetches);
};
const price = async () => BigInt((await anvil.rpc('eth_gasPrice')) as string);

describe('a chain without base fees', () => {
  it('is anchored in at the dearest price where nodes differ by no more than a tenth', async () => {
    const nodes = nodesAsking(100n, 110n, 104n);
    const height = await nodes.height();
    expect(await currentFees(nodes, height)).toEqual({ fee: ((await price()) * 110n) / 100n, tip: undefined });
    const { contract, logId, writer } = deployed;
    const data = anchorCall({ logId, seq: 1, size: 7, root: sha256('root') });
    expect(await perform(nodes, writer, { to: contract, data }, sleep)).toMatchObject({ status: '0x1' });
    expect(readHead(await anvil.rpc('eth_call', { to: contract, data: headCall(logId) }, 'latest'))).toMatchObject({ size: 7 });
  });

  it('has one price where one node is asked, and none where they are further apart', async () => {
    const height = await nodesAsking(100n).height();
    expect(await currentFees(nodesAsking(100n), height)).toEqual({ fee: await price(), tip: undefined });
    for (const far of [nodesAsking(100n, 111n), nodesAsking(1_000n, 100n), nodesAsking(0n, 100n)])
      await expect(currentFees(far, height)).rejects.toThrow('more than a tenth apart');
  });
});
