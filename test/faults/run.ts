/**
 * The long form: `node test/faults/run.ts [--kills 20] [--seed N]`. Prints the seed and what was done; exits 1 on any violation, and when it
 * did less than it says. The seed decides which faults come in which order, how long after another and to which secondary; what the members and
 * the scheduler make of it is theirs.
 */
import { parseArgs } from 'node:util';
import { startReplicaSet } from '../support/mongod.ts';
import { createNetwork } from './network.ts';
import { runFaults } from './scenario.ts';
import { runServerFaults } from './server.ts';

const { values } = parseArgs({ options: { kills: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } } });
const [kills, seed] = [Number(values.kills), Number(values.seed)];
if (!Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed)) throw new Error('--kills takes a number from 1 on, --seed a whole number.');

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const plan = { kills, cuts: 4, partitions: 3, freezes: 2, restarts: 1, seed };
const serverPlan = { kills: 2, seed };
const begun = performance.now();
say(`seed ${seed}: ${JSON.stringify(plan)}, then a server process: ${JSON.stringify(serverPlan)}`);

const network = createNetwork();
const set = await startReplicaSet(3, network.front);
try {
  const { violations, done, ...counts } = await runFaults({ set, network }, plan, say);
  say(JSON.stringify({ done, ...counts }));
  const { violations: ofServer, ...served } = await runServerFaults(set, serverPlan);
  say(`server process: ${JSON.stringify(served)}`);
  const all = [...violations, ...ofServer, ...tooLittle({ ...counts, killed: done.kills, served: served.acknowledged })];
  for (const violation of all.slice(0, 50)) say(`VIOLATION ${violation}`);
  say(`seed ${seed}: ${done.kills + served.kills} kills, ${counts.acknowledged} acknowledged writes, ${served.acknowledged} transactions over HTTP,`);
  say(`${all.length} violations in ${Math.round((performance.now() - begun) / 1_000)} s`);
  process.exitCode = all.length === 0 ? 0 : 1;
} finally {
  await set.stop();
  await network.close();
}

/** A run in which nothing happened has proven nothing; nor has one whose old primary never was behind. */
function tooLittle(seen: { readonly [what: string]: number } & { readonly killed: number }): string[] {
  const needed = {
    acknowledged: 1,
    withdrawals: 1,
    disclosures: 1,
    refused: 1,
    checks: kills,
    rows: 1,
    killed: kills,
    served: 1,
    staleWhenCareless: 1,
  };
  return Object.entries(needed).flatMap(([what, least]) => ((seen[what] ?? 0) >= least ? [] : [`${what}: ${seen[what]}, less than ${least}`]));
}
