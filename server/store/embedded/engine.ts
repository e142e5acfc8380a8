/**
 * The embedded engine: SQLite in the data folder, one writer thread, short reads on the main thread, long ones in a reader thread. storage.md §1, §4.
 *
 * Invariants: one process at a time owns the folder; an acknowledged write is on the disk; a database of another version is refused.
 */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import { AssentError } from '../../errors.ts';
import type { Engine, WriteSet } from '../port.ts';
import { endLeases } from './apply.ts';
import { openDatabase } from './database.ts';
import { lockFolder, lockForCopy } from './lock.ts';
import { prepareDatabase, requireCurrent } from './migrations.ts';
import { requireNotMoved } from './moved.ts';
import { createReader } from './reader.ts';
import { createReads } from './reads.ts';
import { createRecordStore } from './records.ts';
import { createResourceStore } from './resources.ts';
import { createWriter, type Writer } from './writer.ts';

type Options = {
  readonly dataDir: string;
  readonly clock: Clock;
  /** 'read-only' may be opened beside a running server; it refuses every write. */
  readonly mode?: 'read-write' | 'read-only';
};

/** Throws AssentError('unavailable') with a sentence for the operator: folder in use, moved elsewhere, other version, nothing there. */
export async function createEmbeddedEngine({ dataDir, clock, mode = 'read-write' }: Options): Promise<Engine> {
  if (mode === 'read-only') return asReader(assemble({ dataDir, clock, writer: noWriter, release: () => undefined }));
  const release = lockFolder(dataDir);
  try {
    requireNotMoved(dataDir);
    await prepare(dataDir);
    const writer = await startWriter(dataDir, clock);
    return assemble({ dataDir, clock, writer, release });
  } catch (error) {
    release();
    throw error;
  }
}

type Parts = { readonly dataDir: string; readonly clock: Clock; readonly writer: Writer; readonly release: () => void };

function assemble({ dataDir, clock, writer, release }: Parts): Engine {
  const database = openDatabase(dataDir, 'read-only');
  requireCurrent(database.connection);
  const reader = createReader(dataDir);
  const reads = createReads({ database, elsewhere: reader.read });
  const end = async (): Promise<void> => {
    await writer.close();
    await reader.close();
    database.close();
    release();
  };
  let ended: Promise<void> | undefined;
  const close = (): Promise<void> => (ended ??= end());
  const resources = createResourceStore({ database, reads, writer, close });
  const alone = besideNoCopy(dataDir);
  const commit = (writes: WriteSet) =>
    writes.erase?.length || writes.redact?.length ? alone(() => resources.commit(writes)) : resources.commit(writes);
  const reindex: typeof resources.reindex = (slice, keysOf) => alone(() => resources.reindex(slice, keysOf));
  return { resources: { ...resources, commit, reindex }, records: createRecordStore({ database, writer, clock }) };
}

/** Beside a server that writes by right. */
function asReader({ records, resources: { writtenByOthers: _ours, ...resources } }: Engine): Engine {
  return { resources, records };
}

/**
 * For what leaves no version behind: whoever copies the folder while it is written to would not notice what was taken away, nor which keys were
 * made anew. Several such works of this process share the lock.
 */
function besideNoCopy(dataDir: string): <T>(work: () => Promise<T>) => Promise<T> {
  let release: (() => void) | undefined;
  let working = 0;
  return async (work) => {
    release ??= lockForCopy(dataDir);
    working++;
    try {
      return await work();
    } finally {
      if (--working === 0) {
        release();
        release = undefined;
      }
    }
  };
}

async function prepare(dataDir: string): Promise<void> {
  const database = openDatabase(dataDir, 'read-write');
  try {
    await prepareDatabase(database.connection);
    endLeases(database);
  } finally {
    database.close();
  }
}

function startWriter(dataDir: string, clock: Clock): Promise<Writer> {
  const worker = new Worker(new URL('./writer-worker.ts', import.meta.url), { workerData: dataDir, execArgv: [], name: 'writer' });
  return createWriter({ worker, clock });
}

const noWriter: Writer = {
  submit: () => Promise.reject(new AssentError('unavailable', 'The store was opened for reading only.')),
  close: () => Promise.resolve(),
};
