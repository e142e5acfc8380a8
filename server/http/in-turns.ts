/** Long work of one caller, in turns with what others ask. */
import { setImmediate } from 'node:timers/promises';

/** ms of work before others get their turn. */
const TURN_MS = 5;

export async function inTurns<T, R>(items: readonly T[], work: (item: T) => R): Promise<R[]> {
  const done: R[] = [];
  let began = performance.now();
  for (const item of items) {
    done.push(work(item));
    if (performance.now() - began < TURN_MS) continue;
    await setImmediate();
    began = performance.now();
  }
  return done;
}
