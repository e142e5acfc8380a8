/**
 * Threads that validate large work off the event loop: started when first needed, fed slice by slice, in turn between jobs so that
 * a bundle of 25,000 entries does not hold up the next caller. https://nodejs.org/api/worker_threads.html
 *
 * Invariants: every job ends: with a verdict on every text, or with AssentError('unavailable') when the queue is full, a thread dies
 * or a slice takes longer than the deadline. No verdict is ever taken for a good one.
 */
import { Worker } from 'node:worker_threads';
import { AssentError, type Issue } from '../errors.ts';

export type Slice = { readonly texts: readonly string[] };
/** Issues of each text of a slice, in order. */
export type Verdict = readonly (readonly Issue[])[];

export type Pool = {
  /** Throws AssentError('unavailable'). */
  run(texts: readonly string[]): Promise<Verdict>;
  /** Ends the threads; jobs not done are refused. */
  close(): Promise<void>;
};

export type PoolOptions = {
  readonly threads: number;
  /** Most characters waiting or running; a single job is taken whatever its size when nothing else waits. */
  readonly capacity?: number;
  /** Longest that one slice may take, ms. */
  readonly deadline?: number;
  readonly script?: URL;
};

type Job = {
  readonly slices: Generator<{ readonly from: number; readonly texts: readonly string[] }>;
  readonly verdict: (readonly Issue[])[];
  readonly characters: number;
  open: number;
  left: number;
  readonly done: (error?: AssentError) => void;
};
type Thread = { readonly worker: Worker; end: ((answer: Verdict | undefined) => void) | undefined };

/** One slice: about 20 ms of work, little enough to take turns, enough to be worth a message. */
const SLICE_CHARACTERS = 131_072;
const SLICE_TEXTS = 100;
/** Megabytes of old space a thread may use before it dies alone instead of taking the process with it. */
const THREAD_HEAP = 1024;

export function createPool({
  threads,
  capacity = 268_435_456,
  deadline = 30_000,
  script = new URL('./worker.ts', import.meta.url),
}: PoolOptions): Pool {
  const idle: Thread[] = [];
  const all = new Set<Thread>();
  const jobs: Job[] = [];
  let waiting = 0;
  let closed = false;

  const start = (): Thread => {
    const worker = new Worker(script, { resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP } });
    const thread: Thread = { worker, end: undefined };
    all.add(thread);
    worker.on('message', (verdict: Verdict) => thread.end?.(verdict));
    // An error is always followed by exit; without a listener it would end the process.
    worker.on('error', () => undefined);
    worker.on('exit', () => {
      all.delete(thread);
      const at = idle.indexOf(thread);
      if (at !== -1) idle.splice(at, 1);
      thread.end?.(undefined);
      pump();
    });
    return thread;
  };

  const finish = (job: Job, error?: AssentError): void => {
    const at = jobs.indexOf(job);
    if (at !== -1) jobs.splice(at, 1);
    waiting -= job.characters;
    job.done(error);
  };

  const give = (thread: Thread, job: Job, { from, texts }: { from: number; texts: readonly string[] }): void => {
    const timer = setTimeout(() => void thread.worker.terminate(), deadline);
    job.open++;
    thread.worker.ref();
    thread.end = (answer) => {
      thread.end = undefined;
      clearTimeout(timer);
      job.open--;
      if (answer?.length === texts.length) {
        thread.worker.unref();
        idle.push(thread);
        answer.forEach((issues, i) => (job.verdict[from + i] = issues));
        job.left -= texts.length;
        if (job.left === 0) finish(job);
      } else if (job.left > 0) {
        job.left = 0;
        void job.slices.return(undefined);
        finish(job, busy('Validation was interrupted; nothing was stored.'));
      }
      pump();
    };
    thread.worker.postMessage({ texts } satisfies Slice);
  };

  const pump = (): void => {
    while (!closed && jobs.length > 0 && (idle.length > 0 || all.size < threads)) {
      const job = jobs.shift() as Job;
      const next = job.slices.next();
      // Its last slices are running; it ends with them.
      if (next.done) continue;
      jobs.push(job);
      give(idle.pop() ?? start(), job, next.value);
    }
  };

  return {
    run(texts) {
      const characters = texts.reduce((sum, text) => sum + text.length, 0);
      if (closed || (waiting > 0 && waiting + characters > capacity)) return Promise.reject(busy('Too much is being validated at the moment.'));
      if (texts.length === 0) return Promise.resolve([]);
      return new Promise((resolve, reject) => {
        const verdict: (readonly Issue[])[] = [];
        const done = (error?: AssentError): void => (error ? reject(error) : resolve(verdict));
        waiting += characters;
        jobs.push({ slices: slice(texts), verdict, characters, open: 0, left: texts.length, done });
        pump();
      });
    },
    async close() {
      closed = true;
      for (const job of [...jobs]) if (job.open === 0) finish(job, busy('The server is stopping.'));
      await Promise.all([...all].map(({ worker }) => worker.terminate()));
    },
  };
}

function busy(diagnostics: string): AssentError {
  return new AssentError('unavailable', diagnostics, { retryAfter: 5 });
}

function* slice(texts: readonly string[]): Generator<{ from: number; texts: readonly string[] }> {
  for (let from = 0; from < texts.length; ) {
    let to = from;
    let characters = 0;
    while (to < texts.length && to - from < SLICE_TEXTS && (to === from || characters + (texts[to]?.length ?? 0) <= SLICE_CHARACTERS))
      characters += texts[to++]?.length ?? 0;
    yield { from, texts: texts.slice(from, to) };
    from = to;
  }
}
