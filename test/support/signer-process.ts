/** `assent signer` as operators run it: a process of its own on a folder, killed and started again from outside. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { compiled } from './compiled.ts';

export type SignerProcess = {
  readonly address: string;
  readonly key: string;
  /** Path of the secret. */
  readonly secret: string;
  /** What a server is told to sign there. */
  readonly settings: { readonly SIGNER: string; readonly SIGNER_SECRET_PATH: string };
  /** Resolves with its exit code when it has ended; 1 when a signal ended it. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number>;
};

const root = new URL('../..', import.meta.url);

/** Rejects with what it said when it ends instead of getting ready. */
export async function launchSigner(folder: string, ...args: readonly string[]): Promise<SignerProcess> {
  const command = ['server/main.ts', 'signer', '--data', folder, ...args];
  const child = spawn(process.execPath, command, { cwd: root, env: { PATH: process.env['PATH'], ...compiled }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number>((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString('utf8')));
  const line = new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const first = await Promise.race([line, ended.then((code) => Promise.reject(new Error(`The signer ended with ${code}: ${complaints}`)))]);
  const { address, key, secret } = JSON.parse(first) as { address: string; key: string; secret: string };
  return {
    address,
    key,
    secret,
    settings: { SIGNER: address, SIGNER_SECRET_PATH: secret },
    async end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}
