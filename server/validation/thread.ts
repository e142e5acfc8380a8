/**
 * One thread of the validation pool and the protocol it speaks: a slice of texts there, a verdict on each back.
 * https://nodejs.org/api/worker_threads.html
 *
 * Invariant: `judge` always settles: with a verdict on every text or with AssentError('unavailable').
 */
import { Worker } from 'node:worker_threads';
import { AssentError, type Issue } from '../errors.ts';

/** Texts to judge, and profiles each of them must meet besides those it claims. */
export type Task = { readonly texts: readonly string[]; readonly profiles: readonly string[] };

/** Issues of each text, in order. */
export type Verdict = readonly (readonly Issue[])[];

export type Thread = {
  /** One slice at a time. Throws AssentError('unavailable') when the thread dies, answers nonsense or passes the deadline; it is over then. */
  judge(task: Task): Promise<Verdict>;
  end(): Promise<unknown>;
};

/** Megabytes of old space a thread may use before it dies alone instead of taking the process with it. */
const THREAD_HEAP = 1024;

type Start = { readonly script: URL; readonly deadline: number; readonly workerData: unknown; readonly onEnd: (thread: Thread) => void };

export function startThread({ script, deadline, workerData, onEnd }: Start): Thread {
  const worker = new Worker(script, { workerData, resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP } });
  let settle: ((answer: Verdict | undefined) => void) | undefined;
  const thread: Thread = {
    judge: (task) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => void worker.terminate(), deadline);
        worker.ref();
        settle = (answer) => {
          settle = undefined;
          clearTimeout(timer);
          // An idle thread does not keep the process alive.
          worker.unref();
          if (answer?.length === task.texts.length) return resolve(answer);
          void worker.terminate();
          reject(busy('Validation was interrupted; nothing was stored.'));
        };
        worker.postMessage(task);
      }),
    end: () => worker.terminate(),
  };
  worker.on('message', (answer: Verdict) => settle?.(answer));
  // An error is always followed by exit; without a listener it would end the process.
  worker.on('error', () => undefined);
  worker.on('exit', () => {
    onEnd(thread);
    settle?.(undefined);
  });
  return thread;
}

export function busy(diagnostics: string): AssentError {
  return new AssentError('unavailable', diagnostics, { retryAfter: 5 });
}
