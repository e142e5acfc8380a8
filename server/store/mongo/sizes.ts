/**
 * How many entries an index range has, remembered for a moment: a search asks for the same ranges for its page, its total and its next page.
 *
 * Invariant: a remembered size only chooses what is walked; no answer depends on it.
 */

export type Sizes = (range: string, measure: () => Promise<number>) => Promise<number>;

const REMEMBERED_MS = 2_000;
const MOST_REMEMBERED = 5_000;

export function createSizes(): Sizes {
  const known = new Map<string, { readonly size: number; readonly until: number }>();
  return async (range, measure) => {
    const remembered = known.get(range);
    const now = performance.now();
    if (remembered && remembered.until > now) return remembered.size;
    const size = await measure();
    if (known.size >= MOST_REMEMBERED) known.clear();
    known.set(range, { size, until: now + REMEMBERED_MS });
    return size;
  };
}
