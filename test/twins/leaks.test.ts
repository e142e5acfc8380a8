/** Twin servers find what is planted in a copy of the program, or the test of twin servers would prove nothing. consent.md §1 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../server/app.ts';
import { newVersion } from '../../server/fhir/ids.ts';
import type { Statement } from '../http/walk/claims.ts';
import { databases } from './databases.ts';
import { type Leak, leaks, planted, type Planted } from './leaks.ts';
import { shrink } from './shrink.ts';
import { caseOf, runWorlds, statementOf } from './worlds.ts';

const each = 100;

let source: Awaited<ReturnType<typeof databases>>;
let copy: Planted | undefined;
let statement: Statement;
beforeAll(async () => {
  source = await databases(process.env['ASSENT_TEST_ENGINE'] === 'mongodb');
  statement = await statementOf({ program: { createApp, newVersion }, database: source.next });
  copy = await planted(leaks);
});
afterAll(async () => {
  copy?.remove();
  await source.stop();
});

const benchOf = (leak: Leak | undefined) => ({ program: (copy ?? expect.fail()).leaking(leak), database: source.next });

describe('a leak that is planted', () => {
  it.each(leaks)('$name is found', async (leak) => {
    const run = await runWorlds({ from: leak.world, requests: 3000, each, bench: benchOf(leak), statement });
    expect(run.difference).toBeDefined();
  });

  it('and then taken away is not found', async () => {
    const { difference } = await runWorlds({ from: 1, requests: 1, each, bench: benchOf(undefined), statement });
    expect(difference).toBeUndefined();
  });

  it('is made small', async () => {
    const leak = leaks.find(({ key }) => key === 'forbidden');
    const given = caseOf(leak?.world ?? 0, { requests: each, statement });
    const { case: small, difference } = await shrink(given, benchOf(leak), 14);
    expect([small.requests.length, difference.asked === '']).toEqual([1, false]);
    expect(small.world.steps.length).toBeLessThanOrEqual(given.world.steps.length / 2);
  });
});
