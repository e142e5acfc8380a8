/** Each row of consent.md §3 has tests by name, and they are there. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimsOf, type Statement } from '../http/walk/claims.ts';
import { createServedApp, type ServedApp } from '../support/served-app.ts';
import { channels } from './channels.ts';

let app: ServedApp;
beforeAll(async () => {
  app = await createServedApp();
});
afterAll(() => app.stop());

/** As the source has them: as a title in quotes. */
const isTitled = (file: string, title: string): boolean => {
  const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
  return ["'", '"', '`'].some((quote) => text.includes(`(${quote}${title}`) || text.includes(`${quote}${title}${quote},`));
};

/** Tests of this row that are nowhere. */
const missing = ({ tests }: Pick<(typeof channels)[number], 'tests'>) =>
  tests.flatMap(([file, ...titles]) => titles.filter((title) => !isTitled(file, title)).map((title) => `${file}: ${title}`));

describe('the ways an answer could tell what is hidden', () => {
  it.each(channels)('$channel: $answer', async (row) => {
    expect(missing(row)).toEqual([]);
    expect(row.tests.length > 0).toBe(row.unoffered === undefined);
    // What is offered needs tests.
    const statement = (await (await fetch(`${app.base}/metadata`)).json()) as Statement;
    const claimed = claimsOf(statement).map(({ group, name }) => `${group} ${name}`);
    for (const name of row.unoffered ?? []) expect(claimed).not.toContain(name);
  });

  it('are those of the table, each once', () => {
    const names = channels.map(({ channel }) => channel);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBe(25);
  });

  it('a test that is nowhere is noticed', () => {
    const title = ['written', 'by', 'nobody'].join(' ');
    expect(missing({ tests: [['matrix/channels.test.ts', title]] })).toEqual([`matrix/channels.test.ts: ${title}`]);
  });
});
