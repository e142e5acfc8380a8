/**
 * A round of an aggregate: what each log has signed by now, as new entries under one signed checkpoint. ledger.md §5
 * Invariants: no log waits for another beyond the time an answer may take, and none is left out for another’s fault; a checkpoint leaves this process
 * only after its round is on the disk, so no two of one size ever differ.
 */
import type { Anchor } from '../../ledger/anchor/port.ts';
import { signCheckpoint } from '../../ledger/checkpoint.ts';
import { leafHash } from '../../ledger/hash.ts';
import type { NoteSigner } from '../../ledger/note.ts';
import type { Policy } from '../../ledger/policy.ts';
import { openTree } from '../../ledger/tree.ts';
import { type Member, MemberFault, take } from './members.ts';
import type { AggregateStore, Taken } from './store.ts';

export type RoundsDependencies = {
  readonly members: readonly Member[];
  readonly policy: Policy;
  readonly store: AggregateStore;
  readonly signer: NoteSigner;
  readonly anchors: readonly Anchor[];
  readonly report: (fault: unknown) => void;
};

/** Makes one round; called again while one is under way, it joins that. */
export function createRounds(deps: RoundsDependencies): () => Promise<void> {
  const said = new Map<string, string>();
  let running: Promise<void> | undefined;
  return () =>
    (running ??= round(deps, said).finally(() => {
      running = undefined;
    }));
}

/** `said`: what was wrong with each log last, so that it is said once. */
async function round({ members, policy, store, signer, anchors, report }: RoundsDependencies, said: Map<string, string>): Promise<void> {
  const results = await Promise.allSettled(members.map((member) => take(member, policy, store.latest(member.origin))));
  for (const [i, { origin }] of members.entries()) {
    const result = results[i];
    const fault = result?.status === 'rejected' ? (result.reason as Error) : undefined;
    if (fault && !(fault instanceof MemberFault)) throw fault;
    if (fault && fault.message !== said.get(origin)) report(fault);
    if (fault) said.set(origin, fault.message);
    else said.delete(origin);
  }
  const taken = results.flatMap((result) => (result.status === 'fulfilled' && result.value ? [result.value] : []));
  if (taken.length > 0) await append(taken, { store, signer });
  const checkpoint = store.checkpoint();
  if (checkpoint) await Promise.all(anchors.map((anchor) => anchor.anchor(checkpoint)));
}

async function append(taken: readonly Taken[], { store, signer }: Pick<RoundsDependencies, 'store' | 'signer'>): Promise<void> {
  const tree = await openTree(store.checkpoint()?.size ?? 0, store.tile);
  for (const { entry } of taken) tree.append(leafHash(Buffer.from(entry)));
  const note = signCheckpoint({ origin: signer.verifierKey.name, size: tree.size, root: tree.root() }, [signer]);
  store.commit({ taken, tiles: tree.grown(), checkpoint: { size: tree.size, note } });
}
