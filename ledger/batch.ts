/**
 * Decides when gathered entries are sealed: as soon as a batch is full, or when its oldest entry has waited long enough. ledger.md §2
 * Invariants: sealing never overlaps itself; entries added while sealing are not forgotten; no timer runs while nothing waits.
 */

/** Runs something once after so many milliseconds; the function returned calls it off. */
export type Schedule = (ms: number, run: () => void) => () => void;

export const BATCH_ENTRIES = 256;
const BATCH_AGE_MS = 250;

export type Batch = {
  /** Cheap enough for every commit. */
  add(count: number): void;
  /** Seals now whatever waits; resolves when nothing waits any more. */
  flush(): Promise<void>;
  /** Resolves once nothing is running; nothing will run again. */
  stop(): Promise<void>;
};

/** `seal` takes everything that waits when it is called. It must not reject. */
export function createBatch({ schedule, seal }: { readonly schedule: Schedule; readonly seal: () => Promise<void> }): Batch {
  let waiting = 0;
  let running: Promise<void> | undefined;
  let cancel: (() => void) | undefined;
  let stopped = false;

  const disarm = (): void => {
    cancel?.();
    cancel = undefined;
  };
  const arm = (): void => {
    if (!stopped && !running && waiting > 0) cancel ??= schedule(BATCH_AGE_MS, () => void run());
  };
  const run = (): Promise<void> => {
    disarm();
    waiting = 0;
    running = seal().finally(() => {
      running = undefined;
      if (waiting >= BATCH_ENTRIES && !stopped) void run();
      else arm();
    });
    return running;
  };
  return {
    add(count) {
      waiting += count;
      if (stopped || running) return;
      if (waiting >= BATCH_ENTRIES) void run();
      else arm();
    },
    async flush() {
      while (running) await running;
      if (!stopped) await run();
    },
    async stop() {
      stopped = true;
      disarm();
      while (running) await running;
    },
  };
}
