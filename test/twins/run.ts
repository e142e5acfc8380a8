/**
 * Twin servers by command: `npx node test/twins/run.ts --requests 100000 --seed 1 [--mongodb]`. Worlds are numbered from the seed, so that
 * `--seed 1`, `--seed 1001`, … split a long run; test/twins/full.ts does, over all cores. The first difference is shown, made small and shown again; exit 1.
 */
import { parseArgs } from 'node:util';
import { createApp } from '../../server/app.ts';
import { newVersion } from '../../server/fhir/ids.ts';
import { temporaryInMemory } from '../support/in-memory.ts';
import { databases } from './databases.ts';
import { claimKinds } from './requests.ts';
import { shrink } from './shrink.ts';
import { caseOf, describeCase, runWorlds, statementOf } from './worlds.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    each: { type: 'string', default: '200' },
    mongodb: { type: 'boolean', default: false },
  },
});
Object.assign(process.env, temporaryInMemory());
const from = Number(values.seed);
const each = Number(values.each);
const source = await databases(values.mongodb);
const bench = { program: { createApp, newVersion }, database: source.next };
const statement = await statementOf(bench);
const claims = claimKinds(statement).length;
if (each < claims) {
  process.stderr.write(`A world of ${each} requests has no room for each of the ${claims} claims: --each ${claims} or more.\n`);
  await source.stop();
  process.exit(2);
}
const began = performance.now();
const told = (line: string) => void process.stdout.write(`${line}\n`);
const run = await runWorlds({ from, requests: Number(values.requests), each, bench, statement, told });
const seconds = ((performance.now() - began) / 1000).toFixed(0);
told(
  `${run.asked} requests in ${run.worlds} worlds, ${run.shown} versions shown and ${run.hidden} hidden, ${run.unsettled} worlds without a twin, ${seconds} s`,
);
process.send?.(run);
if (run.failed !== undefined) {
  told(`World ${run.failed} differs; making it small…`);
  const small = await shrink(caseOf(run.failed, { requests: each, statement }), bench);
  told(describeCase(small));
  process.exitCode = 1;
}
if (run.unexercised.length > 0) {
  told(`Claimed and never asked: ${run.unexercised.join(', ')}`);
  process.exitCode = 1;
}
await source.stop();
