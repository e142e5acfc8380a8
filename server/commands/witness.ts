/**
 * `assent witness --policy FILE --name NAME`: cosigns the checkpoints of other logs. https://c2sp.org/tlog-witness
 * The policy's `log` lines say whose. Its own key and what it has cosigned stand in the folder, apart from any server's.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import fastify from 'fastify';
import { type Cosigner, isKeyName, newSignerKey, parseCosignerKey } from '../../ledger/note.ts';
import { parsePolicy } from '../../ledger/policy.ts';
import { createFile } from '../anchoring/create-file.ts';
import { systemClock } from '../clock.ts';
import { createServerOptions } from '../http/server-options.ts';
import { openHeads } from '../witness/heads.ts';
import { witnessPlugin } from '../witness/plugin.ts';
import { type Stoppable, untilStopped } from './until-stopped.ts';

const usage = `Usage: assent witness --policy FILE --name NAME [--data FOLDER] [--host ADDRESS] [--port PORT]
  FILE: lines \`log <verifier key>\`, one for each log to witness (GET /ledger/key shows a log’s).
  NAME: how cosignatures name this witness, e.g. witness.example.org/assent.
  FOLDER: its key and state (./witness). PORT: 8104; 0 picks a free one.
`;

export async function witness(args: readonly string[]): Promise<number> {
  const options = readArguments(args);
  if (options?.policy === undefined || options.name === undefined || !isKeyName(options.name)) {
    process.stderr.write(usage);
    return 2;
  }
  const policy = parsePolicy(await readFile(options.policy, 'utf8'));
  if (typeof policy === 'string') throw new Error(policy);
  if (policy.logs.length === 0) throw new Error('The policy names no log.');
  const running = await start({ ...options, name: options.name, logs: policy.logs.map(({ key }) => key) });
  const stopped = untilStopped(running);
  process.stdout.write(`${JSON.stringify({ ready: true, url: running.url, key: running.key, pid: process.pid })}\n`);
  return stopped;
}

function readArguments(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = {
    policy: text,
    name: text,
    data: { ...text, default: './witness' },
    host: { ...text, default: '127.0.0.1' },
    port: { ...text, default: '8104' },
  };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch {
    return undefined;
  }
}

type Options = {
  readonly data: string;
  readonly name: string;
  readonly host: string;
  readonly port: string;
  readonly logs: Parameters<typeof witnessPlugin>[0]['logs'];
};

async function start({ data, name, host, port, logs }: Options): Promise<Stoppable & { readonly url: string; readonly key: string }> {
  const heads = openHeads(data);
  const cosigner = await readOrMakeKey(join(data, 'key'), name);
  const server = fastify(createServerOptions({ logLevel: 'info', bodyBytes: 65_536 }));
  await server.register(witnessPlugin({ logs, heads, cosigner, clock: systemClock }));
  const url = await server.listen({ host, port: Number(port) });
  const stop = async (): Promise<void> => {
    await server.close();
    heads.close();
  };
  return { url, key: cosigner.verifierKey.text, stop };
}

/** Of two that start at once in one folder the first one's key is used by both. Throws Error when the key is another's. */
async function readOrMakeKey(file: string, name: string): Promise<Cosigner> {
  await mkdir(join(file, '..'), { recursive: true, mode: 0o700 });
  await createFile(file, `${newSignerKey(name, 'cosignature')}\n`);
  const cosigner = parseCosignerKey((await readFile(file, 'utf8')).trimEnd());
  if (cosigner?.verifierKey.name !== name) throw new Error(`${file} is not a cosigning key of ${name}.`);
  return cosigner;
}
