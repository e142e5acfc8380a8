/**
 * Threads that validate large work off the event loop: started when first needed, fed slice by slice, in turn between jobs so that
 * a bundle of 25,000 entries does not hold up the next caller.
 *
 * Invariants: every job ends: with a verdict on every text, or with AssentError('unavailable') when the queue is full or a thread
 * fails. Nothing unjudged is ever taken for good.
 */
import type { AssentError } from '../errors.ts';
import { busy, startThread, type Task, type Thread, type Verdict } from './thread.ts';

export type Pool = {
  /** Issues of each text, in order. Throws AssentError('unavailable'). */
  run(texts: readonly string[], profiles?: readonly string[]): Promise<Verdict>;
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
  /** What each thread is given at its start: the packages of definitions. */
  readonly workerData?: unknown;
};

/** One slice: about 20 ms of work, little enough to take turns, enough to be worth a message. */
const SLICE_CHARACTERS = 131_072;
const SLICE_TEXTS = 100;

export function createPool({
  threads,
  capacity = 268_435_456,
  deadline = 30_000,
  script = new URL('./worker.ts', import.meta.url),
  workerData,
}: PoolOptions): Pool {
  const idle: Thread[] = [];
  const alive = new Set<Thread>();
  const jobs: Job[] = [];
  let waiting = 0;
  let closed = false;

  const forget = (thread: Thread): void => {
    alive.delete(thread);
    if (idle.includes(thread)) idle.splice(idle.indexOf(thread), 1);
  };
  const work = async (job: Job, { from, ...task }: Slice): Promise<void> => {
    const thread = idle.pop() ?? startThread({ script, deadline, workerData, onEnd: forget });
    alive.add(thread);
    try {
      const verdict = await thread.judge(task);
      idle.push(thread);
      job.accept(from, verdict);
    } catch (error) {
      job.refuse(error as AssentError);
    }
    pump();
  };
  const pump = (): void => {
    while (!closed && jobs.length > 0 && (idle.length > 0 || alive.size < threads)) {
      const job = jobs.shift() as Job;
      const slice = job.next();
      // With no slice left a job ends when those that run do.
      if (!slice) continue;
      jobs.push(job);
      void work(job, slice);
    }
  };

  return {
    async run(texts, profiles = []) {
      const characters = texts.reduce((sum, text) => sum + text.length, 0);
      if (closed || (waiting > 0 && waiting + characters > capacity)) throw busy('Too much is being validated at the moment.');
      if (texts.length === 0) return [];
      waiting += characters;
      return new Promise<Verdict>((resolve, reject) => {
        jobs.push(createJob({ texts, profiles }, resolve, reject));
        pump();
      }).finally(() => (waiting -= characters));
    },
    async close() {
      closed = true;
      for (const job of jobs) job.refuse(busy('The server is stopping.'));
      await Promise.all([...alive].map((thread) => thread.end()));
    },
  };
}

type Slice = Task & { readonly from: number };
type Job = { next(): Slice | undefined; accept(from: number, verdict: Verdict): void; refuse(error: AssentError): void };

function createJob({ texts, profiles }: Task, resolve: (verdict: Verdict) => void, reject: (error: AssentError) => void): Job {
  const verdict: Verdict[number][] = [];
  let from = 0;
  let left = texts.length;
  return {
    next() {
      if (from >= texts.length) return undefined;
      const start = from;
      let characters = 0;
      do characters += texts[from++]?.length ?? 0;
      while (from < texts.length && from - start < SLICE_TEXTS && characters + (texts[from]?.length ?? 0) <= SLICE_CHARACTERS);
      return { from: start, texts: texts.slice(start, from), profiles };
    },
    accept(start, issues) {
      issues.forEach((item, i) => {
        verdict[start + i] = item;
      });
      left -= issues.length;
      if (left === 0) resolve(verdict);
    },
    refuse(error) {
      from = texts.length;
      reject(error);
    },
  };
}
