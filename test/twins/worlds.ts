/** Worlds by number, one after the other, until enough was asked. */
import type { Statement } from '../http/walk/claims.ts';
import { type Bench, type Case, compare } from './compare.ts';
import { Unsettled } from './plan.ts';
import { createRandom } from './random.ts';
import { dealRequests } from './deal.ts';
import { claimKinds, searchTable } from './requests.ts';
import { startTwinServer } from './server.ts';
import { makeWorld } from './world.ts';
import type { Difference } from './compare.ts';

export async function statementOf({ program, database }: Bench): Promise<Statement> {
  const mongo = database();
  const server = await startTwinServer({ program, clock: () => Date.parse('2026-06-01'), settings: {}, ...(mongo === undefined ? {} : { mongo }) });
  const { text } = await server.ask('', { method: 'GET', path: 'metadata' });
  await server.stop();
  return JSON.parse(text) as Statement;
}

export function caseOf(seed: number, { requests, statement }: { readonly requests: number; readonly statement: Statement }): Case {
  const world = makeWorld(seed);
  const given = { random: createRandom(seed + 0x9e37), world, search: searchTable(statement) };
  return { world, requests: dealRequests(given, { most: requests, claims: claimKinds(statement) }) };
}

type Running = {
  readonly from: number;
  readonly requests: number;
  /** In one world. */
  readonly each: number;
  readonly bench: Bench;
  readonly statement: Statement;
  readonly told?: (line: string) => void;
};

export type Ran = {
  asked: number;
  worlds: number;
  unsettled: number;
  shown: number;
  hidden: number;
  /** The number of the first world that differs. */
  failed: number | undefined;
  difference: Difference | undefined;
  unexercised: readonly string[];
};

export async function runWorlds({ from, requests, each, bench, statement, told }: Running): Promise<Ran> {
  const ran: Ran = { asked: 0, worlds: 0, unsettled: 0, shown: 0, hidden: 0, failed: undefined, difference: undefined, unexercised: [] };
  const unasked = new Set(claimKinds(statement));
  for (let seed = from; ran.asked < requests && ran.failed === undefined; seed++) {
    try {
      const outcome = await compare(caseOf(seed, { requests: each, statement }), bench);
      ran.asked += outcome.asked;
      ran.worlds += 1;
      ran.shown += outcome.shown;
      ran.hidden += outcome.hidden;
      for (const claim of outcome.claims) unasked.delete(claim);
      if (outcome.difference) {
        ran.failed = seed;
        ran.difference = outcome.difference;
        told?.(`world ${seed}, request ${outcome.difference.at}: ${outcome.difference.asked}`);
        told?.(differing(outcome.difference));
      }
    } catch (error) {
      if (!(error instanceof Unsettled)) throw error;
      ran.unsettled += 1;
    }
  }
  if (ran.failed === undefined) ran.unexercised = [...unasked];
  return ran;
}

/** What the one answered and what the other. */
function differing({ whole, twin }: Difference): string {
  return ['--- the server with everything', whole, '--- the server that never held what is hidden', twin].join('\n');
}

export function describeCase({ case: { world, requests }, difference }: { readonly case: Case; readonly difference: Difference }): string {
  const { steps, consents, ...rest } = world;
  return [
    JSON.stringify(rest),
    ...steps.map((step) => `  ${step.type}/${step.id} ${JSON.stringify(step.content)}`),
    ...consents.map(
      ({ patient, fate, onBehalf, provision }) =>
        `  Consent of ${patient}, ${fate}${onBehalf ? ', by the relative' : ''}: ${JSON.stringify(provision)}`,
    ),
    ...requests.map((request) => `  ${JSON.stringify(request)}`),
    `At ${difference.asked}`,
    differing(difference),
  ].join('\n');
}
