/**
 * `assent signer`: signs the checkpoints of one log, as a process of its own, so that neither the server nor whoever breaks into it has the key. ledger.md §2
 * Its folder is that of a server's data folder, `signer`: key, and what was signed last.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, rmSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import fastify from 'fastify';
import { createFile } from '../anchoring/create-file.ts';
import { MOST_REQUEST_BYTES } from '../anchoring/signer-protocol.ts';
import { openSigner } from '../anchoring/signer.ts';
import { createServerOptions } from '../http/server-options.ts';
import { signerPlugin } from '../signer/plugin.ts';
import { type Stoppable, untilStopped } from './until-stopped.ts';

const usage = `Usage: assent signer [--data FOLDER] [--socket PATH | --port PORT] [--ml-dsa]
  FOLDER: the log’s key, what was signed last, and the secret that servers show (./signer). Where a server signed by itself
  until now, the folder \`signer\` of its ASSENT_DATA_DIR, moved here.
  PATH: of a unix socket (FOLDER/socket). PORT: on 127.0.0.1 instead; 0 picks a free one.
  --ml-dsa: checkpoints are signed with ML-DSA-44 as well, by a second key that is made once.
  The server gets ASSENT_SIGNER=unix:PATH, or http://127.0.0.1:PORT, and ASSENT_SIGNER_SECRET_PATH=FOLDER/secret, or a copy of it.
`;

export async function signer(args: readonly string[]): Promise<number> {
  const options = readArguments(args);
  if (!options) {
    process.stderr.write(usage);
    return 2;
  }
  const { address, key, secret, stop } = await start(options);
  const stopped = untilStopped({ stop });
  process.stdout.write(`${JSON.stringify({ ready: true, address, key, secret, pid: process.pid })}\n`);
  return stopped;
}

type Options = { readonly data: string; readonly socket: string | undefined; readonly port: string | undefined; readonly mlDsa: boolean };

function readArguments(args: readonly string[]): Options | undefined {
  const text = { type: 'string' } as const;
  try {
    const {
      data,
      socket,
      port,
      'ml-dsa': mlDsa,
    } = parseArgs({
      args: [...args],
      options: { data: { ...text, default: './signer' }, socket: text, port: text, 'ml-dsa': { type: 'boolean', default: false } },
    }).values;
    const numbered = port === undefined || /^\d{1,5}$/.test(port);
    return numbered && (port === undefined || socket === undefined) ? { data: resolve(data), socket, port, mlDsa } : undefined;
  } catch {
    return undefined;
  }
}

type Started = Stoppable & { readonly address: string; readonly key: string; readonly secret: string };

/** Throws Error with a sentence when folder, key, secret or address cannot be used. */
async function start({ data, socket = join(data, 'socket'), port, mlDsa }: Options): Promise<Started> {
  const opened = await openSigner({ directory: data, apart: true, mlDsa });
  const file = join(data, 'secret');
  const server = fastify(createServerOptions({ logLevel: 'info', bodyBytes: MOST_REQUEST_BYTES }));
  await server.register(signerPlugin({ signer: opened, secret: await readOrMakeSecret(file) }));
  const stop = () => server.close();
  const started = { key: opened.verifierKey, secret: file, stop };
  if (port !== undefined) return { ...started, address: await server.listen({ host: '127.0.0.1', port: Number(port) }) };
  if (await answers(socket)) throw new Error(`Another process answers on ${socket}.`);
  // Left by one that was killed.
  rmSync(socket, { force: true });
  await server.listen({ path: socket });
  // Whoever reaches the folder may ask, if they know the secret.
  chmodSync(socket, 0o660);
  return { ...started, address: `unix:${socket}` };
}

async function readOrMakeSecret(file: string): Promise<string> {
  await createFile(file, `${randomBytes(32).toString('base64url')}\n`);
  if ((statSync(file).mode & 0o077) !== 0) throw new Error(`${file} can be read by others: let its owner alone read it (chmod 600).`);
  const secret = (await readFile(file, 'utf8')).trim();
  if (secret.length < 32) throw new Error(`${file} is not a secret of at least 32 characters.`);
  return secret;
}

function answers(socket: string): Promise<boolean> {
  return new Promise((done) => {
    const probe = connect(socket);
    probe.once('connect', () => {
      probe.destroy();
      done(true);
    });
    probe.once('error', () => done(false));
  });
}
