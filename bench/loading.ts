/** Atomic transactions, validated and durable: resources per second, and how long the event loop was held meanwhile. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { patientBundle, seededRandom } from '../server/commands/demo/generator.ts';
import type { Session } from '../server/commands/demo/session.ts';
import { cpuMs } from './processes.ts';
import { round } from './rates.ts';
import { CUSTODIAN } from './world.ts';

type Bundle = { readonly resourceType: string; readonly type: string; readonly entry: readonly unknown[] };

export type Load = {
  readonly name: string;
  readonly bundles: number;
  readonly resources: number;
  readonly resourcesPerSecond: number;
  readonly cpuMsPerResource: number;
  readonly eventLoopDelayP99Ms: number;
};

/** A loader posts several bundles at a time. */
const AT_ONCE = 4;
/** The largest bundle of the public Synthea sample has as many entries. */
const LARGE = 1244;

/** Twelve generated patients a bundle. */
export function generatedBundles(count: number): Bundle[] {
  const random = seededRandom(7);
  return Array.from({ length: count }, (_, n) => transactionOf(12, 1000 + n * 12, random));
}

export function largeBundle(): Bundle {
  const random = seededRandom(8);
  const { entry } = transactionOf(100, 100_000, random);
  if (entry.length < LARGE) throw new Error(`the large bundle has ${entry.length} entries only`);
  return { resourceType: 'Bundle', type: 'transaction', entry: entry.slice(0, LARGE) };
}

function transactionOf(patients: number, first: number, random: ReturnType<typeof seededRandom>): Bundle {
  const entry = Array.from({ length: patients }, (_, n) => patientBundle(random, first + n, CUSTODIAN).entry).flat();
  return { resourceType: 'Bundle', type: 'transaction', entry };
}

/** Patient bundles of a folder, e.g. Synthea's; those that only name hospitals and practitioners are left out. */
export function bundlesIn(folder: string): Bundle[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  const bundles = files.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Bundle);
  return bundles.filter(({ type }) => type === 'transaction');
}

export async function loadAll(name: string, bundles: readonly Bundle[], { admin, pid }: { admin: Session; pid: number }): Promise<Load> {
  const resources = bundles.reduce((sum, { entry }) => sum + entry.length, 0);
  if (resources === 0) throw new Error(`${name}: there is nothing to load`);
  await lagP99(admin); // starts a new span
  const [before, began] = [cpuMs(pid), performance.now()];
  const queue = [...bundles];
  const post = async (): Promise<void> => {
    for (let bundle = queue.shift(); bundle; bundle = queue.shift()) {
      const { status } = await admin.call('POST', '', bundle);
      if (status !== 200) throw new Error(`${name}: a transaction answered ${status}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, post));
  const seconds = (performance.now() - began) / 1000;
  return {
    name,
    bundles: bundles.length,
    resources,
    resourcesPerSecond: Math.round(resources / seconds),
    cpuMsPerResource: round((cpuMs(pid) - before) / resources, 3),
    eventLoopDelayP99Ms: Math.round((await lagP99(admin)) * 1000),
  };
}

/** As the server itself measured it since it was last asked. */
async function lagP99(admin: Session): Promise<number> {
  const { text } = await admin.call('GET', '/metrics');
  return Number(/^assent_event_loop_lag_p99_seconds (\S+)$/m.exec(text)?.[1]);
}
