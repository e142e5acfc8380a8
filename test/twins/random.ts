/** Numbers that look random and are the same for the same seed (mulberry32), and what is drawn by them. */
export type Random = {
  /** At least 0, less than 1. */
  next(): number;
  /** 0 … below - 1. */
  below(most: number): number;
  chance(probability: number): boolean;
  one<T>(values: readonly T[]): T;
  some<T>(values: readonly T[], most: number): T[];
};

export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (most: number) => Math.floor(next() * most);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    one: (values) => values[below(values.length)] as (typeof values)[number],
    some(values, most) {
      const left = [...values];
      return Array.from({ length: Math.min(below(most + 1), left.length) }, () => left.splice(below(left.length), 1)[0] as (typeof values)[number]);
    },
  };
}
