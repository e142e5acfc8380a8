/** The statistic that the stopwatch goes by: what it notices and what it does not. */
import { expect, it } from 'vitest';
import { createRandom } from '../twins/random.ts';
import { compared } from './statistic.ts';

const times = (seed: number, more: number): number[] => {
  const random = createRandom(seed);
  // Now and then the machine does something else.
  return Array.from({ length: 10_000 }, () => 1 + 0.2 * (random.next() + random.next()) + more + (random.chance(0.05) ? 10 * random.next() : 0));
};

it('finds no difference between times that come about alike', () => {
  for (const seed of [1, 2, 3, 4, 5]) expect(Math.abs(compared(times(seed, 0), times(seed + 100, 0)).t)).toBeLessThan(4.5);
});

it('finds a hundredth of a millisecond, whichever side it is on', () => {
  expect(compared(times(1, 0.01), times(2, 0)).t).toBeGreaterThan(4.5);
  expect(compared(times(1, 0), times(2, 0.01)).t).toBeLessThan(-4.5);
});

it('says nothing of a handful', () => {
  expect(() => compared([1, 2], [1, 2])).toThrow('Too few');
});
