/** The job runner over records: one process runs a job, a killed one's job goes on, owners alone see, results are whole or not there. */
import { afterEach, describe, expect, it } from 'vitest';
import { AssentError } from '../../server/errors.ts';
import type { Job, JobContext, JobHandler } from '../../server/jobs/job.ts';
import { createJobs, type Jobs } from '../../server/jobs/jobs.ts';
import { createMemoryRecords } from '../support/memory-records.ts';

const MINUTE = 60_000;
const OWNER = 'alice';

/** Time and timers in the test's hand, for any number of processes on one set of records. */
function createWorld() {
  let now = Date.UTC(2026, 0, 1);
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  const { records } = createMemoryRecords(() => now);
  const processes: Jobs[] = [];
  const faults: unknown[] = [];
  /** Everything that is ready to happen has happened. */
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    records,
    faults,
    settle,
    start(handlers: Readonly<Record<string, JobHandler>>, { alone = false, atOnce = 2, dead = (): boolean => false } = {}): Jobs {
      const jobs = createJobs({
        records: {
          ...records,
          // A process that was killed writes nothing any more.
          put: async (...given) => (dead() ? new Promise<never>(() => undefined) : records.put(...given)),
        },
        clock: () => now,
        schedule: (ms, run) => {
          const timer = { at: now + ms, run: () => (dead() ? undefined : run()) };
          timers.add(timer);
          return () => void timers.delete(timer);
        },
        alone,
        limits: { atOnce, keepMs: 60 * MINUTE, resultBytes: 10_000_000, perOwner: 5 },
        report: (fault) => void faults.push(fault),
      });
      for (const [kind, handler] of Object.entries(handlers)) jobs.handle(kind, handler);
      jobs.start();
      processes.push(jobs);
      return jobs;
    },
    async pass(ms: number): Promise<void> {
      for (const until = now + ms; now < until; ) {
        now = Math.min(until, now + 1_000);
        for (const timer of [...timers].filter(({ at }) => at <= now)) {
          timers.delete(timer);
          timer.run();
        }
        await settle();
      }
    },
    stop: () => Promise.all(processes.map((jobs) => jobs.stop())),
  };
}

let world = createWorld();
afterEach(() => {
  world = createWorld();
});

const submit = (jobs: Jobs, kind: string, input: Job['result'] = null) => jobs.submit({ kind, owner: OWNER, input: input ?? null });

/** A handler that waits until it is let go. */
function held() {
  const runs: JobContext[] = [];
  const waiting: PromiseWithResolvers<void>[] = [];
  const handler: JobHandler = {
    async run(_input, context) {
      runs.push(context);
      const gate = Promise.withResolvers<void>();
      waiting.push(gate);
      context.cancelled.addEventListener('abort', () => gate.reject(context.cancelled.reason));
      await gate.promise;
      return { runs: runs.length };
    },
  };
  return { handler, runs, release: () => waiting.forEach(({ resolve }) => resolve()) };
}

