/**
 * `assent anchor aggregate --logs POLICY --name NAME`: takes the checkpoints of many logs into one log of its own, so that one anchor covers all of them. ledger.md §5
 * Where that is anchored say the settings by which a server anchors its log: ASSENT_EVM_…, ASSENT_TSA_…. Key, state and proofs stand in the folder, apart from any server’s.
 */
import { statSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import fastify from 'fastify';
import { createEmbeddedAnchor } from '../../ledger/anchor/embedded.ts';
import type { Anchor } from '../../ledger/anchor/port.ts';
import { openCheckpoint } from '../../ledger/checkpoint.ts';
import { isKeyName, newSignerKey, type NoteSigner, parseSignerKey } from '../../ledger/note.ts';
import { parsePolicy, type Policy } from '../../ledger/policy.ts';
import { membersOf } from '../aggregate/members.ts';
import { proofPlugin } from '../aggregate/plugin.ts';
import { createProofs } from '../aggregate/proofs.ts';
import { createRounds } from '../aggregate/rounds.ts';
import { type AggregateStore, openAggregateStore } from '../aggregate/store.ts';
import { createFile } from '../anchoring/create-file.ts';
import { openChain } from '../anchoring/evm-anchor.ts';
import { anchorFile, signerFolder } from '../anchoring/folders.ts';
import { createRepeated } from '../anchoring/repeated.ts';
import { systemSchedule } from '../anchoring/schedule.ts';
import type { openTimeStamps } from '../anchoring/time-stamps.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { ledgerPlugin } from '../http/ledger.ts';
import { createServerOptions } from '../http/server-options.ts';
import { untilStopped } from './until-stopped.ts';
import { verifierPage } from './verifier.ts';

export const aggregateUsage = `Usage: assent anchor aggregate --logs POLICY --name NAME [--data FOLDER] [--every SECONDS] [--host ADDRESS] [--port PORT]
  POLICY: a file (c2sp.org/tlog-policy) with a line \`log <verifier key> <URL>\` for each log, e.g. https://hospital.example/ledger; several lines for one log
  with several keys; and, if need be, which witnesses must have cosigned their checkpoints.
  NAME: of the aggregate, e.g. aggregate.example.org/hospitals. FOLDER: its key, its state and the proofs (./aggregate).
  SECONDS: between two rounds (600). PORT: 8105; 0 picks a free one. Where it is anchored say ASSENT_EVM_… and ASSENT_TSA_….
`;

export async function aggregate(config: Config, args: readonly string[]): Promise<number> {
  const options = readArguments(args);
  if (!options) {
    process.stderr.write(aggregateUsage);
    return 2;
  }
  const running = await startAggregate({ ...config, DATA_DIR: options.data }, options);
  const stopped = untilStopped(running);
  process.stdout.write(`${JSON.stringify({ ready: true, url: running.url, key: running.key, pid: process.pid })}\n`);
  return stopped;
}

type Options = {
  readonly logs: string;
  readonly name: string;
  readonly everyMs: number;
  readonly host: string;
  readonly port: number;
  /** Where log lines go; absent: stderr. */
  readonly logTo?: { write(line: string): void };
};

function readArguments(args: readonly string[]): (Options & { readonly data: string }) | undefined {
  const text = { type: 'string' } as const;
  const with_ = (fallback: string) => ({ ...text, default: fallback });
  const options = {
    logs: text,
    name: text,
    data: with_('./aggregate'),
    every: with_('600'),
    host: with_('127.0.0.1'),
    port: with_('8105'),
  };
  try {
    const { logs, name, data, every, host, port } = parseArgs({ args: [...args], options }).values;
    const formed = /^[1-9]\d{0,5}$/.test(every) && /^\d{1,5}$/.test(port);
    if (logs === undefined || name === undefined || !isKeyName(name) || !formed) return undefined;
    return { logs, name, data: resolve(data), everyMs: Number(every) * 1000, host, port: Number(port) };
  } catch {
    return undefined;
  }
}

/** How often proofs are looked at: an anchor becomes final some time after its round. */
const LOOK_MS = 1000;

type Started = { readonly url: string; readonly key: string; stop(): Promise<void> };

/** The folder is `config.DATA_DIR`. Throws Error with a sentence when policy, folder, key, state or settings cannot be used. */
export async function startAggregate(config: Config, options: Options): Promise<Started> {
  const policy = parsePolicy(await readFile(options.logs, 'utf8'));
  if (typeof policy === 'string') throw new Error(policy);
  const members = membersOf(policy, fetch);
  const signer = await readOrMakeKey(config.DATA_DIR, options.name);
  const store = openAggregateStore(config.DATA_DIR);
  try {
    return await run({ config, options, policy, members, signer, store });
  } catch (fault) {
    store.close();
    throw fault;
  }
}

type Parts = {
  readonly config: Config;
  readonly options: Options;
  readonly policy: Policy;
  readonly members: ReturnType<typeof membersOf>;
  readonly signer: NoteSigner;
  readonly store: AggregateStore;
};

async function run({ config, options, policy, members, signer, store }: Parts): Promise<Started> {
  const { everyMs, host, port, logTo } = options;
  const folder = config.DATA_DIR;
  // Whoever is cut off at the end asks again: nothing here is asked for but what is kept.
  const server = fastify({ ...createServerOptions({ logLevel: 'info', bodyBytes: 1024, ...(logTo ? { logTo } : {}) }), forceCloseConnections: true });
  const outside = { schedule: systemSchedule, clock: systemClock, fetch, report: (fault: unknown) => report(server, fault) };
  const { anchors, besides, evidence, contradiction } = await openAnchors(config, { ...outside, store });
  const problem = (await contradiction()) ?? keyProblem(store, signer);
  if (problem !== undefined) throw new Error(problem);
  const round = createRounds({ ...outside, members, policy, store, signer, anchors });
  const publish = createProofs({ folder, origins: members.map(({ origin }) => origin), store, signer, evidence });
  const repeated = (work: () => Promise<void>, ms: number, what: string) =>
    createRepeated({ once: () => work().then(() => ms), retryMs: Math.min(ms, 60_000), sentenceOf: () => what }, outside);
  await server.register(proofPlugin({ folder }));
  await server.register(ledgerPlugin({ log: readerOf(store, signer), verifier: await verifierPage() }));
  const url = await server.listen({ host, port });
  const works = [
    ...besides,
    repeated(round, everyMs, 'A round of the aggregate failed.'),
    repeated(publish, LOOK_MS, 'The proofs cannot be written.'),
  ];
  for (const work of works) work.start();
  const stop = async (): Promise<void> => {
    await Promise.all(works.map((work) => work.stop()));
    await server.close();
    store.close();
  };
  return { url, key: signer.verifierKey.text, stop };
}

function keyProblem(store: AggregateStore, { verifierKey }: NoteSigner): string | undefined {
  const kept = store.checkpoint();
  if (!kept || openCheckpoint(kept.note, [verifierKey]).kind === 'signed') return undefined;
  return 'The key in the folder is not the one that signed the aggregate so far.';
}

/** Sentences of ours; of anything else no more than its kind. */
function report(server: { readonly log: { error(given: object, sentence: string): void } }, fault: unknown): void {
  server.log.error({ err: fault }, fault instanceof Error ? fault.message : 'The aggregate failed.');
}

/** As a log for anyone, without its entries: they name the other logs. */
function readerOf(store: AggregateStore, { verifierKey }: NoteSigner): Parameters<typeof ledgerPlugin>[0]['log'] {
  return {
    verifierKey: () => verifierKey.text,
    keys: () => [verifierKey.text],
    checkpoint: async () => store.checkpoint()?.note,
    witnessed: async () => undefined,
    tile: (level, index, width) => store.tile(level, index, width),
    entries: async () => undefined,
  };
}

type Outside = Omit<Parameters<typeof openChain>[1], 'outbox'> & Parameters<typeof openTimeStamps>[1] & { readonly store: AggregateStore };

async function openAnchors(config: Config, { store, ...outside }: Outside) {
  const chain = await openChain(config, { ...outside, outbox: store.outbox });
  const stamps = config.TSA_URL === '' ? undefined : await (await import('../anchoring/time-stamps.ts')).openTimeStamps(config, outside);
  const inFile = createEmbeddedAnchor({ file: anchorFile(config.DATA_DIR), clock: outside.clock });
  const anchors: readonly Anchor[] = [inFile, ...(chain ? [chain.anchor] : []), ...(stamps ? [stamps.anchor] : [])];
  const evidence = async () => [await chain?.anchor.place(), await stamps?.anchor.place()].flatMap((place) => place ?? []);
  return { anchors, besides: [...(chain ? [chain] : []), ...(stamps ? [stamps] : [])], evidence, contradiction: () => contradictionOf() };

  /** A sentence where an anchor holds more than is stored: to go on would be to sign another history. */
  async function contradictionOf(): Promise<string | undefined> {
    const size = store.checkpoint()?.size ?? 0;
    for (const { name, latest } of anchors) {
      const safe = (await latest())?.size ?? 0;
      if (safe > size) return `The anchor ${name} holds ${safe} entries of this aggregate, whose state has ${size}: it is older.`;
    }
    return chain?.contradiction(size);
  }
}

/** The key in the folder, of that name. Throws Error where it is another’s, or a server’s. */
async function readOrMakeKey(folder: string, name: string): Promise<NoteSigner> {
  const directory = signerFolder(folder);
  const names = await readdir(directory).catch(() => []);
  if (names.some((each) => each.startsWith('state'))) throw new Error(`${folder} is a server’s: an aggregate has a folder of its own.`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, 'key');
  await createFile(file, `${newSignerKey(name)}\n`);
  if ((statSync(file).mode & 0o077) !== 0) throw new Error(`${file} can be read by others: let its owner alone read it (chmod 600).`);
  const signer = parseSignerKey((await readFile(file, 'utf8')).trimEnd());
  if (signer?.verifierKey.name !== name) throw new Error(`${file} is not a key of ${name}.`);
  return signer;
}
