/**
 * Counts the rows a query looks at: against its budget, which is a property of the query, and for whoever runs it, who may have to leave off.
 * Invariant: a walk that asks before every row does no more work than it was given.
 */

/** Told of the work done so far, in rows of which all keys are read, and of the rows; ends the walk by throwing. */
export type Pace = (effort: number, walked: number) => void;

export type Meter = {
  /** False: the budget is used up. `effort`: in rows of which all keys are read. */
  charge(rows: number, effort?: number): boolean;
  /** Work that no budget limits. */
  allow(rows: number): void;
  /** So many rows will have to be looked at: who may not look at so many leaves off at once. */
  expect(rows: number): void;
  walked(): number;
  /** Rows that the budget still allows for. */
  left(): number;
  /** With a budget of its own; the pace goes on. */
  another(budget: number | undefined): Meter;
};

/** Rows to walk before a query is refused: some hundred milliseconds. */
export const DEFAULT_BUDGET = 50_000;

export function createMeter(budget = DEFAULT_BUDGET, pace?: Pace, before = { spent: 0, walked: 0 }): Meter {
  let walked = 0;
  let { spent } = before;
  const tell = (more = 0): void => pace?.(spent + more, before.walked + walked);
  return {
    charge: (rows, effort = rows) => {
      walked += rows;
      spent += effort;
      tell();
      return walked <= budget;
    },
    allow: (rows) => {
      spent += rows;
      tell();
    },
    expect: tell,
    walked: () => Math.ceil(walked),
    left: () => Math.max(0, Math.floor(budget - walked)),
    another: (next) => createMeter(next, pace, { spent, walked: before.walked + walked }),
  };
}
