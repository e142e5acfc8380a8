/** docs/adr: every decision has a number of its own, says it, and is listed in their order. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const folder = new URL('../../docs/adr/', import.meta.url);
const files = readdirSync(folder).filter((name) => /^\d{4}-/.test(name));
const numberOf = (name: string): number => Number(name.slice(0, 4));

it('numbers each decision once, without a gap', () => {
  expect(files.map(numberOf)).toEqual(files.map((_, i) => i + 1));
  expect(files.length).toBeGreaterThan(40);
});

it.each(files)('%s says its number', (name) => {
  expect(readFileSync(new URL(name, folder), 'utf8')).toMatch(new RegExp(`^# ${numberOf(name)}\\. `));
});

it('lists all of them in order', () => {
  const listed = [...readFileSync(new URL('README.md', folder), 'utf8').matchAll(/^(\d+)\. \[[^\]]+\]\((\d{4}-[^)]+)\)/gm)];
  expect(listed.map(([, , name]) => name)).toEqual(files);
  expect(listed.map(([, number]) => Number(number))).toEqual(files.map(numberOf));
});
