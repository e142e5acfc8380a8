/** Makes a failing case small: nothing can be left out of what remains without the difference going away. */
import { type Bench, type Case, compare, type Difference } from './compare.ts';
import { Unsettled } from './plan.ts';
import type { Request } from './requests.ts';
import type { Planned, Step } from './world.ts';

export type Small = { readonly case: Case; readonly difference: Difference };

/** Throws where the case does not fail. `most`: worlds tried. */
export async function shrink(given: Case, bench: Bench, most = 400): Promise<Small> {
  let tried = 0;
  const fails = async (candidate: Case): Promise<Difference | undefined> => {
    tried += 1;
    if (tried > most) return undefined;
    try {
      return (await compare(candidate, bench)).difference;
    } catch (error) {
      // Without a part of it a world may not be one that can be set up: somebody acts for a patient who is not there.
      if (error instanceof Unsettled || candidate !== given) return undefined;
      throw error;
    }
  };
  const difference = await fails(given);
  if (!difference) throw new Error('This case does not fail.');
  let small: Small = { case: { ...given, requests: given.requests.slice(0, difference.at + 1) }, difference };
  // Each list in turn, in ever smaller pieces, until a whole round leaves nothing out.
  for (let before = ''; before !== sizeOf(small.case); ) {
    before = sizeOf(small.case);
    small = await shorten<Request>(
      small,
      fails,
      (all, requests) => ({ ...all, requests }),
      ({ requests }) => requests,
    );
    small = await shorten<Step>(
      small,
      fails,
      (all, steps) => ({ ...all, world: { ...all.world, steps } }),
      ({ world }) => world.steps,
    );
    small = await shorten<Planned>(
      small,
      fails,
      (all, consents) => ({ ...all, world: { ...all.world, consents } }),
      ({ world }) => world.consents,
    );
  }
  return small;
}

const sizeOf = ({ world, requests }: Case): string => [requests, world.steps, world.consents].map(({ length }) => length).join(' ');

async function shorten<T>(
  from: Small,
  fails: (candidate: Case) => Promise<Difference | undefined>,
  withList: (all: Case, list: readonly T[]) => Case,
  listOf: (all: Case) => readonly T[],
): Promise<Small> {
  let small = from;
  for (let size = Math.ceil(listOf(small.case).length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < listOf(small.case).length; ) {
      const list = listOf(small.case);
      const candidate = withList(small.case, [...list.slice(0, at), ...list.slice(at + size)]);
      const difference = await fails(candidate);
      if (difference) small = { case: candidate, difference };
      else at += size;
    }
  }
  return small;
}
