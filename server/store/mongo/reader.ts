/**
 * What queries read through: one snapshot for all commands of a query, or the transaction that asks.
 * https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/
 */
import type { ClientSession, Filter, FindCursor, FindOptions } from 'mongodb';
import { COMMAND_MS, type Collections, type Connection } from './connection.ts';
import type { HistoryDocument, Mark, ResourceDocument } from './documents.ts';
import type { Trace } from '../trace.ts';
import type { Sizes } from './sizes.ts';

export type Finding = Pick<FindOptions, 'sort' | 'limit' | 'projection' | 'hint' | 'batchSize'>;

export type Reader = {
  resources(filter: Filter<ResourceDocument>, options: Finding): FindCursor<ResourceDocument>;
  history(filter: Filter<HistoryDocument>, options: Finding): FindCursor<HistoryDocument>;
  /** Sizes that were measured a moment ago. */
  readonly sizes: Sizes;
  /** How many live resources match, up to a cap; close enough to choose by, exact when nothing is being written. */
  size(filter: Filter<ResourceDocument>, cap: number): Promise<number>;
  /** Whether there is a router, which a filter can help. */
  readonly routed: boolean;
  /** Of the query that is being run, where it wants to be explained. */
  readonly trace?: Trace;
  /** Whether something is astray: then, in this snapshot; or by now. */
  isThere(mark: Mark, when: 'then' | 'now'): Promise<boolean>;
};

/** Names of the indexes that queries are forced to use. */
export const KEY_INDEX = 'k_d_id_s';

/** All commands of `work` see one moment, which is not before the call. */
export async function inSnapshot<T>(connection: Connection, work: (reader: Reader) => Promise<T>): Promise<T> {
  const session = connection.client.startSession({ snapshot: true });
  try {
    return await work(readerOf(connection, connection.inSession, session));
  } finally {
    await session.endSession();
  }
}

export function transactionReader(connection: Connection, session: ClientSession): Reader {
  return readerOf(connection, connection.inSession, session);
}

function readerOf(connection: Connection, { resources, history, astray }: Collections, session: ClientSession): Reader {
  const { database, sizes, marks, routed } = connection;
  const common = session.inTransaction() ? { session } : { session, maxTimeMS: COMMAND_MS };
  return {
    sizes,
    resources: (filter, options) => resources.find(filter, { ...common, ...options }),
    history: (filter, options) => history.find(filter, { ...common, ...options }),
    size: async (filter, cap) => {
      // The count command walks index entries alone; the helper of the driver would start an aggregation.
      const limit = Number.isFinite(cap) ? { limit: cap } : {};
      const command = { count: 'resources', query: filter, hint: KEY_INDEX, readConcern: { level: 'majority' }, maxTimeMS: COMMAND_MS, ...limit };
      return Number((await database.command(command))['n']);
    },
    routed,
    isThere: async (mark, when) => {
      if (marks.has(mark)) return true;
      const [from, options] = when === 'then' ? [astray, common] : [connection.collections.astray, { maxTimeMS: COMMAND_MS }];
      const found = await from.findOne(mark, { ...options, hint: '_id_' });
      // One of the transaction's own is not committed yet.
      if (found && !session.inTransaction()) marks.add([mark]);
      return found !== null;
    },
  };
}
