/**
 * The requests of a world: drawn by weight, and none of the claims left to luck. Where a world has room for as many requests as there are
 * claims, each claim is asked in it, whatever was drawn; what its number makes does not depend on the worlds before.
 */
import { labelled } from '../support/consents.ts';
import { builders, PATIENTS } from './content.ts';
import { type Ask, type Given, makers, type Request } from './requests.ts';
import type { Step } from './world.ts';

const weighted = makers.flatMap(([weight, make]) => Array.from({ length: weight }, () => make));

/** `most` requests, and between them what others write. A claim that no request exercises stays unasked: who runs the worlds tells it. */
export function dealRequests(given: Given, { most, claims }: { readonly most: number; readonly claims: readonly string[] }): Request[] {
  const { random, world } = given;
  const asks: Ask[] = [];
  const meanwhile = new Map<number, Step>();
  for (let n = 0; asks.length < most; n++) {
    if (!world.integrity && random.chance(0.04)) meanwhile.set(asks.length, anotherStep(given, n));
    const made = random.one(weighted)(given);
    if (made) asks.push(made);
  }
  askEach(claims, asks, given);
  return asks.flatMap((ask, i): Request[] => {
    const step = meanwhile.get(i);
    return step ? [{ meanwhile: step }, ask] : [ask];
  });
}

/** Puts what exercises an unasked claim in the place of what others exercise as well; there is such a place while claims are not more than requests. */
function askEach(claims: readonly string[], asks: Ask[], given: Given): void {
  const times = new Map<string, number>();
  const count = (ask: Ask, by: number) => {
    for (const claim of new Set(ask.claims)) times.set(claim, (times.get(claim) ?? 0) + by);
  };
  for (const ask of asks) count(ask, 1);
  for (const claim of claims) {
    if ((times.get(claim) ?? 0) > 0) continue;
    const instead = drawFor(claim, given);
    const spare = asks.flatMap((ask, i) => (ask.claims.every((each) => times.get(each) !== 1) ? [i] : []));
    if (!instead || spare.length === 0) continue;
    const at = given.random.one(spare);
    count(asks[at] as Ask, -1);
    count(instead, 1);
    asks[at] = instead;
  }
}

/** The rarest is drawn once in some hundred times; undefined where nothing exercises the claim. */
function drawFor(claim: string, given: Given): Ask | undefined {
  for (let tries = 0; tries < 100_000; tries++) {
    const made = given.random.one(weighted)(given);
    if (made?.claims.includes(claim) === true) return made;
  }
  return undefined;
}

function anotherStep({ random, world }: Given, n: number): Step {
  const type = random.one(['Observation', 'Condition', 'Encounter']);
  const id = `meanwhile${n}`;
  const references = world.steps.map((step) => `${step.type}/${step.id}`);
  const content = builders[type]?.(random, id, { references, patient: random.one(PATIENTS) }) ?? {};
  return { wait: 0, type, id, content: random.chance(0.4) ? { ...content, meta: { security: labelled('HIV').securityLabel } } : content };
}
