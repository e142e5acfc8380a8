/**
 * Whether the members of the replica set have been seen to agree for long enough that no second primary can be about.
 * https://www.mongodb.com/docs/manual/reference/replica-configuration/ (electionTimeoutMillis)
 *
 * Invariant: `isSettled` turns false before another member can be elected: heartbeats notice a lost member within four seconds, an election
 * takes ten. A set of one member has no other.
 */
import type { MongoClient, TopologyDescription } from 'mongodb';

export type Topology = { isSettled(): boolean };

const SETTLES_MS = 15_000;

export function watchTopology(client: MongoClient): Topology {
  let unsettled = true;
  let alone = false;
  let changed = performance.now();
  client.on('topologyDescriptionChanged', ({ previousDescription, newDescription }) => {
    if (shapeOf(previousDescription) !== shapeOf(newDescription)) changed = performance.now();
    const members = [...newDescription.servers.values()];
    // Behind a router the members cannot be seen.
    unsettled = members.some(({ type }) => type === 'Unknown' || type === 'PossiblePrimary' || type === 'Mongos');
    // A direct connection shows one member of a set that may have more: the member itself says how many. What the others do cannot be seen.
    alone = members.length === 1 && (members[0]?.hosts.length ?? 0) <= 1;
    if (members.length === 1 && !alone) unsettled = true;
  });
  return { isSettled: () => !unsettled && (alone || performance.now() - changed > SETTLES_MS) };
}

function shapeOf({ servers }: TopologyDescription): string {
  return JSON.stringify([...servers].map(([address, { type, electionId }]) => [address, type, electionId?.toHexString()]));
}
