/** Attacks on the contract that holds a log's anchors, in a real EVM node. ledger.md §5, §7 */
import { anchorCall } from '../../ledger/anchor/evm/contract.ts';
import { accountOf, newAccountKey } from '../../ledger/anchor/evm/transaction.ts';
import { sha256 } from '../../ledger/hash.ts';
import { type Anvil, deploy, type Deployed, startAnvil } from '../support/anvil.ts';
import type { Attack } from './attacks.ts';

const SIZE = 20;

type Try = { readonly seq: number; readonly size: number; readonly by: 'writer' | 'stranger' };

/** With an anchor of SIZE entries in the contract; in the node’s own words, since the contract says nothing but no. */
function inContract(name: string, { seq, size, by }: Try): Attack {
  return {
    name,
    powers: by === 'writer' ? 'everything, the log’s key included' : 'an account on the chain',
    noticedBy: 'the contract, at once',
    async run() {
      const anvil = await startAnvil();
      try {
        const deployed = await deploy(anvil, 'log.example');
        if (!(await accepted(anvil, deployed, { seq: 1, size: SIZE, by: 'writer' }))) throw new Error('The contract takes nothing at all.');
        return (await accepted(anvil, deployed, { seq, size, by })) ? '' : 'reverted';
      } finally {
        await anvil.stop();
      }
    },
  };
}

async function accepted(anvil: Anvil, { contract, logId, writer }: Deployed, { seq, size, by }: Try): Promise<boolean> {
  const account = by === 'writer' ? writer : accountOf(newAccountKey());
  await anvil.fund(account.address);
  const { status } = await anvil.act(account, contract, anchorCall({ logId, seq, size, root: sha256(`root of ${size}`) }));
  return status === '0x1';
}

export const onChain: readonly Attack[] = [
  inContract('an older size is anchored', { seq: 2, size: SIZE - 1, by: 'writer' }),
  inContract('another root of the same size is anchored', { seq: 2, size: SIZE, by: 'writer' }),
  inContract('an anchor is sent a second time', { seq: 1, size: SIZE + 1, by: 'writer' }),
  inContract('an anchor comes from another address', { seq: 2, size: SIZE + 1, by: 'stranger' }),
];
