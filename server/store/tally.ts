/** Counts what matches and notes whom it names: whose Consents a number rests on. The same for every engine. */
import { linesOf } from './packed-check.ts';
import type { Counting, Named, Total } from './port.ts';

type Counted = { readonly total: number } & Named;

export type Tally = {
  /** What was counted elsewhere. */
  addAll(counted: Counted): void;
  /** The match's keys, packed or not. */
  add(keys: string | readonly string[] | null): void;
  count(): number;
  counted(): Counted;
  total(exact: boolean): Total;
};

/** Whether it is counted no further. */
export function isMore(tally: Tally, counting: Pick<Counting, 'most'> | undefined): boolean {
  return counting?.most !== undefined && tally.count() > counting.most;
}

/** `naming`: what follows it in a key is a name; undefined: nothing is noted. */
export function createTally(naming: string | undefined): Tally {
  const named = new Set<string>();
  let count = 0;
  const names = (): Named => (naming === undefined ? {} : { named: [...named] });
  return {
    add(keys) {
      count++;
      if (naming === undefined || keys === null) return;
      for (const key of typeof keys === 'string' ? linesOf(keys, naming) : keys) if (key.startsWith(naming)) named.add(key.slice(naming.length));
    },
    addAll(counted) {
      count += counted.total;
      for (const name of counted.named ?? []) named.add(name);
    },
    count: () => count,
    counted: () => ({ total: count, ...names() }),
    total: (exact) => ({ count, exact, ...names() }),
  };
}
