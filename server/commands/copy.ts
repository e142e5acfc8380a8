/**
 * `assent copy --to URI`: the data set of the embedded engine, whole and unchanged, into an empty MongoDB database, while a server runs on it.
 * docs/operations/scale.md
 *
 * Invariants: the source is only read; the target serves nobody before it has everything that was acknowledged and was found the same; from
 * then on no server starts on the source.
 */
import { parseArgs } from 'node:util';
import type { SignerConfig } from '../anchoring/remote-signer.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { AssentError } from '../errors.ts';
import { type Dump, openDump } from '../store/embedded/dump.ts';
import { movedSentence, readMoved } from '../store/embedded/moved.ts';
import { nameOf, openLoad } from '../store/mongo/load.ts';
import { sections } from '../store/transfer.ts';
import { cutOver, follow, type Held, type Log } from './copy/cut-over.ts';
import { createProgress, say } from './copy/progress.ts';
import { compareAll, copyAll, type Ends } from './copy/rounds.ts';

const usage = `Usage: assent copy [--to URI] [--restart] [--stop PID]
  Copies the embedded database of ASSENT_DATA_DIR into an empty database of a MongoDB replica set. A server on it goes on meanwhile; only for
  the last round, a moment, it has to be stopped.
  --to URI    where to; without it ASSENT_MONGODB_URI, which keeps a password out of the list of processes
  --restart   throw away what an earlier copy that did not finish left there
  --stop PID  the server's process: it is told to stop (SIGTERM) when the last round is due; without it, stop it when you are told to
Progress goes to stderr, one line of JSON to stdout. Exit code: 0 moved, 1 not (what to do is said), 2 wrong arguments.
`;

export async function copy(config: Config, args: readonly string[]): Promise<number> {
  const { DATA_DIR: dataDir } = config;
  const asked = readArguments(args);
  const uri = asked?.to ?? config.MONGODB_URI;
  if (!asked || uri === '') {
    process.stderr.write(usage);
    return 2;
  }
  const source = openDump(dataDir);
  try {
    const result = await move(source, { signer: config, uri, ...asked });
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } finally {
    source.close();
  }
  say(`Moved. Set ASSENT_MONGODB_URI and start the server. Keep ${dataDir}: the signer, the anchors and bootstrap.json in it stay in use.`);
  say('The file assent.sqlite is now a backup of this moment: move it to where those are kept. moved.json keeps a server from starting on it.');
  return 0;
}

type Asked = { readonly to: string | undefined; readonly restart: boolean; readonly stop: number | undefined };

function readArguments(args: readonly string[]): Asked | undefined {
  try {
    const options = { to: { type: 'string' }, restart: { type: 'boolean', default: false }, stop: { type: 'string' } } as const;
    const { values } = parseArgs({ args: [...args], options });
    if (values.stop !== undefined && !/^[1-9]\d{0,9}$/.test(values.stop)) return undefined;
    return { to: values.to, restart: values.restart, stop: values.stop === undefined ? undefined : Number(values.stop) };
  } catch {
    return undefined;
  }
}

type Move = { readonly signer: SignerConfig; readonly uri: string; readonly restart: boolean; readonly stop: number | undefined };
type Moved = {
  readonly moved: true;
  readonly to: string;
  readonly rows: object;
  readonly log: Log;
  readonly stoppedMs: number;
  readonly tookMs: number;
};

async function move(source: Dump, { signer, uri, restart, stop }: Move): Promise<Moved> {
  const started = systemClock();
  const dataDir = signer.DATA_DIR;
  const to = nameOf(uri);
  const held: Held | undefined = source.hold() ? { since: started } : undefined;
  if (!held) requireRunning(stop);
  const moved = readMoved(dataDir);
  if (moved && moved.to !== to) throw new AssentError('unavailable', movedSentence(dataDir, moved));
  // Marked, but the target was never freed: the copy was broken off between the two, and nobody has written there.
  const progress = createProgress();
  const unlessUnfinished = moved && { unlessUnfinished: movedSentence(dataDir, moved) };
  const target = await openLoad({
    uri,
    clock: systemClock,
    restart,
    ...unlessUnfinished,
    waiting: () => progress(() => `${to} does not answer; waiting for it`),
  });
  try {
    const ends: Ends = { source, target };
    say(held ? 'No server runs on the folder, and none can until this is done.' : 'A server runs on the folder: it goes on meanwhile.');
    await copyAll(ends);
    await compareAll(ends);
    const { since } = held ?? (await follow(ends, stop));
    const log = await cutOver(ends, { signer, to });
    const [stoppedMs, tookMs] = [systemClock() - since, systemClock() - started];
    say(`${log.size} log entries under root ${log.root}. Nobody could write for ${(stoppedMs / 1000).toFixed(1)} s.`);
    return { moved: true, to, rows: Object.fromEntries(sections.map((section) => [section, source.count(section)])), log, stoppedMs, tookMs };
  } finally {
    await target.close();
  }
}

function requireRunning(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, 0);
  } catch (cause) {
    throw new AssentError('unavailable', `There is no process ${pid} that could be told to stop.`, { cause });
  }
}
