/**
 * The writer thread: takes every batch that is waiting into one transaction, answers, then moves the write-ahead log into the database
 * where that is due. https://nodejs.org/api/worker_threads.html
 *
 * Invariant: the only connection that writes while the server runs.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Database, openDatabase } from './database.ts';
import { createGroupCommit, type TimedJob } from './group-commit.ts';
import type { Answer, FromWriter, ToWriter } from './jobs.ts';

/** Jobs in one transaction: more would make the first wait too long for its answer. */
const MOST_TOGETHER = 2_000;
/** Row changes between checkpoints; about 16 MB of write-ahead log. */
const CHANGES_PER_CHECKPOINT = 20_000;

if (!parentPort) throw new Error('The writer runs as a worker thread.');
const port = parentPort;
const database = openDatabase(workerData as string, 'read-write');
const groupCommit = createGroupCommit(database);
const checkpointWhenDue = checkpointer(database);
let erased = false;
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
    const answers = groupCommit(jobs);
    erased ||= jobs.some(isErasure);
    // The write-ahead log still holds pages as they were: an erasure is answered when they are gone too, or else this is tried again.
    if (erased) erased = !emptyLog(database);
    answer(answers);
    checkpointWhenDue(answers.some(isRefusedWrite));
  }
  if (message === 'close') close();
});
answer('ready');

function close(): void {
  checkpoint(database, 'TRUNCATE');
  database.close();
  port.close();
}

/** Also after a write that found no room: what is in the write-ahead log already may be moved out of its way. */
function checkpointer({ statement }: Database): (forced: boolean) => void {
  let last = 0;
  return (forced) => {
    const [changes] = statement('SELECT total_changes()').get() as unknown as [number];
    if (!forced && changes - last < CHANGES_PER_CHECKPOINT) return;
    last = changes;
    checkpoint(database, 'PASSIVE');
  };
}

/** A checkpoint that fails loses nothing: all is still in the write-ahead log, and the next one tries again. */
function checkpoint({ statement }: Database, kind: 'PASSIVE' | 'TRUNCATE'): void {
  try {
    statement(`PRAGMA wal_checkpoint(${kind})`).all();
  } catch {
    return;
  }
}

/** Whether nothing is left in it: somebody may be reading from it. */
function emptyLog({ statement }: Database): boolean {
  try {
    const row = statement('PRAGMA wal_checkpoint(TRUNCATE)').get() as unknown as readonly [busy: number];
    return row[0] === 0;
  } catch {
    return false;
  }
}

function isErasure({ job }: TimedJob): boolean {
  return job.kind === 'commit' && (job.erase.length > 0 || job.redact.length > 0);
}

function isRefusedWrite(answer: Answer): boolean {
  return typeof answer === 'object' && answer?.failed === 'unavailable';
}