describe('a job', () => {
  it('is done with its result and its texts, for its owner alone, until they go', async () => {
    const jobs = world.start({
      sum: {
        async run(input, { write }) {
          await write('words', 'first ');
          await write('words', 'second');
          return (input as number[]).reduce((a, b) => a + b);
        },
      },
    });
    const id = await submit(jobs, 'sum', [1, 2, 3]);
    await world.settle();
    const job = await jobs.find(id, OWNER);
    expect(job).toMatchObject({ state: 'done', result: 6 });
    expect(await jobs.read(job as Job, 'words')).toBe('first second');
    expect(await jobs.find(id, 'mallory')).toBeUndefined();
    expect(await jobs.cancel(id, 'mallory')).toBe(false);
    expect(await world.records.list('job-input')).toEqual([]);
    await world.pass(61 * MINUTE);
    expect(await jobs.find(id, OWNER)).toBeUndefined();
    expect(await jobs.read(job as Job, 'words')).toBeUndefined();
    await world.stop();
  });

  it('fails with what its handler says, and with nothing of what it does not mean to say', async () => {
    const failing = (error: Error): JobHandler => ({ run: () => Promise.reject(error) });
    const jobs = world.start({ known: failing(new AssentError('too-costly', 'Too much.')), unknown: failing(new Error('Patient/secret')) });
    const [known, unknown] = [await submit(jobs, 'known'), await submit(jobs, 'unknown')];
    await world.settle();
    expect(await jobs.find(known, OWNER)).toMatchObject({ state: 'failed', fault: { code: 'too-costly', issues: [{ diagnostics: 'Too much.' }] } });
    expect(await jobs.find(unknown, OWNER)).toMatchObject({ state: 'failed', fault: { code: 'internal', issues: [] } });
    expect(JSON.stringify(await world.records.list('job'))).not.toContain('secret');
    await world.stop();
  });

  it('is tried again where the server could not, and given up where every run ends the process', async () => {
    let unavailable = 2;
    const jobs = world.start({
      shaky: { run: () => (unavailable-- > 0 ? Promise.reject(new AssentError('unavailable')) : Promise.resolve('done')) },
    });
    const id = await submit(jobs, 'shaky');
    await world.pass(20_000);
    expect(await jobs.find(id, OWNER)).toMatchObject({ state: 'done', result: 'done' });
    unavailable = 1_000;
    const lost = await submit(jobs, 'shaky');
    await world.pass(60_000);
    expect(await jobs.find(lost, OWNER)).toMatchObject({ state: 'failed' });
    await world.stop();
  });

  it('is one of so many at once, and an owner has only so many', async () => {
    const { handler, runs, release } = held();
    const jobs = world.start({ wait: handler }, { atOnce: 2 });
    for (let i = 0; i < 5; i++) await submit(jobs, 'wait');
    await world.settle();
    expect(runs).toHaveLength(2);
    await expect(submit(jobs, 'wait')).rejects.toMatchObject({ code: 'rate-limited' });
    release();
    await world.settle();
    expect(runs).toHaveLength(4);
    release();
    await world.pass(2_000);
    release();
    await world.pass(2_000);
    expect(await world.records.list('job', { lookup: 'open' })).toEqual([]);
    await world.stop();
  });

  it('that is cancelled is told so, leaves nothing and is not there any more', async () => {
    const { handler, runs } = held();
    const jobs = world.start({ wait: handler });
    const id = await submit(jobs, 'wait', 'what was asked');
    await world.settle();
    expect(await jobs.cancel(id, OWNER)).toBe(true);
    expect(runs[0]?.cancelled.aborted).toBe(true);
    await world.settle();
    expect(await jobs.find(id, OWNER)).toBeUndefined();
    expect(await world.records.list('job-input')).toEqual([]);
    expect(world.faults).toEqual([]);
    await world.stop();
  });

  it('cancelled through another process ends with the next heartbeat', async () => {
    const { handler, runs } = held();
    const first = world.start({ wait: handler });
    const id = await submit(first, 'wait');
    await world.settle();
    const second = world.start({});
    await second.cancel(id, OWNER);
    await world.pass(6_000);
    expect(runs[0]?.cancelled.aborted).toBe(true);
    await world.stop();
  });

  it('does not run, nor run on, when its handler may not', async () => {
    const { handler, runs } = held();
    let may = true;
    const jobs = world.start({ wait: { ...handler, mayRun: async () => may } });
    const id = await submit(jobs, 'wait');
    await world.settle();
    expect(runs).toHaveLength(1);
    may = false;
    await world.pass(6_000);
    expect(await jobs.find(id, OWNER)).toMatchObject({ state: 'failed', fault: { code: 'forbidden' } });
    const never = await submit(jobs, 'wait');
    await world.settle();
    expect(runs).toHaveLength(1);
    expect(await jobs.find(never, OWNER)).toMatchObject({ state: 'failed', fault: { code: 'forbidden' } });
    await world.stop();
  });

  it('keeps no result beyond the size limit', async () => {
    const jobs = world.start({
      long: {
        async run(_input, { write }) {
          for (;;) await write('text', 'x'.repeat(1_000_000));
        },
      },
    });
    const id = await submit(jobs, 'long');
    await world.settle();
    expect(await jobs.find(id, OWNER)).toMatchObject({ state: 'failed', fault: { code: 'too-costly' }, files: {} });
    await world.stop();
  });

  it('has a long text whole, in chunks', async () => {
    const text = 'ä'.repeat(4_500_000);
    const jobs = world.start({ long: { run: async (_input, { write }) => (await write('text', text), null) } });
    const id = await submit(jobs, 'long');
    await world.settle();
    const job = (await jobs.find(id, OWNER)) as Job;
    expect((await jobs.read(job, 'text')) === text).toBe(true);
    expect(job.files['text']).toHaveLength(3);
    await jobs.dropResults();
    expect(await jobs.read(job, 'text')).toBeUndefined();
    await world.stop();
  });
});

