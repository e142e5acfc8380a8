/**
 * The reader thread: runs long searches, each in one snapshot, on a connection of its own. https://nodejs.org/api/worker_threads.html
 * Invariant: one answer for each read, in order; nothing is written.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { openDatabase } from './database.ts';
import { createScopeKeeper } from './kept-scopes.ts';
import type { FromReader, ToReader } from './reader.ts';
import { runLong } from './reads.ts';

if (!parentPort) throw new Error('The reader runs as a worker thread.');
const port = parentPort;
const database = openDatabase(workerData as string, 'read-only');
const readOf = createScopeKeeper();

port.on('message', (message: ToReader) => {
  if (message !== 'close') return port.postMessage(answer(message));
  database.close();
  port.close();
});

function answer({ cancelled, ...told }: Exclude<ToReader, 'close'>): FromReader {
  try {
    const read = readOf(told);
    const pace = (): void => {
      if (Atomics.load(cancelled, 0) === 1) throw new Error('Nobody waits for it.');
    };
    const result = runLong(database, read, pace, 'reader thread');
    return { kind: 'done', result };
  } catch (cause) {
    return { kind: 'failed', cause: String(cause) };
  }
}
