/** Each row of consent.md §3 has tests by name, and they are there. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimsOf, type Statement } from '../http/walk/claims.ts';
import { missingAmong } from '../support/named-tests.ts';
import { createServedApp, type ServedApp } from '../support/served-app.ts';
import { channels } from './channels.ts';

let app: ServedApp;
beforeAll(async () => {
  app = await createServedApp();
});
afterAll(() => app.stop());

describe('the ways an answer could tell what is hidden', () => {
  it.each(channels)('$channel: $answer', async (row) => {
    expect(missingAmong(row.tests)).toEqual([]);
    expect(row.tests.length > 0).toBe(row.unoffered === undefined);
    // What is offered needs tests.
    const statement = (await (await fetch(`${app.base}/metadata`)).json()) as Statement;
    const claimed = claimsOf(statement).map(({ group, name }) => `${group} ${name}`);
    for (const name of row.unoffered ?? []) expect(claimed).not.toContain(name);
  });

  it('are those of the table, each once', () => {
    const names = channels.map(({ channel }) => channel);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBe(26);
  });

  it('a test that is nowhere is noticed', () => {
    const title = ['written', 'by', 'nobody'].join(' ');
    expect(missingAmong([['matrix/channels.test.ts', title]])).toEqual([`matrix/channels.test.ts: ${title}`]);
  });
});