describe('of several processes', () => {
  it('one runs a job, however long it takes', async () => {
    const { handler, runs, release } = held();
    const first = world.start({ wait: handler });
    world.start({ wait: handler });
    const id = await submit(first, 'wait');
    await world.pass(5 * MINUTE);
    expect(runs).toHaveLength(1);
    release();
    await world.settle();
    expect(await first.find(id, OWNER)).toMatchObject({ state: 'done' });
    await world.stop();
  });

  /** Counts to five, and saves each step. */
  const counting = (steps: number[], stall: (step: number) => boolean): JobHandler => ({
    async run(_input, { checkpoint, save, write }) {
      for (let step = Number(checkpoint ?? 0) + 1; step <= 5; step++) {
        steps.push(step);
        await write('steps', `${step} `);
        if (stall(step)) await new Promise(() => undefined);
        await save(step, `${step} of 5`);
      }
      return 'counted';
    },
  });

  it('another goes on from the last checkpoint where one was killed, and what the dead one wrote since is not there', async () => {
    const steps: number[] = [];
    let killed = false;
    const first = world.start({ count: counting(steps, (step) => (killed ||= step === 3)) }, { dead: () => killed });
    const id = await submit(first, 'count');
    await world.settle();
    expect(steps).toEqual([1, 2, 3]);
    const second = world.start({ count: counting(steps, () => false) });
    await world.pass(10_000);
    expect(await second.find(id, OWNER)).toMatchObject({ state: 'running', progress: '2 of 5' });
    await world.pass(10_000);
    const job = (await second.find(id, OWNER)) as Job;
    expect(job).toMatchObject({ state: 'done', result: 'counted' });
    expect(steps).toEqual([1, 2, 3, 3, 4, 5]);
    expect(await second.read(job, 'steps')).toBe('1 2 3 4 5 ');
    await second.stop();
  });

  it('one that is alone does not wait for a dead one', async () => {
    const steps: number[] = [];
    let killed = false;
    const first = world.start({ count: counting(steps, (step) => (killed ||= step === 3)) }, { dead: () => killed });
    const id = await submit(first, 'count');
    await world.settle();
    const second = world.start({ count: counting(steps, () => false) }, { alone: true });
    await world.settle();
    expect(await second.find(id, OWNER)).toMatchObject({ state: 'done' });
    await second.stop();
  });

  it('one that slept too long writes nothing to a job that was taken over', async () => {
    const slow = held();
    let asleep = false;
    const first = world.start({ wait: { run: async (input, context) => (await slow.handler.run(input, context), 'late') } }, { dead: () => asleep });
    const id = await submit(first, 'wait');
    await world.settle();
    asleep = true;
    const second = world.start({ wait: { run: async () => 'in time' } });
    await world.pass(20_000);
    asleep = false;
    slow.release();
    await world.settle();
    expect(await second.find(id, OWNER)).toMatchObject({ state: 'done', result: 'in time' });
    await world.stop();
  });

  it('one that stops leaves its job to the next', async () => {
    const { handler, runs } = held();
    const first = world.start({ wait: handler });
    const id = await submit(first, 'wait');
    await world.settle();
    await first.stop();
    expect(await first.find(id, OWNER)).toMatchObject({ state: 'queued' });
    const second = world.start({ wait: { run: async () => 'second' } });
    await world.settle();
    expect(await second.find(id, OWNER)).toMatchObject({ state: 'done', result: 'second' });
    expect(runs).toHaveLength(1);
    await second.stop();
  });
});
