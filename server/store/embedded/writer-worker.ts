/**
 * The writer thread: takes every batch that is waiting into one transaction, answers, then moves the write-ahead log into the database
 * where that is due. https://nodejs.org/api/worker_threads.html
 *
 * Invariant: the only connection that writes while the server runs.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Database, openDatabase } from './database.ts';
import { createGroupCommit, type TimedJob } from './group-commit.ts';
import type { FromWriter, ToWriter } from './jobs.ts';

/** Jobs in one transaction: more would make the first wait too long for its answer. */
const MOST_TOGETHER = 2_000;
/** Row changes between checkpoints; about 16 MB of write-ahead log. */
const CHANGES_PER_CHECKPOINT = 20_000;

if (!parentPort) throw new Error('The writer runs as a worker thread.');
const port = parentPort;
const database = openDatabase(workerData as string, 'read-write');
const groupCommit = createGroupCommit(database);
const checkpointWhenDue = checkpointer(database);
const answer = (message: FromWriter): void => port.postMessage(message);

port.on('message', (first: ToWriter) => {
  const jobs: TimedJob[] = [];
  let message: ToWriter | undefined = first;
  while (message !== undefined && message !== 'close') {
    const { now } = message;
    for (const job of message.jobs) jobs.push({ job, now });
    message = jobs.length < MOST_TOGETHER ? (receiveMessageOnPort(port)?.message as ToWriter | undefined) : undefined;
  }
  if (jobs.length > 0) {
    answer(groupCommit(jobs));
    checkpointWhenDue();
  }
  if (message === 'close') close();
});
answer('ready');

function close(): void {
  database.statement('PRAGMA wal_checkpoint(TRUNCATE)').all();
  database.close();
  port.close();
}

function checkpointer({ statement }: Database): () => void {
  let last = 0;
  return () => {
    const [changes = 0] = statement('SELECT total_changes()').get() as unknown as [number];
    if (changes - last < CHANGES_PER_CHECKPOINT) return;
    last = changes;
    statement('PRAGMA wal_checkpoint(PASSIVE)').all();
  };
}
