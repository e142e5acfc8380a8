/**
 * The main thread's end of the writer thread: gathers the jobs of one tick into one message and settles them as the answers come.
 * Invariant: every job is settled; once the thread is gone all of them fail, and so does the health check.
 */
import type { Worker } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import { AssentError } from '../../errors.ts';
import type { Answer, FromWriter, Job, ToWriter } from './jobs.ts';

export type Writer = {
  /** Resolves once the job is durable. Rejects with the AssentError of a failed job, `unavailable` when the thread is gone. */
  submit<T extends number | boolean | null>(job: Job): Promise<T>;
  close(): Promise<void>;
};

type Pending = { readonly resolve: (answer: never) => void; readonly reject: (error: AssentError) => void };

/** Resolves when the thread is ready. The worker runs writer-worker.ts. */
export async function createWriter({ worker, clock }: { worker: Worker; clock: Clock }): Promise<Writer> {
  /** Sent or about to be, in order: the writer answers in order. */
  let pending: Pending[] = [];
  let jobs: Job[] = [];
  let gone: AssentError | undefined;

  const fail = (cause?: unknown): void => {
    gone ??= new AssentError('unavailable', 'The store cannot write.', { cause });
    const lost = pending;
    pending = [];
    jobs = [];
    for (const { reject } of lost) reject(gone);
  };
  const settle = (answers: readonly Answer[]): void => {
    const done = pending.splice(0, answers.length);
    answers.forEach((answer, i) => {
      const { resolve, reject } = done[i] as Pending;
      if (typeof answer === 'object' && answer !== null) reject(errorOf(answer));
      else resolve(answer as never);
    });
  };
  const flush = (): void => {
    if (jobs.length === 0) return;
    worker.postMessage({ jobs, now: clock() } satisfies ToWriter);
    jobs = [];
  };
  const ready = Promise.withResolvers<void>();
  const exited = Promise.withResolvers<void>();
  worker.on('message', (message: FromWriter) => (message === 'ready' ? ready.resolve() : settle(message)));
  worker.on('error', fail);
  worker.on('exit', () => {
    fail();
    ready.reject(gone);
    exited.resolve();
  });
  await ready.promise;

  return {
    submit: (job) => {
      if (gone) return Promise.reject(gone);
      const { promise, resolve, reject } = Promise.withResolvers<never>();
      pending.push({ resolve, reject });
      if (jobs.push(job) === 1) setImmediate(flush);
      return promise;
    },
    close: async () => {
      flush();
      if (!gone) worker.postMessage('close' satisfies ToWriter);
      await exited.promise;
    },
  };
}

function errorOf({ failed, cause }: Exclude<Answer, number | boolean | null>): AssentError {
  return new AssentError(failed, failed === 'unavailable' ? 'The store cannot write.' : undefined, { cause: new Error(cause) });
}
