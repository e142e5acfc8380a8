/** Runs of one chain held against each other: the whole, a gap, what was left out, and two stories. ledger.md §4 */
import { expect, test } from 'vitest';
import { holdTogether, type Run, runOf } from '../../ledger/disclosures.ts';

const logOf = (key: string, size: number) => ({ key, keys: [key], replaced: [], size });
const whose = { log: logOf('log', 100), patient: 'Patient/p', handle: 'h', newest: false };
/** Entry number n of the chain stands at index 10 n. */
const run = (from: number, to: number, more: Partial<Run> = {}): Run =>
  runOf(
    Array.from({ length: from - to + 1 }, (_, i) => {
      const subjectSeq = from - i;
      return { subjectSeq, index: subjectSeq * 10, previous: subjectSeq === 1 ? null : (subjectSeq - 1) * 10 };
    }),
    { ...whose, ...more },
  );

test('one file alone says nothing more; two patients are not held together', () => {
  expect(holdTogether([run(3, 1)])).toEqual([]);
  expect(holdTogether([run(3, 1), run(5, 1, { patient: 'Patient/q' }), run(1, 1, { log: logOf('other', 100) })])).toEqual([]);
});

test('pages are the whole chain, or what they do not hold is named', () => {
  expect(holdTogether([run(5, 3, { newest: true }), run(2, 1)])).toEqual([
    'Patient/p: together these are the whole chain about them, entries 1 to 5.',
  ]);
  expect(holdTogether([run(5, 4), run(2, 1)])).toEqual(['Patient/p: of entries 1 to 5 about them these do not hold 3.']);
  expect(holdTogether([run(40, 40), run(41, 41)])[0]).toMatch(/do not hold 1, 2, .*, 20 and 19 more\.$/);
});

test('a newer entry that the log held refutes whoever said there was none; one since then does not', () => {
  expect(() => holdTogether([run(3, 1, { newest: true }), run(4, 4)])).toThrow(/Entry 40, the 4th/);
  expect(() => holdTogether([run(3, 1, { newest: true }), run(6, 6)])).toThrow(/Entry 60, the 6th|Entry 50, the 5th/);
  expect(holdTogether([run(3, 1, { newest: true, log: logOf('log', 35) }), run(4, 4)])).toHaveLength(1);
  // The entry before it is known from the entry itself.
  expect(() => holdTogether([run(3, 1, { newest: true, log: logOf('log', 45) }), run(5, 5)])).toThrow(/Entry 40, the 4th/);
  expect(() => holdTogether([run(4, 4), runOf([], { ...whose, handle: null, newest: true })])).toThrow(/was left out/);
});

test('two entries under one number, or two handles, are two stories', () => {
  const other = runOf([{ subjectSeq: 2, index: 21, previous: 10 }], whose);
  expect(() => holdTogether([run(3, 1), other])).toThrow(/two entries 2/);
  expect(() => holdTogether([run(3, 1), run(3, 1, { handle: 'i' })])).toThrow(/two handles/);
});
