/** The only timers of the log; everything else is handed a Schedule, so that tests decide when they ring. */
import type { Schedule } from '../../ledger/batch.ts';

export const systemSchedule: Schedule = (ms, run) => {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
};
