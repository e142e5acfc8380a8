/**
 * A bound on the bodies that are worked on at once: a large one takes a multiple of its size in memory until it is answered.
 *
 * Invariant: whoever sends large bodies at once gets 503 with Retry-After for those that are too many; the server does not run out of
 * memory, and small requests go on.
 */
import { AssentError } from '../errors.ts';

/** Smaller bodies are not counted: a connection can hold no more. */
const SMALL = 1_048_576;
const RETRY_AFTER_SECONDS = 2;

export type InFlight = {
  /** From now on this request holds so many bytes. Throws unavailable when that is too much beside the others. */
  hold(request: object, bytes: number): void;
  release(request: object): void;
};

export function createInFlight(most: number): InFlight {
  const held = new Map<object, number>();
  let sum = 0;
  const release = (request: object): void => {
    sum -= held.get(request) ?? 0;
    held.delete(request);
  };
  return {
    hold(request, bytes) {
      if (bytes <= SMALL) return;
      release(request);
      // One is always worked on, however large: the limit of a single body is another one's matter.
      if (held.size > 0 && sum + bytes > most)
        throw new AssentError('unavailable', 'The server is working on as many large requests as it can hold.', { retryAfter: RETRY_AFTER_SECONDS });
      held.set(request, bytes);
      sum += bytes;
    },
    release,
  };
}
