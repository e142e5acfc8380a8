/**
 * Work with somebody outside that is tried again and again. ledger.md §5
 * Invariant: nothing waits for it; what is wrong with it is said once, and again only after it was well or is wrong otherwise.
 */
import type { Schedule } from '../../ledger/batch.ts';
import { AssentError } from '../errors.ts';

export type Repeated = { start(): void; stop(): Promise<void> };

export type RepeatedDependencies = { readonly schedule: Schedule; readonly report: (fault: unknown) => void };

type Work = {
  /** Resolves with the ms until the next time. */
  readonly once: () => Promise<number>;
  /** After a failure. */
  readonly retryMs: number;
  /** What a failure is called in the server’s log: others’ words may say what ours must not. */
  readonly sentenceOf: (fault: unknown) => string;
};

export function createRepeated({ once, retryMs, sentenceOf }: Work, { schedule, report }: RepeatedDependencies): Repeated {
  let cancel: (() => void) | undefined;
  let running: Promise<void> | undefined;
  let stopped = false;
  let said: string | undefined;
  const attempt = async (): Promise<void> => {
    let next = retryMs;
    try {
      next = await once();
      said = undefined;
    } catch (fault) {
      const sentence = sentenceOf(fault);
      if (sentence !== said) report(new AssentError('unavailable', sentence));
      said = sentence;
    }
    if (!stopped) cancel = schedule(next, run);
  };
  const run = (): void => {
    running = attempt();
  };
  return {
    start: run,
    async stop() {
      stopped = true;
      cancel?.();
      await running;
    },
  };
}
