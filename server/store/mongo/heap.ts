/**
 * A binary heap: what comes first is known after each `push` in amortized constant time for random input, so that a large result is ordered
 * while it is read, and no further than it is asked for. https://en.wikipedia.org/wiki/Binary_heap
 */

export type Heap<T> = {
  push(item: T): void;
  /** The least that is left. */
  pop(): T | undefined;
};

export function createHeap<T>(compare: (a: T, b: T) => number): Heap<T> {
  const items: T[] = [];
  const isLess = (i: number, j: number): boolean => compare(items[i] as T, items[j] as T) < 0;
  const swap = (i: number, j: number): void => {
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  };
  return {
    push(item) {
      let at = items.push(item) - 1;
      for (let parent = (at - 1) >> 1; at > 0 && isLess(at, parent); parent = (at - 1) >> 1) {
        swap(at, parent);
        at = parent;
      }
    },
    pop() {
      const least = items[0];
      const last = items.pop();
      if (items.length === 0 || last === undefined) return least;
      items[0] = last;
      for (let at = 0; ; ) {
        let child = 2 * at + 1;
        if (child + 1 < items.length && isLess(child + 1, child)) child++;
        if (child >= items.length || !isLess(child, at)) return least;
        swap(at, child);
        at = child;
      }
    },
  };
}
