/**
 * Non-interference: a server with everything answers as one that never held what its caller may not see, whatever is asked. consent.md §1
 * `npx node test/twins/run.ts --requests 100000 --seed 1` asks longer; ASSENT_TEST_SEED asks others.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../server/app.ts';
import { newVersion } from '../../server/fhir/ids.ts';
import type { Statement } from '../http/walk/claims.ts';
import type { Bench } from './compare.ts';
import { databases } from './databases.ts';
import { claimKinds } from './requests.ts';
import { shrink } from './shrink.ts';
import { caseOf, describeCase, runWorlds, statementOf } from './worlds.ts';

const onMongo = process.env['ASSENT_TEST_ENGINE'] === 'mongodb';
const seed = Number(process.env['ASSENT_TEST_SEED'] ?? 1);
// Most of it is the engine's; `.ci/run` asks more of MongoDB.
const requests = onMongo ? 200 : 2000;
const each = 200;

let source: Awaited<ReturnType<typeof databases>>;
let bench: Bench;
let statement: Statement;
beforeAll(async () => {
  source = await databases(onMongo);
  bench = { program: { createApp, newVersion }, database: source.next };
  statement = await statementOf(bench);
});
afterAll(() => source.stop());

describe('twin servers', () => {
  it(`answer ${requests} requests alike, over everything that is claimed`, async () => {
    const run = await runWorlds({ from: seed, requests, each, bench, statement });
    if (run.failed !== undefined) expect.fail(describeCase(await shrink(caseOf(run.failed, { requests: each, statement }), bench, 100)));
    expect(run.asked).toBeGreaterThanOrEqual(requests);
    // Worlds in which all is shown, or nothing, would be alike whatever the server does.
    expect(run.hidden).toBeGreaterThan(run.worlds * 5);
    expect(run.shown).toBeGreaterThan(run.worlds * 5);
    expect(run.unsettled).toBeLessThan(run.worlds);
    expect(run.unexercised).toEqual([]);
  });

  it('are asked each claim in every world that has room for it, the same ones again', () => {
    const claims = claimKinds(statement);
    expect(claims.length).toBeGreaterThan(50);
    for (let number = 1; number <= 20; number++) {
      const { requests: made } = caseOf(number, { requests: claims.length, statement });
      const asked = new Set(made.flatMap((request) => ('claims' in request ? request.claims : [])));
      expect(claims.filter((claim) => !asked.has(claim))).toEqual([]);
    }
    expect(caseOf(7, { requests: each, statement })).toEqual(caseOf(7, { requests: each, statement }));
  });

  it('notice a claim that nothing asks', async () => {
    const [rest, ...others] = statement['rest'] as { interaction: object[] }[];
    const more = { ...statement, rest: [{ ...rest, interaction: [...(rest?.interaction ?? []), { code: 'telepathy' }] }, ...others] };
    expect(claimKinds(more)).toContain('interaction telepathy');
    expect(claimKinds(statement)).not.toContain('interaction telepathy');
  });
});
