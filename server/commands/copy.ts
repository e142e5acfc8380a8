/**
 * `assent copy --to URI`: the data set of the embedded engine, whole and unchanged, into an empty MongoDB database. docs/operations/scale.md
 *
 * Invariants: the source is only read, and held so that no server runs on it; the target serves nobody before everything was read back and
 * found the same.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import { type Dump, openDump } from '../store/embedded/dump.ts';
import { type Load, openLoad } from '../store/mongo/load.ts';
import { type DataSet, sections, slicesOf, summarize } from '../store/transfer.ts';

const usage = `Usage: assent copy [--to URI] [--restart]
  Copies the embedded database of ASSENT_DATA_DIR into an empty database of a MongoDB replica set. Stop the server first.
  --to URI    where to; without it ASSENT_MONGODB_URI, which keeps a password out of the list of processes
  --restart   throw away what an earlier copy that did not finish left there
`;
const PROGRESS_MS = 1000;

export async function copy({ DATA_DIR: dataDir, MONGODB_URI }: Config, args: readonly string[]): Promise<number> {
  const asked = readArguments(args);
  const uri = asked?.to ?? MONGODB_URI;
  if (!asked || uri === '') {
    process.stderr.write(usage);
    return 2;
  }
  const source = openDump(dataDir);
  try {
    const target = await openLoad({ uri, clock: systemClock, restart: asked.restart });
    try {
      await copyAll(source, target);
      await compareAll(source, target.data);
      await target.finish();
    } finally {
      await target.close();
    }
  } finally {
    source.close();
  }
  say(`Copied. Keep ${dataDir}: the signer, the anchors and bootstrap.json in it stay in use.`);
  say('Start the server with ASSENT_MONGODB_URI set. The file assent.sqlite is now a backup of this moment: move it to where those are kept.');
  return 0;
}

function readArguments(args: readonly string[]): { readonly to: string | undefined; readonly restart: boolean } | undefined {
  try {
    const { values } = parseArgs({ args: [...args], options: { to: { type: 'string' }, restart: { type: 'boolean', default: false } } });
    return { to: values.to, restart: values.restart };
  } catch {
    return undefined;
  }
}

async function copyAll(source: Dump, target: Load): Promise<void> {
  for (const section of sections) {
    const total = source.count(section);
    let done = 0;
    let said = systemClock();
    for await (const slice of slicesOf(source, section, systemClock())) {
      await target.put(section, slice);
      done += slice.length;
      if (systemClock() - said < PROGRESS_MS) continue;
      said = systemClock();
      say(`${section}: ${done} of ${total}`);
    }
    say(`${section}: ${done} copied`);
  }
  await target.putCounters(await source.counters());
}

/** Throws AssentError('internal') at the first difference; the mark on the target stays. */
async function compareAll(source: DataSet, target: DataSet): Promise<void> {
  const now = systemClock();
  for (const section of sections) {
    const [here, there] = [await summarize(source, section, now), await summarize(target, section, now)];
    requireSame(section, here, there);
    say(`${section}: ${there.rows} read back, SHA-256 ${there.digest.slice(0, 16)}… on both sides`);
  }
  requireSame('epoch and leases', await source.counters(), await target.counters());
}

function requireSame(what: string, here: unknown, there: unknown): void {
  if (JSON.stringify(here) === JSON.stringify(there)) return;
  throw new AssentError('internal', `The copy is not the same: ${what}. The target stays unfinished; run the copy again with --restart.`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
