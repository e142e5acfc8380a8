/**
 * What the time of an answer tells. One that shows nothing may have taken its time because of what is hidden, so it leaves at a whole multiple of a
 * quantum after its request came, whatever was done in between: whoever times it learns which multiple. Askarov, Zhang, Myers, "Predictive
 * black-box mitigation of timing channels", CCS 2010; docs/adr/0061-a-miss-leaves-on-a-grid.md.
 *
 * Invariants: an answer is held if anything that was asked of a Gate for its request showed nothing (enforce/untold.ts), whatever the path, and no
 * other one; what is held is worked on no more, and leaves less than a quantum after it was made. What its caller may read of it later has a time of
 * its own: that an event of it is recorded at, at a multiple too (`moment`), and that a job is done at (`during`).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

/** A monotonic clock in ms with fractions, and what waits by it. */
export type Waiting = {
  readonly now: () => number;
  /** Resolves up to a millisecond too late: timers count in whole ones, from whenever the loop last went to sleep. */
  readonly sleep: (ms: number) => Promise<unknown>;
  /** Resolves when everything else had its turn. */
  readonly turn: () => Promise<unknown>;
};

export const systemWaiting: Waiting = { now: () => performance.now(), sleep: (ms) => setTimeout(ms), turn: () => setImmediate() };

export type Held = {
  /** The answer to the request that is being worked on here waits for its time. Outside of a request: nothing. */
  readonly untold: () => void;
  /** Resolves when what came of this request may be recorded: at once, or where it is untold at a whole multiple of half a quantum. */
  readonly moment: () => Promise<void>;
  /** Work of no request, as if it were one that came now: it ends when its answer would leave. */
  readonly during: <T>(work: () => Promise<T>) => Promise<T>;
  /** For the composition root, before any other hook: the time of a request counts from here. */
  install(app: FastifyInstance): void;
};

type Asked = { readonly came: number; untold: boolean };

/** `quantum` in ms; 0: no answer is held. */
export function createHeld(quantum: number, waiting: Waiting): Held {
  const working = new AsyncLocalStorage<Asked>();
  const asked = new WeakMap<object, Asked>();
  const begin = (): Asked => ({ came: waiting.now(), untold: false });
  const atNext = async (step: number, it: Asked | undefined): Promise<void> => {
    if (it?.untold) await untilNext(step, it.came, waiting);
  };
  return {
    untold() {
      const request = working.getStore();
      if (request) request.untold = true;
    },
    moment: () => atNext(quantum / 2, working.getStore()),
    async during(work) {
      if (quantum === 0) return work();
      const it = begin();
      try {
        return await working.run(it, work);
      } finally {
        await atNext(quantum, it);
      }
    },
    install(app) {
      if (quantum === 0) return;
      app.addHook('onRequest', (request, _reply, done) => {
        const it = begin();
        asked.set(request, it);
        working.run(it, done);
      });
      app.addHook('onSend', async (request, _reply, payload) => {
        await atNext(quantum, asked.get(request));
        return payload;
      });
    },
  };
}

/**
 * Resolves at the next multiple. A timer alone would tell what it hides: it fires whole milliseconds after the loop went to sleep, which is when the
 * work ended. So it is set to fire before the time, and the rest is waited for awake, in turns with everything else: idle time of the loop, and no other.
 */
async function untilNext(quantum: number, came: number, { now, sleep, turn }: Waiting): Promise<void> {
  const due = came + (Math.floor((now() - came) / quantum) + 1) * quantum;
  const most = Math.floor(due - now() - 1);
  if (most > 0) await sleep(most);
  while (now() < due) await turn();
}
