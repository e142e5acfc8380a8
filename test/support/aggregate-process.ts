/** `assent anchor aggregate`: a process of its own on a folder, as operators run it and as it is killed; or, as starting one takes seconds, in this process. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { startAggregate } from '../../server/commands/aggregate.ts';
import { compiled } from './compiled.ts';
import { readConfig } from '../../server/config.ts';
import { readAggregateProof, proofName } from '../../ledger/aggregate.ts';
import type { AggregatePiece } from '../../ledger/receipt-format.ts';

export type RunningAggregate = {
  readonly url: string;
  readonly key: string;
  /** What it said on stderr so far. */
  readonly said: () => string;
  /** What it proves of a log; none yet: undefined. */
  piecesOf(origin: string): Promise<readonly AggregatePiece[] | undefined>;
};

export type AggregateProcess = RunningAggregate & {
  /** Resolves with its exit code when it has ended; 1 when a signal ended it. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number>;
};

type Launch = {
  readonly folder: string;
  readonly logs: string;
  readonly name?: string;
  readonly port?: number;
  readonly every?: number;
  readonly settings?: Readonly<Record<string, string>>;
};

const root = new URL('../..', import.meta.url);

/** Rejects with what it said when it ends instead of getting ready. */
export async function launchAggregate({
  folder,
  logs,
  name = 'aggregate.test',
  port = 0,
  every = 1,
  settings = {},
}: Launch): Promise<AggregateProcess> {
  const command = ['server/main.ts', 'anchor', 'aggregate', '--data', folder, '--logs', logs, '--name', name, '--port', String(port)];
  const env = { PATH: process.env['PATH'], ...compiled, ...settings };
  const child = spawn(process.execPath, [...command, '--every', String(every)], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number>((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  const line = new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const first = await Promise.race([line, ended.then((code) => Promise.reject(new Error(`The aggregate ended with ${code}: ${said}`)))]);
  const { url, key } = JSON.parse(first) as { url: string; key: string };
  return {
    url,
    key,
    said: () => said,
    piecesOf: piecesAt(url),
    async end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

/** Rejects as the command would fail. */
export async function runAggregate({ folder, logs, name = 'aggregate.test', port = 0, every = 1, settings = {} }: Launch) {
  let said = '';
  const logTo = { write: (line: string) => void (said += line) };
  const config = readConfig({ ...settings, ASSENT_DATA_DIR: folder });
  const { url, key, stop } = await startAggregate(config, { logs, name, everyMs: every * 1000, host: '127.0.0.1', port, logTo });
  return { url, key, stop, said: () => said, piecesOf: piecesAt(url) };
}

function piecesAt(url: string): RunningAggregate['piecesOf'] {
  return async (origin) => {
    const response = await fetch(`${url}/${proofName(origin)}`);
    const proof = response.status === 200 ? readAggregateProof(await response.text()) : undefined;
    if (typeof proof === 'string') throw new Error(proof);
    return proof?.pieces;
  };
}
