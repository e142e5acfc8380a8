/** What a copy says while it works, on stderr: stdout is for its result. */
import { systemClock } from '../../clock.ts';

const PROGRESS_MS = 1000;

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Says at most one line a second. */
export function createProgress(): (line: () => string) => void {
  let said = systemClock();
  return (line) => {
    if (systemClock() - said < PROGRESS_MS) return;
    said = systemClock();
    say(line());
  };
}
