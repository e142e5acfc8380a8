/** The only reader of the wall clock: everything else is handed a Clock, so that tests decide what time it is. */
export type Clock = () => number;

/** Milliseconds since 1970-01-01T00:00Z. */
export const systemClock: Clock = () => Date.now();
