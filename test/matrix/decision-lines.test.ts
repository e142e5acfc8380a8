/** Each line of what is decided, consent.md §2, §7 and §8, has a reason in words and tests by name, and they are there. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { missingAmong, type Tests } from '../support/named-tests.ts';

type Row = { readonly section: string; readonly line: string; readonly why: string; readonly tests: Tests };

const { rows } = JSON.parse(readFileSync(new URL('./decision-lines.json', import.meta.url), 'utf8')) as { readonly rows: readonly Row[] };

/** How many lines each part of the design has: one that is left out of the table is noticed. */
const LINES = { '2': 12, rules: 24, '7': 5, '8, LEAP': 14, '8, Google': 7, '8, states': 7, '8, oracle': 1 };

/** What is wrong with a row. */
function faults({ line, why, tests }: Row): readonly string[] {
  const unnamed = tests.length === 0 || tests.some(([, ...titles]) => titles.length === 0) ? [`${line} No test shows it.`] : [];
  const unsaid = why.split(' ').length < 3 ? [`${line} No reason is given.`] : [];
  return [...unnamed, ...unsaid, ...missingAmong(tests)];
}

describe('what is decided', () => {
  it.each(rows)('§$section: $line', (row) => expect(faults(row)).toEqual([]));

  it('is every line of the design, each once', () => {
    const count = Map.groupBy(rows, ({ section }) => (section.startsWith('2, rule') ? 'rules' : section));
    expect(Object.fromEntries([...count].map(([section, lines]) => [section, lines.length]))).toEqual(LINES);
    expect(new Set(rows.map(({ section, line }) => `${section} ${line}`)).size).toBe(rows.length);
    const numbered = rows.flatMap(({ section }) => (section.startsWith('2, rule') ? [Number(section.slice('2, rule '.length))] : []));
    expect(numbered).toEqual(Array.from({ length: LINES.rules }, (_, i) => i + 1));
  });

  it('a line without a test, without a reason, or with a test that is nowhere is noticed', () => {
    const [row] = rows as [Row];
    const title = ['written', 'by', 'nobody'].join(' ');
    const wrong: readonly Partial<Row>[] = [
      { tests: [] },
      { tests: [['consent/rules.test.ts']] },
      { why: 'So.' },
      { tests: [['matrix/decision-lines.test.ts', title]] },
      { tests: [['consent/decision-tables/leap.json', title]] },
    ];
    for (const more of wrong) expect(faults({ ...row, ...more })).toHaveLength(1);
  });
});
