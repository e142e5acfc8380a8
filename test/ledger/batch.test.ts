/** When a batch is sealed: full, old enough, or told to; never twice at once, and nothing is forgotten. */
import { describe, expect, it } from 'vitest';
import { createBatch } from '../../ledger/batch.ts';

function setUp() {
  const timers: { ms: number; run: () => void; off: boolean }[] = [];
  const seals: PromiseWithResolvers<void>[] = [];
  const batch = createBatch({
    schedule: (ms, run) => {
      const timer = { ms, run, off: false };
      timers.push(timer);
      return () => {
        timer.off = true;
      };
    },
    seal: () => {
      const seal = Promise.withResolvers<void>();
      seals.push(seal);
      return seal.promise;
    },
  });
  const armed = () => timers.filter(({ off }) => !off);
  const done = async () => {
    seals.at(-1)?.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { batch, seals, armed, timers, done };
}

describe('a batch', () => {
  it('waits 250 ms from its first entry, with one timer', () => {
    const { batch, seals, armed, timers } = setUp();
    batch.add(1);
    batch.add(100);
    expect(armed().map(({ ms }) => ms)).toEqual([250]);
    timers[0]?.run();
    expect(seals.length).toBe(1);
  });

  it('is sealed at once with 256 entries', () => {
    const { batch, seals, armed } = setUp();
    batch.add(255);
    expect(seals.length).toBe(0);
    batch.add(1);
    expect([seals.length, armed().length]).toEqual([1, 0]);
  });

  it('does not overlap itself, and takes up what came meanwhile', async () => {
    const { batch, seals, armed, done } = setUp();
    batch.add(256);
    batch.add(256);
    batch.add(3);
    expect(seals.length).toBe(1);
    await done();
    expect(seals.length).toBe(2);
    batch.add(3);
    await done();
    expect([seals.length, armed().length]).toEqual([2, 1]);
  });

  it('flushes after what is under way, and is quiet once stopped', async () => {
    const { batch, seals, armed, done } = setUp();
    batch.add(256);
    const flushed = batch.flush();
    expect(seals.length).toBe(1);
    await done();
    expect(seals.length).toBe(2);
    await done();
    await flushed;
    await batch.stop();
    batch.add(1000);
    await batch.flush();
    expect([seals.length, armed().length]).toEqual([2, 0]);
  });
});
