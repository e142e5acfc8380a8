/**
 * The main thread's end of the reader thread, which is started by the first long read. Reads are answered one after the other, so that however
 * many wait, they take one processor.
 *
 * Invariant: every read is settled; one that nobody waits for any more ends at the next row it looks at. When the thread is gone, all of
 * its reads fail and the next one starts another.
 */
import { Worker } from 'node:worker_threads';
import { AssentError } from '../../errors.ts';
import type { CountResult, FindResult } from '../port.ts';
import { createScopeTeller, type ReadWithKept } from './kept-scopes.ts';
import type { LongRead, ReadElsewhere } from './reads.ts';

export type ToReader = (ReadWithKept & { readonly cancelled: Int32Array<SharedArrayBuffer> }) | 'close';
export type FromReader = { readonly kind: 'done'; readonly result: FindResult | CountResult } | { readonly kind: 'failed'; readonly cause: string };

export type Reader = { readonly read: ReadElsewhere; close(): Promise<void> };

type Pending = { readonly resolve: (result: never) => void; readonly reject: (error: AssentError) => void };
type Thread = {
  readonly worker: Worker;
  readonly pending: Pending[];
  readonly exited: Promise<void>;
  readonly told: (read: LongRead) => ReadWithKept;
};

export function createReader(dataDir: string): Reader {
  let thread: Thread | undefined;
  let closed = false;

  function start(): Thread {
    const worker = new Worker(new URL('./reader-worker.ts', import.meta.url), { workerData: dataDir, execArgv: [], name: 'reader' });
    const exited = Promise.withResolvers<void>();
    const started: Thread = { worker, pending: [], exited: exited.promise, told: createScopeTeller() };
    const fail = (cause?: unknown): void => {
      if (thread === started) thread = undefined;
      for (const { reject } of started.pending.splice(0)) reject(new AssentError('unavailable', 'The store cannot read.', { cause }));
    };
    worker.on('message', (message: FromReader) => settle(started.pending.shift(), message));
    worker.on('error', fail);
    worker.on('exit', () => {
      fail();
      exited.resolve();
    });
    return started;
  }

  return {
    read: async (read, signal) => {
      if (closed) throw new AssentError('unavailable', 'The store is closed.');
      thread ??= start();
      const cancelled = new Int32Array(new SharedArrayBuffer(4));
      const { promise, resolve, reject } = Promise.withResolvers<never>();
      const abandon = (): void => {
        Atomics.store(cancelled, 0, 1);
        reject(new AssentError('abandoned'));
      };
      signal?.addEventListener('abort', abandon, { once: true });
      thread.pending.push({ resolve, reject });
      thread.worker.postMessage({ ...thread.told(read), cancelled } satisfies ToReader);
      return promise.finally(() => signal?.removeEventListener('abort', abandon));
    },
    close: async () => {
      closed = true;
      thread?.worker.postMessage('close' satisfies ToReader);
      await thread?.exited;
    },
  };
}

function settle(pending: Pending | undefined, message: FromReader): void {
  if (message.kind === 'done') pending?.resolve(message.result as never);
  else pending?.reject(new AssentError('unavailable', 'The store cannot read.', { cause: new Error(message.cause) }));
}
