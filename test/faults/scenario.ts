/**
 * Rounds of faults under a load, in an order that the seed decides: the primary killed (-9), a secondary cut off, a primary frozen until another
 * one is elected and then woken, all members killed at once. After each round what callers were told is compared with the database.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../server/commands/demo/generator.ts';
import { createMongoEngine } from '../../server/store/mongo/engine.ts';
import type { Engine } from '../../server/store/port.ts';
import { idsFound, query } from '../contract/subject.ts';
import type { ReplicaSet } from '../support/mongod.ts';
import { PATIENTS, startLoad, viewOf, WRITTEN } from './load.ts';
import { freeze, kill, primaryOf, until, wake } from './members.ts';
import { createUnknowingReader } from './unknowing-reader.ts';
import { createWitness, type Witness, withdrawalOf } from './witness.ts';

const faults = ['kills', 'cuts', 'freezes', 'restarts'] as const;
type Fault = (typeof faults)[number];
export type Plan = { readonly [fault in Fault]: number } & { readonly seed: number };
export type Outcome = Witness['counts'] & { readonly done: Readonly<Record<Fault, number>>; readonly violations: readonly string[] };

type Stage = {
  readonly set: ReplicaSet;
  readonly database: string;
  readonly engines: readonly [Engine, Engine];
  readonly witness: Witness;
  readonly random: ReturnType<typeof seededRandom>;
};

/** Writes acknowledged between two faults: less would be a fault in nothing. */
const BETWEEN = 60;

export async function runFaults(set: ReplicaSet, plan: Plan, say: (line: string) => void = () => undefined): Promise<Outcome> {
  const database = `faults-${plan.seed}`;
  const open = () => createMongoEngine({ uri: set.uri(database), clock: () => 1_000 });
  const engines = [await open(), await open()] as const;
  const witness = createWitness();
  const stage: Stage = { set, database, engines, witness, random: seededRandom(plan.seed) };
  const done = { kills: 0, cuts: 0, freezes: 0, restarts: 0 };
  const load = startLoad({ engines, witness });
  try {
    for (const fault of shuffled(plan, stage.random)) {
      const begun = performance.now();
      await progress(stage);
      await sleep(stage.random.below(200));
      await cause[fault](stage);
      await progress(stage);
      await compare(stage);
      done[fault]++;
      say(
        `${fault.slice(0, -1)} ${done[fault]} of ${plan[fault]}: ${Math.round(performance.now() - begun)} ms, ${witness.violations.length} violations`,
      );
    }
  } finally {
    await load.end();
    for (const member of set.members) wake(member);
  }
  await compare(stage);
  await compareResources(stage);
  await Promise.all(engines.map(({ resources }) => resources.close()));
  return { ...witness.counts, done, violations: witness.violations };
}

function shuffled(plan: Plan, random: Stage['random']): Fault[] {
  const left = faults.flatMap((fault) => Array.from({ length: plan[fault] }, () => fault));
  const order: Fault[] = [];
  while (left.length > 0) order.push(...left.splice(random.below(left.length), 1));
  return order;
}

async function progress({ witness }: Pick<Stage, 'witness'>): Promise<void> {
  const { acknowledged, disclosures } = witness.counts;
  await until('writes and reads go on', () => witness.counts.acknowledged >= acknowledged + BETWEEN && witness.counts.disclosures > disclosures);
}

const cause: Readonly<Record<Fault, (stage: Stage) => Promise<void>>> = {
  kills: async ({ set }) => {
    const victim = await primaryOf(set);
    await kill(victim);
    await primaryOf(set, victim);
    victim.start();
  },
  cuts: async (stage) => {
    const primary = await primaryOf(stage.set);
    const victim = stage.random.pick(stage.set.members.filter((member) => member !== primary));
    freeze(victim);
    await progress(stage);
    await sleep(stage.random.below(500));
    wake(victim);
  },
  freezes: twoPrimaries,
  restarts: async ({ set }) => {
    await Promise.all(set.members.map(kill));
    for (const member of set.members) member.start();
  },
};

/**
 * The frozen one wakes as a primary that does not know of the other. Callers go on all the while; besides, it is asked for the consent epoch
 * by a reader that knows only this member: as the engine asks while the members do not agree, and, for comparison, carelessly.
 */
async function twoPrimaries({ set, database, engines, witness }: Stage): Promise<void> {
  const old = await primaryOf(set);
  const reader = await createUnknowingReader(old, database);
  try {
    const { epoch, withdrawals } = await grantsInForce(engines[0]);
    freeze(old);
    await primaryOf(set, old);
    await until('withdrawals on the new primary', () => withdrawals.every((key) => witness.isAcknowledged(key)));
    const asked = { careful: reader.careful(), careless: reader.careless() };
    await sleep(50);
    wake(old);
    const [careful, careless] = await Promise.allSettled([asked.careful, asked.careless]);
    if (careful.status === 'fulfilled' && careful.value <= epoch) witness.violations.push(`a deposed primary gave epoch ${careful.value}`);
    if (careless.status === 'fulfilled' && careless.value <= epoch) witness.counts.staleWhenCareless++;
  } finally {
    wake(old);
    await reader.close();
  }
}

/** An epoch, and the withdrawals that will move it. */
async function grantsInForce(engine: Engine): Promise<{ readonly epoch: number; readonly withdrawals: readonly string[] }> {
  let withdrawals: string[] = [];
  let epoch = 0;
  await until('a grant is in force', async () => {
    const views = await Promise.all(PATIENTS.map((patient) => viewOf(engine, patient))).catch(() => []);
    epoch = Math.max(0, ...views.map(({ scope }) => scope.epoch));
    withdrawals = views.filter(({ grant }) => grant !== '').map(({ grant }) => withdrawalOf(grant));
    return withdrawals.length > 0;
  });
  return { epoch, withdrawals };
}

async function compare({ engines: [one, other], witness }: Stage): Promise<void> {
  const acknowledged = witness.acknowledged();
  let rows: Awaited<ReturnType<typeof one.resources.readLog>> | undefined;
  await until('the log can be read', async () => {
    rows = await other.resources.readLog(0, 1_000_000).catch(() => undefined);
    return rows !== undefined;
  });
  witness.compare(acknowledged, rows ?? []);
}

/** A resource and its log row: both or neither, also where the answer was lost. */
async function compareResources({ engines: [engine], witness }: Stage): Promise<void> {
  const stored = new Set(await idsFound({ engine }, query(WRITTEN, { limit: 1_000_000, budget: 10_000_000 })));
  const rows = await engine.resources.readLog(0, 1_000_000);
  const logged = new Set(rows.flatMap(({ key }) => (/^w\d-/.test(key) ? [key] : [])));
  witness.violations.push(...[...stored, ...logged].filter((id) => stored.has(id) !== logged.has(id)).map((id) => `half of it is there: ${id}`));
  const lost = witness.acknowledged().filter((key) => /^w\d-/.test(key) && !stored.has(key));
  witness.violations.push(...lost.map((id) => `resource lost: ${id}`));
}
