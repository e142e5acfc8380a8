/**
 * The MongoDB engine: one database on a replica set, shared by any number of server processes. storage.md §2, §4.
 *
 * Invariants: an acknowledged write is on a majority of members; a withdrawal acknowledged by one process is seen by the next read of every
 * process; a standalone mongod and a database of another version are refused.
 */
import type { Clock } from '../../clock.ts';
import type { Engine } from '../port.ts';
import { type Connection, connect } from './connection.ts';
import { createEpochReader } from './epoch.ts';
import { prepareEpochGate } from './epoch-gate.ts';
import { createCommitter } from './group-commit.ts';
import { createLog } from './log.ts';
import { createLogWatch } from './log-watch.ts';
import { prepareDatabase } from './migrations.ts';
import { patiently } from './patience.ts';
import { createRecordStore } from './records.ts';
import { createResourceStore } from './resources.ts';
import { prepareSharedGate } from './shared-gate.ts';

/**
 * `routed`: whether there is a router; as the server says, unless a test wants to see what a router would be asked. `waiting`: told each time
 * the set cannot be used yet and is tried again.
 */
type Options = { readonly uri: string; readonly clock: Clock; readonly routed?: boolean; readonly waiting?: () => void };

/** A start in the middle of an election: longer than one takes. */
const START_PATIENCE_MS = 60_000;

/** Throws AssentError('unavailable') with a sentence for the operator: not reachable, a standalone, another version. */
export async function createMongoEngine({ uri, clock, routed, waiting }: Options): Promise<Engine> {
  const connected = await patiently({ ms: START_PATIENCE_MS, ...(waiting && { waiting }) }, () => openPrepared(uri));
  const connection = routed === undefined ? connected : { ...connected, routed };
  const committer = createCommitter({ connection, clock });
  const epoch = createEpochReader(connection);
  const logWatch = createLogWatch(connection);
  const end = async (): Promise<void> => {
    await logWatch.close();
    await committer.close();
    await connection.close();
  };
  let ended: Promise<void> | undefined;
  const close = (): Promise<void> => (ended ??= end());
  return {
    resources: createResourceStore({ connection, committer, epoch, log: createLog(connection), clock, close }),
    records: createRecordStore({ connection, clock }),
    watchLog: logWatch.watch,
  };
}

/** What a lost primary cuts off is done again as a whole, over a new connection. */
async function openPrepared(uri: string): Promise<Connection> {
  const connection = await connect(uri);
  try {
    await prepareDatabase(connection);
    await prepareEpochGate(connection);
    await prepareSharedGate(connection);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}
