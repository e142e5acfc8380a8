/**
 * The long form: `node test/faults/run.ts [--kills 20] [--ledger 15] [--cuts 4] [--partitions 3] [--freezes 2] [--restarts 1] [--seed N]`. Prints the seed and
 * what was done; exits 1 on any violation, and when it did less than it says. The seed decides which faults come in which order, how long after
 * another and to which secondary; what the members and the scheduler make of it is theirs.
 */
import { parseArgs } from 'node:util';
import { startReplicaSet } from '../support/mongod.ts';
import { type LedgerOutcome, runLedgerFaults } from './ledger.ts';
import { createNetwork } from './network.ts';
import { runFaults } from './scenario.ts';
import { runServerFaults } from './server.ts';

const usual = { kills: 20, ledger: 15, cuts: 4, partitions: 3, freezes: 2, restarts: 1, seed: 1 };
const plan = { ...usual, ...given(Object.keys(usual)) };
const { kills, ledger, seed } = plan;
const serverPlan = { kills: 2, seed };
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const begun = performance.now();
say(`seed ${seed}: ${JSON.stringify(plan)}, then a server process: ${JSON.stringify(serverPlan)}, then one with a signer apart`);

const network = createNetwork();
const set = await startReplicaSet(3, network.front);
try {
  const { violations, done, ...counts } = await runFaults({ set, network }, plan, say);
  say(JSON.stringify({ done, ...counts }));
  const { violations: ofServer, ...served } = await runServerFaults(set, serverPlan);
  say(`server process: ${JSON.stringify(served)}`);
  const { violations: ofLedger, ...proven } = await runLedgerFaults({ kills: ledger, seed, uri: set.uri(`ledger-faults-${seed}`) }, say);
  say(`server and signer: ${JSON.stringify(proven)}`);
  const all = [
    ...violations,
    ...ofServer,
    ...ofLedger,
    ...tooLittle({ ...counts, killed: done.kills, served: served.acknowledged, ...countsOf(proven) }),
  ];
  for (const violation of all.slice(0, 50)) say(`VIOLATION ${violation}`);
  say(`seed ${seed}: ${done.kills + served.kills} kills, ${counts.acknowledged} acknowledged writes, ${served.acknowledged} transactions over HTTP,`);
  say(`${all.length} violations in ${Math.round((performance.now() - begun) / 1_000)} s`);
  process.exitCode = all.length === 0 ? 0 : 1;
} finally {
  await set.stop();
  await network.close();
}

function given(names: readonly string[]): { readonly [name: string]: number } {
  const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])) });
  const numbers = Object.entries(values).map(([name, value]): [string, number] => [name, Number(value)]);
  const wrong = numbers.find(([, number]) => !Number.isInteger(number) || number < 0);
  if (wrong) throw new Error(`--${wrong[0]} takes a whole number.`);
  return Object.fromEntries(numbers);
}

function countsOf({ checks, interrupted, receipts, stood, ended }: Omit<LedgerOutcome, 'violations'>): Readonly<Record<string, number>> {
  return { ledgerChecks: checks, interrupted, receipts, stood, ended };
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
    ledgerChecks: ledger,
    ...(ledger >= 12 ? { interrupted: 1, receipts: 1, stood: 1, ended: 1 } : {}),
    staleWhenCareless: plan.partitions + plan.freezes > 0 ? 1 : 0,
  };
  return Object.entries(needed).flatMap(([what, least]) => ((seen[what] ?? 0) >= least ? [] : [`${what}: ${seen[what]}, less than ${least}`]));
}
