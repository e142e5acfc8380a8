/**
 * Rounds of faults under a load, in an order that the seed decides: the primary killed (-9), a secondary cut off from everybody, a primary cut off
 * together with half of the callers until another one is elected, a primary frozen until then and woken, all members killed at once. After each
 * round what callers were told is compared with the database.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../server/commands/demo/generator.ts';
import { createMongoEngine } from '../../server/store/mongo/engine.ts';
import type { Engine } from '../../server/store/port.ts';
import { idsFound, query } from '../contract/subject.ts';
import type { Member, ReplicaSet } from '../support/mongod.ts';
import { PATIENTS, startLoad, WRITTEN } from './load.ts';
import { allFollow, freeze, kill, primaryOf, until, wake } from './members.ts';
import { cuts, ISLANDER, type Network } from './network.ts';
import { createUnknowingReader } from './unknowing-reader.ts';
import { createWitness, type Witness } from './witness.ts';

const faults = ['kills', 'cuts', 'partitions', 'freezes', 'restarts'] as const;
type Fault = (typeof faults)[number];
export type Plan = { readonly [fault in Fault]: number } & { readonly seed: number };
export type Outcome = Witness['counts'] & { readonly done: Readonly<Record<Fault, number>>; readonly violations: readonly string[] };

/** A set whose members and callers reach one another through the network only. */
export type Site = { readonly set: ReplicaSet; readonly network: Network };

type Stage = Site & {
  readonly database: string;
  readonly engines: readonly [Engine, Engine];
  readonly witness: Witness;
  readonly random: ReturnType<typeof seededRandom>;
};

/** Writes acknowledged between two faults: less would be a fault in nothing. */
const BETWEEN = 60;

type Say = (line: string) => void;

export async function runFaults({ set, network }: Site, plan: Plan, say: Say = () => undefined): Promise<Outcome> {
  const database = `faults-${plan.seed}`;
  const open = (more = '') => createMongoEngine({ uri: set.uri(database) + more, clock: () => 1_000 });
  const engines = [await open(ISLANDER), await open()] as const;
  const witness = createWitness();
  const stage: Stage = { set, network, database, engines, witness, random: seededRandom(plan.seed) };
  try {
    const done = await underLoad(stage, plan, say);
    await compare(stage);
    await compareResources(stage);
    return { ...witness.counts, done, violations: [...new Set(witness.violations)] };
  } finally {
    await Promise.all(engines.map(({ resources }) => resources.close()));
  }
}

async function underLoad(stage: Stage, plan: Plan, say: Say): Promise<Outcome['done']> {
  const done = { kills: 0, cuts: 0, partitions: 0, freezes: 0, restarts: 0 };
  const load = startLoad(stage);
  try {
    for (const fault of shuffled(plan, stage.random)) {
      const begun = performance.now();
      await round(stage, fault);
      const took = Math.round(performance.now() - begun);
      say(`${fault.slice(0, -1)} ${++done[fault]} of ${plan[fault]}: ${took} ms, ${stage.witness.violations.length} violations`);
    }
    return done;
  } finally {
    await load.end();
  }
}

async function round(stage: Stage, fault: Fault): Promise<void> {
  await progress(stage);
  await allFollow(stage.set);
  await sleep(stage.random.below(200));
  try {
    await cause[fault](stage);
  } finally {
    stage.network.heal();
    for (const member of stage.set.members) wake(member);
  }
  await progress(stage);
  await compare(stage);
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
    stage.network.cut(stage.random.pick(cuts), ({ from, to }) => from === victim.port || to === victim.port);
    await progress(stage);
    await sleep(stage.random.below(500));
  },
  partitions: (stage) => {
    const how = stage.random.pick(cuts);
    // On one side the old primary and the islanders, on the other everybody else.
    const begin = ({ port }: Member) => stage.network.cut(how, ({ from, to }) => (from === port || from === 'island') !== (to === port));
    return twoPrimaries(stage, { begin, end: () => stage.network.heal() });
  },
  freezes: (stage) => twoPrimaries(stage, { begin: freeze, end: wake }),
  restarts: async ({ set }) => {
    await Promise.all(set.members.map(kill));
    for (const member of set.members) member.start();
  },
};

type Isolation = { begin(member: Member): void | Promise<void>; end(member: Member): void };

/**
 * The one that is left alone does not know of the other. Callers go on all the while; besides, it is asked for the consent epoch by a reader that
 * knows only this member and that no cut parts from it: as the engine asks while the members do not agree, and, for comparison, carelessly.
 */
async function twoPrimaries({ set, database, engines: [, engine], witness }: Stage, isolation: Isolation): Promise<void> {
  const old = await primaryOf(set);
  const reader = await createUnknowingReader(old, database);
  try {
    await isolation.begin(old);
    await primaryOf(set, old);
    const { withdrawals } = witness.counts;
    // One more than there are patients: at least one of them began on the new primary.
    await until('withdrawals on the new primary', () => witness.counts.withdrawals > withdrawals + PATIENTS.length);
    const epoch = await answered('the epoch', () => engine.resources.epoch());
    const asked = Promise.allSettled([reader.careful(), reader.careless()]);
    await sleep(50);
    isolation.end(old);
    const [careful, careless] = await asked;
    if (careful.status === 'fulfilled' && careful.value < epoch)
      witness.violations.push(`a deposed primary gave epoch ${careful.value}, not ${epoch}`);
    if (careless.status === 'fulfilled' && careless.value < epoch) witness.counts.staleWhenCareless++;
  } finally {
    isolation.end(old);
    await reader.close();
  }
}

/** While a primary is elected the engine says that it is unavailable; then it is asked again. */
async function answered<T>(what: string, ask: () => Promise<T>): Promise<T> {
  const answers: T[] = [];
  await until(what, () =>
    ask().then(
      (answer) => answers.push(answer) > 0,
      () => false,
    ),
  );
  return answers[0] as T;
}

async function compare({ engines: [, engine], witness }: Stage): Promise<void> {
  const acknowledged = witness.acknowledged();
  witness.compare(acknowledged, await answered('the log', () => engine.resources.readLog(0, 1_000_000)));
}

/** A resource and its log row: both or neither, also where the answer was lost. */
async function compareResources({ engines: [engine], witness }: Stage): Promise<void> {
  const everything = query(WRITTEN, { limit: 1_000_000, budget: 10_000_000 });
  const stored = new Set(await answered('the resources', () => idsFound({ engine }, everything)));
  const rows = await answered('the log', () => engine.resources.readLog(0, 1_000_000));
  const logged = new Set(rows.flatMap(({ key }) => (/^w\d-/.test(key) ? [key] : [])));
  witness.violations.push(...[...stored, ...logged].filter((id) => stored.has(id) !== logged.has(id)).map((id) => `half of it is there: ${id}`));
  const lost = witness.acknowledged().filter((key) => /^w\d-/.test(key) && !stored.has(key));
  witness.violations.push(...lost.map((id) => `resource lost: ${id}`));
}
